"""The door for pictures (filters/picture.py) as crawler and catalog take it: they do not know it, it is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filters.picture import NotAnImage, header, open_picture

if TYPE_CHECKING:
    from PIL import Image


def look(content: bytes) -> tuple[int, int, str] | None:
    """Width, height and MIME type as a wiki tells them, from the header; None for what cannot be opened.

    A wiki turns JPEGs by their EXIF tag and nothing else.
    """
    try:
        found = header(content)
    except NotAnImage:
        return None
    width, height = found.turned_size if found.format == "JPEG" else (found.width, found.height)
    return width, height, found.mime


def view(content: bytes, edge_px: int | None) -> Image.Image | None:
    """The picture as seen, RGB, for a page; None for what cannot be opened.

    Args:
        edge_px: at least so many pixels a side will do, where the format can give less than all.
    """
    from PIL import Image

    draft = None if edge_px is None else ("RGB", (edge_px, edge_px))
    try:
        with open_picture(content, draft=draft, frames=True) as picture:
            return Image.fromarray(picture.rgb)
    except NotAnImage:
        return None
