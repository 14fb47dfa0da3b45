"""What changed between two releases of a dataset, row by row, each addition and removal with its reason.

Rows are matched by page id. The photographs are not read: their SHA-1 tells whether the bytes are others. DuckDB joins
the shards within a bounded memory and spills to disk, so that a million rows take no more than a few thousand.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files
from catalog.database import column_name, connect, text_literal
from catalog.link import runs_table
from catalog.release.manifest import DatasetError, Manifest, load_manifest
from catalog.release.tombstones import read_tombstones
from catalog.store import Catalog
from catalog.views import opened

KINDS = {
    "sha1": "overwritten",
    "title": "moved",
    "license": "relicensed",
    "family": "family",
    "split": "split",
    "labels": "labels",
}
"""Column -> what a change of it is called; a change of any other column is `other`."""

RECIPE_CHANGED = "recipe_changed"
UNKNOWN = "unknown"
NEWLY_LISTED = "newly_listed"
SAME_RECIPE = "same_recipe"
_LIST = pa.list_(
    pa.struct([("column", pa.string()), ("before", pa.string()), ("after", pa.string())])
)
DIFF = pa.schema(
    [
        pa.field("page_id", pa.int64()),
        pa.field("change", pa.string()),
        pa.field("kinds", pa.list_(pa.string())),
        pa.field("reason", pa.string()),
        pa.field("title_before", pa.string()),
        pa.field("title_after", pa.string()),
        pa.field("columns", _LIST),
    ]
)
"""One row per page that differs. `change`: added, removed or changed; `kinds`: of a change; `reason`: of a removal
(tombstone:<reason>, decision:<reason>, recipe_changed, unknown) or of an addition (newly_listed; was:<reason> for which
the old recipe left it out; recipe_changed; same_recipe); `columns`: what differs, values as text. The title of what has
a tombstone is left out."""

_BATCH = 10_000


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Two releases compared."""

    old: Manifest
    new: Manifest
    unchanged: int
    changes: dict[str, int]
    """added, removed, changed -> pages."""
    kinds: dict[str, int]
    """Of the changed pages; one page may count in several."""
    columns: dict[str, int]
    """Column -> pages in which it differs."""
    reasons: dict[str, int]
    """Of the removed pages."""
    added: dict[str, int]
    """Reasons of the added pages."""
    columns_added: tuple[str, ...]
    """Columns (`measures.x` for a field of a struct) that only the new release has; not compared row by row."""
    columns_removed: tuple[str, ...]
    first: list[dict[str, Any]]
    """The first rows of each change, with the columns of `DIFF`."""


def diff_datasets(
    old: Path,
    new: Path,
    *,
    catalog: Catalog | None = None,
    to_json: Path | None = None,
    to_parquet: Path | None = None,
    shown: int = 5,
    memory: str = "1GB",
) -> Diff:
    """Compares two released datasets.

    Args:
        old, new: folders with a manifest.json.
        catalog: where `new` was decided, for the reasons of removals that no tombstone explains, and of additions.
        to_json, to_parquet: files for all rows that differ; written by rename.
        shown: rows of each change in `Diff.first`.
        memory: what DuckDB may take before it spills to disk.

    Raises:
        catalog.release.manifest.DatasetError: a folder is no dataset, or a shard is missing.
        catalog.files.DiskFull: no room for an output.
    """
    manifests = load_manifest(old), load_manifest(new)
    sides = [_leaves_of(folder, held) for folder, held in zip((old, new), manifests, strict=True)]
    shared = {name: steps for name, steps in sides[0].items() if sides[1].get(name) == steps}
    with tempfile.TemporaryDirectory() as spill, _connection(spill, memory) as connection:
        for view, folder, held in zip(("old", "new"), (old, new), manifests, strict=True):
            files = ", ".join(text_literal(str(folder / shard.path)) for shard in held.shards)
            connection.execute(f"CREATE VIEW {view} AS SELECT * FROM read_parquet([{files}])")
        _register_reasons(connection, new, manifests, catalog)
        same = manifests[0].recipe_hash == manifests[1].recipe_hash
        fallbacks = (UNKNOWN, SAME_RECIPE) if same else (RECIPE_CHANGED, RECIPE_CHANGED)
        connection.execute(f"CREATE TABLE diff AS {_query(shared, *fallbacks)}")
        found = Diff(
            old=manifests[0],
            new=manifests[1],
            changes=_counted(connection, "change", "diff"),
            unchanged=_one(connection, "SELECT count(*) FROM new")
            - _one(connection, "SELECT count(*) FROM diff WHERE change <> 'removed'"),
            kinds=_counted(connection, "kind", "(SELECT unnest(kinds) AS kind FROM diff)"),
            columns=_counted(
                connection, "name", '(SELECT unnest("columns")."column" AS name FROM diff)'
            ),
            reasons=_counted(connection, "reason", "diff WHERE change = 'removed'"),
            added=_counted(connection, "reason", "diff WHERE change = 'added'"),
            columns_added=tuple(name for name in sides[1] if name not in sides[0]),
            columns_removed=tuple(name for name in sides[0] if name not in sides[1]),
            first=_first(connection, shown),
        )
        if to_parquet is not None:
            _write_parquet(connection, to_parquet)
        if to_json is not None:
            _write_json(connection, found, to_json)
    return found


@contextmanager
def _connection(spill: str, memory: str) -> Generator[duckdb.DuckDBPyConnection]:
    connection = connect(":memory:", threads=2)
    try:
        connection.execute(f"SET memory_limit = {text_literal(memory)}")
        connection.execute(f"SET temp_directory = {text_literal(spill)}")
        connection.execute("SET preserve_insertion_order = false")
        yield connection
    finally:
        connection.close()


def _leaves_of(folder: Path, manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """Name (`measures.x` for a field of a struct) -> steps to every light column."""
    schema = pa.schema([])
    for shard in manifest.shards:
        try:
            schema = pq.read_schema(folder / shard.path)
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise DatasetError(
                f"{folder / shard.path} is missing or damaged, so there is nothing whole to compare ({error}); "
                "export again."
            ) from error
    found: dict[str, tuple[str, ...]] = {}
    for field in schema:
        if field.name in ("image", "page_id"):
            continue
        if pa.types.is_struct(field.type):
            inner = [field.type.field(i).name for i in range(field.type.num_fields)]
            found |= {f"{field.name}.{name}": (field.name, name) for name in inner}
        else:
            found[field.name] = (field.name,)
    return found


def _register_reasons(
    connection: duckdb.DuckDBPyConnection,
    new: Path,
    manifests: tuple[Manifest, Manifest],
    catalog: Catalog | None,
) -> None:
    """Tables `stones`, `decided` and `decided_before` (page_id, reason), and `since` (page_id)."""
    connection.register("stones", read_tombstones(new))
    nothing = pa.table({"page_id": pa.array([], pa.int64()), "reason": pa.array([], pa.string())})
    decided = before = nothing
    since = nothing.select(["page_id"])
    if catalog is not None:
        old, now = manifests
        with opened(catalog, "all_decisions", "listing") as facts:
            left_out = (
                "SELECT page_id, any_value(reason) AS reason FROM all_decisions "
                "WHERE recipe_hash = ? AND NOT keep GROUP BY page_id"
            )
            decided = facts.sql(left_out, params=[now.recipe_hash]).to_arrow_table()
            # The decisions of one recipe are those of its last build; of an older one with it nothing is known.
            if old.recipe_hash != now.recipe_hash:
                before = facts.sql(left_out, params=[old.recipe_hash]).to_arrow_table()
            if ended := _end_of(old, catalog):
                since = facts.sql(
                    "SELECT page_id FROM listing WHERE page_id IS NOT NULL GROUP BY page_id "
                    "HAVING min(fetched_at) > ?::TIMESTAMPTZ",
                    params=[ended],
                ).to_arrow_table()
    for name, table in (("decided", decided), ("decided_before", before), ("since", since)):
        connection.register(name, table)


def _end_of(manifest: Manifest, catalog: Catalog) -> str | None:
    """When the build that made a release ended, as ISO 8601; None where this catalog did not make it."""
    runs = runs_table(catalog.root / "runs").select(["dataset_hash", "finished_at"]).to_pylist()
    ends = [run["finished_at"] for run in runs if run["dataset_hash"] == manifest.dataset_hash]
    # The first: a later export of the same dataset does not make its files younger.
    return min(ends, default=None)


def _query(shared: Mapping[str, tuple[str, ...]], removed: str, added: str) -> str:
    """One row per page that differs, as `DIFF` has it.

    Args:
        shared: columns that both have.
        removed, added: reason where nothing else is known.
    """
    cells: list[str] = []
    for name, steps in shared.items():
        path = ".".join(map(column_name, steps))
        cells.append(
            f"CASE WHEN o.{path} IS DISTINCT FROM n.{path} THEN {{'column': {text_literal(name)}, "
            f"'before': o.{path}::VARCHAR, 'after': n.{path}::VARCHAR}} END"
        )
    kinds = " ".join(
        f'WHEN x."column" = {text_literal(column)} THEN {text_literal(kind)}'
        for column, kind in KINDS.items()
    )
    return (
        "WITH pages AS (SELECT page_id, any_value(reason) AS reason FROM stones WHERE kind = 'page' GROUP BY ALL), "
        "hashes AS (SELECT sha1, any_value(reason) AS reason FROM stones WHERE sha1 IS NOT NULL GROUP BY ALL), "
        "joined AS (SELECT coalesce(o.page_id, n.page_id) AS page_id, o.sha1, o.title AS old_title, "
        "n.title AS title_after, CASE WHEN n.page_id IS NULL THEN 'removed' WHEN o.page_id IS NULL THEN 'added' "
        "ELSE 'changed' END AS change, CASE WHEN o.page_id IS NULL OR n.page_id IS NULL THEN [] "
        f'ELSE list_filter([{", ".join(cells)}], lambda x: x IS NOT NULL) END AS "columns" '
        "FROM old o FULL JOIN new n ON o.page_id = n.page_id), "
        "told AS (SELECT j.*, coalesce('tombstone:' || coalesce(p.reason, h.reason), 'decision:' || d.reason, "
        f"{text_literal(removed)}) AS why, CASE WHEN j.page_id IN (SELECT page_id FROM since) "
        f"THEN {text_literal(NEWLY_LISTED)} ELSE coalesce('was:' || b.reason, {text_literal(added)}) END AS why_added "
        "FROM joined j LEFT JOIN pages p ON p.page_id = j.page_id "
        "LEFT JOIN hashes h ON h.sha1 = j.sha1 LEFT JOIN decided d ON d.page_id = j.page_id "
        "LEFT JOIN decided_before b ON b.page_id = j.page_id "
        "WHERE j.change <> 'changed' OR len(j.\"columns\") > 0) "
        'SELECT page_id, change, list_sort(list_distinct(list_transform("columns", '
        f"lambda x: CASE {kinds} ELSE 'other' END))) AS kinds, "
        "CASE change WHEN 'removed' THEN why WHEN 'added' THEN why_added END AS reason, "
        "CASE WHEN change = 'removed' AND regexp_matches(why, '^(tombstone:|decision:removed:)') THEN NULL "
        'ELSE old_title END AS title_before, title_after, "columns" FROM told'
    )


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])


def _counted(connection: duckdb.DuckDBPyConnection, name: str, table: str) -> dict[str, int]:
    rows = connection.execute(
        f"SELECT {name}, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    return {str(key): int(count) for key, count in rows}


def _first(connection: duckdb.DuckDBPyConnection, shown: int) -> list[dict[str, Any]]:
    query = "SELECT * FROM diff WHERE change = ? ORDER BY page_id LIMIT ?"
    rows: list[dict[str, Any]] = []
    for change in ("removed", "added", "changed"):
        table = connection.sql(query, params=[change, shown]).to_arrow_table()
        rows += table.to_pylist()
    return rows


def _batches(connection: duckdb.DuckDBPyConnection) -> Iterable[pa.RecordBatch]:
    return connection.sql("SELECT * FROM diff ORDER BY page_id").to_arrow_reader(_BATCH)


def _write_parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    with (
        files.writing(path) as temporary,
        pq.ParquetWriter(temporary, DIFF, compression="zstd") as sink,
    ):
        for batch in _batches(connection):
            sink.write_table(pa.Table.from_batches([batch]).cast(DIFF))


def summary(found: Diff) -> dict[str, Any]:
    """What a diff counts, JSON-able, without the rows."""
    sides = {
        side: {
            "name": held.name,
            "version": held.version,
            "dataset_hash": held.dataset_hash,
            "recipe_hash": held.recipe_hash,
            "rows": held.rows,
        }
        for side, held in (("old", found.old), ("new", found.new))
    }
    return {
        **sides,
        "unchanged": found.unchanged,
        "changes": found.changes,
        "kinds": found.kinds,
        "columns": found.columns,
        "reasons": found.reasons,
        "added_reasons": found.added,
        "columns_added": list(found.columns_added),
        "columns_removed": list(found.columns_removed),
    }


def _write_json(connection: duckdb.DuckDBPyConnection, found: Diff, path: Path) -> None:
    """The summary and, under `rows`, everything: written row by row, so that memory holds one batch."""
    with files.text(path) as sink:
        head = json.dumps(summary(found), indent=1, ensure_ascii=False)
        sink.write(head.removesuffix("\n}") + ',\n "rows": [')
        comma = "\n"
        for batch in _batches(connection):
            for row in batch.to_pylist():
                sink.write(f"{comma}  {json.dumps(row, ensure_ascii=False)}")
                comma = ",\n"
        sink.write("\n ]\n}\n")
