"""What two images are compared on: Y of YCbCr (ITU-R BT.601, 16 to 235), or RGB; a border may be left out.

BasicSR, pyiqa (`color_space='ycbcr'`) and MATLAB's rgb2ycbcr agree on this Y. Y of YIQ, which spans 0 to 255, gives a
PSNR that is lower by 20 log10(255 / 219) = 1.32 dB.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo

Space = Literal["y", "rgb"]
Planes = NDArray[np.float64]
_RED, _GREEN, _BLUE, _BLACK = 65.481, 128.553, 24.966, 16.0


def check_options(space: str, border: int) -> None:
    """Raises ValueError for a space that there is not, or a border below 0."""
    if space not in get_args(Space):
        raise ValueError(f"space is y or rgb, not {space!r}")
    if border < 0:
        raise ValueError(f"border is a number of pixels from 0 up, not {border}")


def planes(photo: Photo, *, space: Space, border: int, rounded: bool) -> Planes:
    """float64 [H,W,C], 0 to 255; C is 1 for `y`. `rounded` puts Y on whole numbers, as MATLAB's uint8 images are.

    Raises:
        ValueError: the border leaves nothing.
    """
    rgb = photo.rgb
    if border:
        if min(rgb.shape[:2]) <= 2 * border:
            raise ValueError(
                f"a border of {border} px leaves nothing of {rgb.shape[1]}x{rgb.shape[0]}"
            )
        rgb = rgb[border:-border, border:-border]
    values = rgb.astype(np.float64)
    if space == "y":
        weights = np.array([_RED, _GREEN, _BLUE]) / 255
        values = (values @ weights + _BLACK)[..., None]
    return np.rint(values) if rounded else values


def same_size(photo: Photo, reference: Photo) -> None:
    """Raises ValueError where the two differ in size."""
    if photo.rgb.shape != reference.rgb.shape:
        ours, theirs = photo.rgb.shape, reference.rgb.shape
        raise ValueError(
            f"The image is {ours[1]}x{ours[0]}, its reference {theirs[1]}x{theirs[0]}."
        )
