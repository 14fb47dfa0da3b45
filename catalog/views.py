"""Views over the parts, for SQL: what the parts of all runs say together.

Views keep one row per key and version, the one of the latest part: a batch that was done twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from functools import partial

import duckdb
import pyarrow as pa

from catalog import sums
from catalog.database import column_name, connect, text_literal
from catalog.records import AGAIN, FileRecord, ListingRow, schema
from catalog.store import Catalog

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
    """Table expression over all parts of a stage, checked now; `rows` adds the row number within the part.

    Raises:
        catalog.sums.Damaged: some of them are not what was written.
    """
    catalog.whole_parts(stage)
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
    requests, checks, tombstones, cleared, reviews, all_decisions and ledger; or `only` some."""
    for name, query in _views_of(catalog).items():
        if not only or name in only:
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS {query()}")
    if not only or "ledger" in only:
        create_ledger(connection, catalog)


_FOLDER, _FILE = "split_part(filename, '/', -2)", "split_part(filename, '/', -1)"


def _views_of(catalog: Catalog) -> dict[str, Callable[[], str]]:
    """View -> what tells its query, asked only where it is made: each looks at all parts of its stages; a view that
    reads another stands behind it."""
    files = ", ".join(column_name(n) for n in schema(FileRecord).names)
    seen = ", ".join(column_name(n) for n in schema(ListingRow).names)
    part = f"try_cast(split_part({_FILE}, '.', {{0}}) AS INTEGER) AS part"

    def listed(stage: str, named: str) -> str:
        return (
            f"SELECT * EXCLUDE (filename, file_row_number), {named}, file_row_number::BIGINT AS part_row "
            f"FROM {scan(catalog, stage, rows=True)}"
        )

    def plain(stage: str, what: str = "*", rest: str = "") -> str:
        return f"SELECT {what} EXCLUDE (filename) FROM {scan(catalog, stage)} {rest}"

    return {
        "listing": partial(listed, "listing", f"{_FOLDER} AS source_key, {part.format(1)}"),
        "verdicts": partial(
            listed,
            "verdict",
            f"{_FOLDER} AS version, split_part({_FILE}, '.', 1) AS source_key, {part.format(2)}",
        ),
        "files": lambda: (
            f"SELECT {files} FROM listing WHERE page_id IS NOT NULL AND state <> 'purged' "
            "QUALIFY row_number() OVER (PARTITION BY page_id, sha1 ORDER BY fetched_at DESC, part, part_row) = 1"
        ),
        "evidence": lambda: f"SELECT page_id, title, sha1, revision_id, {seen} FROM listing",
        **{view: partial(_latest, catalog, stage, key) for view, (stage, key) in _VIEWS.items()},
        "twins": partial(plain, "twin", "DISTINCT *", "WHERE twin IS NOT NULL"),
        "failures": partial(_open_failures, catalog),
        "requests": partial(plain, "request"),
        "checks": partial(plain, "check"),
        "tombstones": lambda: (
            "SELECT * EXCLUDE (filename, file_row_number), filename AS part, "
            f"file_row_number::BIGINT AS part_row FROM {scan(catalog, 'tombstone', rows=True)}"
        ),
        "cleared": partial(plain, "cleared"),
        "reviews": partial(plain, "review", "DISTINCT *"),
        "all_decisions": partial(plain, "decision"),
    }


def failed_stages(catalog: Catalog) -> set[str]:
    """Stages in which anything ever failed."""
    found = (catalog.parts / "failure").glob("*-*/*.parquet")
    return {part.parent.name.partition("-")[0] for part in found}


def _open_failures(catalog: Catalog) -> str:
    """What failed and was not done since: there is much of the one and little of the other."""
    failures, stages = scan(catalog, "failure"), failed_stages(catalog)
    failed = f"SELECT key FROM {failures}"
    done = " ".join(
        f"WHEN stage = {text_literal(stage)} THEN key IN "
        f"(SELECT sha1 FROM {scan(catalog, stage)} WHERE sha1 IN ({failed}))"
        for stage in _STAGES_OF_FAILURES
        # Where nothing failed nothing has to be looked up.
        if stage in stages
    )
    if "listing" in stages:
        # What was damaged, and was fine when it was asked for again.
        fine = f"FROM {scan(catalog, 'listing')} WHERE state <> 'damaged' AND page_id IS NOT NULL"
        done += (
            f" WHEN stage = 'listing' AND kind = 'damaged' THEN key IN (SELECT page_id::VARCHAR {fine} "
            f"AND {_FOLDER} = {text_literal(AGAIN)} UNION ALL SELECT title {fine} AND title IN ({failed}))"
        )
    still = f"WHERE NOT (CASE {done} ELSE false END)" if done else ""
    return (
        f"SELECT * EXCLUDE (filename) FROM {failures} {still} QUALIFY row_number() OVER "
        "(PARTITION BY stage, key ORDER BY failed_at DESC, filename DESC) = 1"
    )


MOST_TWICE = 1000
"""Keys that a view names; where more were planned twice, it looks at all rows."""


def _latest(catalog: Catalog, stage: str, key: str) -> str:
    """One row per key and version, the one of the latest part.

    Nearly always no key has rows in two parts, and then nothing has to be compared: 27 values of a million files in
    one window take gigabytes.
    """
    rows = f"SELECT * EXCLUDE (filename) FROM {scan(catalog, stage)}"
    last = f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY filename DESC) = 1"
    twice = catalog.planned_twice(stage)
    if twice is None or len(twice) > MOST_TWICE:
        return f"{rows} {last}"
    if not twice:
        return rows
    named = ", ".join(text_literal(one) for one in twice)
    return f"{rows} WHERE sha1 NOT IN ({named}) UNION ALL ({rows} WHERE sha1 IN ({named}) {last})"


def create_ledger(
    connection: duckdb.DuckDBPyConnection, catalog: Catalog, *, without: Collection[str] = ()
) -> None:
    """One row per candidate and rule, unpivoted from the wide parts (three columns a rule).

    Args:
        without: hashes of recipes whose ledgers are left out.
    """
    queries = [
        'SELECT NULL::VARCHAR recipe_hash, NULL::BIGINT page_id, NULL::VARCHAR rule, NULL::DOUBLE AS "value", '
        'NULL::VARCHAR AS "text", NULL::VARCHAR threshold, NULL::VARCHAR verdict WHERE false'
    ]
    cells = ("value", "text", "threshold", "verdict")
    for file in catalog.whole_parts("ledger"):
        if file.parent.name in without:
            continue
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
    with catalog.reading():
        connection = connect(":memory:", threads=2)
        try:
            create_views(connection, catalog, only)
            with sums.naming(catalog.root, duckdb.Error, pa.ArrowException, OSError):
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
