"""Plans: which keys of a stage belong to which batch, frozen, so that a kill changes nothing.

A *stage* turns keys (page ids or SHA-1s) into rows for a set of *versions* ("edge_sigma@1"). `plan` freezes what has
not been planned yet, group by group of missing versions, and returns every batch without a committed part; so a new
measure runs alone over the old images, and after a kill the same call returns just what was not finished.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from catalog import files, sums
from catalog.errors import Expected
from catalog.looks import PLAN, VERSIONS
from catalog.looks import config_hash as config_hash

pc: Any = compute
PLANNED_AT = b"lucidlr.planned_at"
REPLACES = b"lucidlr.replaces"
"""In a plan that took the place of others (catalog/compact.py): their numbers, and when they were made."""
MADE = b"lucidlr.made"
"""In a plan that took the place of others, here or in another catalog: names of all that it ever was (`plan_made`)."""
ID = ".catalog-id"
"""Name of the file that tells one catalog from another, in its root and beside its originals."""
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class BatchRef:
    """Names one batch; small and picklable, so that any runner can carry it to any process."""

    root: str
    stage: str
    config: str
    batch: str
    versions: tuple[str, ...]
    size: int
    """Number of keys, for progress."""
    crashed: tuple[str, ...] = ()
    """Keys that killed the process that worked on them; they become failures."""
    probe: tuple[int, int] | None = None
    """Try these keys only, from and to by their place, and commit nothing: to find which of them kills a process."""
    keys: tuple[str, ...] | None = None
    """Of the batch, in planned order, so that no worker reads the whole plan for its share; None: read them there."""
    catalog: str = ""
    """Id of the catalog that the batch belongs to; empty: whatever lies at `root`."""


_ID = re.compile(r"[0-9a-f]{32}")


def id_in(folder: Path) -> str:
    """The catalog's id that stands in a folder; empty where there is none, or what stands there is none."""
    try:
        said = (folder / ID).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return said if _ID.fullmatch(said) else ""


class CatalogUnseen(Expected, RuntimeError):
    """A worker on another machine, or in another container, does not see the catalog that its batch belongs to."""


def recognized(ref: BatchRef) -> None:
    """Before a worker touches anything: that the catalog at `root`, and its originals, are those of the batch.

    Raises:
        CatalogUnseen: they are not.
    """
    if not ref.catalog:
        return
    root = Path(ref.root)
    for folder, what in ((root, "the catalog"), (root / "objects", "the catalog's originals")):
        said = id_in(folder) or "nothing"
        if said != ref.catalog:
            raise CatalogUnseen(
                f"The worker on {socket.gethostname()} does not see {what} at {folder}: it finds {said} there, not "
                f"{ref.catalog}. Mount the build's folder there under the same path (docs/clusters.md) and run the "
                "same command again; nothing was written."
            )


GROUP_ROWS = 65_536
"""Of a part: what is encoded of it before it goes to the disk is in memory beside it."""


def write_parquet(path: Path, table: pa.Table, metadata: dict[bytes, bytes] | None = None) -> None:
    """Writes a table so that `path` either does not exist or is whole, with its sum beside it (catalog.sums).

    Raises:
        DiskFull: there was no room.
    """
    if metadata:
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    with sums.writing(path) as temporary, temporary.open("wb") as sink:
        pq.write_table(table, sink, compression="zstd", row_group_size=GROUP_ROWS)


CONTENT = b"lucidlr.content"


class _Digest:
    """A sink that keeps nothing but the SHA-256 of what is written to it."""

    def __init__(self) -> None:
        self.sha256, self.closed = hashlib.sha256(), False

    def write(self, data: Any) -> int:
        """Takes bytes or a buffer of Arrow's."""
        self.sha256.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""


def write_parquet_if_new(path: Path, table: pa.Table) -> bool:
    """`write_parquet`, unless just this table stands there already; whether it wrote. What stays counts as written now.

    Tables are told apart by a digest of their buffers, which goes into the file: an equal table in other buffers is
    written again, and that does no harm.

    Raises:
        DiskFull: there was no room.
    """
    digest = _Digest()
    with pa.ipc.new_stream(pa.PythonFile(digest, "w"), table.schema) as stream:
        for batch in table.to_batches():
            stream.write_batch(batch)
    content = digest.sha256.hexdigest().encode()
    held = (pq.read_schema(path).metadata or {}).get(CONTENT) if sums.is_whole(path) else None
    if held == content:
        files.touch(path)
        sums.noted(path)
        return False
    write_parquet(path, table, {CONTENT: content})
    return True


def next_number(*folders: Path) -> int:
    """One more than the highest number with which the name of a Parquet file in these folders begins."""
    found = [_NUMBER.match(file.name) for folder in folders for file in folder.glob("*.parquet")]
    return max((int(m.group()) for m in found if m is not None), default=-1) + 1


class Plans:
    """The plans of one catalog folder, beside the parts that say which of their batches are done."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.parts = root / "parts"
        self.plans = root / "plans"

    def plan(
        self, stage: str, keys: Sequence[str], versions: Sequence[str], *, batch_size: int
    ) -> list[BatchRef]:
        """Freezes what is not planned yet and returns all batches that have no committed part, oldest plan first.

        Keys keep their order. A key that was planned for some of the versions is planned for the others only.
        """
        missing = np.ones((len(keys), len(versions)), dtype=bool)
        place: dict[str, int] = {}
        for file in self._plan_files(stage):
            covered = [i for i, v in enumerate(versions) if v in _versions_of(file)]
            if covered:
                # One look-up for each key that was ever planned: not one for each key in each plan.
                place = place or {key: i for i, key in enumerate(keys)}
                planned = pq.read_table(file, columns=["key"]).column("key").to_pylist()
                rows = [i for i in map(place.get, planned) if i is not None]
                missing[np.ix_(rows, covered)] = False
        open_rows = np.flatnonzero(missing.any(axis=1))
        if len(open_rows):
            for pattern in np.unique(missing[open_rows], axis=0):
                group = open_rows[(missing[open_rows] == pattern).all(axis=1)]
                chosen = [v for v, wanted in zip(versions, pattern, strict=True) if wanted]
                self._freeze(stage, [keys[int(i)] for i in group], chosen, batch_size)
        return self.pending(stage, versions)

    def retry(self, stage: str, keys: Sequence[str], version: str, *, batch_size: int) -> None:
        """Freezes keys that failed once more; the rows of the new batches win over the old failures."""
        if keys:
            self._freeze(stage, list(keys), [version], batch_size)

    def plan_anyway(
        self, stage: str, keys: Sequence[str], version: str, *, batch_size: int
    ) -> list[BatchRef]:
        """Freezes just these keys, also those that wait in a batch of an earlier plan with others; returns the batches.

        That batch finds them done when its turn comes: twice does no harm.
        """
        if not keys:
            return []
        seq = self._freeze(stage, list(keys), [version], batch_size)
        config = config_hash([version])
        return [
            ref
            for ref in self.pending(stage, [version])
            if ref.config == config and ref.batch.startswith(f"{seq}-")
        ]

    def pending(
        self, stage: str, versions: Sequence[str] | None, *, most: int | None = None
    ) -> list[BatchRef]:
        """Planned batches of a stage, for any of these versions (None: for whatever), without a committed part.

        Args:
            most: no more than so many, the first.
        """
        found: list[BatchRef] = []
        named = id_in(self.root)
        for file in self._plan_files(stage):
            held = _versions_of(file)
            if versions is not None and not set(held) & set(versions):
                continue
            done = {part.stem for part in (self.parts / stage / file.parent.name).glob("*.parquet")}
            table = pq.read_table(file, columns=["batch"])
            for entry in table.column("batch").value_counts().to_pylist():
                if entry["values"] in done:
                    continue
                found.append(
                    BatchRef(
                        root=str(self.root),
                        stage=stage,
                        config=file.parent.name,
                        batch=entry["values"],
                        versions=tuple(held),
                        size=entry["counts"],
                        catalog=named,
                    )
                )
                if len(found) == most:
                    return found
        return found

    def with_keys(self, refs: Iterable[BatchRef]) -> Generator[BatchRef]:
        """The same, with their keys, as they are taken; a plan is read once for all of its batches that follow each
        other, and only one is in memory."""
        held: Path | None = None
        keys: dict[str, list[str]] = {}
        for ref in refs:
            file = self._plan_of(ref)
            if file != held:
                sums.check([file])
                table, held, keys = pq.read_table(file), file, {}
                for batch, key in zip(
                    *(table.column(name).to_pylist() for name in ("batch", "key")), strict=True
                ):
                    keys.setdefault(batch, []).append(key)
            yield replace(ref, keys=tuple(keys[ref.batch]))

    def keys_of(self, ref: BatchRef) -> list[str]:
        """The keys of a batch, in planned order."""
        if ref.keys is not None:
            return list(ref.keys)
        file = self._plan_of(ref)
        sums.check([file])
        table = pq.read_table(file, filters=[("batch", "=", ref.batch)])
        return table.column("key").to_pylist()

    def _plan_of(self, ref: BatchRef) -> Path:
        return self.plans / ref.stage / ref.config / f"{ref.batch.split('-')[0]}.parquet"

    def planned_twice(self, stage: str) -> list[str] | None:
        """Keys that may have rows of one version in several parts, because they were planned for it more than once;
        None where that can't be told: there are parts that no plan here asked for."""
        files_of: dict[str, list[Path]] = {}
        known: set[tuple[str, str]] = set()
        for file in self._plan_files(stage):
            known.add((file.parent.name, file.stem))
            for version in _versions_of(file):
                files_of.setdefault(version, []).append(file)
        parts = (self.parts / stage).glob("*/*.parquet")
        if any((part.parent.name, part.stem.partition("-")[0]) not in known for part in parts):
            return None
        found: set[str] = set()
        # Many versions, few sets of plans: most measures were planned together.
        for plans in {tuple(held) for held in files_of.values()}:
            keys = pa.chunked_array(
                [c for p in plans for c in pq.read_table(p, columns=["key"]).column(0).chunks],
                pa.string(),
            )
            if len(pc.unique(keys)) < len(keys):
                counts = pc.value_counts(keys)
                several = counts.filter(pc.greater(counts.field("counts"), 1))
                found |= set(several.field("values").to_pylist())
        return sorted(found)

    def versions_planned(self, stage: str) -> list[str]:
        """All versions that a stage was ever planned for."""
        return sorted({v for file in self._plan_files(stage) for v in _versions_of(file)})

    def planned_in_order(self, stage: str) -> list[str]:
        """Versions by the time at which they were last planned, the newest last."""
        files = sorted((_planned_at(file), str(file)) for file in self._plan_files(stage))
        return [version for _, file in files for version in _versions_of(Path(file))]

    def _plan_files(self, stage: str) -> list[Path]:
        found = sorted((self.plans / stage).glob("*/*.parquet"))
        sums.check(found)
        return found

    def _freeze(self, stage: str, keys: list[str], versions: list[str], batch_size: int) -> str:
        """Returns the number of the plan, as batches begin with it."""
        folder = self.plans / stage / config_hash(versions)
        # Also past the parts of a plan that is not there any more: a batch of that name would count as done.
        seq = f"{next_number(folder, self.parts / stage / folder.name):04d}"
        batches = [f"{seq}-{i // batch_size:05d}" for i in range(len(keys))]
        table = pa.Table.from_arrays([pa.array(batches), pa.array(keys)], schema=PLAN)
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        metadata = {VERSIONS: json.dumps(versions).encode(), PLANNED_AT: now.encode()}
        write_parquet(folder / f"{seq}.parquet", table, metadata)
        return seq


def _planned_at(plan_file: Path) -> str:
    """ISO 8601; empty for plans of an older version."""
    return (pq.read_schema(plan_file).metadata or {}).get(PLANNED_AT, b"").decode()


def plan_made(plan_file: Path) -> list[str]:
    """Names of the plans that a plan is made of, the same in every catalog: when each was frozen."""
    held = pq.read_schema(plan_file).metadata or {}
    if MADE in held:
        return json.loads(held[MADE])
    if made := held.get(PLANNED_AT, b"").decode():
        return [made]
    # Of an older version: by its keys.
    return [config_hash(pq.read_table(plan_file, columns=["key"]).column("key").to_pylist())]


def _versions_of(plan_file: Path) -> list[str]:
    return json.loads((pq.read_schema(plan_file).metadata or {})[VERSIONS])
