"""Small parts of many builds become one, so that a catalog that is built every week stays about as it was.

A build that finds three new files leaves a plan and a part for each stage, a stretch of a listing with its verdicts,
and a log. Where MOST_SMALL or more small ones follow each other in one folder, they become one, with the same rows in
the same order. What was planned twice, is not done yet, or is large stays as it is; no row is ever changed.

What takes the place of others says so in its metadata, and is written before they go: `finish` does the rest of what
was cut off. Under the catalog's lock, never while batches run, and never while somebody reads without the lock
(catalog.store.reading): then the next build does it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files, sums
from catalog.looks import BATCHES, COVERS, CURSOR, WALK
from catalog.plans import (
    MADE,
    PLAN,
    PLANNED_AT,
    REPLACES,
    VERSIONS,
    Plans,
    next_number,
    plan_made,
    write_parquet,
)

READERS = Path("locks", "readers.lock")
"""In the catalog: shared by those who read without the build lock."""
UNFINISHED = "compacting"
"""There while small parts become one, and after a kill until somebody has finished it."""
PATIENCE_S = 60.0
"""So long readers are waited for before what was cut off is finished."""
MOST_SMALL = 8
"""So many small ones in a row are allowed."""
MOST_KEYS = 256
"""Of a plan that others make: no batch is larger."""
MOST_LISTED = 500
"""Rows of such a stretch of a listing: as many as a crawl commits at once."""
MOST_LOGGED = 20_000
"""Rows of such a part of the request log."""


def compact(catalog: Plans, *, running: str = "") -> int:
    """Makes few of many; how many files went. Under the catalog's lock.

    Args:
        running: id of the run that is not over: its log stays.

    Raises:
        catalog.files.DiskFull: there was no room; nothing is lost.
    """
    finish(catalog)
    with files.alone(catalog.root / READERS, 0.0) as alone:
        if not alone:
            # Somebody reads: the next build does it.
            return 0
        files.put(catalog.root / UNFINISHED, "")
        gone = 0
        for stage in BATCHES:
            for folder in _folders(catalog.plans / stage):
                gone += _plans(catalog, stage, folder)
        for source in _folders(catalog.parts / "listing"):
            gone += _listing(catalog, source)
        for folder in _folders(catalog.parts / "twin"):
            gone += _twins(folder)
        gone += _requests(catalog, running)
        files.delete(catalog.root / UNFINISHED)
    return gone


def finish(catalog: Plans) -> None:
    """Takes away what was left of a `compact` that was cut off. Under the catalog's lock."""
    cut_off = (catalog.root / UNFINISHED).exists()
    readers = catalog.root / READERS
    with files.alone(readers, PATIENCE_S) if cut_off else contextlib.nullcontext():
        _finish(catalog)
        files.delete(catalog.root / UNFINISHED)


def _finish(catalog: Plans) -> None:
    for stage in BATCHES:
        for folder in _folders(catalog.plans / stage):
            for plan in sorted(folder.glob("*.parquet")):
                _finish_plan(catalog, stage, plan)
            _drop_late(catalog, stage, folder)
    for source in _folders(catalog.parts / "listing"):
        for part in sorted(source.glob("*.parquet")):
            first = _said(part, COVERS)
            if first is not None and part.stem.isdecimal():
                _drop_listed(catalog, source, range(int(first), int(part.stem)))
    for folder in _folders(catalog.parts / "request"):
        for part in sorted(folder.glob("*.parquet")):
            for other in _said(part, COVERS) or ():
                if other != folder.name:
                    files.delete(catalog.parts / "request" / other)


def log_covers(part: Path) -> list[str]:
    """The runs whose logs became this one; none: it is that of its own run."""
    return _said(part, COVERS) or []


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.glob("*") if path.is_dir())


def _said(file: Path, key: bytes) -> Any:
    """What the metadata of a file hold under a key, from JSON; None: nothing, or it is damaged."""
    if not sums.is_whole(file):
        return None
    held = (pq.read_schema(file).metadata or {}).get(key)
    return None if held is None else json.loads(held)


def _runs(sizes: Sequence[tuple[Path, int | None]], most: int) -> list[list[Path]]:
    """Stretches of MOST_SMALL and more files whose sizes add up to `most` at most; None ends a stretch."""
    found: list[list[Path]] = []
    held: list[Path] = []
    total = 0
    for file, size in [*sizes, (Path(), None)]:
        if size is None or total + size > most:
            found += [held] if len(held) >= MOST_SMALL else []
            held, total = [], 0
        if size is not None and size <= most:
            held.append(file)
            total += size
    return found


# -- plans and the parts of their batches --------------------------------------------------------------


def _plans(catalog: Plans, stage: str, folder: Path) -> int:
    """Of one stage and set of versions."""
    plans = sorted(folder.glob("*.parquet"))
    if len(plans) < MOST_SMALL:
        return 0
    done = {part.stem for part in (catalog.parts / stage / folder.name).glob("*.parquet")}
    sizes: list[tuple[Path, int | None]] = []
    twice = catalog.planned_twice(stage)
    for plan in plans:
        rows = pq.read_metadata(plan).num_rows
        if rows > MOST_KEYS or twice is None:
            sizes.append((plan, None))
            continue
        held = pq.read_table(plan)
        keys, batches = (set(held.column(name).to_pylist()) for name in ("key", "batch"))
        # What failed and was planned again stays the later one of two.
        whole = batches <= done and len(keys) == rows and keys.isdisjoint(twice)
        sizes.append((plan, rows if whole else None))
    return sum(_merge_plans(catalog, stage, run) for run in _runs(sizes, MOST_KEYS))


def _merge_plans(catalog: Plans, stage: str, plans: Sequence[Path]) -> int:
    """One plan of one batch in the place of several; the number is new, so it never stands for another one's part."""
    sums.check(plans)
    folder, config = plans[0].parent, plans[0].parent.name
    parts, failed = catalog.parts / stage / config, catalog.parts / "failure" / f"{stage}-{config}"
    held = [pq.read_table(plan) for plan in plans]
    batches = [b for table in held for b in dict.fromkeys(table.column("batch").to_pylist())]
    seq = f"{next_number(folder, parts):04d}"
    keys = [key for table in held for key in table.column("key").to_pylist()]
    last = held[-1].schema.metadata or {}
    kept = {name: last[name] for name in (VERSIONS, PLANNED_AT) if name in last}
    old = [
        [plan.stem, (pq.read_schema(plan).metadata or {}).get(PLANNED_AT, b"").decode()]
        for plan in plans
    ]
    kept[REPLACES] = json.dumps(old).encode()
    kept[MADE] = json.dumps(sorted({made for plan in plans for made in plan_made(plan)})).encode()
    table = pa.Table.from_arrays(
        [pa.array([f"{seq}-00000"] * len(keys)), pa.array(keys)], schema=PLAN
    )
    # Plan, failures, part: the part is the commit, and until then the old ones count.
    write_parquet(folder / f"{seq}.parquet", table, kept)
    said = [
        failed / f"{batch}.parquet" for batch in batches if (failed / f"{batch}.parquet").exists()
    ]
    if said:
        write_parquet(failed / f"{seq}-00000.parquet", _rows(said))
    write_parquet(parts / f"{seq}-00000.parquet", _rows([parts / f"{b}.parquet" for b in batches]))
    return _drop_plans(catalog, stage, plans)


def _rows(parts: Sequence[Path]) -> pa.Table:
    """The rows of parts, one after the other."""
    sums.check(parts)
    tables: list[pa.Table] = []
    for part in parts:
        with pq.ParquetFile(part) as source:
            tables.append(source.read(use_threads=False))
    found = pa.concat_tables(tables, promote_options="permissive")
    return found.replace_schema_metadata(None)


def _drop_plans(catalog: Plans, stage: str, plans: Iterable[Path]) -> int:
    """Parts before plans: without its plan nobody would know what a part is. Also those of batches whose keys were
    purged, which no plan names any more."""
    gone = 0
    for plan in plans:
        config = plan.parent.name
        parts, failed = catalog.parts / stage / config, catalog.parts / "failure"
        for part in sorted(parts.glob(f"{plan.stem}-*.parquet")):
            gone += sums.delete(part)
        for part in sorted((failed / f"{stage}-{config}").glob(f"{plan.stem}-*.parquet")):
            sums.delete(part)
        gone += sums.delete(plan)
    return gone


def _finish_plan(catalog: Plans, stage: str, plan: Path) -> None:
    replaced = _said(plan, REPLACES)
    if replaced is None:
        return
    folder, config = plan.parent, plan.parent.name
    there = [
        old
        for seq, made in replaced
        if sums.is_whole(old := folder / f"{seq}.parquet")
        and (pq.read_schema(old).metadata or {}).get(PLANNED_AT, b"").decode() == made
    ]
    if not there:
        return
    if not sums.is_whole(part := catalog.parts / stage / config / f"{plan.stem}-00000.parquet"):
        # Cut off before the commit: the old ones count.
        sums.delete(part)
        sums.delete(catalog.parts / "failure" / f"{stage}-{config}" / f"{plan.stem}-00000.parquet")
        sums.delete(plan)
        return
    _drop_plans(catalog, stage, there)


def _drop_late(catalog: Plans, stage: str, folder: Path) -> None:
    """Parts that a worker committed again after their plan became part of another: a slow one, whose batch somebody
    else had done by then. Nobody asked for them any more, and they hold what the other one holds."""
    plans = {plan.stem: plan for plan in folder.glob("*.parquet")}
    parts = (catalog.parts / stage / folder.name).glob("*.parquet")
    late = [part for part in sorted(parts) if part.stem.partition("-")[0] not in plans]
    if late:
        gone = {seq for plan in plans.values() for seq, _ in _said(plan, REPLACES) or ()}
        for part in late:
            if part.stem.partition("-")[0] in gone:
                sums.delete(part)


# -- listings ------------------------------------------------------------------------------------------


def _listing(catalog: Plans, source: Path) -> int:
    """Of one source; its last part stays, because the next one starts from there."""
    parts = sorted(source.glob("*.parquet"))[:-1]
    if len(parts) < MOST_SMALL:
        return 0
    sizes = [(part, pq.read_metadata(part).num_rows) for part in parts]
    return sum(_merge_listed(catalog, source, run) for run in _runs(sizes, MOST_LISTED))


def _merge_listed(catalog: Plans, source: Path, parts: Sequence[Path]) -> int:
    """The last of them gets all rows, its verdicts theirs; then the others go."""
    table, last = _rows(parts), parts[-1]
    held = pq.read_schema(last).metadata or {}
    earlier = _said(parts[0], COVERS)
    first = int(parts[0].stem) if earlier is None else int(earlier)
    kept = {name: held[name] for name in (CURSOR, WALK) if name in held}
    kept[COVERS] = json.dumps(first).encode()
    judged: list[tuple[Path, pa.Table]] = []
    for version in _folders(catalog.parts / "verdict"):
        mine = [version / f"{source.name}.{part.stem}.parquet" for part in parts]
        if all(one.exists() for one in mine):
            judged.append((mine[-1], _rows(mine)))
        # Verdicts lie row by row beside the listing: those of the last part would be another one's.
        sums.delete(mine[-1])
    write_parquet(last, table, kept)
    for place, rows in judged:
        write_parquet(place, rows)
    _drop_listed(catalog, source, [int(part.stem) for part in parts[:-1]])
    return len(parts) - 1


def _drop_listed(catalog: Plans, source: Path, numbers: Iterable[int]) -> None:
    for number in numbers:
        part = source / f"{number:06d}.parquet"
        if part.exists():
            for version in _folders(catalog.parts / "verdict"):
                sums.delete(version / f"{source.name}.{part.stem}.parquet")
            sums.delete(part)


# -- twins, and the log of requests ----------------------------------------------------------------------


def _twins(folder: Path) -> int:
    """Rows that stand there twice, after a kill, count once."""
    parts = sorted(folder.glob("*.parquet"))
    if len(parts) < MOST_SMALL:
        return 0
    gone = 0
    for run in _runs([(part, pq.read_metadata(part).num_rows) for part in parts], MOST_LOGGED):
        table = _rows(run)
        once = table.group_by(table.column_names, use_threads=False).aggregate([])
        write_parquet(run[-1], once.select(table.column_names).cast(table.schema))
        gone += sum(sums.delete(part) for part in run[:-1])
    return gone


def _requests(catalog: Plans, running: str) -> int:
    """The log of runs that are over, a folder each: those of several become one part of the last of them."""
    folders = [one for one in _folders(catalog.parts / "request") if one.name != running]
    sizes: list[tuple[Path, int | None]] = []
    for folder in folders:
        rows = [pq.read_metadata(part).num_rows for part in folder.glob("*.parquet")]
        sizes.append((folder, sum(rows) if len(rows) == 1 else None))
    gone = 0
    for run in _runs(sizes, MOST_LOGGED):
        parts = [part for folder in run for part in folder.glob("*.parquet")]
        covers = sorted(
            {one for part in parts for one in (part.parent.name, *(_said(part, COVERS) or ()))}
        )
        write_parquet(parts[-1], _rows(parts), {COVERS: json.dumps(covers).encode()})
        for folder in run[:-1]:
            gone += files.delete(folder)
    return gone
