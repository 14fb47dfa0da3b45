"""Views over the parts, and the `lucidlr.duckdb` that people open.

The database file holds small tables (samples, decisions, rules, runs, failures) and views that read the Parquet parts
by absolute path; so it opens with plain `duckdb` from any folder, and is made again after the folder was moved
(`lucidlr relink`). It is written under a temporary name and renamed: a reader never sees half of it.

Views keep one row per key and version, the one of the latest part: a batch that was done twice does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.database import column_name, connect, text_literal
from catalog.records import FileRecord, ListingRow, schema
from catalog.store import Catalog, room_for

# The latest part wins; within a part, the first row. The file's name grows with plan sequence and batch. (Its number,
# `file_index`, would take less room, but DuckDB 2.0.0 gives up with an internal error on some joins of such views.)
_VIEWS = {
    "objects": ("download", "sha1"),
    "hashes": ("hash", "sha1, version"),
    "measures": ("measure", "sha1, name, version"),
    "scores": ("score", "sha1, name, version"),
    "embeddings": ("embed", "sha1, name, version"),
}

_STAGES_OF_FAILURES = ("download", "hash", "measure", "score", "embed")


def scan(catalog: Catalog, stage: str, *, rows: bool = False) -> str:
    """Table expression over all parts of a stage; `rows` adds the row number within the part."""
    pattern = text_literal(str(catalog.parts / stage / "**" / "*.parquet"))
    options = "filename=true" + (", file_row_number=true" if rows else "")
    # There is an empty part for every set of columns that the stage has ever had. Where it had but one, DuckDB need not
    # open all parts to learn their columns.
    if len(list((catalog.parts / stage).glob("empty*.parquet"))) > 1:
        options += ", union_by_name=true"
    return f"read_parquet({pattern}, {options})"


def create_views(
    connection: duckdb.DuckDBPyConnection, catalog: Catalog, only: Sequence[str] = ()
) -> None:
    """Creates listing, files, evidence, verdicts, objects, hashes, measures, scores, embeddings, twins, failures,
    requests, checks, tombstones, all_decisions and ledger; or `only` some."""
    for name, query in _views_of(catalog).items():
        if not only or name in only:
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")
    if not only or "ledger" in only:
        _create_ledger(connection, catalog)


def _views_of(catalog: Catalog) -> dict[str, str]:
    """View -> what it selects; a view that reads another stands behind it."""
    listed = "SELECT * EXCLUDE (filename, file_row_number), {0}, file_row_number::BIGINT AS part_row FROM {1}"
    folder, file = "split_part(filename, '/', -2)", "split_part(filename, '/', -1)"
    part = f"split_part({file}, '.', {{0}})"
    files = ", ".join(column_name(n) for n in schema(FileRecord).names)
    seen = ", ".join(column_name(n) for n in schema(ListingRow).names)
    # What was done since, of what failed: there is much of the one and little of the other.
    failed = f"SELECT key FROM {scan(catalog, 'failure')}"
    done = " ".join(
        f"WHEN stage = {text_literal(stage)} THEN key IN "
        f"(SELECT sha1 FROM {scan(catalog, stage)} WHERE sha1 IN ({failed}))"
        for stage in _STAGES_OF_FAILURES
    )
    return {
        "listing": listed.format(
            f"{folder} AS source_key, try_cast({part.format(1)} AS INTEGER) AS part",
            scan(catalog, "listing", rows=True),
        ),
        "verdicts": listed.format(
            f"{folder} AS version, {part.format(1)} AS source_key, try_cast({part.format(2)} AS INTEGER) AS part",
            scan(catalog, "verdict", rows=True),
        ),
        "files": f"SELECT {files} FROM listing WHERE page_id IS NOT NULL AND state <> 'purged' "
        "QUALIFY row_number() OVER (PARTITION BY page_id, sha1 ORDER BY fetched_at DESC, part, part_row) = 1",
        "evidence": f"SELECT page_id, title, sha1, revision_id, {seen} FROM listing",
        **{
            view: f"SELECT * EXCLUDE (filename) FROM {scan(catalog, stage)} "
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY filename DESC) = 1"
            for view, (stage, key) in _VIEWS.items()
        },
        "twins": f"SELECT DISTINCT * EXCLUDE (filename) FROM {scan(catalog, 'twin')} WHERE twin IS NOT NULL",
        "failures": f"SELECT * EXCLUDE (filename) FROM {scan(catalog, 'failure')} "
        f"WHERE NOT (CASE {done} ELSE false END) QUALIFY row_number() OVER "
        "(PARTITION BY stage, key ORDER BY failed_at DESC, filename DESC) = 1",
        "requests": f"SELECT * EXCLUDE (filename) FROM {scan(catalog, 'request')}",
        "checks": f"SELECT * EXCLUDE (filename) FROM {scan(catalog, 'check')}",
        "tombstones": "SELECT * EXCLUDE (filename, file_row_number), filename AS part, "
        "file_row_number::BIGINT AS part_row "
        f"FROM {scan(catalog, 'tombstone', rows=True)}",
        "all_decisions": f"SELECT * EXCLUDE (filename) FROM {scan(catalog, 'decision')}",
    }


def _create_ledger(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
    """One row per candidate and rule, unpivoted from the wide parts (three columns a rule)."""
    queries = [
        'SELECT NULL::VARCHAR recipe_hash, NULL::BIGINT page_id, NULL::VARCHAR rule, NULL::DOUBLE AS "value", '
        'NULL::VARCHAR AS "text", NULL::VARCHAR threshold, NULL::VARCHAR verdict WHERE false'
    ]
    cells = ("value", "text", "threshold", "verdict")
    for file in sorted((catalog.parts / "ledger").glob("*/*.parquet")):
        wide = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({text_literal(str(file))})")
        rules = [
            row[0].removesuffix(":verdict")
            for row in wide.fetchall()
            if row[0].endswith(":verdict")
        ]
        structs = ", ".join(
            "{"
            + f"'rule': {text_literal(rule)}, "
            + ", ".join(f"'{cell}': {column_name(f'{rule}:{cell}')}" for cell in cells)
            + "}"
            for rule in rules
        )
        if structs:
            queries.append(
                f'SELECT {text_literal(file.parent.name)} AS recipe_hash, page_id, cell.rule, cell."value", '
                'cell."text", cell.threshold, cell.verdict FROM (SELECT page_id, '
                f"unnest([{structs}]) AS cell FROM read_parquet({text_literal(str(file))}))"
            )
    connection.execute("CREATE OR REPLACE VIEW ledger AS " + " UNION ALL ".join(queries))


@contextmanager
def opened(catalog: Catalog, *only: str) -> Generator[duckdb.DuckDBPyConnection]:
    """An in-memory connection with all views, or `only` those that are named (with those that they read); two threads,
    so that it is a good neighbour of the workers."""
    connection = connect(":memory:", threads=2)
    try:
        create_views(connection, catalog, only)
        yield connection
    finally:
        connection.close()


def files_of(catalog: Catalog, sha1s: Sequence[str]) -> pa.Table:
    """page_id, sha1, url, size_bytes and mime of these originals, as last seen; one row per SHA-1."""
    query = (
        "SELECT page_id, sha1, url, size_bytes, mime FROM files WHERE list_contains(?, sha1) "
        "QUALIFY row_number() OVER (PARTITION BY sha1 ORDER BY page_id) = 1"
    )
    with opened(catalog, "listing", "files") as connection:
        return connection.sql(query, params=[list(sha1s)]).to_arrow_table()


def failures(catalog: Catalog) -> pa.Table:
    """Open failures, one row per stage and key, the latest."""
    query = "SELECT * FROM failures ORDER BY stage, kind, key"
    with opened(catalog, "failures") as connection:
        return connection.sql(query).to_arrow_table()


def link(
    catalog: Catalog,
    database: Path,
    *,
    recipe_hash: str,
    tables: Mapping[str, pa.Table],
    dataset: Path | None = None,
) -> None:
    """Makes `database` anew: views over the parts, tables for what is small, `samples` from the dataset's shards.

    Args:
        recipe_hash: whose decisions stand in the table `decisions`.
        tables: further tables by name (runs, rules).
        dataset: folder of the exported dataset; without it `samples` is empty.

    Raises:
        catalog.store.DiskFull: there was no room; the old database is untouched.
    """
    temporary = database.with_name(f".{database.name}.tmp")
    with room_for(database):
        for stale in (temporary, temporary.with_name(temporary.name + ".wal")):
            stale.unlink(missing_ok=True)
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
        temporary.replace(database)


LINK_MB = 32
"""What DuckDB may take while tables are filled; it writes to the disk what is done. Enough for 200,000 candidates."""

Fill = Callable[[duckdb.DuckDBPyConnection], None]


def _fill(database: Path, tables_of: Fill) -> None:
    """One step of `link`, on a connection of its own, so that what it took is given back before the next; all or
    nothing. Where there is too little memory by LINK_MB, DuckDB takes what it wants."""
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
        catalog.store.DiskFull: there was no room; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    columns = list(EVIDENCE)
    listing = pa.schema([*schema(FileRecord), *schema(ListingRow)])
    target = pa.schema([listing.field(name) for name in columns])
    with room_for(path):
        with pq.ParquetWriter(temporary, target, compression="zstd") as sink:
            for part in sorted((catalog.parts / "listing").glob("*/*.parquet")):
                known = set(pq.read_schema(part).names)
                held = pq.read_table(part, columns=[name for name in columns if name in known])
                for name in columns:
                    # Parts of an older version know fewer columns.
                    if name not in held.column_names:
                        held = held.append_column(
                            name, pa.nulls(held.num_rows, target.field(name).type)
                        )
                sink.write_table(held.select(columns).cast(target))
        temporary.replace(path)
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
    """The run records (`runs/*.json`) as a table, oldest first."""
    rows: list[dict[str, Any]] = [
        json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))
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
        "versions": pa.string(),
    }
    return pa.table(
        {
            name: pa.array([row.get(name) for row in rows], type=kind)
            for name, kind in columns.items()
        }
    )
