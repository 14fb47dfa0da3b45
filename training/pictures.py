"""Pixels of an image file, the same for restoring, scoring and evaluating: what a person sees, on white, in 8 bits.

Turned by the EXIF tag, transparency laid on white, 16 bits reduced to 8, CMYK and palettes turned into RGB. Where one
command dropped an alpha channel and the next one laid it on white, a restoration was scored against another picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from filters.measures import open_image, photo_of

Pixels = NDArray[np.uint8]


def read_pixels(file: Path, *, upright: bool = True) -> Pixels:
    """uint8 RGB [H,W,3].

    Args:
        upright: turn it by its EXIF tag; the official LucidFlux script takes images as stored.

    Raises:
        NotAnImage: the bytes do not decode.
        OSError: the file cannot be read.
    """
    return decoded(file.read_bytes(), upright=upright)


def decoded(content: bytes, *, upright: bool = True) -> Pixels:
    """The same from the bytes of a file.

    Raises:
        NotAnImage: they do not decode.
    """
    from PIL import ImageOps

    with open_image(content) as image:
        return photo_of(ImageOps.exif_transpose(image) if upright else image).rgb
