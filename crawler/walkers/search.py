"""Searches: the hits of one query, as many as the wiki shows."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from catalog.records import FileRecord
from crawler.commons import Commons
from crawler.listed import Counted, Cursor, ListedBatch
from crawler.relist import OVERLAP, Relist
from crawler.walkers import _hits
from crawler.walkers._hits import count_hits, hits_of


@dataclass(frozen=True, kw_only=True)
class SearchSource:
    """Hits of a search in the file namespace; CirrusSearch keywords where the wiki has them."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    query: str
    """As typed into the search box."""
    kind: Literal["search"] = "search"
    sort: str | None = None
    """e.g. create_timestamp_asc on Commons, so that the order is stable; None: the wiki's default."""
    max_files: int | None = None
    """Rows listed at most; Commons shows no more than 10,000 hits of one query."""
    relist: Relist | None = None
    """When to look for new files; None: what was listed to its end stays as it is."""


def walk(
    commons: Commons, source: SearchSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """Cursor: the `continue` object."""
    for batch in hits_of(commons, source.query, source.sort, (cursor or {}).get("carry"), key):
        problem = None
        if batch.cut:
            problem = (
                f"Only the first {_hits.MOST_HITS} hits of {source.query!r} are shown, and there are more: a source of "
                "kind search_shards lists them all."
            )
        here = {"carry": batch.carry} if batch.carry else None
        yield ListedBatch(files=batch.files, cursor=here, problem=problem)


def again(
    commons: Commons,
    source: SearchSource,
    cursor: Cursor | None,
    key: str,
    base: Path,
    since: datetime,
    known: Callable[[FileRecord], bool],
) -> Generator[ListedBatch]:
    """The same search for pages created since, where the wiki has CirrusSearch; a query with dates as it is."""
    if "creationdate:" not in source.query:
        source = replace(source, query=f"{source.query} creationdate:>={since - OVERLAP:%Y-%m-%d}")
    yield from walk(commons, source, cursor, key, base)


def count(commons: Commons, source: SearchSource, base: Path) -> Counted:
    """The hits that the wiki counts, up to those that it shows."""
    return Counted(files=min(count_hits(commons, source.query), _hits.MOST_HITS), how="hits")


def label(source: SearchSource) -> str:
    """With its query."""
    return f"search {source.query}"
