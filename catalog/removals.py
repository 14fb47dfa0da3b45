"""Tombstones: which files may no longer be in a release, and what the catalog knows of those that were asked about.

A tombstone is a row of a part like any other, so history is kept: `restored` takes back what came from the wiki itself,
but never what a person asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from catalog.database import text_literal
from catalog.errors import NotAFile
from catalog.records import AGAIN, REDIRECT_FROM, TombstoneRow, to_table
from catalog.release.tombstones import PAGE, TOMBSTONES, VERSION
from catalog.store import Catalog
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

REQUESTED_BYTES = (
    "SELECT DISTINCT sha1 FROM tombstones WHERE reason = 'requested' AND sha1 IS NOT NULL"
)
"""sha1 of what a person asked to be removed: these bytes are in no release, whatever page has them."""

AS_A_COPY = r"duplicate|\bdupe?\b|redundant|redirect|dublette|doublon|duplicad|\bkopie\b"
"""In the deletion log: the file is gone because another one is the same, which says nothing against the bytes."""

REFUSED_BYTES = (
    "SELECT DISTINCT t.sha1, t.page_id, t.reason FROM tombstones t "
    f"JOIN ({REMOVED_PAGES}) r ON r.page_id = t.page_id AND r.reason IN ('hidden', 'deleted') "
    "WHERE t.sha1 IS NOT NULL AND (t.reason = 'hidden' OR (t.reason = 'deleted' "
    f"AND NOT regexp_matches(lower(t.detail), {text_literal(AS_A_COPY)})))"
)
"""sha1, page_id, reason of bytes that were hidden, or deleted for a reason of their own, under any title."""

_PRESENT = (
    "SELECT page_id, sha1 FROM listing WHERE page_id IS NOT NULL{0} QUALIFY row_number() OVER "
    f"(PARTITION BY page_id ORDER BY source_key = '{AGAIN}' DESC, fetched_at DESC, part DESC, part_row DESC) = 1"
)
PRESENT_VERSIONS = _PRESENT.format("")
"""page_id, sha1 of every page as it was last seen."""
_OF_STONES = (
    " AND page_id IN (SELECT page_id FROM listing WHERE sha1 IN "
    "(SELECT sha1 FROM tombstones WHERE sha1 IS NOT NULL))"
)
"""Only of pages that ever had bytes with a tombstone."""


@dataclass(frozen=True, kw_only=True)
class Removals:
    """A list that people sent, looked up in the catalog."""

    pages: dict[int, str]
    """Page id -> the line that named it."""
    unknown: list[str]
    """Lines that name no file of this catalog."""
    problems: dict[str, str]
    """Lines that name no file at all -> a sentence that says why; these stand in `unknown`, too."""
    copies: list[str]
    """Titles of near-duplicates of these pages that stay: with its twin gone, one of them may enter the dataset."""


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


def released_tombstones(catalog: Catalog) -> pa.Table:
    """The tombstones that stand, as a release may tell of them (catalog.release.tombstones.TOMBSTONES).

    Bytes that another page rightly has (Commons deletes duplicates) are no reason to take that page out: there `sha1`
    is null. An overwritten version that the page was reverted to has no tombstone any more.
    """
    query = (
        f"WITH gone AS ({REMOVED_PAGES}), asked AS ({REQUESTED_BYTES}), "
        f"present AS ({_PRESENT.format(_OF_STONES)}), "
        "rightful AS (SELECT DISTINCT sha1 FROM present WHERE sha1 IS NOT NULL "
        "AND sha1 NOT IN (SELECT sha1 FROM asked) AND page_id NOT IN (SELECT page_id FROM gone) "
        f"AND sha1 NOT IN (SELECT sha1 FROM ({REFUSED_BYTES}))), "
        "stones AS (SELECT t.page_id, "
        "CASE WHEN t.sha1 IN (SELECT sha1 FROM rightful) THEN NULL ELSE t.sha1 END AS sha1, "
        "coalesce(g.reason, t.reason) AS reason, "
        f"CASE WHEN g.reason IS NULL THEN '{VERSION}' ELSE '{PAGE}' END AS kind, t.removed_at "
        "FROM tombstones t LEFT JOIN gone g USING (page_id) "
        "WHERE t.reason = 'overwritten' OR (g.reason IS NOT NULL AND t.reason <> 'restored')) "
        'SELECT page_id, sha1, max(removed_at)::DATE AS "date", reason, kind FROM stones '
        f"WHERE kind = '{PAGE}' OR sha1 IS NOT NULL GROUP BY ALL ORDER BY page_id, sha1"
    )
    with opened(catalog, "listing", "tombstones") as connection:
        return connection.sql(query).to_arrow_table().cast(TOMBSTONES)


def add_tombstones(catalog: Catalog, name: str, rows: Sequence[TombstoneRow]) -> None:
    """Writes tombstones as one part; nothing when there are none."""
    if rows:
        catalog.write_twice("tombstone", name, to_table(rows, TombstoneRow))


Named = Callable[[str], int | str | None]
"""What a person means: a page id, or a title with `File:`; crawler.names.read_name raises NotAFile for what is neither.
One that gives None instead leaves out the reason."""


def look_up(catalog: Catalog, lines: Iterable[str], named: Named) -> Removals:
    """Finds the pages that lines name: page ids, titles, addresses of file pages or of originals, SHA-1s, one a line.

    Blank lines and lines that begin with # are left out.
    """
    # A byte order mark at the head of a list is no part of its first line.
    given = [line.strip().lstrip("\ufeff") for line in lines]
    given = [line for line in given if line and not line.startswith("#")]
    problems: dict[str, str] = {}
    pages: dict[int, str] = {}
    unknown: list[str] = []
    with opened(catalog, "listing", "tombstones", "all_decisions") as connection:
        for line in given:
            try:
                found = pages_named(connection, line, named)
            except NotAFile as error:
                found, problems[line] = [], str(error)
            pages |= dict.fromkeys(found, line)
            if not found:
                unknown.append(line)
        copies = _copies(connection, list(pages))
    return Removals(pages=pages, unknown=unknown, problems=problems, copies=copies)


def _copies(connection: duckdb.DuckDBPyConnection, pages: list[int]) -> list[str]:
    """Titles of what any recipe's decisions put into one cluster with these pages, without what is removed already."""
    rows = connection.execute(
        "SELECT DISTINCT o.page_id, o.title FROM all_decisions d JOIN all_decisions o USING (recipe_hash, cluster_id) "
        "WHERE list_contains(?::BIGINT[], d.page_id) AND NOT list_contains(?::BIGINT[], o.page_id) "
        f"AND o.page_id NOT IN (SELECT page_id FROM ({REMOVED_PAGES})) ORDER BY o.page_id",
        [pages, pages],
    ).fetchall()
    return list(dict.fromkeys(title for _, title in rows))


def pages_named(
    connection: duckdb.DuckDBPyConnection, text: str, named: Named, *, table: str = "listing"
) -> list[int]:
    """Page ids of the files that a text names: by SHA-1, page id, title (also an earlier one, or one that redirects
    here) or address.

    Args:
        named: reads the text.
        table: `listing`, or another relation with page_id, title, sha1 and source_path.

    Raises:
        catalog.errors.NotAFile: it can name no file; the message says why.
    """
    is_hash = re.fullmatch(r"[0-9a-fA-F]{40}", text.strip())
    name = text.strip().lower() if is_hash else named(text)
    values: list[Any]
    if name is None:
        return []
    if isinstance(name, int):
        query, values = "page_id = ?", [name]
    elif is_hash:
        query, values = "sha1 = ?", [name]
    else:
        query, values = "title = ? OR ends_with(source_path, ?)", [name, f"{REDIRECT_FROM}{name}"]
    rows = connection.execute(
        f"SELECT DISTINCT page_id FROM {table} WHERE page_id IS NOT NULL AND ({query})", values
    ).fetchall()
    return sorted(int(page_id) for (page_id,) in rows)
