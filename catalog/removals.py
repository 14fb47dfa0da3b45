"""Tombstones: which files may no longer be in a release, and what the catalog knows of those that were asked about.

A tombstone is a row of a part like any other, so history is kept: `restored` takes back what came from the wiki itself,
but never what a person asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from catalog.records import TombstoneRow, to_table
from catalog.store import Catalog
from catalog.titles import named_file
from catalog.views import opened

NOT_REMOVED = "none"
"""Value of the fact `removed` of a file without a tombstone."""

REMOVED_PAGES = (
    # Old bytes of an overwritten file are gone; the page has new ones.
    "SELECT page_id, coalesce(any_value(reason) FILTER (reason = 'requested'), "
    "arg_max(reason, nth)) AS reason FROM (SELECT page_id, reason, "
    "row_number() OVER (ORDER BY removed_at, part, part_row) AS nth FROM tombstones "
    "WHERE reason <> 'overwritten') GROUP BY page_id HAVING reason <> 'restored'"
)
"""page_id, reason of every page that may not be in a release."""


@dataclass(frozen=True, kw_only=True)
class Removals:
    """A list that people sent, looked up in the catalog."""

    pages: dict[int, str]
    """Page id -> the line that named it."""
    unknown: list[str]
    """Lines that name no file of this catalog."""


def removed(catalog: Catalog) -> pa.Table:
    """page_id, sha1, reason, detail, removed_at of every tombstone that stands, newest first."""
    query = (
        "SELECT t.page_id, t.sha1, t.reason, t.detail, t.removed_at FROM tombstones t "
        f"LEFT JOIN ({REMOVED_PAGES}) r USING (page_id) "
        "WHERE t.reason = 'overwritten' OR (r.reason IS NOT NULL AND t.reason <> 'restored') "
        "QUALIFY row_number() OVER (PARTITION BY t.page_id, t.sha1 ORDER BY t.removed_at DESC, "
        "t.part DESC, t.part_row DESC) = 1 ORDER BY t.removed_at DESC, t.page_id"
    )
    with opened(catalog, "tombstones") as connection:
        return connection.sql(query).to_arrow_table()


def add_tombstones(catalog: Catalog, name: str, rows: Sequence[TombstoneRow]) -> None:
    """Writes tombstones as one part; nothing when there are none."""
    if rows:
        number = len(list((catalog.parts / "tombstone" / "all").glob("*.parquet")))
        table = to_table(rows, TombstoneRow)
        catalog.write_rows("tombstone", "all", f"{number:06d}-{name}", table)


def look_up(catalog: Catalog, lines: Iterable[str]) -> Removals:
    """Finds the pages that lines name: page ids, titles, addresses of file pages or of originals, one a line.

    Blank lines and lines that begin with # are left out.
    """
    named = [line.strip() for line in lines]
    named = [line for line in named if line and not line.startswith("#")]
    pages: dict[int, str] = {}
    unknown: list[str] = []
    with opened(catalog, "listing") as connection:
        for line in named:
            found = _pages(connection, line)
            pages |= dict.fromkeys(found, line)
            if not found:
                unknown.append(line)
    return Removals(pages=pages, unknown=unknown)


def _pages(connection: duckdb.DuckDBPyConnection, line: str) -> list[int]:
    name = line.lower() if re.fullmatch(r"[0-9a-fA-F]{40}", line) else named_file(line)
    if name is None:
        return []
    if isinstance(name, int):
        query, value = "page_id = ?", name
    else:
        query, value = "title = ? OR sha1 = ?", name
    values = [value] * query.count("?")
    rows = connection.execute(
        f"SELECT DISTINCT page_id FROM listing WHERE page_id IS NOT NULL AND ({query})", values
    ).fetchall()
    return sorted(int(page_id) for (page_id,) in rows)
