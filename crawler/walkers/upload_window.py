"""Upload windows: files by the time of their upload, oldest first."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal

from catalog.records import FileRecord
from crawler.commons import BATCH, Commons
from crawler.listed import Counted, Cursor, ListedBatch, look_at
from crawler.relist import OVERLAP, Relist
from crawler.walkers._by_time import stamp, walk_by_time

PROBES = 4
"""Places in an upload window at which its density is measured."""


@dataclass(frozen=True, kw_only=True)
class UploadWindowSource:
    """Files whose current version was uploaded in a window of time, oldest first."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    start: datetime | None = None
    """First moment, with its zone, e.g. 2010-05-01T00:00:00Z."""
    end: datetime | None = None
    """Last moment."""
    last: str | None = None
    """Instead of both: a window that slides with the day of the build, in days, e.g. 30d. What was listed stays."""
    kind: Literal["upload_window"] = "upload_window"
    max_files: int | None = None
    """Rows listed at most; None: all."""
    relist: Relist | None = None
    """When to look for new files; None: a window that slides every 6 days, another one never."""

    def __post_init__(self) -> None:
        if self.last is not None:
            if self.start is not None or self.end is not None:
                raise ValueError("give start and end, or last, not both.")
            if not re.fullmatch(r"[1-9]\d{0,4}d", self.last):
                raise ValueError(f"last: {self.last!r} is no number of days: write 30d.")
            if self.relist is None:
                object.__setattr__(self, "relist", Relist(whole_every_days=36_500.0))
            return
        if self.start is None or self.end is None:
            raise ValueError("an upload window needs start and end, or last: 30d.")
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("start and end need a time zone: write 2010-05-01T00:00:00Z.")
        if self.start >= self.end:
            raise ValueError("start is before end.")

    def window(self) -> tuple[datetime, datetime]:
        """Both moments, of a sliding window as of now."""
        if self.start is not None and self.end is not None:
            return self.start, self.end
        assert self.last is not None
        now = datetime.now(UTC).replace(microsecond=0)
        return now - timedelta(days=int(self.last[:-1])), now


def walk(
    commons: Commons, source: UploadWindowSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """Oldest first; see walk_by_time for the cursor."""
    start, end = source.window()
    return _walked(commons, source, cursor, key, start, end)


def again(
    commons: Commons,
    source: UploadWindowSource,
    cursor: Cursor | None,
    key: str,
    base: Path,
    since: datetime,
    known: Callable[[FileRecord], bool],
) -> Generator[ListedBatch]:
    """What was uploaded since then, within the window."""
    start, end = source.window()
    start = max(start, since - OVERLAP)
    if start >= end:
        return iter((ListedBatch(files=(), cursor=None),))  # type: ignore[return-value]
    return _walked(commons, source, cursor, key, start, end)


def _walked(
    commons: Commons,
    source: UploadWindowSource,
    cursor: Cursor | None,
    key: str,
    start: datetime,
    end: datetime,
) -> Generator[ListedBatch]:
    path = f"uploads {stamp(start)} to {stamp(end)}" if source.last is None else label(source)
    return walk_by_time(commons, {"gaiend": stamp(end)}, cursor, start=start, key=key, path=path)


def closed(source: UploadWindowSource, since: datetime) -> str | None:
    """Once its end has passed."""
    if source.end is None or since - OVERLAP < source.end:
        return None
    return f"its window ended at {stamp(source.end)}: give it a later end, or last: 30d"


def count(commons: Commons, source: UploadWindowSource, base: Path) -> Counted:
    """Estimated from a few places in the window, which are the sample, too."""
    start, end = source.window()
    step = (end - start) / PROBES
    probes = [UploadWindowSource(start=start + i * step, end=end) for i in range(PROBES)]
    sampled = look_at(commons, [walk(commons, probe, None, "", base) for probe in probes], 1)
    return Counted(files=_density(start, end, sampled.files), how="estimated", sampled=sampled)


def label(source: UploadWindowSource) -> str:
    """With both days, or how many of them."""
    if source.last is not None:
        return f"uploads of the last {source.last[:-1]} days"
    start, end = source.window()
    return f"uploads {start:%Y-%m-%d} to {end:%Y-%m-%d}"


def _density(begin: datetime, end: datetime, seen: Sequence[FileRecord]) -> int:
    """Files of an upload window, from how close the uploads behind each probe follow each other."""
    step = (end - begin) / PROBES
    total = 0.0
    for i in range(PROBES):
        start = begin + i * step
        times = sorted(
            {
                r.page_id: r.uploaded_at for r in seen if r.uploaded_at and r.uploaded_at >= start
            }.values()
        )[:BATCH]
        here = [time for time in times if time < start + step]
        if len(here) < len(times) or len(times) < BATCH:
            total += len(here)
        else:
            span = max(here[-1] - start, timedelta(seconds=1))
            total += len(here) * (step / span)
    return round(total)
