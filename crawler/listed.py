"""What a walk over a source hands on, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catalog.records import FileRecord, ListingRow
from crawler.commons import Commons

Cursor = dict[str, Any]
"""All that a walker knows, as plain JSON: stored beside the batch it lets one stop anywhere and ask nothing twice."""
Seen = tuple[FileRecord, ListingRow]


@dataclass(frozen=True, kw_only=True)
class ListedBatch:
    """Some files of a source and where it goes on."""

    files: tuple[Seen, ...]
    cursor: Cursor | None
    """None: the source is at its end."""
    problem: str | None = None
    """What a person should know, e.g. that a category does not exist."""


def all_seen(
    commons: Commons, pages: Sequence[dict[str, Any]], key: str, path: str
) -> tuple[Seen, ...]:
    """Pages of the API as records with their evidence."""
    return tuple(commons.seen(page, source=key, path=path) for page in pages)
