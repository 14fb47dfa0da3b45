"""`lucidlr status`: how far a build is, from another terminal. Reads what was committed and takes no lock.

A build notes at its start which sources it has (`now.json`); the rest follows from plans and parts. A part is written
whole, so whatever is counted here is there to stay.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from pyarrow import compute

from catalog import sums
from catalog.looks import is_a, said_in
from catalog.store import Catalog, catalog_in
from pipelines.build.run import NOW

pc: Any = compute
STAGES = ("download", "hash", "measure", "score", "embed")
LATELY_S = 600.0
"""The rate is that of the last ten minutes."""


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """One stage over its plans."""

    stage: str
    planned: int
    """Items in all plans, whatever version they were planned for."""
    done: int
    """Of them those whose batch is committed."""
    per_minute: float
    """Items committed lately."""

    @property
    def eta_s(self) -> float | None:
        """Until its plans are done at this rate; None: nothing came lately."""
        left = self.planned - self.done
        if left <= 0:
            return 0.0
        return 60.0 * left / self.per_minute if self.per_minute > 0 else None


@dataclass(frozen=True, kw_only=True)
class SourceStatus:
    """One source."""

    label: str
    listed: int
    at_hand: int
    """Files whose original was downloaded."""
    kept: int
    """By the last decision."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """A build as it stands."""

    out: Path
    holder: Mapping[str, Any] | None
    """Who builds here now: pid, host, since, command."""
    sources: tuple[SourceStatus, ...]
    passed: int
    """Originals that passed the gate; of a build of an older version, those planned for download."""
    stages: tuple[StageStatus, ...]
    media_bytes: int
    """Of the originals that were downloaded."""
    free_bytes: int


def status(out: Path) -> Status:
    """Counts what is committed in `out`.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
    """
    catalog = catalog_in(out)
    with catalog.reading():
        return _status(out, catalog)


def _status(out: Path, catalog: Catalog) -> Status:
    stages = tuple(_stage(catalog, stage) for stage in STAGES)
    at_hand, size = _at_hand(catalog)
    return Status(
        out=out,
        holder=_holder(catalog),
        sources=tuple(_sources(catalog, at_hand)),
        passed=_noted(catalog).get("passed", stages[0].planned),
        stages=tuple(one for one in stages if one.planned),
        media_bytes=size,
        free_bytes=shutil.disk_usage(out).free,
    )


def _holder(catalog: Catalog) -> dict[str, Any] | None:
    """Who holds the lock; what a killed build left behind is nobody."""
    folder = catalog.root / "locks"
    try:
        held = said_in(folder / "build.holder.json", {})
    except OSError:
        return None
    if held is None:
        return None
    lock = FileLock(folder / "build.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return held
    except OSError:
        # A folder that may only be read.
        return held
    lock.release()
    return None


def _stage(catalog: Catalog, stage: str) -> StageStatus:
    planned = done = lately = 0
    now = time.time()
    for plan in (catalog.plans / stage).glob("*/*.parquet"):
        sums.check([plan])
        folder = catalog.parts / stage / plan.parent.name
        times = {part.stem: part.stat().st_mtime for part in folder.glob(f"{plan.stem}-*.parquet")}
        batches = pq.read_table(plan, columns=["batch"]).column("batch").value_counts()
        for entry in batches.to_pylist():
            count = int(entry["counts"])
            planned += count
            done += count if entry["values"] in times else 0
            lately += count if now - times.get(entry["values"], 0.0) <= LATELY_S else 0
    return StageStatus(
        stage=stage, planned=planned, done=done, per_minute=lately / (LATELY_S / 60.0)
    )


def _at_hand(catalog: Catalog) -> tuple[pa.Array, int]:
    """SHA-1s that were downloaded, and their bytes."""
    tables = [
        pq.read_table(part, columns=["sha1", "size_bytes"])
        for part in catalog.whole_parts("download")
    ]
    table = pa.concat_tables(tables)
    return table.column("sha1").combine_chunks(), int(
        pc.sum(table.column("size_bytes")).as_py() or 0
    )


def _noted(catalog: Catalog) -> dict[str, Any]:
    """What the running or last build noted of itself."""
    place = catalog.root / NOW
    said = said_in(place, {"sources": (dict,)})
    # Damaged, it is as if it were not there: the next build notes it again.
    return said if said is not None and is_a(said, {"passed": (int,)}) else {}


def _sources(catalog: Catalog, at_hand: pa.Array) -> list[SourceStatus]:
    labels: dict[str, str] = _noted(catalog).get("sources", {})
    kept = _kept(catalog)
    found = []
    for key, label in labels.items():
        parts = sorted((catalog.parts / "listing" / key).glob("*.parquet"))
        sums.check(parts)
        tables = [pq.read_table(part, columns=["page_id", "sha1"]) for part in parts]
        listed = pa.concat_tables(tables) if tables else None
        if listed is None:
            found.append(SourceStatus(label=label, listed=0, at_hand=0, kept=0))
            continue
        found.append(
            SourceStatus(
                label=label,
                listed=listed.num_rows,
                at_hand=_count(listed.column("sha1"), at_hand),
                kept=_count(listed.column("page_id"), kept),
            )
        )
    return found


def _count(column: pa.ChunkedArray, among: pa.Array) -> int:
    return int(pc.sum(pc.is_in(column, value_set=among)).as_py() or 0)


def _kept(catalog: Catalog) -> pa.Array:
    """Page ids that the last decision kept."""
    parts = sorted(
        (catalog.parts / "decision").glob("*/*.parquet"), key=lambda p: p.stat().st_mtime
    )
    if not parts:
        return pa.array([], pa.int64())
    sums.check(parts[-1:])
    table = pq.read_table(parts[-1], columns=["page_id", "keep"])
    return table.column("page_id").filter(table.column("keep")).combine_chunks()


def status_lines(found: Status) -> list[str]:
    """For a terminal."""
    if found.holder is None:
        lines = ["nobody builds here now; the same command resumes an interrupted build"]
    else:
        since = found.holder.get("since", "?")
        lines = [
            f"running    {found.holder.get('command', '?')}",
            f"           process {found.holder.get('pid', '?')} on {found.holder.get('host', '?')} since {since}",
        ]
    width = max((len(s.label) for s in found.sources), default=6)
    lines += ["", f"{'source':<{width}} {'listed':>9} {'at hand':>9} {'kept':>9}"]
    lines += [
        f"{s.label:<{width}} {s.listed:>9,} {s.at_hand:>9,} {s.kept:>9,}" for s in found.sources
    ]
    lines += [
        "",
        f"{found.passed:,} files passed the gate; {found.media_bytes / 1e9:.2f} GB are at hand",
    ]
    for one in found.stages:
        left = one.planned - one.done
        line = f"{one.stage:<10} {one.done:>9,} of {one.planned:,}"
        if left:
            line += f", {one.per_minute:.0f} a minute lately, {_left(one.eta_s)}"
        lines.append(line)
    lines.append(f"free here  {found.free_bytes / 1e9:.1f} GB")
    return lines


def _left(eta_s: float | None) -> str:
    if eta_s is None:
        return "nothing came in the last ten minutes"
    at = datetime.fromtimestamp(time.time() + eta_s, UTC)
    return f"done about {at:%Y-%m-%d %H:%M} UTC"
