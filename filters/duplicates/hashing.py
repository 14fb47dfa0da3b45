"""Perceptual hashes of a picture, from one decode: of the file as it is, and of the picture as it is seen.

`phash` and `dhash` equal the imagehash library's of the opened file, bit for bit. Twins are looked for by the others:
hashes of the picture as it is seen (filters/picture.py), in eight looks (upright, mirrored, turned), because the hash
of a turned picture cannot be derived from the bits of the upright one. A picture of little contrast (fog, night) is
stretched first: its own few levels of grey would round most of it away. A small thumbnail is kept beside them, which
confirms pairs whose hashes say little (filters/duplicates/confirm.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catalog.records import Hash64
from filters import picture as door

if TYPE_CHECKING:
    from PIL import Image

    from filters.picture import Picture

VERSION = f"imagehash-4.3+{door.VERSION}"
"""Raised when the bits of an image would change; what is seen is part of it."""

LOOKS = ("as is", "mirrored", "180", "flipped", "90", "270", "transposed", "transverse")
"""How a copy may lie: turned counter-clockwise, or mirrored left to right (an odd position in the first four), top to
bottom, or over a diagonal."""
MIRRORED = (1, 3, 6, 7)
"""Positions in LOOKS that no turn undoes."""
THUMB_PX = 64
CHROMA_PX = 8
LOW_CONTRAST = 6.0
"""Standard deviation of the small grey picture (0 to 255) below which it is stretched before it is hashed."""
_STRETCHED = 48.0
"""Standard deviation of a stretched one."""
_LEAST_SPREAD = 0.2
"""Nothing is stretched beyond what this needs: below it there is only rounding."""


@dataclass(frozen=True, kw_only=True)
class ImageHashes:
    """Four 64-bit hashes and how much there is to hash."""

    phash: Hash64
    dhash: Hash64
    phash_mirror: Hash64
    dhash_mirror: Hash64
    spread: float
    """Standard deviation of the 32x32 grey thumbnail, 0 to 255."""


@dataclass(frozen=True, kw_only=True)
class SeenHashes:
    """What dedupe compares."""

    phash: tuple[Hash64, ...]
    """One for each of LOOKS."""
    dhash: tuple[Hash64, ...]
    spread: float
    """Standard deviation of the small grey picture, 0 to 255; near 0 it is blank."""
    thumbnail: bytes
    """Luma uint8 [64, 64], stretched where contrast is low, then Cb and Cr uint8 [8, 8, 2], 128 is grey."""


def to_uint64(image_hash: Any) -> Hash64:
    """An imagehash.ImageHash of 64 bits as an unsigned integer, row by row, first bit highest."""
    packed = np.packbits(np.asarray(image_hash.hash, dtype=bool).ravel())
    return Hash64(int.from_bytes(packed.tobytes(), "big"))


def hash_image(image: Image.Image) -> ImageHashes:
    """pHash (32x32 DCT, 8x8 low frequencies against their median) and dHash (9x8 differences), plain and mirrored, of a
    Pillow image as it is."""
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


def hash_seen(picture: Picture) -> SeenHashes:
    """The hashes of a picture as it is seen.

    Raises:
        filters.picture.NotAnImage: its pixels have no rule how they are seen.
    """
    # Colors first: of a picture that is not plain, its luma is then taken from them.
    chroma = _chroma(picture)
    return hash_pixels(picture.grey, chroma)


def hash_pixels(grey: NDArray[np.uint8], chroma: NDArray[np.uint8] | None = None) -> SeenHashes:
    """The hashes of luma [H, W] with, for the thumbnail, Cb and Cr [8, 8, 2]; None: grey."""
    import cv2
    import imagehash
    from PIL import Image as pillow

    image = pillow.fromarray(grey)
    filtered = pillow.Resampling.LANCZOS
    square = image.resize((32, 32), filtered)
    spread = float(np.asarray(square, dtype=np.float64).std())
    if spread < LOW_CONTRAST:
        fine = _means(grey)
        spread = float(cv2.resize(fine, (32, 32), interpolation=cv2.INTER_AREA).std())
        gain = _STRETCHED / max(spread, _LEAST_SPREAD)
        stretched = np.clip(np.rint(128.0 + (fine - fine.mean()) * gain), 0, 255)
        image = pillow.fromarray(stretched.astype(np.uint8))
        square = image.resize((32, 32), filtered)
    strip = image.resize((9, 8), filtered)
    # A strip of a picture that lies on its side; transposed it has the usual shape.
    upright = image.resize((8, 9), filtered)
    turn = pillow.Transpose
    ways = (
        *(None, turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM),
        *(turn.ROTATE_90, turn.ROTATE_270, turn.TRANSPOSE, turn.TRANSVERSE),
    )
    squares = [square if way is None else square.transpose(way) for way in ways]
    strips = [
        (strip if number < 4 else upright).transpose(way) if way is not None else strip
        for number, way in enumerate(ways)
    ]
    small = cv2.resize(
        np.asarray(image), (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA
    ).tobytes()
    if chroma is None:
        chroma = np.full((CHROMA_PX, CHROMA_PX, 2), 128, dtype=np.uint8)
    return SeenHashes(
        phash=tuple(to_uint64(imagehash.phash(one)) for one in squares),
        dhash=tuple(to_uint64(imagehash.dhash(one)) for one in strips),
        spread=spread,
        thumbnail=small + chroma.tobytes(),
    )


def _means(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means of blocks of a picture, to fractions of a level; some 128 blocks along its short side."""
    height, width = grey.shape
    block = max(1, min(height, width) // 128)
    rows, columns = height // block, width // block
    whole = grey[: rows * block, : columns * block].reshape(rows, block, columns, block)
    return (whole.sum(axis=(1, 3), dtype=np.uint32) / np.float32(block * block)).astype(np.float32)


def _chroma(picture: Picture) -> NDArray[np.uint8] | None:
    """Cb and Cr [8, 8, 2] as seen; None of a picture that has no color."""
    import cv2
    from PIL import Image as pillow

    if picture.plain:
        if picture.image.mode == "L":
            return None
        small = np.asarray(
            picture.image.resize((CHROMA_PX, CHROMA_PX), pillow.Resampling.BOX, reducing_gap=1.0)
        )
    else:
        small = cv2.resize(picture.rgb, (CHROMA_PX, CHROMA_PX), interpolation=cv2.INTER_AREA)
    planes = cv2.cvtColor(np.ascontiguousarray(small), cv2.COLOR_RGB2YCrCb)
    return np.ascontiguousarray(planes[:, :, [2, 1]], dtype=np.uint8)
