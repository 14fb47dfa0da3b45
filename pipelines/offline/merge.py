"""`lucidlr merge`: the catalogs of crawls that were shared out become one, from which a build makes one dataset.

Each crawl had sources of its own (and a share of the limits). Here listings, originals, what was computed, failures,
tombstones and the log of requests come together; decisions do not, because twins are found across them only by the
build that follows. Batches get new numbers. Run again after an interruption it copies what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files, sums
from catalog.errors import Expected
from catalog.plans import PLANNED_AT, REPLACES, next_number, write_parquet
from catalog.records import AGAIN
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
                originals += _originals(other, target)
                batches += sum(_batches(other, target, stage) for stage in BATCHES)
                _logs(other, target)
                _said(other, target)
    return Merged(sources=sources, batches=batches, originals=originals)


def _same(one: Path, other: Path) -> bool:
    return sums.sha256_of(one) == sums.sha256_of(other)


def _copy(source: Path, place: Path) -> None:
    sums.check([source])
    if not place.exists():
        sums.put(place, files.get(source))


def _sources_of(catalog: Catalog) -> list[Path]:
    found = sorted(path for path in (catalog.parts / "listing").glob("*") if path.is_dir())
    return [path for path in found if path.name != AGAIN]


def _check_sources(other: Catalog, target: Catalog) -> None:
    """Before anything is copied."""
    for folder in _sources_of(other):
        for part in sorted(folder.glob("*.parquet")):
            there = target.parts / "listing" / folder.name / part.name
            if there.exists() and not _same(part, there):
                raise SharedSource(
                    f"{other.root.parent} and another crawl have both listed the source {folder.name}. Share out "
                    "whole sources (each recipe with its own), or merge only one of these."
                )


def _listings(other: Catalog, target: Catalog) -> int:
    for folder in _sources_of(other):
        for part in sorted(folder.glob("*.parquet")):
            _copy(part, target.parts / "listing" / folder.name / part.name)
    there = [sums.sha256_of(part) for part in (target.parts / "listing" / AGAIN).glob("*.parquet")]
    for part in sorted((other.parts / "listing" / AGAIN).glob("*.parquet")):
        sums.check([part])
        if sums.sha256_of(part) not in there:
            place = target.parts / "listing" / AGAIN / f"{target.next_listing(AGAIN)}.parquet"
            _copy(part, place)
    return len(_sources_of(other))


def _originals(other: Catalog, target: Catalog) -> int:
    """Those that are whole; a batch whose original is lost fetches it again."""
    mine, theirs = ObjectStore(target.root / "objects"), ObjectStore(other.root / "objects")
    count = 0
    for part in other.whole_parts("download"):
        for sha1 in pq.read_table(part, columns=["sha1"]).column("sha1").to_pylist():
            if not mine.has(sha1) and theirs.has(sha1):
                files.put(mine.path(sha1), theirs.read(sha1))
                count += 1
    return count


def _batches(other: Catalog, target: Catalog, stage: str) -> int:
    """Plans with what was committed of them, under numbers that are free there."""
    count = 0
    for plan in sorted((other.plans / stage).glob("*/*.parquet")):
        sums.check([plan])
        config = plan.parent.name
        folder = target.plans / stage / config
        held = pq.read_table(plan)
        made = (held.schema.metadata or {}).get(PLANNED_AT)
        if any(_made(p) == made and _keys(p) == _keys(plan) for p in folder.glob("*.parquet")):
            continue
        seq = f"{next_number(folder, target.parts / stage / config):04d}"
        for old in dict.fromkeys(held.column("batch").to_pylist()):
            new = f"{seq}-{old.partition('-')[2]}"
            # Failures first: the part is the commit.
            for kind, where in (("failure", f"{stage}-{config}"), (stage, config)):
                part = other.parts / kind / where / f"{old}.parquet"
                if part.exists():
                    _copy(part, target.parts / kind / where / f"{new}.parquet")
                    count += kind == stage
        names = [f"{seq}-{old.partition('-')[2]}" for old in held.column("batch").to_pylist()]
        renamed = held.set_column(0, held.schema.field("batch"), pa.array(names, pa.string()))
        # Numbers of plans of that catalog are others here.
        kept = {k: v for k, v in (held.schema.metadata or {}).items() if k != REPLACES}
        renamed = renamed.replace_schema_metadata(kept)
        write_parquet(folder / f"{seq}.parquet", renamed)
    return count


def _made(plan: Path) -> bytes | None:
    return (pq.read_schema(plan).metadata or {}).get(PLANNED_AT)


def _keys(plan: Path) -> pa.ChunkedArray:
    return pq.read_table(plan, columns=["key"]).column("key")


def _logs(other: Catalog, target: Catalog) -> None:
    """Requests, checks, limits, and failures of listings: named by run or source, so they stand beside each other."""
    for stage in ("request", "check"):
        for part in sorted((other.parts / stage).glob("*/*.parquet")):
            _copy(part, target.parts / stage / part.parent.name / part.name)
    for part in sorted((other.parts / "failure").glob("listing-*/*.parquet")):
        _copy(part, target.parts / "failure" / part.parent.name / part.name)
    for record in sorted((other.root / "limits").glob("*.json")):
        _copy(record, target.root / "limits" / record.name)


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
