"""`lucidlr merge`: the catalogs of crawls that were shared out become one, from which a build makes one dataset.

Each crawl had sources of its own (and a share of the limits). Here listings, originals, what was computed, failures,
tombstones and the log of requests come together; decisions do not, because twins are found across them only by the
build that follows. Batches get new numbers. Run again after an interruption it copies what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files, sums
from catalog.compact import log_covers
from catalog.errors import Expected
from catalog.looks import COVERS, CURSOR, WALK
from catalog.plans import MADE, REPLACES, next_number, plan_made, write_parquet
from catalog.records import AGAIN
from catalog.removals import removed
from catalog.repair import BATCHES, TWICE
from catalog.store import Catalog, catalog_in
from crawler.download import ObjectStore


class SharedSource(Expected, ValueError):
    """Two crawls have listed one source, each in its own way."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What came into the catalog now."""

    sources: int
    batches: int
    originals: int


def merge(outs: Sequence[Path], out: Path) -> Merged:
    """Copies the catalogs of `outs` into that of `out`, which may be new.

    Raises:
        catalog.errors.NoBuild: one of `outs` holds no build.
        catalog.store.CatalogLocked: a build runs in one of them, or in `out`.
        SharedSource: two of them list one source.
        catalog.sums.Damaged: a part is not what was written.
    """
    files.local(out)
    if out.resolve() in [one.resolve() for one in outs]:
        raise Expected(f"{out} cannot be merged into itself: name another folder with --out.")
    others = [catalog_in(one) for one in outs]
    target = Catalog(out / "catalog")
    sources = batches = originals = 0
    with target.locked():
        target.identify()
        for other in others:
            with other.locked():
                _check_sources(other, target)
                sources += _listings(other, target)
                _said(other, target)
                originals += _originals(other, target)
                batches += sum(_batches(other, target, stage) for stage in BATCHES)
                _logs(other, target)
    return Merged(sources=sources, batches=batches, originals=originals)


def _copy(source: Path, place: Path) -> None:
    sums.check([source])
    if not place.exists():
        sums.put(place, files.get(source))


# -- listings: the rows of a source are one sequence, however its parts were cut or made one ---------------


def _sources_of(catalog: Catalog) -> list[Path]:
    found = sorted(path for path in (catalog.parts / "listing").glob("*") if path.is_dir())
    return [path for path in found if path.name != AGAIN]


def _seen(folder: Path) -> pa.Table:
    """What tells rows of a source from others, in order."""
    parts = sorted(folder.glob("*.parquet"))
    sums.check(parts)
    tables = [pq.read_table(part, columns=list(SEEN.names)).cast(SEEN) for part in parts]
    return pa.concat_tables([SEEN.empty_table(), *tables])


SEEN = pa.schema([("page_id", pa.int64()), ("fetched_at", pa.timestamp("us", "UTC"))])


def _check_sources(other: Catalog, target: Catalog) -> None:
    """Before anything is copied: what is there of a source is the beginning of what is here, or all of it."""
    for folder in _sources_of(other):
        here, there = _seen(folder), _seen(target.parts / "listing" / folder.name)
        both = min(here.num_rows, there.num_rows)
        if not here.slice(0, both).equals(there.slice(0, both)):
            raise SharedSource(
                f"{other.root.parent} and another crawl have both listed the source {folder.name}. Share out "
                "whole sources (each recipe with its own), or merge only one of these."
            )


def _listings(other: Catalog, target: Catalog) -> int:
    for folder in _sources_of(other):
        _listing(folder, target)
    _asked_again(other, target)
    return len(_sources_of(other))


def _listing(folder: Path, target: Catalog) -> None:
    """The rows of a source that are not there yet, with the cursor behind them."""
    have = target.listing_state(folder.name)[0]
    parts = sorted(folder.glob("*.parquet"))
    sums.check(parts)
    begin = 0
    for part in parts:
        said = pq.read_schema(part).metadata or {}
        end = begin + pq.read_metadata(part).num_rows
        cursor, walk = (json.loads(said.get(name, b"null")) for name in (CURSOR, WALK))
        # The last one may hold no row, and tells how far the walk is.
        news = part == parts[-1] and end == have
        news = news and (cursor, walk) != _tail(target, folder.name)
        if end > have or news:
            table = pq.read_table(part).slice(max(0, have - begin))
            target.append_listing(folder.name, table.replace_schema_metadata(None), cursor, walk)
        begin = end


def _tail(target: Catalog, source: str) -> tuple[Any, Any]:
    rows, cursor, exhausted = target.listing_state(source)
    return (cursor, target.walk_of(source)) if rows or exhausted else (NOTHING, NOTHING)


NOTHING = object()


def _asked_again(other: Catalog, target: Catalog) -> None:
    """Pages that were asked for again; of each the row that was fetched last counts (catalog.facts)."""
    known = {tuple(row.values()) for row in _seen(target.parts / "listing" / AGAIN).to_pylist()}
    for part in sorted((other.parts / "listing" / AGAIN).glob("*.parquet")):
        sums.check([part])
        table = pq.read_table(part)
        keys = [tuple(row.values()) for row in table.select(SEEN.names).cast(SEEN).to_pylist()]
        new = table.filter(pa.array([key not in known for key in keys], pa.bool_()))
        if new.num_rows:
            target.append_listing(AGAIN, new.replace_schema_metadata(None), None)


def _originals(other: Catalog, target: Catalog) -> int:
    """Those that are whole; a batch whose original is lost fetches it again."""
    mine, theirs = ObjectStore(target.root / "objects"), ObjectStore(other.root / "objects")
    # What was taken down there, and maybe purged, does not come back.
    gone = set(removed(target).column("sha1").to_pylist())
    count = 0
    for part in other.whole_parts("download"):
        for sha1 in pq.read_table(part, columns=["sha1"]).column("sha1").to_pylist():
            if sha1 not in gone and not mine.has(sha1) and theirs.has(sha1):
                files.put(mine.path(sha1), theirs.read(sha1))
                count += 1
    return count


def _batches(other: Catalog, target: Catalog, stage: str) -> int:
    """Plans with what was committed of them, under numbers that are free there; how many batches came."""
    count = 0
    for plan in sorted((other.plans / stage).glob("*/*.parquet")):
        sums.check([plan])
        config = plan.parent.name
        folder = target.plans / stage / config
        made = plan_made(plan)
        known = {
            one: there for there in sorted(folder.glob("*.parquet")) for one in plan_made(there)
        }
        held = pq.read_table(plan)
        if set(made) <= set(known):
            there = known[made[0]]
            if plan_made(there) != made:
                # It became part of another, which is done by then.
                continue
            seq = there.stem
        else:
            seq = f"{next_number(folder, target.parts / stage / config):04d}"
            if known.keys() & set(made):
                # A plan that others became, some of which are there already: none of its keys was planned twice.
                planned = [
                    pq.read_table(p, columns=["key"]).column("key")
                    for p in folder.glob("*.parquet")
                ]
                there_now = {key for column in planned for key in column.to_pylist()}
                new = [key not in there_now for key in held.column("key").to_pylist()]
                held = held.filter(pa.array(new, pa.bool_()))
            # The plan first: parts without one would be nobody's.
            write_parquet(folder / f"{seq}.parquet", _renumbered(held, seq, made))
        keys = set(held.column("key").to_pylist())
        for old in dict.fromkeys(held.column("batch").to_pylist()):
            new_name = f"{seq}-{old.partition('-')[2]}"
            # Failures first: the part is the commit.
            for kind, where, name in (
                ("failure", f"{stage}-{config}", "key"),
                (stage, config, "sha1"),
            ):
                part = other.parts / kind / where / f"{old}.parquet"
                place = target.parts / kind / where / f"{new_name}.parquet"
                if part.exists() and not place.exists():
                    sums.check([part])
                    rows = pq.read_table(part)
                    mine = [key in keys for key in rows.column(name).to_pylist()]
                    write_parquet(place, rows.filter(pa.array(mine, pa.bool_())))
                    count += kind == stage
    return count


def _renumbered(plan: pa.Table, seq: str, made: list[str]) -> pa.Table:
    names = [f"{seq}-{old.partition('-')[2]}" for old in plan.column("batch").to_pylist()]
    renamed = plan.set_column(0, plan.schema.field("batch"), pa.array(names, pa.string()))
    # Numbers of plans of that catalog are others here.
    kept = {k: v for k, v in (plan.schema.metadata or {}).items() if k != REPLACES}
    return renamed.replace_schema_metadata({**kept, MADE: json.dumps(made).encode()})


def _logs(other: Catalog, target: Catalog) -> None:
    """Requests, checks, limits, and failures of listings: named by run or source, so they stand beside each other."""
    _requests(other, target)
    for part in sorted((other.parts / "check").glob("*/*.parquet")):
        _copy(part, target.parts / "check" / part.parent.name / part.name)
    for part in sorted((other.parts / "failure").glob("listing-*/*.parquet")):
        _copy(part, target.parts / "failure" / part.parent.name / part.name)
    for record in sorted((other.root / "limits").glob("*.json")):
        _copy(record, target.root / "limits" / record.name)


def _requests(other: Catalog, target: Catalog) -> None:
    """The log of runs that are not there yet, alone or in a part that several became."""
    there = sorted((target.parts / "request").glob("*/*.parquet"))
    sums.check(there)
    covered = {run for part in there for run in log_covers(part)}
    logged = {part.parent.name for part in there}
    for part in sorted((other.parts / "request").glob("*/*.parquet")):
        sums.check([part])
        run = part.parent.name
        place = target.parts / "request" / run / part.name
        runs = log_covers(part)
        if place.exists() or (not runs and run in covered):
            continue
        if not runs:
            _copy(part, place)
            continue
        rows = pq.read_table(part)
        new = [one not in covered | logged for one in rows.column("run_id").to_pylist()]
        if any(new):
            rows = rows.filter(pa.array(new, pa.bool_()))
            covers = sorted(set(rows.column("run_id").to_pylist()))
            # Only of those that came: what is there of others stays.
            write_parquet(place, rows, {COVERS: json.dumps(covers).encode()})


def _said(other: Catalog, target: Catalog) -> None:
    """Tombstones and what people said: kept twice, as everywhere."""
    for stage in TWICE:
        there = {sums.sha256_of(p) for p in (target.parts / stage / "all").glob("*.parquet")}
        for part in sorted((other.parts / stage / "all").glob("*.parquet")):
            sums.check([part])
            if sums.sha256_of(part) not in there:
                name = part.stem.partition("-")[2] or part.stem
                target.write_twice(stage, name, pq.read_table(part))
                there.add(sums.sha256_of(part))
