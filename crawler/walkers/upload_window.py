"""Upload windows: files by the time of their upload, oldest first."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal

from catalog.records import FileRecord
from crawler.commons import BATCH, Commons
from crawler.listed import Counted, Cursor, ListedBatch, look_at
from crawler.walkers._by_time import stamp, walk_by_time

PROBES = 4
"""Places in an upload window at which its density is measured."""


@dataclass(frozen=True, kw_only=True)
class UploadWindowSource:
    """Files whose current version was uploaded in a window of time, oldest first."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    start: datetime
    """First moment, with its zone, e.g. 2010-05-01T00:00:00Z."""
    end: datetime
    """Last moment."""
    kind: Literal["upload_window"] = "upload_window"
    max_files: int | None = None
    """Rows listed at most; None: all."""

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("start and end need a time zone: write 2010-05-01T00:00:00Z.")
        if self.start >= self.end:
            raise ValueError("start is before end.")


def walk(
    commons: Commons, source: UploadWindowSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """Oldest first; see walk_by_time for the cursor."""
    end = stamp(source.end)
    path = f"uploads {stamp(source.start)} to {end}"
    return walk_by_time(commons, {"gaiend": end}, cursor, start=source.start, key=key, path=path)


def count(commons: Commons, source: UploadWindowSource, base: Path) -> Counted:
    """Estimated from a few places in the window, which are the sample, too."""
    step = (source.end - source.start) / PROBES
    probes = [
        UploadWindowSource(start=source.start + i * step, end=source.end) for i in range(PROBES)
    ]
    sampled = look_at(commons, [walk(commons, probe, None, "", base) for probe in probes], 1)
    return Counted(files=_density(source, sampled.files), how="estimated", sampled=sampled)


def label(source: UploadWindowSource) -> str:
    """With both days."""
    return f"uploads {source.start:%Y-%m-%d} to {source.end:%Y-%m-%d}"


def _density(source: UploadWindowSource, seen: Sequence[FileRecord]) -> int:
    """Files of an upload window, from how close the uploads behind each probe follow each other."""
    step = (source.end - source.start) / PROBES
    total = 0.0
    for i in range(PROBES):
        start = source.start + i * step
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
