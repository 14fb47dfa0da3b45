"""Searches with more hits than the wiki shows, cut into windows small enough to be shown to the end.

CirrusSearch shows the first 10,000 hits of a query and no more. So a query is counted and, where it has more, the
widest of its ranges (width, file size, date of creation) is halved, until every window fits.

CirrusSearch's bounds are inclusive. Widths and days are whole numbers: windows adjoin as a..b and b+1..c. Sizes are
bytes and their bounds KiB, so a..b and b+1..c would lose what lies between b and b+1 KiB: windows of sizes share a
bound, and a file of exactly b KiB is kept in the lower one only.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

from catalog.records import FileRecord
from crawler.commons import Commons
from crawler.listed import Counted, Cursor, ListedBatch, Seen
from crawler.relist import OVERLAP, Relist
from crawler.walkers import _hits
from crawler.walkers._hits import count_hits, hits_of


@dataclass(frozen=True, kw_only=True)
class SearchShardSource:
    """A search with more hits than CirrusSearch shows, cut into windows by width, file size and date of creation."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    query: str
    """As typed into the search box, without filew, filesize and creationdate."""
    kind: Literal["search_shards"] = "search_shards"
    width: tuple[int, int] = (256, 4096)
    """Pixels, both included."""
    size_kib: tuple[int, int] = (1, 4096)
    """KiB, both included; the search engine counts in KiB."""
    created_from: date | None = None
    """First day of creation of the file page; without both days windows are cut by width and size only."""
    created_to: date | None = None
    """Last day of creation, included."""
    sort: str | None = "create_timestamp_asc"
    """So that the order of the hits is stable."""
    max_files: int | None = None
    """Rows listed at most; None: all."""
    relist: Relist | None = None
    """When to look for new files; None: what was listed to its end stays as it is."""

    def __post_init__(self) -> None:
        for name in ("width", "size_kib"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} is a pair, the smaller first.")
        if (self.created_from is None) != (self.created_to is None):
            raise ValueError("give both created_from and created_to, or neither.")
        if self.created_from and self.created_to and self.created_from > self.created_to:
            raise ValueError("created_from is not after created_to.")


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


def walk(
    commons: Commons, source: SearchShardSource, cursor: Cursor | None, key: str, base: Path
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
            halves = shards[0].halves() if hits > _hits.MOST_HITS else None
            if halves is not None:
                shards = [*halves, *shards[1:]]
                continue
            if hits > _hits.MOST_HITS:
                problem = (
                    f"{hits} files match {query!r}, which cannot be cut further: only the first {_hits.MOST_HITS} are "
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
        for batch in hits_of(commons, query, source.sort, carry, key):
            if batch.carry is None:
                shards = shards[1:]
            files = _kept(batch.files, window, source)
            fits = batch.carry is not None
            yield ListedBatch(files=files, cursor=here(fits, batch.carry), problem=problem)
            problem = None
        fits, carry = False, None


def again(
    commons: Commons,
    source: SearchShardSource,
    cursor: Cursor | None,
    key: str,
    base: Path,
    since: datetime,
    known: Callable[[FileRecord], bool],
) -> Generator[ListedBatch]:
    """The same search for pages created since; without days of its own up to the day after the last that it knows."""
    first = (since - OVERLAP).date()
    if source.created_from is not None:
        first = max(first, source.created_from)
    last = source.created_to or datetime.now(UTC).date() + timedelta(days=1)
    if first > last:
        yield ListedBatch(files=(), cursor=None)
        return
    newer = replace(source, created_from=first, created_to=last)
    for batch in walk(commons, newer, cursor, key, base):
        # That nothing is new is no problem of the query.
        nothing = batch.cursor is None and not batch.files and cursor is None
        yield replace(batch, problem=None) if nothing else batch


def closed(source: SearchShardSource, since: datetime) -> str | None:
    """Once its last day is over."""
    if source.created_to is None or (since - OVERLAP).date() <= source.created_to:
        return None
    return f"its last day {source.created_to} has passed: give it a later created_to"


def count(commons: Commons, source: SearchShardSource, base: Path) -> Counted:
    """The hits that the wiki counts, and about what cutting costs."""
    hits = count_hits(commons, first_shard(source).query(source.query))
    # Halving until all fit counts twice as many windows as there are in the end, and halves are uneven.
    return Counted(files=hits, how="hits", listing_requests=4 * max(1, -(-hits // _hits.MOST_HITS)))


def label(source: SearchShardSource) -> str:
    """With its query."""
    return f"search, cut up: {source.query}"


def _kept(files: tuple[Seen, ...], shard: Shard, source: SearchShardSource) -> tuple[Seen, ...]:
    """Without files that lie on the bound shared with the window of smaller files, which lists them."""
    low = shard.size_kib[0]
    if low == source.size_kib[0]:
        return files
    return tuple(seen for seen in files if seen[0].size_bytes != low * 1024)
