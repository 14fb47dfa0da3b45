"""The picture without the bars around it: letterboxes and frames say nothing of the photograph inside.

A row or column at the rim belongs to a bar where its luma varies by less than 1.5 grey levels. At most a quarter is
taken off at each side, and nothing where less than 64 px would be left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo

MOST_SHARE = 0.25
LEAST_DEVIATION = 1.5
FEWEST_PX = 64
_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def inside(photo: Photo) -> Photo:
    """The photo itself where it has no bars."""
    return photo.cached("inside", lambda: _cut(photo))


def _cut(photo: Photo) -> Photo:
    rgb = photo.rgb
    height, width = rgb.shape[:2]
    top = _bar(rgb, int(height * MOST_SHARE))
    bottom = _bar(rgb[::-1], int(height * MOST_SHARE))
    sideways = rgb.transpose(1, 0, 2)
    left = _bar(sideways, int(width * MOST_SHARE))
    right = _bar(sideways[::-1], int(width * MOST_SHARE))
    high, wide = height - top - bottom, width - left - right
    if (high, wide) == (height, width) or min(high, wide) < FEWEST_PX:
        return photo
    cut = rgb[top : height - bottom, left : width - right]
    return Photo(cut, quantization=photo.quantization, most_patches=photo.most_patches)


def _bar(lines: NDArray[np.uint8], most: int) -> int:
    """How many of the first lines are all of one grey."""
    for count in range(most):
        if float((lines[count] @ _WEIGHTS).std()) >= LEAST_DEVIATION:
            return count
    return most
