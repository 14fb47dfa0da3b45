"""Periods of the steps between rows and between columns: for the measures `grid_*`.

Steps are cut off at 12 grey levels and set against their running mean over nine; for each period from 5 to 16 the
largest phase less the median one, averaged over patches, by the root of the period. 8 is a JPEG's own grid at any
offset, others that of a JPEG that was resized.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.measures import Floats, Photo, opencv, tiles

PERIODS = range(5, 17)
MOST_STEP = 12.0
WIDTH = 9
FLOOR = 0.005
BLOCK_PX = 8
STILL = 0.6
"""Mean absolute second difference, grey levels, below which a block holds next to nothing."""


def grid(photo: Photo, name: str) -> float | None:
    """Log of a strength; None: smaller than 32 px."""
    if min(photo.rgb.shape[:2]) < 32:
        return None
    found: dict[str, float] = photo.cached("grid", lambda: _measured(photo))
    return found[name]


def blocks(photo: Photo) -> NDArray[np.float64]:
    """[n]: mean absolute second difference of each block of 8 px."""

    return photo.cached(
        "grid blocks",
        lambda: tiles(photo.second_differences, BLOCK_PX).mean(axis=(1, 2)).astype(np.float64),
    )


def _measured(photo: Photo) -> dict[str, float]:
    own, other = [], []
    for axis in (0, 1):
        profiles = [_profile(luma, axis) for luma in photo.lumas]
        strength = {period: _strength(profiles, period) for period in PERIODS}
        own.append(strength[8])
        other.append(max(s for period, s in strength.items() if period % 8))
    return {
        "weaker": float(np.log(FLOOR + min(own))),
        "mean": float(np.log(FLOOR + (own[0] + own[1]) / 2)),
        "other": float(np.log(FLOOR + min(other))),
    }


def _profile(luma: Floats, axis: int) -> NDArray[np.float64]:
    """Mean step behind each row (axis 0) or column over the running mean of these."""
    cv2 = opencv()
    steps = (
        cv2.absdiff(luma[1:], luma[:-1]) if axis == 0 else cv2.absdiff(luma[:, 1:], luma[:, :-1])
    )
    cut = np.minimum(steps, np.float32(MOST_STEP))
    sums = cv2.reduce(cut, 1 - axis, cv2.REDUCE_SUM, dtype=cv2.CV_64F).ravel()
    mean = sums / cut.shape[1 - axis]
    running = np.convolve(mean, np.ones(WIDTH) / WIDTH, mode="same")
    return (mean / (running + 0.05))[WIDTH // 2 : -(WIDTH // 2)]


def _strength(profiles: list[NDArray[np.float64]], period: int) -> float:
    found: list[float] = []
    # Patches are of one size, the last ones perhaps not.
    for length in sorted({len(profile) for profile in profiles}):
        whole = length // period * period
        if whole >= 2 * period:
            alike = np.stack([profile[:whole] for profile in profiles if len(profile) == length])
            phases = alike.reshape(len(alike), -1, period).mean(axis=1)
            found += (phases.max(axis=1) - np.median(phases, axis=1)).tolist()
    return float(np.mean(found)) / float(np.sqrt(period)) if found else 0.0
