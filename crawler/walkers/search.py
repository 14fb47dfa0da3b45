"""Searches: the hits of one query, as many as the wiki shows."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from crawler.commons import Commons
from crawler.listed import Counted, Cursor, ListedBatch
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


def count(commons: Commons, source: SearchSource, base: Path) -> Counted:
    """The hits that the wiki counts, up to those that it shows."""
    return Counted(files=min(count_hits(commons, source.query), _hits.MOST_HITS), how="hits")


def label(source: SearchSource) -> str:
    """With its query."""
    return f"search {source.query}"
