"""Shards of the last release that a new one would write again, byte for byte: they get a second name instead.

A shard is cut where the next row does not fit. So an old shard is the new one where its rows are the same, the row
after its last is the same (or there is none in both), and whatever else decides about bytes is: columns, cut, pyarrow,
and the way in which this code writes (`WRITTEN_AS`). Rows are compared without the photographs: their SHA-1s are in the
rows, and the shard has the SHA-256 of the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files
from catalog.release.manifest import DatasetError, Manifest, Shard, load_manifest, sha256_of

WRITTEN_AS = "1"
"""Goes up with every change of catalog.release.shards that changes a byte."""


def software() -> dict[str, str]:
    """Versions on which the bytes of shards depend."""
    return {"pyarrow": pa.__version__, "shards": WRITTEN_AS}


@dataclass(frozen=True)
class OldShards:
    """Those of the release that a new one takes the place of."""

    folder: Path
    by_first: Mapping[tuple[str, str, int], int]
    """(family, split, first page id) -> place in `shards`."""
    shards: tuple[Shard, ...]
    firsts: tuple[int, ...]
    """First page id of each."""

    def take(self, rows: pa.Table, begin: int, names: list[str], path: Path) -> Shard | None:
        """The old shard that holds just the rows from `begin` on, now also under `path`; None: there is none.

        Args:
            rows: of one family and split, sorted by page id, without the photographs.
            names: name of the photograph of each row.
        """
        if begin >= rows.num_rows:
            return None
        family, split, page = (
            rows.column(name)[begin].as_py() for name in ("family", "split", "page_id")
        )
        place = self.by_first.get((family, split, page))
        if place is None:
            return None
        old = self.shards[place]
        end = begin + old.rows
        if end > rows.num_rows:
            return None
        source = self.folder / old.path
        held = _rows_of(source, rows.schema)
        same = held is not None and held[0].equals(rows.slice(begin, old.rows))
        if not same or held is None or held[1] != names[begin:end]:
            return None
        if not self._ends_alike(place, rows, end) or sha256_of(source) != old.sha256:
            return None
        files.share(source, path)
        return old

    def _ends_alike(self, place: int, rows: pa.Table, end: int) -> bool:
        """Whether the row after the shard, which did not fit, is what it was."""
        old = self.shards[place]
        after = place + 1
        last = after == len(self.shards) or (
            (self.shards[after].family, self.shards[after].split) != (old.family, old.split)
        )
        if last or end == rows.num_rows:
            return last and end == rows.num_rows
        if rows.column("page_id")[end].as_py() != self.firsts[after]:
            return False
        held = _rows_of(self.folder / self.shards[after].path, rows.schema, first=True)
        return held is not None and held[0].slice(0, 1).equals(rows.slice(end, 1))


NOTHING = OldShards(folder=Path(), by_first={}, shards=(), firsts=())


def old_shards(dataset: Path, *, schema: pa.Schema, recipe: Mapping[str, Any]) -> OldShards:
    """Those of the release in `dataset` that may be the same ones under `recipe`; none where it was cut otherwise."""
    try:
        manifest: Manifest = load_manifest(dataset)
    except DatasetError:
        return NOTHING
    alike = manifest.software == software() and manifest.columns == tuple(schema.names)
    cut = recipe.get("export")
    if not alike or cut is None or manifest.recipe.get("export") != cut:
        return NOTHING
    shards = tuple(sorted(manifest.shards, key=lambda shard: shard.path))
    firsts: list[int] = []
    for shard in shards:
        first = _first_page(dataset / shard.path)
        if first is None:
            return NOTHING
        firsts.append(first)
    by_first = {(s.family, s.split, firsts[i]): i for i, s in enumerate(shards)}
    return OldShards(dataset, by_first, shards, tuple(firsts))


def _first_page(path: Path) -> int | None:
    try:
        with pq.ParquetFile(path) as source:
            group = source.read_row_group(0, columns=["page_id"])
    except (OSError, pa.ArrowException, IndexError):
        return None
    return group.column("page_id")[0].as_py() if group.num_rows else None


def _rows_of(
    path: Path, wanted: pa.Schema, *, first: bool = False
) -> tuple[pa.Table, list[str]] | None:
    """The rows of a shard without the photographs, and the names of these; None: it cannot be read, or has other
    columns. `first`: of its first row group only."""
    columns = [*wanted.names, "image.path"]
    try:
        with pq.ParquetFile(path) as source:
            read = source.read_row_group(0, columns=columns) if first else source.read(columns)
        if any(
            pa.types.is_struct(field.type) and read.schema.field(field.name).type != field.type
            for field in wanted
        ):
            # A cast would fill in what a struct lacks with nulls, and drop what it has besides: scores by name.
            return None
        names = read.column("image").combine_chunks().field("path").to_pylist()
        return read.select(wanted.names).cast(wanted).combine_chunks(), names
    except (OSError, KeyError, pa.ArrowException):
        return None
