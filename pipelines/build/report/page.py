"""The report of a build: what catalog.page.report draws, out of what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from pyarrow import compute

from catalog.arrow import decoded
from catalog.facts import PLACE, records_at
from catalog.page.report import ReportPage, RuleSummary, compose_report
from catalog.removals import NOT_REMOVED
from crawler.download import ObjectStore, OriginalMissing
from crawler.walkers import load_walker
from pipelines.build.decide import Outcome
from pipelines.build.doors import view
from pipelines.build.report.rights import reason_rows
from pipelines.build.run import Build
from pipelines.recipe import Recipe

pc: Any = compute
SHOWN = (
    *("page_id", "title", "sha1", *PLACE, "uploaded_at", "cluster_id", "labels", "uploader"),
    *("license", "width", "height", "source", "scene", "removed", "severity"),
)
"""Facts that the page looks at, where they are there."""
VALUED = ("severity.", "measure.", "score.")
"""With these begin the names of the rest of them."""
TOLD = ("reason", "license_outcome", "license_reason")
"""Of the decisions, beside `keep` and `duplicate_of`."""
EXAMPLES = 3
"""Files shown for each reason of the license gate."""


def report_of(
    run: Build,
    outcome: Outcome,
    samples: pa.Table,
    failures: pa.Table,
    store: ObjectStore,
    facts: dict[str, str],
    reviews: dict[str, Any] | None = None,
) -> ReportPage:
    """The report of a build, not yet written.

    Args:
        failures: as catalog.views.failures gives them.
        facts: lines for the head of the page.
        reviews: as pipelines.build.report.measured.reviews_told gives it.
    """
    from filters.degradation import LABELS

    def original(sha1: str) -> bytes | None:
        try:
            return store.read(sha1)
        except OriginalMissing as error:
            run.met_damage |= error.kind == "object_damaged"
            return None

    def address(row: Mapping[str, Any]) -> str | None:
        if row["at_source"] is None:
            return None
        place = pa.table({name: pa.array([row[name]]) for name in PLACE})
        return records_at(run.catalog, place, ["file_page_url"]).column(0)[0].as_py()

    shown = [
        n for n in SHOWN if n in outcome.facts.column_names and n not in ("removed", "severity")
    ]
    shown += [n for n in outcome.facts.column_names if n.startswith(VALUED)]
    candidates = outcome.facts.select([*shown, "severity"])
    called = source_names(run.recipe)
    keys = candidates.column("source").combine_chunks().dictionary_encode()
    named = [called.get(key, key) for key in keys.dictionary.to_pylist()]
    candidates = candidates.set_column(
        candidates.column_names.index("source"),
        "source",
        pa.array(named, pa.string()).take(keys.indices),
    )
    # What was taken down is counted, not shown.
    gone = pc.not_equal(outcome.facts.column("removed"), NOT_REMOVED)
    for name, instead in (
        ("title", "(removed)"),
        *((name, None) for name in ("sha1", "at_source", "uploader")),
    ):
        if not pc.any(gone).as_py():
            break
        column = pc.if_else(gone, pa.scalar(instead, pa.string()), decoded(candidates.column(name)))
        candidates = candidates.set_column(candidates.column_names.index(name), name, column)
    for name in ("keep", "reason", "duplicate_of"):
        candidates = candidates.append_column(name, outcome.decisions.column(name))
    effects = outcome.ledger.effects()
    rules = [
        RuleSummary(
            name=rule.name,
            threshold=rule.threshold,
            why=rule.why,
            passed=effect["passes"],
            failed=effect["fails"],
            failed_alone=effect["alone"],
            not_measured=effect["not_measured"],
            column=rule.value,
            bounds=tuple(bound for bound in (rule.min, rule.max) if bound is not None),
        )
        for rule, effect in zip(outcome.ledger.rules, effects, strict=True)
    ]
    counts = failures.group_by("kind").aggregate([("key", "count")])
    return compose_report(
        name=run.recipe.name,
        funnel=outcome.funnel,
        candidates=candidates,
        samples=samples,
        rules=rules,
        failures=counts.rename_columns(["kind", "count"]),
        thumbnails=original,
        decode=view,
        marks=[(name, f"severity.{name}", run.recipe.degradation.begins(name)) for name in LABELS],
        facts=facts,
        target_mix=run.recipe.sampling.mix or None,
        shortfalls=list(outcome.shortfalls),
        rights=_reasons(candidates, outcome),
        reviews=reviews,
        address=address,
    )


def source_names(recipe: Recipe) -> dict[str, str]:
    """Source key -> what a person calls it."""
    return {recipe.source_key(one): load_walker(one.kind).label(one) for one in recipe.sources}


def _reasons(candidates: pa.Table, outcome: Outcome) -> list[dict[str, Any]]:
    """Rows of the license gate; examples as the page may show them."""
    judged = candidates.select(["page_id", "title"])
    for name in ("license_outcome", "license_reason"):
        judged = judged.append_column(name, outcome.decisions.column(name))
    return [asdict(row) for row in reason_rows(judged, EXAMPLES)]
