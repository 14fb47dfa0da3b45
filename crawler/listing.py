"""Walks a source: lists its files batch by batch, each with a cursor that goes on exactly behind it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from crawler.commons import Commons
from crawler.listed import Cursor, ListedBatch
from crawler.walkers import Source, load_walker

__all__ = ["Cursor", "ListedBatch", "list_files"]


def list_files(
    commons: Commons,
    source: Source,
    cursor: Cursor | None = None,
    *,
    key: str = "",
    base: Path | None = None,
) -> Generator[ListedBatch]:
    """Lists a source from its start or on from `cursor`.

    Args:
        key: name of the source in the evidence.
        base: folder that the path of a list or table of names starts from; default: the working directory.

    Raises:
        crawler.commons.ListingError: the wiki refused a query, or a table of candidates is none.
        FileNotFoundError: a list or table of names is not there.
        crawler.limits.DoorError: see there.
    """
    return load_walker(source.kind).walk(commons, source, cursor, key, base or Path())
