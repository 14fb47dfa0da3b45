"""Small pictures for pages: original bytes in, `data:` addresses out, within a budget of bytes.

A thumbnail shows what is in a photograph but hides how it looks up close: scaled down, blur and noise are gone. So
there are two views, the whole photograph and a piece of it at its own pixels.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageStat

EDGE_PX = 160
Decode = Callable[[bytes, int | None], Image.Image | None]
"""Bytes, and the edge in pixels that will do (None: all) -> the picture as it is seen, RGB; None: it cannot be had."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Two views of one photograph as `data:` addresses, with the size of the original."""

    whole: str
    detail: str | None
    """A piece at the photograph's own pixels; None where the whole is shown at its own pixels already."""
    width: int
    height: int
    shown_width: int
    shown_height: int


def _data_address(image: Image.Image, quality: int) -> str:
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(sink.getvalue()).decode()


def _liveliest_piece(image: Image.Image, edge_px: int) -> Image.Image:
    """The square piece with the most contrast out of nine: the middle of a photograph is often plain."""
    width, height = min(edge_px, image.width), min(edge_px, image.height)
    spots = [
        (column * (image.width - width) // 2, row * (image.height - height) // 2)
        for row in (1, 0, 2)
        for column in (1, 0, 2)
    ]
    pieces = [image.crop((x, y, x + width, y + height)) for x, y in dict.fromkeys(spots)]
    return max(pieces, key=lambda piece: ImageStat.Stat(piece.convert("L")).stddev[0])


def picture(
    content: bytes, decode: Decode, *, edge_px: int = EDGE_PX, detail: bool = True
) -> Picture | None:
    """Views of a photograph from its bytes; None when they cannot be decoded.

    A photograph that fits into `edge_px` is shown at its own size, never enlarged.
    """
    # A JPEG is decoded at a fraction of its size, which is all that a small view needs.
    image = decode(content, None if detail else 2 * edge_px)
    if image is None:
        return None
    width, height = image.size
    small = image.copy()
    small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    shrunk = small.size != image.size
    return Picture(
        whole=_data_address(small, 78 if shrunk else 90),
        detail=_data_address(_liveliest_piece(image, edge_px), 88) if shrunk and detail else None,
        width=width,
        height=height,
        shown_width=small.width,
        shown_height=small.height,
    )


@dataclass(kw_only=True)
class PictureBook:
    """Gives out pictures until a number of them, or of their bytes, is spent; remembers what it made."""

    read: Callable[[str], bytes | None]
    """SHA-1 -> bytes of the original, or None where they are not kept."""
    decode: Decode
    max_images: int
    max_bytes: int
    edge_px: int = EDGE_PX
    address: Callable[[Mapping[str, Any]], str | None] = lambda row: None
    """A row without `file_page_url` -> the address of its page."""
    spent_images: int = 0
    spent_bytes: int = 0
    _made: dict[tuple[str, bool], Picture | None] = field(default_factory=dict)

    def get(self, sha1: str | None, *, detail: bool = False) -> Picture | None:
        """The picture of an original, or None: no bytes, not decodable, or the budget is spent."""
        if (
            sha1 is None
            or self.spent_images >= self.max_images
            or self.spent_bytes >= self.max_bytes
        ):
            return None
        key = (sha1, detail)
        if key not in self._made:
            content = self.read(sha1)
            self._made[key] = (
                None
                if content is None
                else picture(content, self.decode, edge_px=self.edge_px, detail=detail)
            )
        made = self._made[key]
        if made is not None:
            self.spent_images += 1
            self.spent_bytes += len(made.whole) + len(made.detail or "")
        return made
