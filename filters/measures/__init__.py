"""Weight-free measures of one image: a file each, loaded when a recipe names it.

A measure is a module `filters/measures/<name>.py` with a docstring (what, unit, which way is worse, when it is None,
where the formula comes from), `VERSION`, and `measure(photo: Photo) -> float | None`. It holds no threshold. `Photo` is
decoded once for all of them, as it is seen (filters/picture.py), at native size: halving an image removes half its blur
and noise. OpenCV runs on one thread, so that values do not depend on how many workers there are.

Measures look at `Photo.patches`: all of an image of up to about a megapixel, and 16 evenly spread windows of 256 px of
a larger one. So an image of 24 megapixels costs what one of 1 costs, and nothing is ever reduced to be measured.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import Expected
from catalog.plugins import Plugins
from filters.picture import NotAnImage, Picture, open_picture

__all__ = [
    "VALUES",
    "Floats",
    "Measure",
    "NotAnImage",
    "Photo",
    "UnknownMeasure",
    "load_measure",
    "measure_names",
    "open_photo",
    "opencv",
    "percentile_of_counts",
    "photo_of",
    "reduced",
    "second_difference",
    "stored",
    "tiles",
]

Floats = NDArray[np.float32]


VALUES = "6dp"
"""How values are stored; part of the versions in a catalog (docs/adr/0044)."""
PATCH_PX = 256
"""Side of a window."""
MOST_PATCHES = 16
"""Windows of a large image."""


class UnknownMeasure(Expected, ValueError):
    """No file in filters/measures/ has this name."""


MEASURES = Plugins(package="filters.measures", what="measure", error=UnknownMeasure)


class Photo:
    """A decoded image and what several measures need of it, computed when first asked for."""

    def __init__(
        self,
        rgb: NDArray[np.uint8],
        *,
        quantization: tuple[int, ...] | None = None,
        most_patches: int = MOST_PATCHES,
    ) -> None:
        """`rgb` is uint8 [H, W, 3]; `quantization` the 64 luminance steps of a JPEG, row by row."""
        self.rgb = rgb
        self.quantization = quantization
        self.most_patches = most_patches
        self._kept: dict[str, Any] = {}

    def cached(self, name: str, compute: Callable[[], Any]) -> Any:
        """What several measures share beyond the properties below, computed once."""
        if name not in self._kept:
            self._kept[name] = compute()
        return self._kept[name]

    def has(self, name: str) -> bool:
        """It was computed already."""
        return name in self._kept

    @cached_property
    def patches(self) -> list[NDArray[np.uint8]]:
        """uint8 [h, w, 3] each: the whole image, or evenly spread windows at multiples of 8 px."""
        height, width = self.rgb.shape[:2]
        if height * width <= self.most_patches * PATCH_PX**2:
            return [self.rgb]
        across = round((self.most_patches * width / height) ** 0.5)
        columns = min(max(1, across), self.most_patches, max(1, width // PATCH_PX))
        rows = min(self.most_patches // columns, max(1, height // PATCH_PX))
        return [
            self.rgb[top : top + PATCH_PX, left : left + PATCH_PX]
            for top in _starts(height, rows)
            for left in _starts(width, columns)
        ]

    @cached_property
    def channels(self) -> list[tuple[NDArray[np.uint8], ...]]:
        """Red, green and blue of each patch, uint8 [h, w] each."""
        return [opencv().split(patch) for patch in self.patches]

    @cached_property
    def lumas(self) -> list[Floats]:
        """BT.601 luma of each patch, float32 [h, w], 0 to 255."""
        cv2 = opencv()
        return [cv2.cvtColor(p.astype(np.float32), cv2.COLOR_RGB2GRAY) for p in self.patches]

    @cached_property
    def luma_values(self) -> Floats:
        """The luma of all patches, one after the other, float32 [n]."""
        return np.concatenate([luma.ravel() for luma in self.lumas])

    @cached_property
    def luma_counts(self) -> NDArray[np.int64]:
        """[256]: how many pixels of the patches have that luma, rounded down."""
        found = np.zeros(256, dtype=np.int64)
        for luma in self.lumas:
            counts = opencv().calcHist([luma.astype(np.uint8)], [0], None, [256], [0, 256])
            found += counts.ravel().astype(np.int64)
        return found

    @cached_property
    def halves(self) -> list[Floats]:
        """The luma of each patch of 32 px and more, averaged over 2 x 2 px."""
        return [reduced(luma, 2) for luma in self.lumas if min(luma.shape) >= 32]

    @cached_property
    def tile_variances(self) -> Floats:
        """Variance of the luma in each tile of `tile_px`, float32 [n]."""
        return tiles(self.lumas, self.tile_px).var(axis=(1, 2))

    @cached_property
    def second_differences(self) -> list[Floats]:
        """Luma of each patch, filtered by the difference of two Laplacians (Immerkaer 1996), absolute."""
        return [second_difference(luma) for luma in self.lumas]

    @property
    def tile_px(self) -> int:
        """64 px, or 32 where the short side has not four of those."""
        return 64 if min(self.rgb.shape[:2]) >= 256 else 32


def reduced(plane: Floats, factor: int) -> Floats:
    """Means over `factor` x `factor` px, float32 [h // factor, w // factor]."""
    cv2 = opencv()
    size = (plane.shape[1] // factor, plane.shape[0] // factor)
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


def second_difference(plane: Floats) -> Floats:
    """Absolute difference of two Laplacians, float32 [h, w]; of noise of deviation s the mean is 6 s sqrt(2 / pi)."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    return np.abs(opencv().filter2D(plane, -1, kernel))


def tiles(planes: Sequence[Floats], size_px: int) -> Floats:
    """[n, size, size]: the whole tiles of each plane from its upper left; n is 0 where none has room for one."""
    cut: list[Floats] = []
    for plane in planes:
        rows, columns = plane.shape[0] // size_px, plane.shape[1] // size_px
        grid = plane[: rows * size_px, : columns * size_px]
        grid = grid.reshape(rows, size_px, columns, size_px).swapaxes(1, 2)
        cut.append(grid.reshape(rows * columns, size_px, size_px))
    return np.concatenate(cut)


def percentile_of_counts(counts: NDArray[np.int64], percent: float) -> float:
    """Percentile of whole numbers of which the counts are known, each spread evenly over its bin."""
    below = np.concatenate([[0], np.cumsum(counts)])
    return float(np.interp(percent / 100 * below[-1], below, np.arange(len(below))))


def _starts(length: int, count: int) -> list[int]:
    """Upper ends of `count` windows spread over `length`, multiples of 8."""
    room = max(0, length - PATCH_PX)
    if count == 1:
        return [room // 2 // 8 * 8]
    return [i * room // (count - 1) // 8 * 8 for i in range(count)]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A loaded measure."""

    name: str
    version: str
    compute: Callable[[Photo], float | None]
    """That of its file."""

    def measure(self, photo: Photo) -> float | None:
        """The value as it is stored."""
        return stored(self.compute(photo))


def stored(value: float | None) -> float | None:
    """To six decimals: below these, transforms and products of matrices differ from processor to processor."""
    # Adding 0.0 takes the sign off a zero.
    return None if value is None else round(value, 6) + 0.0


@cache
def one_thread() -> None:
    """Products of matrices on one thread, in this process and from now on.

    How many there are moves the last digits, and threads that wait for each other cost eight times the work (ADR 0060).
    """
    from threadpoolctl import threadpool_limits

    # SciPy brings a BLAS of its own, and what is loaded later would not be limited.
    importlib.import_module("scipy.linalg")
    threadpool_limits(1, user_api="blas")


@cache
def opencv() -> Any:
    """OpenCV on one thread, imported at first use."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


def open_photo(data: bytes, *, most_patches: int = MOST_PATCHES) -> Photo:
    """Decodes an image for measuring, as it is seen (filters/picture.py).

    Raises:
        NotAnImage: the bytes do not decode, are an animation, or too many pixels; the message says why.
    """
    with open_picture(data) as picture:
        return photo_of(picture, most_patches=most_patches)


def photo_of(picture: Picture, *, most_patches: int = MOST_PATCHES) -> Photo:
    """A decoded picture as a Photo.

    Raises:
        NotAnImage: its pixels have no rule how they are seen.
    """
    return Photo(picture.rgb, quantization=picture.quantization, most_patches=most_patches)


def measure_names() -> list[str]:
    """Names of all measures, in alphabetical order."""
    return MEASURES.names()


@cache
def load_measure(name: str) -> Measure:
    """Imports a measure.

    Raises:
        UnknownMeasure: there is no such file; the message names the nearest.
    """
    one_thread()
    module = MEASURES.load(name)
    return Measure(name=name, version=module.VERSION, compute=module.measure)
