"""What cannot be in what a wiki says of one file: such a file becomes a failure row, and the others go on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from catalog.records import FileRecord

DAMAGED = "damaged"
"""State of a record whose file is there, but of which the wiki said what cannot be."""
MOST_PIXELS_A_SIDE = 2**31
"""MediaWiki keeps sides in 32 bits."""
MOST_BYTES = 2**53
_SHA1 = re.compile(r"[0-9a-f]{40}")
_NUMBERS = {"width": MOST_PIXELS_A_SIDE, "height": MOST_PIXELS_A_SIDE, "size": MOST_BYTES}


def trouble_of(record: FileRecord, page: Mapping[str, Any]) -> str | None:
    """Why nothing can be done with a file that is there, for a person; None: all is well, or no file is there.

    Args:
        page: the page of the answer that `record` was read from.
    """
    if record.state not in ("ok", DAMAGED):
        return None
    said: list[str] = []
    if record.page_id is None:
        known = " although the wiki knows its file" if page.get("missing") else ""
        said.append(f"it has no page id{known}")
    if not record.title:
        said.append("it has no title")
    info = _info(page)
    if record.sha1 is None:
        given = info.get("sha1")
        said.append("no SHA-1" if given in (None, "") else f"{given!r:.60} is no SHA-1")
    if record.url is None:
        said.append("no URL of its bytes")
    for name, most in _NUMBERS.items():
        value = info.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < most:
            said.append(f"{name} {value!r:.60}")
    if not said:
        return None
    return (
        f"What the wiki says of {record.title or 'a file'} cannot be: {', '.join(said)}. With --retry the page is "
        "asked for again."
    )


def bounded(record: FileRecord) -> FileRecord:
    """The same without numbers and hashes that cannot be, so that it can be stored and calculated with."""
    within = {
        "page_id": record.page_id is not None and 0 < record.page_id < MOST_BYTES,
        "width": _counts(record.width, MOST_PIXELS_A_SIDE),
        "height": _counts(record.height, MOST_PIXELS_A_SIDE),
        "size_bytes": _counts(record.size_bytes, MOST_BYTES),
        "revision_id": _counts(record.revision_id, MOST_BYTES),
        "author_count": _counts(record.author_count, MOST_BYTES),
        "sha1": is_sha1(record.sha1),
    }
    return replace(record, **{name: None for name, fits in within.items() if not fits})


def is_sha1(text: str | None) -> bool:
    """Whether it is 40 hex digits in lower case."""
    return text is not None and _SHA1.fullmatch(text) is not None


def _counts(number: int | None, most: int) -> bool:
    return number is not None and 0 <= number < most


def _info(page: Mapping[str, Any]) -> Mapping[str, Any]:
    held = page.get("imageinfo")
    rows = list(held.values()) if isinstance(held, dict) else held
    return rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
