"""The facts of a recipe's candidates as one table, wide enough for its rules and no wider.

What a rule may look at is a number or a short text; what only a person reads (descriptions, credits, the answer itself)
stays in the parts and is fetched by `records_at` for the rows that were chosen. So a table of facts takes less than a
kilobyte a file, whatever Commons says about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from catalog import sums
from catalog.arrow import decoded
from catalog.database import column_name, text_literal
from catalog.latest import VERDICT, Keys, at_places, latest_rows, latest_values, seen_in
from catalog.records import AGAIN, FileRecord, ListingRow, schema
from catalog.removals import NOT_REMOVED, REFUSED_BYTES, REMOVED_PAGES, REQUESTED_BYTES
from catalog.store import Catalog
from catalog.views import opened

pc: Any = compute

ALWAYS = (
    "page_id",
    "title",
    "sha1",
    "width",
    "height",
    "size_bytes",
    "mime",
    "uploaded_at",
    "state",
)
"""Fields of FileRecord that every table of candidates has."""

ADDRESSES = ("url", "file_page_url")
"""Fields that only those need who fetch: a tenth of the room."""

PLACE = ("at_source", "at_part", "at_row")
"""Where the full record of a candidate stands: source key, part, row. For `records_at`."""


def candidates(
    catalog: Catalog,
    *,
    sources: Sequence[tuple[str, int | None]],
    gate_version: str,
    fields: Sequence[str] = (),
    measures: Sequence[tuple[str, str]] = (),
    scores: Sequence[tuple[str, str]] = (),
    hash_version: str | None = None,
    embedding: tuple[str, str] | None = None,
    points: tuple[str, str] | None = None,
    addresses: bool = True,
    looks: bool = False,
) -> pa.Table:
    """The facts of the files that these sources listed, one row per page id, in page id order.

    Args:
        sources: (source key, cap) in the recipe's order; the cap counts listed rows. A file that several sources
            listed belongs to the first.
        gate_version: whose license verdicts to join; `pipelines.build.gate` has judged every listing part by then.
        fields: fields of FileRecord that are wanted besides `ALWAYS`.
        measures: (name, version) wanted; become columns `measure.<name>`.
        scores: likewise `score.<name>`.
        hash_version: which hashes to join.
        embedding: (encoder, version) wanted; becomes the columns `embedding` and `thumbnail`, a few kilobytes a file.
        points: likewise; becomes the columns `points` and `points_thumbnail`.
        addresses: also `ADDRESSES`.
        looks: also `LOOKS` of the hashes.

    Returns:
        `ALWAYS` and `fields`, `source`, `PLACE`, `VERDICT`, `removed` (why it may not be released, or `none`),
        `object` (present, a failure's kind, or null when never tried), phash ... spread, decoded_width,
        decoded_height, and the measures and scores (float64, null where missing).
    """
    with opened(catalog, "listing", "failures", "tombstones") as connection:
        placed = connection.sql(_query(sources)).to_arrow_table()
        failed = connection.sql(_FAILED).to_arrow_table()
        asked = connection.sql(f"SELECT DISTINCT sha1 FROM ({REQUESTED_BYTES})").to_arrow_table()
    # DuckDB only says which rows: with the texts in it, its sort and its answer take a gigabyte at a million files. The
    # rest is read part by part, because a join over all of them would hold every measure of every file in memory.
    names = dict.fromkeys([*ALWAYS, *(ADDRESSES if addresses else ()), *fields])
    keys = [*(key for key, _ in sources), AGAIN]
    rest = [name for name in names if name != "page_id"]
    columns = at_places(catalog, placed, keys, rest, gate_version)
    removed = placed.column("removed")
    if asked.num_rows:
        known = pc.is_in(columns["sha1"], value_set=asked.column("sha1").drop_null())
        removed = pc.coalesce(removed, pc.if_else(known, "requested", None))
    table = pa.table(
        {
            "page_id": placed.column("page_id"),
            **{name: columns[name] for name in rest},
            "source": _named(placed.column("rank"), keys),
            "at_source": _named(placed.column("at_rank"), keys),
            "at_part": placed.column("at_part"),
            "at_row": placed.column("at_row"),
            **{name: columns[name] for name in VERDICT},
            "removed": pc.fill_null(removed, NOT_REMOVED).dictionary_encode(),
        }
    )
    del placed, columns, removed
    sha1s = Keys(table.column("sha1"))
    # A failure that is open outranks a part that has the file: its bytes turned out to be damaged later.
    fetched = pc.if_else(seen_in(catalog, "download", sha1s), "present", None)
    why = failed.column("kind").combine_chunks()
    place = pc.index_in(table.column("sha1"), value_set=failed.column("key").combine_chunks())
    columns = {
        "object": pc.coalesce(why.take(place), fetched).dictionary_encode(),
        **latest_rows(
            catalog, "hash", sha1s, (*HASHES, *(LOOKS if looks else ())), (None, hash_version or "")
        ),
    }
    for stage, wanted in (("measure", measures), ("score", scores)):
        found = latest_values(catalog, stage, sha1s, wanted)
        columns |= {f"{stage}.{name}": values for name, values in found.items()}
    if embedding is not None:
        seen = latest_rows(catalog, "embed", sha1s, ("vector", "thumbnail"), embedding)
        columns |= {"embedding": seen["vector"], "thumbnail": seen["thumbnail"]}
    if points is not None:
        seen = latest_rows(catalog, "embed", sha1s, ("vector", "thumbnail"), points)
        columns |= {"points": seen["vector"], "points_thumbnail": seen["thumbnail"]}
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


_FAILED = (
    "SELECT key, any_value(kind) AS kind FROM failures WHERE stage IN ('download', 'hash') "
    "AND key IS NOT NULL GROUP BY key"
)


def _query(sources: Sequence[tuple[str, int | None]]) -> str:
    """page_id, rank of the source that listed it, where its record stands (rank, part, row), and why its page was
    removed, in page id order."""
    order = ", ".join(
        f"({text_literal(key)}, {i}, {'NULL' if cap is None else int(cap)}::BIGINT)"
        for i, (key, cap) in enumerate(sources)
    )
    return (
        f"WITH wanted(source_key, rank, cap) AS (VALUES {order}), "
        "numbered AS (SELECT page_id, part, part_row, rank, cap, row_number() OVER "
        "(PARTITION BY rank ORDER BY part, part_row) AS nth "
        "FROM listing JOIN wanted USING (source_key)), "
        "first AS (SELECT page_id, rank, part, part_row FROM numbered WHERE page_id IS NOT NULL "
        "AND (cap IS NULL OR nth <= cap) "
        "QUALIFY row_number() OVER (PARTITION BY page_id ORDER BY rank, nth) = 1), "
        # A page that was asked for again is what it was found to be then.
        f"again AS (SELECT page_id, part, part_row FROM listing WHERE source_key = {text_literal(AGAIN)} "
        "QUALIFY row_number() OVER (PARTITION BY page_id ORDER BY fetched_at DESC, part DESC, part_row DESC) = 1) "
        "SELECT first.page_id, first.rank, "
        f"CASE WHEN again.part IS NULL THEN first.rank ELSE {len(sources)} END AS at_rank, "
        "coalesce(again.part, first.part) AS at_part, coalesce(again.part_row, first.part_row) AS at_row, "
        "removed.reason AS removed "
        "FROM first LEFT JOIN again USING (page_id) "
        f"LEFT JOIN ({REMOVED_PAGES}) removed ON removed.page_id = first.page_id ORDER BY first.page_id"
    )


def _named(ranks: pa.ChunkedArray, keys: Sequence[str]) -> pa.DictionaryArray:
    """The key of each rank, as a code."""
    codes = ranks.combine_chunks().cast(pa.int32())
    return pa.DictionaryArray.from_arrays(codes, pa.array(keys, pa.string()))


HASHES = (
    *("phash", "dhash", "phash_mirror", "dhash_mirror"),
    *("spread", "decoded_width", "decoded_height"),
    "camera",
)
"""Columns of catalog.records.HashRecord that a candidate gets."""
LOOKS = ("seen_phash", "seen_dhash")
"""Those that only a search for twins or copies reads: as much room as all measures."""


def records_at(
    catalog: Catalog, places: pa.Table, fields: Sequence[str], *, also: Sequence[str] = ()
) -> pa.Table:
    """These fields of the full records, in the order of `places`; one part of the listing is in memory at a time.

    Args:
        places: the columns `PLACE` of some candidates.
        also: those of `fields` that are fields of ListingRow.
    """
    names = list(fields)
    wanted = pa.schema([*schema(FileRecord), *(schema(ListingRow).field(name) for name in also)])
    empty = pa.schema([wanted.field(name) for name in names]).empty_table()
    source, part, row = (places.column(name) for name in PLACE)
    parts, which = np.unique(
        pc.binary_join_element_wise(decoded(source), part.cast(pa.string()), "/").to_pylist(),
        return_inverse=True,
    )
    # Sorted by part, so that each is opened once; `back` undoes it at the end.
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(parts))).tolist()
    rows = row.to_numpy()[order]
    found = [empty]
    begin = 0
    for one, end in zip(parts.tolist(), ends, strict=True):
        folder, _, number = one.rpartition("/")
        path = catalog.parts / "listing" / folder / f"{int(number):06d}.parquet"
        sums.check([path])
        with (
            sums.naming(catalog.root, pa.ArrowException, OSError),
            pq.ParquetFile(path) as source_part,
        ):
            table = source_part.read(names, use_threads=False)
        found.append(table.take(pa.array(rows[begin:end])))
        begin = end
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return pa.concat_tables(found, promote_options="permissive").select(names).take(pa.array(back))


def refused_bytes(catalog: Catalog, gate_version: str) -> pa.Table:
    """sha1, page_id, reason of what was refused, as each page was last seen: by this version of the gate, or by a
    tombstone for a hidden or deleted file (deleted as a copy of another one does not count).

    Which reasons count for the bytes is the gate's to say (`filters.license.bytes_refused`).
    """
    query = (
        # Only pages of which a row was refused: the window over all of them took two seconds at a million.
        f"WITH refused AS (SELECT * FROM verdicts WHERE version = {text_literal(gate_version)} "
        "AND license_outcome <> 'accept'), "
        "last AS (SELECT page_id, sha1, source_key, part, part_row FROM listing WHERE page_id IS NOT NULL "
        "AND page_id IN (SELECT page_id FROM refused) "
        f"QUALIFY row_number() OVER (PARTITION BY page_id ORDER BY source_key = {text_literal(AGAIN)} DESC, "
        "fetched_at DESC, part DESC, part_row DESC) = 1) "
        "SELECT DISTINCT last.sha1, last.page_id, v.license_reason AS reason FROM last "
        "JOIN refused v ON "
        "v.source_key = last.source_key AND v.part = last.part AND v.part_row = last.part_row "
        "WHERE last.sha1 IS NOT NULL "
        f"UNION SELECT sha1, page_id, reason FROM ({REFUSED_BYTES})"
    )
    with opened(catalog, "listing", "verdicts", "tombstones") as connection:
        return connection.sql(query).to_arrow_table()


def seen_at(
    catalog: Catalog, sha1s: Sequence[str], sources: Sequence[str]
) -> list[tuple[str, str]]:
    """(SHA-1, source_path) of every listed row of these sources that has one of these SHA-1s, oldest first."""
    names = pa.table({"sha1": pa.array(sha1s, pa.string())})
    with opened(catalog, "listing") as connection:
        connection.register("names", names)
        return connection.execute(
            "SELECT sha1, source_path FROM listing SEMI JOIN names USING (sha1) "
            "WHERE list_contains(?, source_key) ORDER BY source_key, part, part_row",
            [list(sources)],
        ).fetchall()


def listed_without_page(catalog: Catalog, titles: Sequence[str]) -> dict[str, str]:
    """Title -> key of the source that listed it, of files that had no page id then."""
    names = pa.table({"title": pa.array(titles, pa.string())})
    with opened(catalog, "listing") as connection:
        connection.register("names", names)
        rows = connection.sql(
            "SELECT title, any_value(source_key) FROM listing SEMI JOIN names USING (title) "
            "WHERE page_id IS NULL GROUP BY title ORDER BY title"
        ).fetchall()
    return dict(rows)


def listed_by(catalog: Catalog, source: str, *, fields: Sequence[str]) -> pa.Table:
    """These fields of the files that one source listed, one row per page (or per title without one), as last seen."""
    columns = ", ".join(column_name(name) for name in fields)
    mine, again = text_literal(source), text_literal(AGAIN)
    query = (
        f"SELECT {columns} FROM listing WHERE source_key = {mine} OR (source_key = {again} AND page_id IN "
        f"(SELECT page_id FROM listing WHERE source_key = {mine})) QUALIFY row_number() OVER "
        "(PARTITION BY page_id, CASE WHEN page_id IS NULL THEN title END "
        f"ORDER BY source_key = {again} DESC, fetched_at DESC, part DESC, part_row DESC) = 1"
    )
    with opened(catalog, "listing") as connection:
        return connection.sql(query).to_arrow_table()


def record_fields(names: Sequence[str]) -> list[str]:
    """Those of `names` that are fields of FileRecord, sorted."""
    return sorted(set(names) & set(schema(FileRecord).names))


def unjudged(catalog: Catalog, version: str) -> list[tuple[str, str]]:
    """(source key, part) of the listing parts that this version of the gate has not judged, in order."""
    judged = {file.name for file in (catalog.parts / "verdict" / version).glob("*.parquet")}
    found = sorted((catalog.parts / "listing").glob("*/*.parquet"))
    return [
        (file.parent.name, file.stem)
        for file in found
        if f"{file.parent.name}.{file.stem}.parquet" not in judged
    ]


def with_last_seen(catalog: Catalog, candidates: pa.Table) -> pa.Table:
    """Adds `seen_at`: when each page was last asked for, by a listing or by a refresh."""
    query = (
        "SELECT page_id, max(seen_at) AS seen_at FROM (SELECT page_id, fetched_at AS seen_at FROM listing "
        "UNION ALL SELECT page_id, checked_at FROM checks) WHERE page_id IS NOT NULL GROUP BY page_id"
    )
    with opened(catalog, "listing", "checks") as connection:
        connection.register("candidates", candidates)
        return connection.sql(
            f"SELECT candidates.*, seen.seen_at FROM candidates LEFT JOIN ({query}) seen USING (page_id)"
        ).to_arrow_table()


def sha1s_of(catalog: Catalog, page_ids: Sequence[int]) -> dict[int, list[str]]:
    """Every SHA-1 under which these pages were ever seen."""
    query = (
        "SELECT page_id, list(DISTINCT sha1 ORDER BY sha1) FROM listing "
        "WHERE sha1 IS NOT NULL AND list_contains(?, page_id) GROUP BY page_id"
    )
    with opened(catalog, "listing") as connection:
        return dict(connection.execute(query, [list(page_ids)]).fetchall())
