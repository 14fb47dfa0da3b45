"""Makes `lucidlr.duckdb`, the file that people open, and the Parquet file of evidence beside the catalog.

The database holds small tables (samples, decisions, rules, runs, failures) and views that read the Parquet parts by
absolute path; so it opens with plain `duckdb` from any folder, and is made again after the folder was moved (`lucidlr
relink`). It is filled step by step, so that no step's memory is added to the next one's, under a temporary name and
renamed: a reader never sees half of it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files, sums
from catalog.database import column_name, connect, disk_told, text_literal
from catalog.records import FileRecord, ListingRow, schema
from catalog.store import Catalog
from catalog.views import create_ledger, create_views


def make_database(
    catalog: Catalog,
    database: Path,
    *,
    recipe_hash: str,
    tables: Mapping[str, pa.Table],
    dataset: Path | None = None,
) -> None:
    """Makes `database` again: views over the parts, tables for what is small, `samples` from the dataset's shards.

    Args:
        recipe_hash: whose decisions stand in the table `decisions`.
        tables: further tables by name (runs, rules).
        dataset: folder of the exported dataset; without it `samples` is empty.

    Raises:
        catalog.files.DiskFull: there was no room; the old database is untouched.
    """
    with sums.writing(database) as temporary, disk_told(database):
        shards = sorted(dataset.resolve().glob("data/*/*.parquet")) if dataset else []
        for tables_of in (
            partial(create_views, catalog=catalog),
            partial(_decisions, catalog=catalog, recipe_hash=recipe_hash),
            _failures,
            partial(_no_samples, shards=shards),
            *(partial(_samples, shard=shard) for shard in shards),
            partial(_small_tables, tables=tables),
        ):
            _fill(temporary, tables_of)


def note_runs(catalog: Catalog, database: Path) -> None:
    """Writes the table `runs` of a database again; the rest of it stays.

    Raises:
        catalog.files.DiskFull: there was no room; the old database is untouched.
    """
    runs = runs_table(catalog.root / "runs")
    with sums.writing(database) as temporary, disk_told(database):
        files.fill(temporary, database)
        with contextlib.closing(connect(str(temporary), threads=1)) as connection:
            connection.execute("DROP TABLE IF EXISTS runs")
            _small_tables(connection, {"runs": runs})


def forget_ledgers(catalog: Catalog, database: Path, gone: Collection[str]) -> None:
    """Makes the view `ledger` of a database again without those of some recipes; the rest of it stays.

    Raises:
        catalog.files.DiskFull: there was no room; the old database is untouched.
    """
    with sums.writing(database) as temporary, disk_told(database):
        files.fill(temporary, database)
        with contextlib.closing(connect(str(temporary), threads=1)) as connection:
            create_ledger(connection, catalog, without=gone)


LINK_MB = 32
"""What DuckDB may take while tables are filled; it writes to the disk what is done. Enough for 200,000 candidates."""

Fill = Callable[[duckdb.DuckDBPyConnection], None]


def _fill(database: Path, tables_of: Fill) -> None:
    """A step of `make_database`, all or nothing, on a connection of its own, so that what it took is given back before
    the next. Where LINK_MB are too little, DuckDB takes what it wants."""
    for limit in (f"{LINK_MB}MB", None):
        connection = connect(str(database), threads=1)
        try:
            if limit is not None:
                connection.execute(f"SET memory_limit = '{limit}'")
            connection.execute("BEGIN")
            tables_of(connection)
            connection.execute("COMMIT")
        except duckdb.OutOfMemoryException:
            if limit is None:
                raise
        else:
            return
        finally:
            connection.close()
            pa.default_memory_pool().release_unused()


def _decisions(connection: duckdb.DuckDBPyConnection, catalog: Catalog, recipe_hash: str) -> None:
    """The table `decisions`, in the order of its parts: sorting would take all rows into memory."""
    folder = catalog.parts / "decision"
    catalog.whole_parts("decision")
    # Where nothing was decided, the empty part has the columns.
    decided = sorted((folder / recipe_hash).glob("*.parquet")) or folder.glob("*.parquet")
    parts = ", ".join(text_literal(str(part)) for part in decided)
    connection.execute("DROP VIEW all_decisions")
    connection.execute(f"CREATE TABLE decisions AS SELECT * FROM read_parquet([{parts}])")


def _failures(connection: duckdb.DuckDBPyConnection) -> None:
    """The table `failures` in the place of the view."""
    connection.execute("CREATE TABLE failures_now AS SELECT * FROM failures")
    connection.execute("DROP VIEW failures")
    connection.execute("ALTER TABLE failures_now RENAME TO failures")


def _no_samples(connection: duckdb.DuckDBPyConnection, shards: Sequence[Path]) -> None:
    """The table `samples`, empty, with the columns of the dataset where there is one."""
    if shards:
        parts = ", ".join(text_literal(str(shard)) for shard in shards)
        columns = f"{SAMPLE} FROM read_parquet([{parts}], filename=true) LIMIT 0"
        connection.execute(f"CREATE TABLE samples AS {columns}")
    else:
        connection.execute(
            "CREATE TABLE samples (page_id BIGINT, title VARCHAR, sha1 VARCHAR, license VARCHAR, "
            "family VARCHAR, shard VARCHAR)"
        )


SAMPLE = "SELECT * EXCLUDE (image, filename), filename AS shard"


def _samples(connection: duckdb.DuckDBPyConnection, shard: Path) -> None:
    """Into `samples` what a shard holds, without the images: what is known of a shard's columns takes room, too."""
    source = f"read_parquet({text_literal(str(shard))}, filename=true)"
    connection.execute(f"INSERT INTO samples {SAMPLE} FROM {source}")


def _small_tables(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table]) -> None:
    for name, table in tables.items():
        connection.register("incoming", table)
        connection.execute(f"CREATE TABLE {column_name(name)} AS SELECT * FROM incoming")
        connection.unregister("incoming")


EVIDENCE = ("page_id", "title", "sha1", "revision_id", *schema(ListingRow).names)


def write_evidence(catalog: Catalog, path: Path) -> None:
    """Writes what Commons said, when, at which revision, to one Parquet file, by rename; part after part, so that
    the answers of all files are never in memory together.

    Raises:
        catalog.files.DiskFull: there was no room; the old file is untouched.
    """
    columns = list(EVIDENCE)
    listing = pa.schema([*schema(FileRecord), *schema(ListingRow)])
    target = pa.schema([listing.field(name) for name in columns])
    with (
        sums.writing(path) as temporary,
        pq.ParquetWriter(temporary, target, compression="zstd") as sink,
    ):
        for part in catalog.whole_parts("listing"):
            known = set(pq.read_schema(part).names)
            held = pq.read_table(part, columns=[name for name in columns if name in known])
            for name in columns:
                # Parts of an older version know fewer columns.
                if name not in held.column_names:
                    held = held.append_column(
                        name, pa.nulls(held.num_rows, target.field(name).type)
                    )
            sink.write_table(held.select(columns).cast(target))
    pa.default_memory_pool().release_unused()


def rules_table(rules: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rules of a recipe with what each of them did, in order."""
    columns = {
        "rule": pa.string(),
        "value": pa.string(),
        "threshold": pa.string(),
        "why": pa.string(),
        "passes": pa.int64(),
        "not_measured": pa.int64(),
        "fails": pa.int64(),
        "alone": pa.int64(),
        "first": pa.int64(),
    }
    return pa.table(
        {name: pa.array([row[name] for row in rules], type=kind) for name, kind in columns.items()}
    )


def shortfalls_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Quotas of the sampling that could not be filled."""
    columns = {
        "dimension": pa.string(),
        "value": pa.string(),
        "wanted": pa.int64(),
        "got": pa.int64(),
    }
    return pa.table(
        {name: pa.array([row[name] for row in rows], type=kind) for name, kind in columns.items()}
    )


def runs_table(folder: Path) -> pa.Table:
    """The run records (`runs/*.json`) as a table, oldest first, without those that are damaged."""
    rows: list[dict[str, Any]] = [
        json.loads(file.read_text())
        for file in sorted(folder.glob("*.json"))
        if sums.is_whole(file)
    ]
    columns = {
        "run_id": pa.string(),
        "command": pa.string(),
        "recipe": pa.string(),
        "recipe_hash": pa.string(),
        "started_at": pa.string(),
        "finished_at": pa.string(),
        "seconds": pa.float64(),
        "stage_seconds": pa.string(),
        "funnel": pa.string(),
        "dataset_hash": pa.string(),
        "stopped": pa.string(),
        "versions": pa.string(),
    }
    return pa.table(
        {
            name: pa.array([row.get(name) for row in rows], type=kind)
            for name, kind in columns.items()
        }
    )
