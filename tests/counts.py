"""How often long loops go round: a tenth in `make test` and CI, all of it in `make test-long`."""

from __future__ import annotations

import os
from typing import TypeVar

LONG = os.environ.get("LUCIDLR_LONG") == "1"
SHARE = 10

T = TypeVar("T")


def rounds(full: int, *, least: int = 3) -> int:
    """`full` with LUCIDLR_LONG=1, else a tenth of it, but at least `least` (or all, where there are fewer)."""
    return full if LONG else min(full, max(least, full // SHARE))


def sampled(cases: list[T], *, least: int = 3) -> list[T]:
    """As many of the cases as `rounds` says, evenly over their order, the first and the last among them."""
    count = rounds(len(cases), least=least)
    if count == len(cases):
        return cases
    return [cases[round(i * (len(cases) - 1) / max(1, count - 1))] for i in range(count)]
