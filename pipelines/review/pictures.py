"""Thumbnails as WebP, made once and cached beside the catalog; and originals as a browser may show them."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from catalog import files
from pipelines.build.doors import view

EDGE_PX = 320
QUALITY = 82
IN_MEMORY = 3000
"""Thumbnails that are remembered where there is no folder for them."""
AS_THEY_ARE = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
)
"""Beginnings of the files that every browser shows, and none runs."""


class Pictures:
    """Pictures by SHA-1. Safe for several threads."""

    def __init__(self, read: Callable[[str], bytes | None], folder: Path | None) -> None:
        self._read = read
        self._folder = folder
        self._held: OrderedDict[str, bytes] = OrderedDict()
        # Two decodes at once, whatever the browser asks for: a picture may take a gigabyte.
        self._gate = threading.Semaphore(2)
        self._lock = threading.Lock()

    def thumbnail(self, sha1: str) -> bytes | None:
        """At most EDGE_PX a side, WebP; None where there is no picture."""
        path = None if self._folder is None else thumbnail_path(self._folder, sha1)
        if path is not None and path.is_file():
            return path.read_bytes()
        with self._lock:
            if sha1 in self._held:
                self._held.move_to_end(sha1)
                return self._held[sha1]
        made = self._make(sha1)
        if made is not None and path is not None:
            files.put(path, made)
        elif made is not None:
            with self._lock:
                self._held[sha1] = made
                while len(self._held) > IN_MEMORY:
                    self._held.popitem(last=False)
        return made

    def _make(self, sha1: str) -> bytes | None:
        with self._gate:
            content = self._read(sha1)
            image = None if content is None else view(content, 2 * EDGE_PX)
            if image is None:
                return None
            image.thumbnail((EDGE_PX, EDGE_PX), Image.Resampling.LANCZOS)
            sink = io.BytesIO()
            image.save(sink, "WEBP", quality=QUALITY, method=4)
            return sink.getvalue()

    def original(self, sha1: str) -> tuple[bytes, str] | None:
        """The file with its MIME type; what browsers do not show, or might run, becomes a PNG of the same pixels."""
        with self._gate:
            content = self._read(sha1)
            if content is None:
                return None
            for beginning, mime in AS_THEY_ARE:
                if content.startswith(beginning):
                    return content, mime
            if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
                return content, "image/webp"
            image = view(content, None)
            if image is None:
                return None
            sink = io.BytesIO()
            image.save(sink, "PNG", compress_level=1)
            return sink.getvalue(), "image/png"


def thumbnail_path(folder: Path, sha1: str) -> Path:
    """Where a thumbnail stands below the folder.

    Raises:
        ValueError: not a SHA-1; a name from elsewhere must not become a path.
    """
    if len(sha1) != 40 or set(sha1) - set("0123456789abcdef"):
        raise ValueError(f"not a SHA-1: {sha1[:60]!r}")
    return folder / sha1[:2] / f"{sha1}-{EDGE_PX}.webp"
