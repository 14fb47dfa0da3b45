"""Searches: one query, or one that is cut into windows small enough to be shown to the end.

CirrusSearch shows the first 10,000 hits of a query and no more. `search_shards` counts a query and, where it has more,
halves the widest of its ranges (width, file size, date of creation), until every window fits.

CirrusSearch's bounds are inclusive. Widths and days are whole numbers: windows adjoin as a..b and b+1..c. Sizes are
bytes and their bounds KiB, so a..b and b+1..c would lose what lies between b and b+1 KiB: windows of sizes share a
bound, and a file of exactly b KiB is kept in the lower one only.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any

from crawler.commons import BATCH, PAGE_FIELDS, Commons
from crawler.listed import Cursor, ListedBatch, Seen, all_seen
from crawler.sources import SearchShardSource, SearchSource

MOST_HITS = 10_000
"""CirrusSearch's MAX_OFFSET_LIMIT: offset plus limit of a search."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A window: all bounds inclusive; days are proleptic ordinals."""

    width: tuple[int, int]
    size_kib: tuple[int, int]
    days: tuple[int, int] | None

    def halves(self) -> tuple[Shard, Shard] | None:
        """The two windows that this one falls into; None when it cannot be cut any more."""
        spans = {"width": self.width, "size_kib": self.size_kib, "days": self.days}
        # How many windows each could still fall into; of equally wide ones, the first.
        wide = {
            name: span[1] - span[0] + (name != "size_kib") for name, span in spans.items() if span
        }
        name = max(wide, key=lambda name: wide[name])
        if wide[name] < 2:
            return None
        low, high = spans[name] or (0, 0)
        shared = name == "size_kib"
        # Widths and sizes spread over orders of magnitude: their geometric middle halves better.
        middle = (low + high) // 2 if name == "days" else int((max(1, low) * high) ** 0.5)
        middle = max(low + shared, min(middle, high - 1))
        below, above = (low, middle), (middle if shared else middle + 1, high)
        return replace(self, **{name: below}), replace(self, **{name: above})

    def query(self, base: str) -> str:
        """The search for this window."""
        parts = [base, f"filew:{self.width[0]},{self.width[1]}"]
        parts.append(f"filesize:{self.size_kib[0]},{self.size_kib[1]}")
        if self.days is not None:
            first, last = (date.fromordinal(day) for day in self.days)
            parts.append(f"creationdate:>={first} creationdate:<{last + timedelta(days=1)}")
        return " ".join(parts)


def walk_search(
    commons: Commons, source: SearchSource, cursor: Cursor | None, key: str
) -> Generator[ListedBatch]:
    """Cursor: the `continue` object."""
    for batch in _hits(commons, source.query, source.sort, (cursor or {}).get("carry"), key):
        problem = None
        if batch.cut:
            problem = (
                f"Only the first {MOST_HITS} hits of {source.query!r} are shown, and there are more: a source of kind "
                "search_shards lists them all."
            )
        here = {"carry": batch.carry} if batch.carry else None
        yield ListedBatch(files=batch.files, cursor=here, problem=problem)


@dataclass(frozen=True, kw_only=True)
class _Hits:
    """One page of hits."""

    files: tuple[Seen, ...]
    carry: dict[str, Any] | None
    cut: bool
    """There are more, which the wiki does not show."""


def _hits(
    commons: Commons, query: str, sort: str | None, carry: dict[str, Any] | None, key: str
) -> Generator[_Hits]:
    asked = {"generator": "search", "gsrsearch": query, "gsrnamespace": 6, "gsrlimit": BATCH}
    if sort:
        asked["gsrsort"] = sort
    for batch in commons.batches({**PAGE_FIELDS, **asked}, carry):
        # Pages come in the order of their ids; `index` is the rank of the hit.
        pages = sorted(batch.pages, key=lambda page: page.get("index", 0))
        # The wiki shortens the page that reaches past the last hit shown, and refuses the one behind it.
        cut = batch.carry is not None and int(batch.carry.get("gsroffset", 0)) >= MOST_HITS
        files = all_seen(commons, pages, key, f"search: {query}")
        yield _Hits(files=files, carry=None if cut else batch.carry, cut=cut)
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
    return int(info.get("totalhits", 0))


def first_shard(source: SearchShardSource) -> Shard:
    """The window that holds the whole search."""
    days = None
    if source.created_from is not None and source.created_to is not None:
        days = (source.created_from.toordinal(), source.created_to.toordinal())
    return Shard(width=source.width, size_kib=source.size_kib, days=days)


def _from_json(held: dict[str, Any]) -> Shard:
    days = held["days"]
    return Shard(
        width=tuple(held["width"]),
        size_kib=tuple(held["size_kib"]),
        days=tuple(days) if days else None,
    )


def walk_shards(
    commons: Commons, source: SearchShardSource, cursor: Cursor | None, key: str
) -> Generator[ListedBatch]:
    """Depth first, from narrow and small to wide and large.

    Cursor: windows left, `fits` (the first one was counted and fits), `continue` within it.
    """
    if cursor is None:
        cursor = {"shards": [asdict(first_shard(source))], "fits": False, "carry": None}
    shards = [_from_json(held) for held in cursor["shards"]]
    fits: bool = cursor["fits"]
    carry: dict[str, Any] | None = cursor["carry"]

    def here(fits: bool, carry: dict[str, Any] | None) -> Cursor | None:
        left = [asdict(shard) for shard in shards]
        return {"shards": left, "fits": fits, "carry": carry} if left else None

    while shards:
        query = shards[0].query(source.query)
        problem = None
        if not fits:
            hits = count_hits(commons, query)
            halves = shards[0].halves() if hits > MOST_HITS else None
            if halves is not None:
                shards = [*halves, *shards[1:]]
                continue
            if hits > MOST_HITS:
                problem = (
                    f"{hits} files match {query!r}, which cannot be cut further: only the first {MOST_HITS} are "
                    "listed. Give the source a span of dates, or a narrower query."
                )
            if hits == 0:
                if shards[0] == first_shard(source):
                    problem = (
                        f"Nothing matches {query!r}: check the bounds, and whether the wiki's search knows these "
                        "keywords (it takes an unknown one for a word)."
                    )
                shards = shards[1:]
                if not shards:
                    yield ListedBatch(files=(), cursor=None, problem=problem)
                continue
        window = shards[0]
        for batch in _hits(commons, query, source.sort, carry, key):
            if batch.carry is None:
                shards = shards[1:]
            files = _kept(batch.files, window, source)
            fits = batch.carry is not None
            yield ListedBatch(files=files, cursor=here(fits, batch.carry), problem=problem)
            problem = None
        fits, carry = False, None


def _kept(files: tuple[Seen, ...], shard: Shard, source: SearchShardSource) -> tuple[Seen, ...]:
    """Without files that lie on the bound shared with the window of smaller files, which lists them."""
    low = shard.size_kib[0]
    if low == source.size_kib[0]:
        return files
    return tuple(seen for seen in files if seen[0].size_bytes != low * 1024)
