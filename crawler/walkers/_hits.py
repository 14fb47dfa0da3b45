"""One page of a search after the other: what the walkers of searches share."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from crawler.commons import BATCH, PAGE_FIELDS, Commons, ListingError
from crawler.listed import Seen, all_seen

MOST_HITS = 10_000
"""CirrusSearch's MAX_OFFSET_LIMIT: offset plus limit of a search."""


@dataclass(frozen=True, kw_only=True)
class Hits:
    """One page of hits."""

    files: tuple[Seen, ...]
    carry: dict[str, Any] | None
    cut: bool
    """There are more, which the wiki does not show."""


def hits_of(
    commons: Commons, query: str, sort: str | None, carry: dict[str, Any] | None, key: str
) -> Generator[Hits]:
    """The pages of hits of a search, on from `carry`."""
    asked = {"generator": "search", "gsrsearch": query, "gsrnamespace": 6, "gsrlimit": BATCH}
    if sort:
        asked["gsrsort"] = sort
    for batch in commons.batches({**PAGE_FIELDS, **asked}, carry):
        # Pages come in the order of their ids; `index` is the rank of the hit.
        pages = sorted(batch.pages, key=lambda page: page.get("index", 0))
        # The wiki shortens the page that reaches past the last hit shown, and refuses the one behind it.
        cut = batch.carry is not None and int(batch.carry.get("gsroffset", 0)) >= MOST_HITS
        files = all_seen(commons, pages, key, f"search: {query}")
        yield Hits(files=files, carry=None if cut else batch.carry, cut=cut)
        if cut:
            return


def count_hits(commons: Commons, query: str) -> int:
    """Files that a search finds; one request.

    Raises:
        crawler.commons.ListingError: the wiki could not answer in full.
    """
    asked = {"list": "search", "srsearch": query, "srnamespace": 6, "srlimit": 1}
    answer = commons.ask({**asked, "srinfo": "totalhits"})
    info = (answer.get("query") or {}).get("searchinfo") or {}
    if "totalhits" not in info:
        raise ListingError(f"The wiki does not count the hits of {query!r}.")
    return int(info["totalhits"])
