"""From pixels as a file has them to pixels as they are seen: the rules of filters/picture.py, one strip at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from filters.exif import camera_of, exif_error, turn_of
from filters.formats import NotAnImage, decoder_errors, refused

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
STRIP_PIXELS = 1 << 18
"""Pixels that are converted at a time, so that conversions take no room to speak of."""
SMALL_PIXELS = 1 << 20
"""Pixels up to which a whole copy in between matters less than its time."""
_BITS, _PHOTOMETRIC = 258, 262


class Picture:
    """A decoded file. Close it, or use it in a `with`, to let the decoder's copy go."""

    def __init__(
        self, image: Image.Image, kind: str, *, upright: bool, stripped: str | None
    ) -> None:
        """See `open_picture`."""
        self.image = image
        """Pillow's, as the file has it: stored orientation, own mode."""
        self.format = kind
        self._exif_error = exif_error(image)
        turn = turn_of(image)
        self._tagged = turn
        self.orientation = turn if upright else 1
        """1 to 8: how the stored pixels have to be turned to be seen upright."""
        self.camera = camera_of(image)
        """Make and model by EXIF; None where they are not told."""
        self.stripped = stripped
        """Why it was decoded without its metadata; None: it was not."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as seen."""
        width, height = self.image.size
        return (height, width) if self.orientation > 4 else (width, height)

    @property
    def plain(self) -> bool:
        """The file has the picture as it is seen: 8 bits of grey or RGB, upright, nothing transparent."""
        return (
            self.orientation == 1
            and self.image.mode in ("L", "RGB")
            and not self.image.has_transparency_data
        )

    @cached_property
    def rgb(self) -> Pixels:
        """[H, W, 3] as seen.

        Raises:
            NotAnImage: there is no rule how such pixels are seen (LAB, floating point without a known white).
        """
        width, height = self.size
        if self.plain and self.image.mode == "RGB" and width * height <= SMALL_PIXELS:
            # Most of what a reader of a dataset sees: half the time of going through strips.
            return np.array(self.image)
        return self._laid(np.empty((height, width, 3), dtype=np.uint8), strips(self.image))

    @cached_property
    def grey(self) -> Pixels:
        """[H, W] luma (BT.601) as seen.

        Raises:
            NotAnImage: as `rgb`.
        """
        width, height = self.size
        if self.plain and width * height <= SMALL_PIXELS:
            return np.array(self.image.convert("L"))
        seen = np.empty((height, width), dtype=np.uint8)
        if self.plain:
            parts = bands(self.image)
            return self._laid(seen, ((top, np.asarray(part.convert("L"))) for top, part in parts))
        if "rgb" not in self.__dict__:
            return self._laid(seen, ((top, _luma(strip)) for top, strip in strips(self.image)))
        rows = max(1, STRIP_PIXELS // width)
        for top in range(0, height, rows):
            seen[top : top + rows] = _luma(self.rgb[top : top + rows])
        return seen

    def _laid(self, seen: Pixels, parts: Iterable[tuple[int, Pixels]]) -> Pixels:
        """Fills `seen`, upright, with (first row, strip) in the stored order: a whole copy in between would be most of
        what it takes."""
        stored = stored_view(seen, self.orientation)
        try:
            for top, strip in parts:
                stored[top : top + strip.shape[0]] = strip
        except NotAnImage:
            raise
        except decoder_errors() as error:
            raise refused(error, self.format) from error
        return seen

    @property
    def quantization(self) -> tuple[int, ...] | None:
        """The 64 luminance steps of a JPEG, row by row."""
        tables: dict[int, list[int]] = getattr(self.image, "quantization", None) or {}
        return tuple(tables[0]) if 0 in tables else None

    def reader_error(self) -> str | None:
        """What stops readers of a dataset at this file; None: nothing does.

        Hugging Face `datasets` reads EXIF and turns the picture by it with Pillow, which fails on metadata that it
        cannot read, or not write back.
        """
        from PIL import ImageOps

        if self.stripped is not None:
            return (
                f"Its pixels decode, but readers of a dataset stop at its metadata: {self.stripped}"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if self._exif_error is not None:
                    raise self._exif_error
                if self._tagged != 1:
                    # A new image with the metadata of the whole.
                    ImageOps.exif_transpose(self.image.crop((0, 0, 1, 1)))
        except decoder_errors() as error:
            why = str(error) or type(error).__name__
            return f"Its pixels decode, but readers of a dataset stop at its metadata: {why}"
        return None

    def close(self) -> None:
        """Lets Pillow's copy go; `rgb` and `grey` stay where they were asked for."""
        self.image.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def stored_view(seen: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of an upright array in the order in which the file stores it: writing there turns the picture."""
    stored = seen.swapaxes(0, 1) if orientation > 4 else seen
    if orientation in (3, 4, 6, 7):
        stored = stored[::-1]
    if orientation in (2, 3, 7, 8):
        stored = stored[:, ::-1]
    return stored


def bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(first row, that part) of the whole image, STRIP_PIXELS at a time."""
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _luma(rgb: Pixels) -> Pixels:
    """[h, W] of [h, W, 3], as Pillow computes it."""
    from PIL import Image

    return np.asarray(Image.fromarray(rgb).convert("L"))


def strips(image: Image.Image) -> Iterator[tuple[int, Pixels]]:
    """(first row, [h, W, 3]) of the whole image, in the stored orientation."""
    from PIL import Image as pillow

    wide = image.mode.startswith(("I", "F"))
    low, high = _range(image) if wide else (0.0, 255.0)
    transparent = image.has_transparency_data and not wide
    for top, part in bands(image):
        if wide:
            grey = (np.asarray(part, dtype=np.float64) - low) * (255.0 / (high - low))
            eight = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
            yield top, np.repeat(eight[:, :, None], 3, axis=2)
            continue
        if transparent:
            over = part.convert("RGBA")
            white = pillow.new("RGBA", over.size, "white")
            part = pillow.alpha_composite(white, over)
        yield top, np.asarray(part if part.mode == "RGB" else part.convert("RGB"))


def _range(image: Image.Image) -> tuple[float, float]:
    """Values that are seen as black and as white, of grey in more than 8 bits.

    Sixteen bits have a white of their own; of wider pixels it is the least usual one that holds them all.
    """
    tags = getattr(image, "tag_v2", {})
    inverted = tags.get(_PHOTOMETRIC) == 0
    if image.mode.startswith("I;16"):
        bits = tags.get(_BITS, (16,))
        white = float(2 ** (bits[0] if isinstance(bits, tuple) and 8 < bits[0] <= 16 else 16) - 1)
    else:
        lowest, highest = (float(v) for v in image.getextrema())  # pyright: ignore[reportArgumentType]
        usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        whites = [w for w in usual if highest <= w]
        if not (np.isfinite(lowest) and lowest >= 0 and whites):
            raise NotAnImage(
                f"Its values run from {lowest:g} to {highest:g}; which of them is white is not known.",
                "unsupported",
            )
        white = whites[0]
    return (white, 0.0) if inverted else (0.0, white)
