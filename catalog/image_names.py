"""Which files are images, by their names, and how a name of any file system is written down."""

from __future__ import annotations

import os
from pathlib import PurePath

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""What the commands that make or compare images read."""
MORE = (".jpe", ".jfif", ".gif", ".avif", ".jp2", ".heic", ".heif")
"""What people have besides; some of it does not decode here, and a row says so."""


def shown_name(file: PurePath) -> str:
    """A path as text that can be written anywhere: bytes of a name that are not UTF-8 stand as \\xNN."""
    return os.fsencode(file.as_posix()).decode("utf-8", "backslashreplace")


def is_image(file: PurePath) -> bool:
    """By its suffix; hidden files are none."""
    return file.suffix.lower() in IMAGES and not file.name.startswith(".")


def is_picture(file: PurePath) -> bool:
    """The same, of all that a person would call a picture."""
    return file.suffix.lower() in (*IMAGES, *MORE) and not file.name.startswith(".")
