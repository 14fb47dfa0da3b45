"""Perceptual hashes of a picture, from one decode: of the file as it is, and of the picture as it is seen.

`phash` and `dhash` equal the imagehash library's of the opened file, bit for bit. Twins are looked for by the others:
hashes of the picture as it is seen (filters/picture.py), in eight looks (upright, mirrored, turned), because the hash
of a turned picture cannot be derived from the bits of the upright one. A picture of little contrast (fog, night) is
stretched first: its own few levels of grey would round most of it away. A small thumbnail is kept beside them, which
confirms pairs whose hashes say little (filters/duplicates/confirm.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
TURNS: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = (
    lambda a: a,
    lambda a: a[:, ::-1],
    lambda a: a[::-1, ::-1],
    lambda a: a[::-1],
    lambda a: np.rot90(a),
    lambda a: np.rot90(a, -1),
    lambda a: a.swapaxes(0, 1),
    lambda a: np.rot90(a, 2).swapaxes(0, 1),
)
"""What the positions of LOOKS do to [H, W, ...]."""
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
    return _of_file(_small(image.convert("L")))


def hash_seen(picture: Picture) -> SeenHashes:
    """The hashes of a picture as it is seen.

    Raises:
        filters.picture.NotAnImage: its pixels have no rule how they are seen.
    """
    # Colors first: of a picture that is not plain, its luma is then taken from them.
    chroma = _chroma(picture)
    return hash_pixels(picture.grey, chroma)


def hash_picture(picture: Picture) -> tuple[ImageHashes, SeenHashes]:
    """`hash_image` of the file and `hash_seen`, which of a plain picture look at the same pixels.

    Raises:
        filters.picture.NotAnImage: as `hash_seen`.
    """
    from PIL import Image as pillow

    if not picture.plain:
        return hash_image(picture.image), hash_seen(picture)
    chroma = _chroma(picture)
    small = _small(pillow.fromarray(picture.grey))
    return _of_file(small), _of_seen(picture.grey, small, chroma)


def hash_pixels(grey: NDArray[np.uint8], chroma: NDArray[np.uint8] | None = None) -> SeenHashes:
    """The hashes of luma [H, W] with, for the thumbnail, Cb and Cr [8, 8, 2]; None: grey."""
    from PIL import Image as pillow

    return _of_seen(grey, _small(pillow.fromarray(grey)), chroma)


@dataclass(frozen=True)
class _Small:
    """A grey image, reduced as imagehash does it."""

    image: Image.Image
    square: NDArray[np.uint8]
    """[32, 32]."""
    strip: NDArray[np.uint8]
    """[8, 9]."""

    @property
    def spread(self) -> float:
        return float(self.square.astype(np.float64).std())


def _small(grey: Image.Image) -> _Small:
    return _Small(grey, _lanczos(grey, 32, 32), _lanczos(grey, 9, 8))


def _lanczos(grey: Image.Image, width: int, height: int) -> NDArray[np.uint8]:
    from PIL import Image as pillow

    return np.asarray(grey.resize((width, height), pillow.Resampling.LANCZOS))


def _of_file(small: _Small) -> ImageHashes:
    phash, phash_mirror = _phashes([small.square, small.square[:, ::-1]])
    dhash, dhash_mirror = _dhashes([small.strip, small.strip[:, ::-1]])
    return ImageHashes(
        phash=phash,
        dhash=dhash,
        phash_mirror=phash_mirror,
        dhash_mirror=dhash_mirror,
        spread=small.spread,
    )


def _of_seen(
    grey: NDArray[np.uint8], small: _Small, chroma: NDArray[np.uint8] | None
) -> SeenHashes:
    import cv2
    from PIL import Image as pillow

    spread = small.spread
    if spread < LOW_CONTRAST:
        fine = _means(grey)
        spread = float(cv2.resize(fine, (32, 32), interpolation=cv2.INTER_AREA).std())
        gain = _STRETCHED / max(spread, _LEAST_SPREAD)
        stretched = np.clip(np.rint(128.0 + (fine - fine.mean()) * gain), 0, 255)
        grey = stretched.astype(np.uint8)
        small = _small(pillow.fromarray(grey))
    # A strip of a picture that lies on its side; transposed it has the usual shape.
    upright = _lanczos(small.image, 8, 9)
    thumbnail = cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA).tobytes()
    if chroma is None:
        chroma = np.full((CHROMA_PX, CHROMA_PX, 2), 128, dtype=np.uint8)
    return SeenHashes(
        phash=_phashes([turn(small.square) for turn in TURNS]),
        dhash=_dhashes(
            [turn(small.strip if way < 4 else upright) for way, turn in enumerate(TURNS)]
        ),
        spread=spread,
        thumbnail=thumbnail + chroma.tobytes(),
    )


def _phashes(squares: Sequence[NDArray[np.uint8]]) -> tuple[Hash64, ...]:
    """imagehash's pHash of each [32, 32]; all at once, because each call takes longer than its arithmetic."""
    from scipy import fftpack

    dct: Any = fftpack.dct
    low = dct(dct(np.stack(squares), axis=1), axis=2)[:, :8, :8].reshape(-1, 64)
    return _hashes(low > np.median(low, axis=1, keepdims=True))


def _dhashes(strips: Sequence[NDArray[np.uint8]]) -> tuple[Hash64, ...]:
    """imagehash's dHash of each [8, 9]."""
    whole = np.stack(strips)
    return _hashes((whole[:, :, 1:] > whole[:, :, :-1]).reshape(-1, 64))


def _hashes(bits: NDArray[np.bool_]) -> tuple[Hash64, ...]:
    """Of [n, 64], first bit highest."""
    return tuple(Hash64(int.from_bytes(row.tobytes(), "big")) for row in np.packbits(bits, axis=1))


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
