"""Weight-free measures of one image: a file each, loaded when a recipe names it.

A measure is a module `filters/measures/<name>.py` with a docstring (what, unit, which way is worse, when it is None,
where the formula comes from), `VERSION`, and `measure(photo: Photo) -> float | None`. It holds no threshold. `Photo` is
decoded once for all of them, as stored: native size (halving an image removes half its blur and noise) and without
applying the EXIF orientation. OpenCV runs on one thread, so that values do not depend on how many workers there are.
"""

from __future__ import annotations

import difflib
import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Floats = NDArray[np.float32]


MOST_PIXELS = 200_000_000
"""Larger images are refused by what their header says, before a pixel is decoded."""


class NotAnImage(ValueError):
    """Bytes that are no single photograph that can be decoded."""

    def __init__(self, message: str, kind: str = "corrupt") -> None:
        super().__init__(message)
        self.kind = kind
        """corrupt, animated or too_large: short and stable, for the failure row."""


class UnknownMeasure(ValueError):
    """No file in filters/measures/ has this name."""


class Photo:
    """A decoded image and what several measures need of it, computed when first asked for."""

    def __init__(
        self, rgb: NDArray[np.uint8], *, quantization: tuple[int, ...] | None = None
    ) -> None:
        """`rgb` is uint8 [H, W, 3]; `quantization` the 64 luminance steps of a JPEG, row by row."""
        self.rgb = rgb
        self.quantization = quantization

    @cached_property
    def luma(self) -> Floats:
        """BT.601 luma, float32 [H, W], 0 to 255."""
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
        return self.rgb.astype(np.float32) @ weights

    @cached_property
    def second_difference(self) -> Floats:
        """Luma filtered by the difference of two Laplacians (Immerkaer 1996), absolute, float32 [H, W]."""
        kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
        return np.abs(opencv().filter2D(self.luma, -1, kernel))

    @cached_property
    def laplacian(self) -> Floats:
        """Laplacian of the luma (4-neighbour), float32 [H, W]."""
        return opencv().Laplacian(self.luma, opencv().CV_32F)

    def tiles(self, image: Floats, size_px: int) -> Floats:
        """[n, size, size]: the whole tiles of `image` from the upper left; n is 0 where it is smaller than one."""
        rows, columns = image.shape[0] // size_px, image.shape[1] // size_px
        cut = image[: rows * size_px, : columns * size_px]
        grid = cut.reshape(rows, size_px, columns, size_px).swapaxes(1, 2)
        return grid.reshape(rows * columns, size_px, size_px)

    @property
    def tile_px(self) -> int:
        """64 px, or 32 where the short side has not four of those."""
        return 64 if min(self.luma.shape) >= 256 else 32


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A loaded measure."""

    name: str
    version: str
    measure: Callable[[Photo], float | None]


@cache
def opencv() -> Any:
    """OpenCV on one thread, imported at first use."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


def open_image(data: bytes) -> Image.Image:
    """Decodes all of an image.

    Raises:
        NotAnImage: the bytes do not decode, are an animation, or too many pixels; the message says why.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            _check_kind(image)
            image.load()
    except Image.DecompressionBombError as error:
        raise NotAnImage(str(error), "too_large") from error
    # Pillow's decoders raise all of these for damaged files, each format its own.
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, NotAnImage):
            raise
        raise NotAnImage(f"The bytes do not decode as an image: {error}") from error
    return image


def _check_kind(image: Image.Image) -> None:
    """By the header alone."""
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        raise NotAnImage(
            f"{image.width} x {image.height} are more than {MOST_PIXELS} pixels.", "too_large"
        )
    # Cameras put a preview or a second view behind the photograph (MPO); that is no animation.
    if image.format in ("GIF", "WEBP", "PNG", "AVIF") and getattr(image, "is_animated", False):
        frames = getattr(image, "n_frames", 2)
        raise NotAnImage(f"An animation of {frames} frames is no photograph.", "animated")


def open_photo(data: bytes) -> Photo:
    """Decodes an image for measuring. Transparency is laid on white, 16 bits become 8, CMYK becomes RGB.

    Raises:
        NotAnImage: as open_image.
    """
    with open_image(data) as image:
        tables: dict[int, list[int]] = getattr(image, "quantization", None) or {}
        quantization = tuple(tables[0]) if 0 in tables else None
        return Photo(_rgb(image), quantization=quantization)


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    from PIL import Image as pillow

    if image.mode.startswith(("I", "F")):
        # Pillow clips 16-bit grey to 255 instead of scaling it.
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if values.max(initial=0.0) > 255 else 255.0
        grey = np.clip(values * (255.0 / top), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        white = pillow.new("RGBA", over.size, "white")
        image = pillow.alpha_composite(white, over)
    return np.asarray(image.convert("RGB"))


def measure_names() -> list[str]:
    """Names of all measures, in alphabetical order."""
    folder = Path(__file__).parent
    return sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))


@cache
def load_measure(name: str) -> Measure:
    """Imports a measure.

    Raises:
        UnknownMeasure: there is no such file; the message names the nearest.
    """
    names = measure_names()
    if name not in names:
        nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        raise UnknownMeasure(
            f"There is no measure {name!r}; did you mean {nearest[0]!r}? CONTRIBUTING.md tells how to add one."
        )
    module = importlib.import_module(f"filters.measures.{name}")
    return Measure(name=name, version=module.VERSION, measure=module.measure)
