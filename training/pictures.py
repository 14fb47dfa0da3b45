"""Pixels of an image file, alike for restoring, scoring and evaluating: what filters/picture.py opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from filters.picture import open_picture

Pixels = NDArray[np.uint8]


def read_pixels(file: Path, *, upright: bool = True) -> Pixels:
    """uint8 RGB [H,W,3]; of an animation the first frame.

    Args:
        upright: turn it by its EXIF tag; some official scripts take images as stored.

    Raises:
        filters.picture.NotAnImage: the bytes do not decode; the message says why.
        OSError: the file cannot be read.
    """
    return decoded(file.read_bytes(), upright=upright)


def decoded(content: bytes, *, upright: bool = True) -> Pixels:
    """The same from the bytes of a file.

    Raises:
        filters.picture.NotAnImage: they do not decode.
    """
    with open_picture(content, upright=upright, frames=True) as picture:
        return picture.rgb
