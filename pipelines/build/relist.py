"""When is a source listed, and from where: for the first time, on from where it stopped, or again for what is new.

A source that was listed to its end stays so until its `relist` says that it is time. A look at what is new asks the
walker for files since the last one (a category: newest first, until known ground); every now and then the whole source
is walked, which also sees what moved. Either way only files that this source did not have become rows of it, so that a
cap counts files; what changed about a known file is noted as a page that was asked for again.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from catalog.facts import listed_by
from catalog.records import FileRecord, ListingRow
from crawler.commons import Commons
from crawler.listed import Cursor, ListedBatch
from crawler.listing import list_files
from crawler.walkers import Source, load_walker
from pipelines.build.run import Build

Pair = tuple[FileRecord, ListingRow]
Seen = tuple[str | None, str, str | None, str]
"""SHA-1, title, address and state: what makes a known file another one."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a build does about one source."""

    source: Source
    key: str
    left: int | None
    """Rows that it may still get; None: no cap."""
    cursor: Cursor | None
    walk: dict[str, Any]
    """Kept with each part: began and whole_began (ISO 8601, UTC), again, whole, since."""

    @property
    def again(self) -> bool:
        """Whether it was listed to its end before."""
        return bool(self.walk["again"])


def turns(run: Build) -> tuple[list[Turn], list[str]]:
    """The sources to list now, and a sentence for each of the others: why not, and what would reopen it."""
    found: list[Turn] = []
    told: list[str] = []
    for source, (key, cap) in zip(
        run.recipe.sources, run.recipe.source_caps(run.limit), strict=True
    ):
        turn = _turn(run, source, key, cap)
        if isinstance(turn, Turn):
            found.append(turn)
        else:
            told.append(f"{load_walker(source.kind).label(source)}: {turn}")
    return found, told


def _turn(run: Build, source: Source, key: str, cap: int | None) -> Turn | str:
    rows, cursor, exhausted = run.catalog.listing_state(key)
    run.tally.note(key, listed=rows)
    left = None if cap is None else max(0, cap - rows)
    if left == 0:
        return f"full at {rows} files. A higher max_files (or --limit) lists more."
    walk = run.catalog.walk_of(key)
    now = run.started_at.isoformat()
    first = {"began": now, "whole_began": now, "again": False, "whole": True, "since": None}
    if not exhausted:
        return Turn(source=source, key=key, left=left, cursor=cursor, walk=walk or first)
    if source.relist is None:
        return (
            f"at its end with {rows} files. `relist: {{every_days: 6}}` on this source looks for new ones; another "
            "source adds others."
        )
    began = _when(walk, "began") or _first_seen(run, key)
    whole_began = _when(walk, "whole_began") or began
    if began is None or whole_began is None:
        return Turn(source=source, key=key, left=left, cursor=None, walk={**first, "again": True})
    policy = source.relist
    whole = run.started_at - whole_began >= timedelta(days=policy.whole_every_days)
    if not whole and run.started_at - began < timedelta(days=policy.every_days):
        due = began + timedelta(days=policy.every_days)
        return f"at its end with {rows} files; looked at again from {due:%Y-%m-%d %H:%M} UTC on."
    walker = load_walker(source.kind)
    shut = walker.closed(source, began) if walker.closed is not None else None
    if shut is not None and not whole:
        return f"at its end with {rows} files: {shut}."
    walk = {
        "began": now,
        "whole_began": now if whole else whole_began.isoformat(),
        "again": True,
        "whole": whole,
        "since": began.isoformat(),
    }
    return Turn(source=source, key=key, left=left, cursor=None, walk=walk)


def _when(walk: dict[str, Any] | None, name: str) -> datetime | None:
    said = (walk or {}).get(name)
    return None if said is None else datetime.fromisoformat(said)


def _first_seen(run: Build, key: str) -> datetime | None:
    """When a source was first listed that an older version listed; it kept no time of its own."""
    held = listed_by(run.catalog, key, fields=("fetched_at",))
    times = [time for time in held.column("fetched_at").to_pylist() if time is not None]
    return min(times, default=None)


def batches_of(
    turn: Turn, commons: Commons, base: Path | None, known: Known | None
) -> Generator[ListedBatch]:
    """The batches of a source's turn."""
    walker = load_walker(turn.source.kind)
    since = _when(turn.walk, "since")
    if turn.walk["whole"] or walker.again is None or since is None or known is None:
        return list_files(commons, turn.source, turn.cursor, key=turn.key, base=base)
    return walker.again(
        commons, turn.source, turn.cursor, turn.key, base or Path(), since, known.has
    )


class Known:
    """The files that a source has, as they were last seen."""

    def __init__(self, run: Build, key: str) -> None:
        held = listed_by(run.catalog, key, fields=("page_id", "sha1", "title", "url", "state"))
        self.files: dict[int, Seen] = {}
        self.nameless: set[str] = set()
        for page_id, *seen in zip(*(column.to_pylist() for column in held.columns), strict=True):
            if page_id is None:
                self.nameless.add(seen[1])
            else:
                self.files[page_id] = (seen[0], seen[1], seen[2], seen[3])

    def has(self, file: FileRecord) -> bool:
        """Whether the source has the file, whatever it looks like now."""
        if file.page_id is None:
            return file.title in self.nameless
        return file.page_id in self.files

    def sort(self, pairs: list[Pair]) -> tuple[list[Pair], list[Pair]]:
        """Those that are new, and those that are known and have changed. All of them are known then."""
        new: list[Pair] = []
        changed: list[Pair] = []
        for pair in pairs:
            file = pair[0]
            seen = (file.sha1, file.title, file.url, file.state)
            if not self.has(file):
                new.append(pair)
            elif file.page_id is not None and self.files[file.page_id] != seen:
                changed.append(pair)
            if file.page_id is None:
                self.nameless.add(file.title)
            else:
                self.files[file.page_id] = seen
        return new, changed
