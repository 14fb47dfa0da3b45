"""What people cleared: quarantined files that somebody looked at, with who, when and why. Facts, kept for ever.

A row is about one version of one file (page id and SHA-1) and one reason of the gate: new bytes, or another reason,
need another look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa

from catalog.records import ClearedRow, to_table
from catalog.store import Catalog
from catalog.views import opened


def add_cleared(catalog: Catalog, name: str, rows: Sequence[ClearedRow]) -> None:
    """Writes rows as one part; nothing when there are none."""
    if rows:
        catalog.write_twice("cleared", name, to_table(rows, ClearedRow))


def all_cleared(catalog: Catalog) -> pa.Table:
    """catalog.records.ClearedRow of everything that people cleared, oldest first."""
    with opened(catalog, "cleared") as connection:
        return connection.sql("SELECT * FROM cleared ORDER BY cleared_at, page_id").to_arrow_table()


def reasons_by_file(catalog: Catalog) -> dict[tuple[int, str], frozenset[str]]:
    """(page id, SHA-1) -> reasons that were cleared."""
    if not any((catalog.parts / "cleared" / "all").glob("*.parquet")):
        return {}
    found: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
    for row in all_cleared(catalog).to_pylist():
        found[row["page_id"], row["sha1"]].add(row["reason"])
    return {key: frozenset(reasons) for key, reasons in found.items()}
