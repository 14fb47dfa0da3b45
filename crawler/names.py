"""What people mean when they name a file: page id, title in any spelling, address of its page or of its bytes."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

_NAMESPACE = re.compile(
    r"^\s*(file|image|datei|fichier|archivo|bestand|plik)\s*:", flags=re.IGNORECASE
)
_BYTES = 240
"""Longest name that MediaWiki stores, in bytes of UTF-8, without the namespace."""
_FORBIDDEN = re.compile(r"[#<>\[\]|{}\x00-\x1f\x7f]")


def file_title(name: str) -> str:
    """`File:Xyz.jpg` of a name with or without namespace, with spaces or underscores."""
    bare = " ".join(_NAMESPACE.sub("", name.replace("_", " ")).split())
    first = bare[:1].upper()
    # As MediaWiki does: a letter without a single capital (ß) stays.
    return f"File:{first if len(first) == 1 else bare[:1]}{bare[1:]}"


def named_file(text: str) -> int | str | None:
    """Page id, or title with `File:`; None for what is neither.

    Understands addresses of file pages, also `index.php?title=` and `?curid=`, and of originals and thumbnails.
    """
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return int(text) or None
    parts = urlsplit(text) if re.match(r"(?:https?:)?//", text) else None
    if parts is not None:
        asked = parse_qs(parts.query)
        curid = asked.get("curid", [""])[0]
        if curid.isdecimal():
            return int(curid) or None
        steps = [step for step in unquote(parts.path).split("/") if step]
        if "title" in asked:
            text = asked["title"][0]
        elif "thumb" in steps[:-1] and len(steps) > 1:
            text = steps[-2]
        else:
            text = steps[-1] if steps else ""
        if "archive" in steps[:-1]:
            # An old version of the file: 20120102030405!Name.jpg
            text = re.sub(r"^\d{14}!", "", text)
        if re.search(r"/Special:(FilePath|Redirect/file)/", unquote(parts.path), re.IGNORECASE):
            text = f"File:{text}"
        if not parts.netloc.startswith("upload.") and not _NAMESPACE.match(text):
            return None
    title = file_title(text)
    name = title.removeprefix("File:")
    if not name or _FORBIDDEN.search(name) or len(name.encode()) > _BYTES:
        return None
    return title
