"""The compiled loops, where numba is there; loaded at first use, because that takes half a second and 115 MB."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any


@cache
def kernels() -> Any:
    """The module filters.neighbors.numba_loops; None where there is no numba."""
    try:
        from filters.neighbors import numba_loops
    except ImportError:
        return None
    return numba_loops


def loaded() -> bool:
    """Whether somebody has paid for them already."""
    return "filters.neighbors.numba_loops" in sys.modules
