"""The catalog's store: immutable Parquet parts, frozen plans, locks. Nothing else keeps state between runs.

<root>/parts/<stage>/<config>/<batch>.parquet    what a batch found; the rename into place is the commit
<root>/parts/failure/<stage>-<config>/<batch>.parquet   what failed in it; written before the commit
<root>/plans/<stage>/<config>/<seq>.parquet      frozen batches (catalog/plans.py)
<root>/locks/build.lock                          held by the one process that builds here
<root>/locks/readers.lock                        shared by those who read meanwhile
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from catalog import files, sums
from catalog.compact import READERS, UNFINISHED, finish
from catalog.errors import Expected, NoBuild
from catalog.looks import COVERS, CURSOR, WALK, said_in
from catalog.plans import (
    ID,
    BatchRef,
    Plans,
    config_hash,
    id_in,
    next_number,
    write_parquet,
    write_parquet_if_new,
)
from catalog.records import LISTING as LISTING
from catalog.records import STAGES, FailureRecord, to_table

DAMAGED = "damaged"
"""Folder of what was set aside by catalog.repair."""


class CatalogLocked(Expected, RuntimeError):
    """Another process builds on this catalog."""


def reading(root: Path) -> contextlib.AbstractContextManager[bool]:
    """For who reads a catalog without its build lock: no part becomes part of another one meanwhile. Within it, again
    as you like; where there is no such lock to take (a disk without locks) it just goes on."""
    return files.shared(root / READERS)


def command_line() -> str:
    """What was typed to start this process, without the folder of the program."""
    program = Path(sys.argv[0]).name
    return shlex.join(["lucidlr" if program == "cli.py" else program, *sys.argv[1:]])


class Catalog(Plans):
    """One catalog folder. Opening it creates what is missing and reads nothing."""

    def __init__(self, root: str | Path) -> None:
        super().__init__(Path(root).resolve())
        self._tails: dict[str, Path] = {}
        self.make_empty_parts()

    def make_empty_parts(self) -> None:
        """The empty parts that are missing."""
        for stage, stage_schema in STAGES.items():
            # Named by its columns: a catalog of an older version gets one with the columns that are new.
            empty = self.parts / stage / f"empty-{config_hash(stage_schema.names)}.parquet"
            if not empty.exists():
                write_parquet(empty, stage_schema.empty_table())

    def identify(self) -> str:
        """The id of this catalog, made at its first build. A copy of the folder has the same one."""
        places = (self.root, self.root / "objects")
        # Damaged in one place, it stands in the other.
        named = next(filter(None, map(id_in, places)), "") or secrets.token_hex(16)
        for place in places:
            if not id_in(place):
                files.put(place / ID, named + "\n")
        return named

    # -- locks ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Holds this catalog's build lock; the system frees it when the process ends, however it ends.

        Raises:
            CatalogLocked: another process holds it; the message says which.
        """
        folder = self.root / "locks"
        files.make_folder(folder)
        holder = folder / "build.holder.json"
        lock = FileLock(folder / "build.lock")
        try:
            with files.room_for(folder / "build.lock"):
                lock.acquire(timeout=0)
        except Timeout:
            held = said_in(holder, {}) or {}
            raise CatalogLocked(
                f"{self.root} is being built by process {held.get('pid', '?')} on "
                f"{held.get('host', '?')} since {held.get('since', '?')} "
                f"({held.get('command', 'unknown command')}). Wait for it, or use another --out."
            ) from None
        try:
            me = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": command_line(),
            }
            files.put(holder, json.dumps(me))
            # Whoever left these was killed: nobody else may write here now.
            self._sweep()
            if (self.root / UNFINISHED).exists():
                # Rows stand there twice: whoever holds the lock reads them once.
                finish(self)
            with self._still_there(), sums.naming(self.root, pa.ArrowException, OSError):
                yield
        finally:
            try:
                files.delete(holder)
            finally:
                lock.release()

    def _sweep(self) -> None:
        """What a killed process left. Among a million originals it is looked for only where one can lie: batches are
        fetched one after the other, so what was cut off belongs to the first that is not committed."""
        files.sweep(self.root, skip=("objects",))
        objects = self.root / "objects"
        files.sweep(objects, deep=False)
        try:
            first = list(self.with_keys(self.pending("download", None, most=1)))
        except sums.Damaged:
            # Which batch it was is in a plan that has to be repaired first, under this lock: so everywhere.
            files.sweep(objects)
            return
        for ref in first:
            for folder in sorted({objects / key[:2] / key[2:4] for key in ref.keys or ()}):
                files.sweep(folder, deep=False)

    @contextlib.contextmanager
    def _still_there(self) -> Generator[None]:
        """Tells a folder that was removed while it was worked in from whatever error that led to."""
        inode = self.parts.stat().st_ino
        try:
            yield
        except Exception as error:
            if self.parts.is_dir() and self.parts.stat().st_ino == inode:
                raise
            raise files.FolderGone(
                f"{self.root} was removed, moved or unmounted while the command ran. Put it back and run the same "
                "command again."
            ) from error

    def reading(self) -> contextlib.AbstractContextManager[bool]:
        """For who reads without the build lock: see `reading`."""
        return reading(self.root)

    # -- parts ---------------------------------------------------------------------------------

    def whole_parts(self, stage: str) -> list[Path]:
        """The parts of a stage, in the order of the views, each of them checked.

        Raises:
            catalog.sums.Damaged: some of them are not what was written.
        """
        found = sorted((self.parts / stage).rglob("*.parquet"), key=str)
        sums.check(found)
        return found

    def part_path(self, ref: BatchRef) -> Path:
        """Where the part of a batch is, or will be."""
        return self.parts / ref.stage / ref.config / f"{ref.batch}.parquet"

    def commit(self, ref: BatchRef, table: pa.Table, failures: Sequence[FailureRecord]) -> None:
        """Writes a batch's failures, then its rows; the second rename is the commit.

        Raises:
            DiskFull: there was no room; the batch stays pending.
        """
        failed = self.parts / "failure" / f"{ref.stage}-{ref.config}" / f"{ref.batch}.parquet"
        if failures or failed.exists():
            write_parquet(failed, to_table(failures, FailureRecord))
        write_parquet(self.part_path(ref), table)

    def note_failures(self, ref: BatchRef, failures: Sequence[FailureRecord]) -> None:
        """Writes what failed in a batch that did not come to its end; its commit takes this one's place."""
        if failures:
            config = f"{ref.stage}-{ref.config}"
            self.write_rows("failure", config, ref.batch, to_table(failures, FailureRecord))

    def failed_so_far(self, ref: BatchRef) -> set[str]:
        """Keys of what `note_failures` noted of a batch."""
        path = self.parts / "failure" / f"{ref.stage}-{ref.config}" / f"{ref.batch}.parquet"
        if not path.exists():
            return set()
        return set(pq.read_table(path, columns=["key"]).column("key").to_pylist())

    def write_rows(self, stage: str, config: str, name: str, table: pa.Table) -> None:
        """Writes a part that no plan asked for (decisions, requests, listing failures)."""
        write_parquet(self.parts / stage / config / f"{name}.parquet", table)

    def write_rows_if_new(self, stage: str, config: str, name: str, table: pa.Table) -> bool:
        """The same, unless this very table stands there already; whether it wrote."""
        return write_parquet_if_new(self.parts / stage / config / f"{name}.parquet", table)

    def write_twice(self, stage: str, name: str, table: pa.Table) -> None:
        """Writes a part of what people said or what was said once, and cannot be made again; the copy first."""
        name = f"{next_number(self.parts / stage / 'all'):06d}-{name}"
        write_parquet(self.copy_of(stage, name), table)
        self.write_rows(stage, "all", name, table)

    def copy_of(self, stage: str, name: str) -> Path:
        """The second place of such a part."""
        return self.root / "copies" / stage / f"{name}.parquet"

    # -- listing: its parts carry the cursor that the next one starts from -----------------------

    def next_listing(self, source: str) -> str:
        """Name of the part that `append_listing` will write next."""
        return f"{self._number_after(self._last_listing(source)):06d}"

    def append_listing(
        self,
        source: str,
        table: pa.Table,
        cursor: dict[str, Any] | None,
        walk: dict[str, Any] | None = None,
    ) -> None:
        """Commits the next stretch of a source's listing together with the cursor behind it (None: the end).

        Args:
            walk: what is known of the walk that it belongs to (pipelines.build.relist); default: as before. Of walks
                that found nothing new the last leaves its part in the place of the one before, so that weekly looks
                make no pile of empty parts.
        """
        found = self._last_listing(source)
        path = self.parts / "listing" / source / f"{self._number_after(found):06d}.parquet"
        held = self.walk_of(source)
        if walk is not None and found and held is not None and table.num_rows == 0:
            path = found if pq.read_metadata(found).num_rows == 0 else path
        kept = {CURSOR: json.dumps(cursor).encode()}
        if path == found:
            # It may stand for others, too (catalog.compact).
            before = pq.read_schema(found).metadata or {}
            kept |= {COVERS: before[COVERS]} if COVERS in before else {}
        if walk is not None or held is not None:
            kept[WALK] = json.dumps(walk or held).encode()
        write_parquet(path, table, kept)
        self._tails[source] = path

    def _last_listing(self, source: str) -> Path | None:
        """The last part of a source's listing. Looked for once: with a thousand parts, not a thousand times."""
        known = self._tails.get(source)
        folder = self.parts / "listing" / source
        after = f"{self._number_after(known):06d}.parquet"
        if known is None or not known.exists() or (folder / after).exists():
            known = max(folder.glob("*.parquet"), default=None)
        return known

    @staticmethod
    def _number_after(part: Path | None) -> int:
        return 0 if part is None else int(part.stem) + 1

    def walk_of(self, source: str) -> dict[str, Any] | None:
        """What the last part of a source's listing says of its walk; None where it says nothing."""
        last = self._last_listing(source)
        if last is None:
            return None
        sums.check([last])
        held = (pq.read_schema(last).metadata or {}).get(WALK)
        return None if held is None else json.loads(held)

    def listing_state(self, source: str) -> tuple[int, dict[str, Any] | None, bool]:
        """Rows listed so far, the cursor to go on from, and whether the source is exhausted."""
        parts = sorted((self.parts / "listing" / source).glob("*.parquet"))
        sums.check(parts)
        if not parts:
            return 0, None, False
        rows = sum(pq.read_metadata(file).num_rows for file in parts)
        cursor = json.loads((pq.read_schema(parts[-1]).metadata or {})[CURSOR])
        return rows, cursor, cursor is None


def holds_build(out: Path) -> bool:
    """Whether there is a build in this folder. Asked before it is opened: that makes the folders of an empty one."""
    return (out / "catalog" / "parts").is_dir()


def catalog_in(out: Path) -> Catalog:
    """The catalog of a build's folder.

    Raises:
        NoBuild: there is none.
    """
    if not holds_build(files.local(out)):
        raise NoBuild(
            f"{out} holds no build (no catalog/parts in it). Name a build's output folder with --out, or build first."
        )
    return Catalog(out / "catalog")
