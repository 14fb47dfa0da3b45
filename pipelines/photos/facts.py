"""What was found out about pictures, kept as Parquet parts, so that a killed run resumes and a second run is quick.

    <out>/facts/<config>/<number>.parquet

A configuration names what was computed, in which versions, and the folder that it was computed of; a row is known by
the item's name, size and time of change. Parts are only added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog import files
from catalog.plans import next_number
from pipelines.photos.look import Wanted

Ints = NDArray[np.int64]
_HASH = pa.uint64()
HEAVY = ("thumbnail", "preview")
"""Columns that are read for some rows at a time."""


def schema_of(wanted: Wanted) -> pa.Schema:
    """Columns of the facts."""
    texts = ("sha1", "object", "error", "mime", "camera")
    return pa.schema(
        [
            pa.field("name", pa.string()),
            pa.field("size", pa.int64()),
            pa.field("mtime_ns", pa.int64()),
            *(pa.field(name, pa.string()) for name in texts),
            *(pa.field(name, pa.int64()) for name in ("size_bytes", "width", "height")),
            *(pa.field(n, _HASH) for n in ("phash", "dhash", "phash_mirror", "dhash_mirror")),
            pa.field("spread", pa.float64()),
            *(pa.field(name, pa.list_(_HASH)) for name in ("seen_phash", "seen_dhash")),
            *(pa.field(name, pa.binary()) for name in HEAVY),
            *(pa.field(f"measure.{name}", pa.float64()) for name in wanted.measures),
            *(pa.field(f"score.{name}", pa.float64()) for name in wanted.scores),
        ]
    )


@dataclass
class Facts:
    """The parts of one configuration in a folder."""

    folder: Path
    wanted: Wanted
    known: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    """Name -> size, mtime_ns, part, row; of a name that changed the newest."""

    def __post_init__(self) -> None:
        self.schema = schema_of(self.wanted)
        self.parts = sorted(self.folder.glob("*.parquet"))
        for number, part in enumerate(self.parts):
            try:
                held = pq.read_table(part, columns=["name", "size", "mtime_ns"])
            except (OSError, ValueError):
                # Not whole, whatever did it: its pictures are looked at again.
                continue
            self._note(held, number)

    def _note(self, held: pa.Table, number: int) -> None:
        columns = [held.column(name).to_pylist() for name in ("name", "size", "mtime_ns")]
        for row, (name, size, mtime) in enumerate(zip(*columns, strict=True)):
            self.known[name] = (size, mtime, number, row)

    def has(self, name: str, size: int, mtime_ns: int) -> bool:
        """Whether this state of an item was looked at."""
        return self.known.get(name, ())[:2] == (size, mtime_ns)

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Commits a part."""
        if not rows:
            return
        table = pa.Table.from_pylist(list(rows), schema=self.schema)
        path = self.folder / f"{next_number(self.folder):06d}.parquet"
        with files.writing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        self.parts.append(path)
        self._note(table, len(self.parts) - 1)

    def table(self, names: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """The facts of these items, in this order; without HEAVY ones unless they are named."""
        if columns is None:
            columns = [name for name in self.schema.names if name not in HEAVY]
        place = np.array([self.known[name][2:] for name in names], dtype=np.int64).reshape(-1, 2)
        chosen = pa.schema([self.schema.field(name) for name in columns])
        pieces = [chosen.empty_table()]
        order = np.argsort(place[:, 0], kind="stable")
        for number in np.unique(place[:, 0]).tolist():
            rows = place[order, 1][place[order, 0] == number]
            part = pq.read_table(self.parts[number], columns=list(columns))
            pieces.append(part.select(list(columns)).cast(chosen).take(pa.array(rows)))
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(pieces).take(pa.array(back)).combine_chunks()
