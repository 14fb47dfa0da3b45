"""The license gate, looked at: reasons with counts and examples, and files that a person clears after a look.

Needs no network: verdicts are facts, and what people clear becomes one (`catalog.records.ClearedRow`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog.cleared import add_cleared
from catalog.errors import Expected
from catalog.facts import PLACE, records_at
from catalog.records import ClearedRow
from catalog.removals import look_up
from catalog.store import Catalog, catalog_in
from crawler.names import read_name
from filters.rights.reading import license_url_for
from pipelines.build.gate import gated
from pipelines.build.history import load_built_recipe
from pipelines.build.report.rights import ReasonRow, creditable, reason_rows
from pipelines.offline.refilter import offline_run
from pipelines.recipe import Recipe

_NAMES = ("artist", "attribution")


class NothingToClear(Expected, ValueError):
    """A list of files to clear, or what is said about it, cannot be used; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """What became of a list of files to clear."""

    rows: list[ClearedRow]
    left_out: list[tuple[str, str]]
    """(line, why it was not cleared)."""


def license_rows(
    out: Path, *, recipe: Recipe | None = None, limit: int | None = None, examples: int = 3
) -> list[ReasonRow]:
    """The reasons of the gate over a recipe's candidates, by default those of the last build.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
    """
    candidates, _ = _candidates(out, recipe, limit)
    return reason_rows(candidates, examples)


def _candidates(out: Path, recipe: Recipe | None, limit: int | None) -> tuple[pa.Table, Catalog]:
    if recipe is None:
        recipe, limit = load_built_recipe(catalog_in(out))
    run = offline_run(recipe, out, limit)
    with run.catalog.locked():
        return gated(run)[0], run.catalog


def license_lines(rows: list[ReasonRow]) -> list[str]:
    """The reasons as a table for a terminal, examples below each."""
    lines = [f"{'outcome':<11}{'files':>8}  {'reason':<34}what it means"]
    for row in rows:
        lines.append(f"{row.outcome:<11}{row.files:>8,}  {row.reason:<34}{row.means}")
        if row.reason != "ok":
            lines += [f"{'':<21}page {page_id}  {title}" for page_id, title in row.examples]
    return lines


def clear(
    out: Path,
    lines: Iterable[str],
    *,
    by: str,
    why: str,
    recipe: Recipe | None = None,
    limit: int | None = None,
) -> Cleared:
    """Notes that a person looked at quarantined files and lets them through the gate, each for the reason it has now.

    Args:
        lines: names of files in any form that crawler.names reads, one a line.
        by: who looked.
        why: what they found.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
        NothingToClear: it is not said who looked, or why.
    """
    if not by.strip() or not why.strip():
        raise NothingToClear("Say who looked at the files (--by) and what they found (--why).")
    candidates, catalog = _candidates(out, recipe, limit)
    wanted = ["page_id", "sha1", "license", "license_outcome", "license_reason"]
    by_page = {row["page_id"]: row for row in candidates.select(wanted).to_pylist()}
    moment = datetime.now(UTC).replace(microsecond=0)
    rows: list[ClearedRow] = []
    left_out: list[tuple[str, str]] = []
    with catalog.locked():
        found = look_up(catalog, lines, read_name)
        left_out += [
            (line, found.problems.get(line, "It is not in this catalog.")) for line in found.unknown
        ]
        is_named = [page in found.pages for page in candidates.column("page_id").to_pylist()]
        named = candidates.filter(pa.array(is_named, pa.bool_()))
        names = creditable(records_at(catalog, named.select(PLACE), ["page_id", *_NAMES]))
        for name in names.to_pylist():
            by_page[name["page_id"]] |= name
        for page_id, line in found.pages.items():
            row = by_page.get(page_id)
            problem = _cannot_clear(row)
            if problem is not None or row is None:
                left_out.append((line, problem or ""))
                continue
            rows.append(
                ClearedRow(
                    page_id=page_id,
                    sha1=row["sha1"],
                    reason=row["license_reason"],
                    cleared_by=by.strip(),
                    why=why.strip(),
                    cleared_at=moment,
                )
            )
        add_cleared(catalog, f"{moment:%Y%m%dT%H%M%SZ}", rows)
    return Cleared(rows=rows, left_out=left_out)


def _cannot_clear(row: dict[str, Any] | None) -> str | None:
    if row is None:
        return "The recipe has no such candidate."
    if row["license_outcome"] != "quarantine":
        said = f"{row['license_outcome']}: {row['license_reason']}"
        return f"Only quarantined files are cleared; this one is {said}."
    if row["license"] is None:
        return "It has no license that a release could name."
    # One row that cannot be credited would stop the whole export.
    owes_credit = license_url_for(row["license"]) and row["license"] != "CC0-1.0"
    if owes_credit and not (any(row[name] for name in _NAMES)):
        return "Its license asks for a credit, and the page names nobody whom it could name."
    if row["sha1"] is None:
        return "The wiki gave no SHA-1 of it."
    return None
