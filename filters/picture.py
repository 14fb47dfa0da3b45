"""The one door from bytes to a picture, decoded once and the way its users see it.

Seen means: turned as its orientation tag says, 16 bits scaled to 8, transparency laid on white, palettes and CMYK as
RGB. Color profiles are not applied, as no reader of a dataset does (docs/adr/0035-one-door-for-pictures.md). Nothing
else in the project calls a decoder; a test holds it to that.

    with open_picture(data, mime="image/jpeg") as picture:
        picture.rgb, picture.size, picture.image      # as seen; as the file has it

What cannot be had is a NotAnImage with a kind and a sentence, whatever the decoder raised. How much memory a picture
takes is known from its header: above MOST_BYTES it is refused before a pixel is decoded.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filters import formats
from filters.exif import exif_turn
from filters.formats import (
    MOST_PIXELS,
    NotAnImage,
    called,
    cost_of,
    decoder_errors,
    format_of,
    jpeg_in_passes,
    refused,
)
from filters.seen import Picture, Pixels

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "Header",
    "NotAnImage",
    "Picture",
    "Pixels",
    "decoder_errors",
    "header",
    "open_picture",
    "refusal",
]

Draft = tuple[str, tuple[int, int]]
"""Mode and least size with which a JPEG's decoder may give less than the whole; other formats ignore it."""

VERSION = "seen-1"
"""Raised when what is seen of some file changes."""
MOST_BYTES = 1_000_000_000
"""What one picture may take at the peak of its decoding, all copies together."""
WORKER_BYTES = 1_400_000_000
"""What a process that decodes, hashes, measures and screens one picture after the other stays under; networks of
metrics and encoders come on top. 1.2 GB were measured, of a JPEG of 139 megapixels."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of itself before a pixel is decoded."""

    format: str
    """As Pillow names it."""
    mime: str
    width: int
    """Stored, before any turn."""
    height: int
    orientation: int
    """1 to 8, EXIF's alone; 1 where there is none, or none that makes sense."""
    info: dict[str, Any]
    """Pillow's: texts of a PNG and so on."""

    @property
    def turned_size(self) -> tuple[int, int]:
        """Width and height after the turn of its EXIF tag."""
        return (self.height, self.width) if self.orientation > 4 else (self.width, self.height)


def open_picture(
    source: bytes | Path,
    *,
    mime: str | None = None,
    draft: Draft | None = None,
    frames: bool = False,
    upright: bool = True,
) -> Picture:
    """Decodes a file.

    Args:
        source: its bytes, or where they are.
        mime: what it was announced as; only the formats of that type are opened. None: any of formats.DECODED.
        draft: let a JPEG's decoder give less, where that will do.
        frames: take the first frame of an animation instead of refusing it.
        upright: turn it as its orientation tag says.

    Raises:
        NotAnImage: no picture to be had, with the kind and the reason.
        OSError: `source` is a path that cannot be read.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    kind = _checked_kind(data, mime)
    stripped = None
    try:
        try:
            image = _opened(data, kind, draft=draft, frames=frames)
        except ValueError as error:
            if kind != "PNG" or isinstance(error, NotAnImage):
                raise
            stripped = str(error)
            # Pillow gives up a PNG whose texts or profile unpack to more than a megabyte; its pixels may be fine.
            image = _opened(formats.png_pixels_only(data), kind, draft=draft, frames=frames)
        _check_mode(image)
        return Picture(image, kind, upright=upright, stripped=stripped)
    except NotAnImage:
        raise
    except decoder_errors() as error:
        raise refused(error, kind) from error


def header(source: bytes | Path, *, mime: str | None = None) -> Header:
    """Reads a file's header; nothing is decoded.

    Raises:
        NotAnImage: not a picture, or one that is refused by its header.
        OSError: `source` is a path that cannot be read.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    kind = _checked_kind(data, mime)
    try:
        try:
            image = _lazily(data, kind)
        except ValueError as error:
            if kind != "PNG" or isinstance(error, NotAnImage):
                raise
            image = _lazily(formats.png_pixels_only(data), kind)
        with image:
            return Header(
                format=kind,
                mime=next(name for name, kinds in formats.MIME_FORMATS.items() if kind in kinds),
                width=image.width,
                height=image.height,
                orientation=exif_turn(image.info.get("exif")),
                info={str(key): value for key, value in image.info.items()},
            )
    except NotAnImage:
        raise
    except decoder_errors() as error:
        raise refused(error, kind) from error


def refusal(source: bytes | Path, mime: str | None) -> tuple[str, str, bool] | None:
    """Why a file is not taken: (kind, sentence, whether a retry may help); None where it decodes.

    Raises:
        OSError: `source` is a path that cannot be read.
    """
    try:
        with open_picture(source, mime=mime) as picture:
            _ = picture.rgb
    except NotAnImage as error:
        return error.kind, str(error), error.retryable
    return None


def _checked_kind(data: bytes, mime: str | None) -> str:
    """The format by its first bytes, if it may be opened."""
    if not data:
        raise NotAnImage("The file is empty: 0 bytes.")
    kind = format_of(data[:64])
    if kind is None:
        raise NotAnImage("The bytes do not decode as an image: no format that is known")
    allowed = formats.DECODED if mime is None else formats.MIME_FORMATS.get(mime.lower())
    if allowed is None:
        raise NotAnImage(f"This software does not decode {mime}.", "unsupported")
    if kind in allowed:
        return kind
    if kind in formats.NO_PICTURES:
        raise NotAnImage(f"The bytes do not decode as an image: they are {called(kind)}.")
    if mime is None:
        raise NotAnImage(
            f"This is a {called(kind)} file, which this software does not decode.", "unsupported"
        )
    raise NotAnImage(f"Announced as {mime}, but it is a {called(kind)} file.")


def _lazily(data: bytes, kind: str) -> Image.Image:
    """Pillow's image with its header read; sizes are checked."""
    from PIL import Image

    if kind == "WEBP":
        size = formats.webp_size(data[:30])
        if size is not None:
            _check_pixels(*size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data), formats=(kind,))
    _check_pixels(image.width, image.height)
    return image


def _opened(data: bytes, kind: str, *, draft: Draft | None, frames: bool) -> Image.Image:
    """Decoded, if it fits."""
    image = _lazily(data, kind)
    # Cameras put a preview or a second view behind the photograph (MPO); that is no animation.
    if (
        not frames
        and kind in ("GIF", "WEBP", "PNG", "AVIF")
        and getattr(image, "is_animated", False)
    ):
        count = getattr(image, "n_frames", 2)
        raise NotAnImage(f"An animation of {count} frames is no photograph.", "animated")
    if draft is not None:
        image.draft(*draft)
    cost = cost_of(kind, image.mode, passes=kind == "JPEG" and jpeg_in_passes(data))
    needed = image.width * image.height * cost.total
    if needed > MOST_BYTES:
        raise NotAnImage(
            f"{image.width} x {image.height} pixels of {image.mode} would take {needed / 1e9:.1f} GB of memory to "
            f"decode; this software takes pictures of up to {MOST_BYTES / 1e9:.1f} GB.",
            "too_large",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.load()
    return image


def _check_pixels(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise NotAnImage(f"{width} x {height} pixels are no picture.")
    if width * height > MOST_PIXELS:
        raise NotAnImage(
            f"{width} x {height} are {width * height:,} pixels; Pillow, and with it most readers, opens at most "
            f"{MOST_PIXELS:,}.",
            "too_large",
        )


def _check_mode(image: Image.Image) -> None:
    if image.mode == "LAB":
        raise NotAnImage(
            f"Pixels in {image.mode} are not converted by this software, nor by most readers.",
            "unsupported",
        )
