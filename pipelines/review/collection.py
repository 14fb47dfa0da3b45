"""What the page shows: rows with their pictures, out of a catalog. Others (releases, folders) have the same shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.arrow import decoded
from catalog.facts import PLACE, records_at
from catalog.release.credits import plain
from catalog.removals import NOT_REMOVED
from catalog.store import Catalog, catalog_in
from crawler.download import ObjectStore, OriginalMissing
from filters.degradation import LABELS
from pipelines.build.decide import Outcome
from pipelines.build.report.page import source_names
from pipelines.build.report.rights import creditable
from pipelines.offline.judged import outcome_of
from pipelines.recipe import Recipe

pc: Any = compute

NEAR = 0.05
"""Share of the measured candidates that counts as borderline on each side of a bound."""
COPIED = (
    *("page_id", "sha1", "title", "width", "height", "size_bytes", "labels"),
    *("severity", "license", "license_outcome", "license_reason", "family", "uploader"),
    *("source", "object", "cluster_id", "undecided"),
)
CREDIT = (
    *("artist", "artist_url", "attribution", "license_url", "license_short_name", "description"),
    *("file_page_url", "categories"),
)


@dataclass(kw_only=True)
class Collection:
    """Rows and pictures for the page."""

    title: str
    rows: pa.Table
    """`n` and whatever of the columns of `rows_of` is known."""
    read: Callable[[str], bytes | None]
    """The row's `sha1` -> the original's bytes; None where they are not kept."""
    explain: Callable[[int], list[str]] = field(default=lambda n: [])
    """Row -> lines that tell why it is in or out."""
    labels: tuple[str, ...] = LABELS
    catalog: Catalog | None = None
    """Where verdicts go; None: read-only."""
    outcome: Outcome | None = None
    """For thresholds; None: they cannot be moved."""
    recipe: Recipe | None = None
    out: Path | None = None


def of_build(out: Path) -> Collection:
    """Every candidate of the last build in `out`, as its recipe decides now. Takes the catalog's lock meanwhile.

    Raises:
        catalog.errors.NoBuild: there is no finished build.
        catalog.store.CatalogLocked: somebody builds here.
    """
    catalog = catalog_in(out)
    with catalog.locked():
        outcome, recipe = outcome_of(out, catalog)
        rows = rows_of(outcome, catalog, recipe)
    store = ObjectStore(catalog.root / "objects")

    def read(sha1: str) -> bytes | None:
        try:
            return store.read(sha1)
        except (OriginalMissing, ValueError):
            return None

    pages = rows.column("page_id").to_pylist()

    def explain(n: int) -> list[str]:
        from catalog.explain import explain_lines

        return explain_lines(out, str(pages[n]))

    return Collection(
        title=recipe.title or recipe.name,
        rows=rows,
        read=read,
        explain=explain,
        catalog=catalog,
        outcome=outcome,
        recipe=recipe,
        out=out,
    )


def rows_of(outcome: Outcome, catalog: Catalog, recipe: Recipe) -> pa.Table:
    """One row per candidate: what the page filters, sorts and shows. What was taken down is left out."""
    here = pc.equal(outcome.facts.column("removed"), NOT_REMOVED)
    facts, decisions = outcome.facts.filter(here), outcome.decisions.filter(here)
    mask = np.asarray(here.to_numpy()).astype(bool)
    columns: dict[str, Any] = {"n": pa.array(np.arange(facts.num_rows, dtype=np.int64))}
    for name in COPIED:
        columns[name] = decoded(facts.column(name))
    for name in ("keep", "reason", "split", "duplicate_of"):
        columns[name] = decisions.column(name)
    called = source_names(recipe)
    sources = [called.get(key, key) for key in columns["source"].to_pylist()]
    columns["source"] = pa.array(sources, pa.string())
    columns["year"] = facts.column("upload_year")
    failed = outcome.ledger.failed[mask]
    columns["failed"] = decisions.column("failed_rules")
    names = pa.array([rule.name for rule in outcome.ledger.rules], pa.string())
    several = failed.sum(axis=1) != 1
    columns["alone"] = names.take(pa.array(failed.argmax(axis=1), mask=several))
    columns["borderline"] = _borderline(outcome, facts)
    credit = creditable(records_at(catalog, facts.select(PLACE), CREDIT))
    for name in CREDIT:
        columns[name] = credit.column(name)
    for name in facts.column_names:
        kind, dot, rest = name.partition(".")
        if dot and kind in ("severity", "measure", "score"):
            shown = f"severity_{rest}" if kind == "severity" else rest
            columns[shown] = facts.column(name).cast(pa.float64())
    columns["title"] = pa.array(
        [plain(title, markup=False) for title in columns["title"].to_pylist()], pa.string()
    )
    return pa.table(columns)


def _borderline(outcome: Outcome, facts: pa.Table) -> pa.Array:
    """Of each row the rules on whose bound it nearly lies: of those measured the NEAR nearest on either side."""
    found: list[list[str]] = [[] for _ in range(facts.num_rows)]
    for rule in outcome.ledger.rules:
        column = facts.column(rule.value)
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            continue
        values = column.cast(pa.float64()).to_numpy()
        for bound in (b for b in (rule.min, rule.max) if b is not None):
            for side in (values < bound, values >= bound):
                rows = np.flatnonzero(side & np.isfinite(values))
                nearest = rows[np.argsort(np.abs(values[rows] - bound), kind="stable")]
                most = max(1, round(NEAR * int(np.isfinite(values).sum())))
                for row in nearest[:most].tolist():
                    if rule.name not in found[row]:
                        found[row].append(rule.name)
    return pa.array(found, pa.list_(pa.string()))
