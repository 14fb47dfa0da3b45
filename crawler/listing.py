"""Walks a source: lists its files batch by batch, each with a cursor that goes on exactly behind it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from crawler.commons import Commons
from crawler.listed import Cursor, ListedBatch
from crawler.sources import (
    CandidateSource,
    CategorySource,
    SearchShardSource,
    SearchSource,
    Source,
    UploadWindowSource,
)
from crawler.walkers.category import walk_category
from crawler.walkers.search import walk_search, walk_shards
from crawler.walkers.titles import walk_candidates, walk_titles
from crawler.walkers.window import walk_window

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
    if isinstance(source, CategorySource):
        return walk_category(commons, source, cursor, key)
    if isinstance(source, SearchSource):
        return walk_search(commons, source, cursor, key)
    if isinstance(source, SearchShardSource):
        return walk_shards(commons, source, cursor, key)
    if isinstance(source, UploadWindowSource):
        return walk_window(commons, source, cursor, key)
    if isinstance(source, CandidateSource):
        return walk_candidates(commons, source, cursor, key, base or Path())
    return walk_titles(commons, source, cursor, key, base or Path())
