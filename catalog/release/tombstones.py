"""Tombstones in a release: which files left it or may never be in it, so that a copy made earlier can be put right.

`tombstones.parquet` lies beside the shards, outside the dataset hash. It holds what is needed to find a row and
nothing that tells of a person: no title, no author, not who asked or why in their words. The export refuses a table
of samples that a tombstone meets, however that table came about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from catalog import files
from catalog.release.manifest import DatasetError
from catalog.release.shards import ExportError

pc: Any = compute

TOMBSTONES_NAME = "tombstones.parquet"

PAGE, VERSION = "page", "version"
"""Kinds: the file is out, whatever its bytes; only these bytes are out, the page lives on with others."""

TOMBSTONES = pa.schema(
    [
        pa.field("page_id", pa.int64(), nullable=False),
        pa.field("sha1", pa.string()),
        pa.field("date", pa.date32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
    ]
)
"""Columns of tombstones.parquet. `sha1` is null where no bytes were held, or where another page rightly has the same
bytes; `reason` is a word of catalog.records.TombstoneRow, `date` the day in UTC."""


class TombstonedError(ExportError):
    """A sample that may not be released: its page or its bytes have a tombstone."""


def no_tombstones() -> pa.Table:
    """The table of a catalog from which nothing was taken down."""
    return TOMBSTONES.empty_table()


def met(rows: pa.Table, tombstones: pa.Table) -> pa.Array:
    """[N] bool: which rows, by `page_id` and `sha1`, a tombstone takes out."""
    pages = tombstones.filter(pc.equal(tombstones.column("kind"), PAGE)).column("page_id")
    hashes = tombstones.column("sha1").drop_null()
    by_page = pc.is_in(rows.column("page_id"), value_set=pages.combine_chunks())
    by_bytes = pc.is_in(rows.column("sha1"), value_set=hashes.combine_chunks())
    return pc.or_(by_page, by_bytes)


def refuse_tombstoned(samples: pa.Table, tombstones: pa.Table) -> None:
    """Stops an export that would release what has a tombstone.

    Raises:
        TombstonedError: naming the first pages, never a title.
    """
    dead = samples.select(["page_id", "sha1"]).filter(met(samples, tombstones))
    if dead.num_rows:
        pages = sorted(dead.column("page_id").to_pylist())
        named = ", ".join(map(str, pages[:10])) + (", ..." if len(pages) > 10 else "")
        raise TombstonedError(
            f"{len(pages)} chosen samples have a tombstone (pages {named}): by page id, or because the same bytes were "
            "taken down. Decide again with `lucidlr build` or `lucidlr refilter`, which leave them out."
        )


def write_tombstones(tombstones: pa.Table, folder: Path) -> None:
    """Writes tombstones.parquet in the order of page ids: the same tombstones give the same bytes.

    Raises:
        ExportError: the table has other columns than `TOMBSTONES`; nothing more than these may be published.
    """
    if tombstones.schema.names != TOMBSTONES.names:
        raise ExportError(
            f"Tombstones have the columns {', '.join(TOMBSTONES.names)}, not {', '.join(tombstones.schema.names)}; "
            "make the table with catalog.removals.released_tombstones."
        )
    keys = [("page_id", "ascending"), ("sha1", "ascending")]
    ordered = tombstones.cast(TOMBSTONES).sort_by(keys).combine_chunks()
    with files.stream(folder / TOMBSTONES_NAME) as sink:
        pq.write_table(ordered, sink, compression="zstd")


def read_tombstones(folder: Path) -> pa.Table:
    """The tombstones of a release; none where it has no such file.

    Raises:
        DatasetError: the file is damaged, or no table of tombstones.
    """
    path = folder / TOMBSTONES_NAME
    if not path.is_file():
        return no_tombstones()
    try:
        return pq.read_table(path).cast(TOMBSTONES)
    except (pa.ArrowInvalid, ValueError) as error:
        raise DatasetError(f"{path} is damaged ({error}). Export again.") from error
