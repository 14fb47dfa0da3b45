"""Share of pixels exactly equal, in every channel, to their right and lower neighbours, dark and white ones left out.

Near 1 for drawings and screenshots. Pixels with a luma below 24 or above 252 do not count, on either side of the ratio:
night and blown sky are flat, too, and no drawing. Every fourth row is looked at. 0 where nothing else is left.

Never None.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo
from filters.measures._inside import inside

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    equal = counted = 0
    within = inside(photo)
    for patch, luma in zip(within.patches, within.lumas, strict=True):
        here, level = patch[:-1:4, :-1], luma[:-1:4, :-1]
        usable = (level >= 24) & (level <= 252)
        same = _equal(here, patch[:-1:4, 1:]) & _equal(here, patch[1::4, :-1])
        equal += int(np.count_nonzero(same & usable))
        counted += int(np.count_nonzero(usable))
    return equal / counted if counted else 0.0


def _equal(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    red, green, blue = (one[:, :, c] == other[:, :, c] for c in range(3))
    return red & green & blue
