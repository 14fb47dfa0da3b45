"""The few EXIF tags that a picture needs, from files whose EXIF may be anything; what cannot be read is not there."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from filters.formats import decoder_errors

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION, _MAKE, _MODEL = 0x0112, 0x010F, 0x0110


def _as_turn(value: Any) -> int:
    """An orientation tag's value; 1 for what makes no sense. A fraction of 6 is 6, as Pillow's readers take it."""
    try:
        return next((turn for turn in range(2, 9) if value == turn), 1)
    except decoder_errors():
        return 1


def exif_error(image: Image.Image) -> Exception | None:
    """What Pillow raises when it first reads a file's EXIF; None: nothing. Later it gives what it got."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image.getexif()
        except decoder_errors() as error:
            return error
    return None


def turn_of(image: Image.Image) -> int:
    """As Pillow's readers turn it: by EXIF, else by XMP; 1 where the tag cannot be read."""
    return _as_turn(_exif(image).get(ORIENTATION))


def camera_of(image: Image.Image) -> str | None:
    """Make and model by EXIF; None where they are not told."""
    told = _exif(image)
    words = [str(told.get(tag) or "").replace("\0", " ").strip() for tag in (_MAKE, _MODEL)]
    return " ".join(word for word in words if word)[:120] or None


def _exif(image: Image.Image) -> dict[int, Any]:
    """What Pillow makes of a file's EXIF; nothing where it cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exif = image.getexif()
            return {tag: exif.get(tag) for tag in (ORIENTATION, _MAKE, _MODEL)}
        except decoder_errors():
            return {}


def exif_turn(block: Any) -> int:
    """The orientation that EXIF alone tells, as a wiki turns it."""
    from PIL import Image

    exif = Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exif.load(block if isinstance(block, bytes) else b"")
            return _as_turn(exif.get(ORIENTATION))
        except decoder_errors():
            return 1
