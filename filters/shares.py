"""Shares seen in a sample, with an interval that is honest about files that come in bunches.

A hundred files in a row are often of three uploaders, and one uploader's files pass a rule together or not at all. So
the interval is Wilson's with as many independent observations as the bunches are worth (Kish's design effect).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

Z95 = 1.96


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share with its 95 % interval, all 0 to 1."""

    share: float
    low: float
    high: float
    worth: float
    """Independent observations that the sample is worth; 0: nothing was seen."""


def share_of(seen: Sequence[bool], bunches: Sequence[Hashable]) -> Share:
    """The share of true ones.

    Args:
        seen: [n]
        bunches: [n] what each belongs to, e.g. its uploader.
    """
    count = len(seen)
    if not count:
        return Share(share=0.0, low=0.0, high=1.0, worth=0.0)
    place: dict[Hashable, int] = {}
    which = np.array([place.setdefault(name, len(place)) for name in bunches])
    sizes = np.bincount(which).astype(float)
    hits = np.bincount(which, weights=np.asarray(seen, dtype=float))
    share, groups = float(hits.sum() / count), len(sizes)
    # With all or none of a sample there is no spread to tell bunches by: each bunch is then one observation.
    worth = float(groups)
    if 0.0 < share < 1.0 and groups > 1:
        # Variance of a ratio of sums over bunches, against that of as many independent files.
        spread = groups / (groups - 1) * float(((hits - share * sizes) ** 2).sum()) / count**2
        alone = share * (1 - share) / count
        worth = min(float(count), max(1.0, count * alone / spread)) if spread > 0 else float(count)
    low, high = wilson(share, worth)
    return Share(share=share, low=low, high=high, worth=worth)


def wilson(share: float, count: float, z: float = Z95) -> tuple[float, float]:
    """Interval of a share of `count` observations (Wilson 1927)."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)
