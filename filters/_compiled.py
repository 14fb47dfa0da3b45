"""The compiled loops, where numba is there; loaded at first use, because that takes half a second and 115 MB."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any


@cache
def kernels() -> Any:
    """The module filters._neighbors_numba; None where there is no numba."""
    try:
        from filters import _neighbors_numba
    except ImportError:
        return None
    return _neighbors_numba


def loaded() -> bool:
    """Whether somebody has paid for them already."""
    return "filters._neighbors_numba" in sys.modules
