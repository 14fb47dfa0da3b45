"""Perceptual hashes of the whole decoded image, from one decode, equal to the imagehash library's bit for bit.

The mirrored hashes are those of the flipped thumbnails: they find a copy that was flipped left to right, and cannot be
derived from the plain bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from catalog.records import Hash64

if TYPE_CHECKING:
    from PIL import Image

VERSION = "imagehash-4.3"
"""Raised when the bits of an image would change."""


@dataclass(frozen=True, kw_only=True)
class ImageHashes:
    """Four 64-bit hashes and how much there is to hash."""

    phash: Hash64
    dhash: Hash64
    phash_mirror: Hash64
    dhash_mirror: Hash64
    spread: float
    """Standard deviation of the 32x32 grey thumbnail, 0 to 255."""


def to_uint64(image_hash: Any) -> Hash64:
    """An imagehash.ImageHash of 64 bits as an unsigned integer, row by row, first bit highest."""
    packed = np.packbits(np.asarray(image_hash.hash, dtype=bool).ravel())
    return Hash64(int.from_bytes(packed.tobytes(), "big"))


def hash_image(image: Image.Image) -> ImageHashes:
    """pHash (32x32 DCT, 8x8 low frequencies against their median) and dHash (9x8 differences), plain and mirrored."""
    import imagehash
    from PIL import Image as pillow

    grey = image.convert("L")
    # imagehash reduces with the same filter; an image that has its target size already is left as it is.
    square = grey.resize((32, 32), pillow.Resampling.LANCZOS)
    strip = grey.resize((9, 8), pillow.Resampling.LANCZOS)
    flip = pillow.Transpose.FLIP_LEFT_RIGHT
    return ImageHashes(
        phash=to_uint64(imagehash.phash(square)),
        dhash=to_uint64(imagehash.dhash(strip)),
        phash_mirror=to_uint64(imagehash.phash(square.transpose(flip))),
        dhash_mirror=to_uint64(imagehash.dhash(strip.transpose(flip))),
        spread=float(np.asarray(square, dtype=np.float64).std()),
    )
