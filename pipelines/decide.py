"""From facts to decisions: joins what crawler and filters found and asks the policy. Pure; no network, no model.

`gate` looks at metadata only and says what is worth downloading; `decide` looks at everything. Both can be run again
at any time from the stored facts: a threshold moves without a crawl.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.records import Decision, FileRecord, from_table, schema, to_table
from filters.policy import Ledger, evaluate
from filters.sampling import draw, split_of
from pipelines.recipe import Recipe

pc: Any = compute
JUDGED_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a recipe makes of the facts."""

    decisions: pa.Table
    """catalog.records.Decision, one row per candidate, page id order."""
    ledger: Ledger
    facts: pa.Table
    """What the rules saw: one row per candidate, same order as the decisions."""
    samples: pa.Table
    """The rows of the dataset without their bytes (catalog.export says which columns)."""
    funnel: list[tuple[str, int]]
    """(step, candidates left), from listed to kept."""


def with_metadata(candidates: pa.Table) -> pa.Table:
    """Adds what follows from metadata alone: licence verdict and geometry (GATE_VALUES of pipelines.recipe)."""
    from filters.license import judge

    # A slice at a time: as Python objects the records take ten times the room that they take in the table.
    verdicts = [
        judge(record)
        for start in range(0, candidates.num_rows, JUDGED_AT_ONCE)
        for record in from_table(candidates.slice(start, JUDGED_AT_ONCE), FileRecord)
    ]
    width = candidates.column("width").cast(pa.float64())
    height = candidates.column("height").cast(pa.float64())
    pixels = pc.multiply(width, height)
    some_pixels = pc.if_else(pc.greater(pixels, 0), pixels, None)
    short = pc.min_element_wise(width, height, skip_nulls=False)
    long = pc.max_element_wise(width, height, skip_nulls=False)
    added = {
        "license": pa.array([v.license for v in verdicts], pa.string()),
        "license_outcome": pa.array([v.outcome for v in verdicts], pa.string()),
        "license_reason": pa.array([v.reason for v in verdicts], pa.string()),
        "family": pa.array([v.family for v in verdicts], pa.string()),
        "short_side": short,
        "long_side": long,
        "aspect": pc.divide(long, pc.if_else(pc.greater(short, 0), short, None)),
        "megapixels": pc.divide(pixels, 1e6),
        "bytes_per_pixel": pc.divide(
            candidates.column("size_bytes").cast(pa.float64()), some_pixels
        ),
        "upload_year": pc.year(candidates.column("uploaded_at")),
    }
    return _append(candidates, added)


def gate(candidates: pa.Table, recipe: Recipe) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """[N]: which candidates are worth downloading. `candidates` as with_metadata returns them."""
    return evaluate(candidates, recipe.gate).passed


def decide(candidates: pa.Table, recipe: Recipe, *, recipe_hash: str) -> Outcome:
    """Decides on every candidate. `candidates`: as with_metadata returns them, with hashes, measures and scores.

    Raises:
        filters.policy.RuleError: a rule names a value that is not there.
    """
    passes_gate = gate(candidates, recipe)
    twins, cluster_ids, duplicate_of = _twins(candidates, recipe, passes_gate)
    labels = _labels(candidates, recipe)
    facts = _append(candidates, {"twin": twins, **labels})
    ledger = evaluate(facts, (*recipe.gate, *recipe.rules))
    page_ids: list[int] = facts.column("page_id").to_pylist()
    accepted = [p for p, ok in zip(page_ids, ledger.passed, strict=True) if ok]
    drawn = draw(accepted, seed=recipe.seed, policy=recipe.sampling)
    reasons = _reasons(facts, ledger, drawn)
    clusters: list[int | None] = cluster_ids.to_pylist()
    groups = [
        page if cluster is None else cluster
        for page, cluster in zip(page_ids, clusters, strict=True)
    ]
    keep = [page in drawn for page in page_ids]
    splits = [
        split_of(group, seed=recipe.seed, policy=recipe.sampling) if kept else None
        for group, kept in zip(groups, keep, strict=True)
    ]
    severity: list[float | None] = facts.column("severity").to_pylist()
    columns = [
        facts.column(name).to_pylist()
        for name in (
            "sha1",
            "title",
            "license_outcome",
            "license",
            "license_reason",
            "family",
            "labels",
        )
    ]
    decisions = [
        Decision(
            recipe_hash=recipe_hash,
            page_id=page_ids[i],
            sha1=columns[0][i],
            title=columns[1][i],
            keep=keep[i],
            reason=reasons[i],
            failed_rules=failed,
            license_outcome=columns[2][i],
            license=columns[3][i],
            license_reason=columns[4][i],
            family=columns[5][i],
            cluster_id=clusters[i],
            duplicate_of=duplicate,
            labels=tuple(columns[6][i] or ()),
            severity=severity[i],
            split=splits[i],
        )
        for i, (failed, duplicate) in enumerate(zip(ledger.failures(), duplicate_of, strict=True))
    ]
    facts = _append(
        facts,
        {"cluster_id": pa.array(groups, pa.int64()), "split": pa.array(splits, pa.string())},
    )
    return Outcome(
        decisions=to_table(decisions, Decision),
        ledger=ledger,
        facts=facts,
        samples=_samples(facts.filter(pa.array(keep, pa.bool_())), recipe),
        funnel=_funnel(ledger, len(drawn)),
    )


def _append(table: pa.Table, columns: dict[str, Any]) -> pa.Table:
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _twins(
    candidates: pa.Table, recipe: Recipe, passes_gate: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[pa.Array, pa.Array, list[int | None]]:
    """Role in its near-duplicate cluster (unique, kept, copy; null without hashes), cluster id, kept copy's page id."""
    from filters.dedupe import dedupe

    hashed = candidates.column("phash").is_valid().to_numpy() & passes_gate
    rows = np.flatnonzero(hashed)
    some = candidates.take(pa.array(rows))

    def numbers(name: str, kind: Any) -> np.ndarray[Any, Any]:
        return pc.fill_null(some.column(name), 0).to_numpy().astype(kind)

    uploaded = some.column("uploaded_at").cast(pa.timestamp("s")).cast(pa.int64())
    result = dedupe(
        page_ids=numbers("page_id", np.int64),
        phash=numbers("phash", np.uint64),
        dhash=numbers("dhash", np.uint64),
        phash_mirror=numbers("phash_mirror", np.uint64),
        dhash_mirror=numbers("dhash_mirror", np.uint64),
        spread=numbers("spread", np.float64),
        pixels=numbers("decoded_width", np.int64) * numbers("decoded_height", np.int64),
        size_bytes=numbers("size_bytes", np.int64),
        uploaded_at=pc.fill_null(uploaded, 0).to_numpy().astype(np.int64),
        policy=recipe.dedupe,
    )
    sizes = Counter(result.cluster_id.tolist())
    roles: list[str | None] = [None] * candidates.num_rows
    clusters: list[int | None] = [None] * candidates.num_rows
    duplicates: list[int | None] = [None] * candidates.num_rows
    for row, cluster, duplicate in zip(
        rows.tolist(), result.cluster_id.tolist(), result.duplicate_of.tolist(), strict=True
    ):
        clusters[row] = cluster
        if duplicate >= 0:
            roles[row], duplicates[row] = "copy", duplicate
        else:
            roles[row] = "kept" if sizes[cluster] > 1 else "unique"
    return pa.array(roles, pa.string()), pa.array(clusters, pa.int64()), duplicates


def _labels(candidates: pa.Table, recipe: Recipe) -> dict[str, Any]:
    """labels, severity, undecided and severity.<label> columns."""
    from filters.degradation import label

    measures = pa.table({name: candidates.column(f"measure.{name}") for name in recipe.measures})
    labelled = label(measures, recipe.degradation)
    return {
        name.replace("severity_", "severity.", 1): labelled.column(name)
        for name in labelled.column_names
    }


def _reasons(facts: pa.Table, ledger: Ledger, drawn: set[int]) -> list[str]:
    """`kept`, `not_drawn`, or the first failed rule with what it saw where that is a text."""
    texts = {
        rule.name: ledger.wide.column(f"{rule.name}:text").to_pylist() for rule in ledger.rules
    }
    lists = {r.name for r in ledger.rules if r.none_match}
    verdicts = {
        rule.name: ledger.wide.column(f"{rule.name}:verdict").to_pylist() for rule in ledger.rules
    }
    reasons: list[str] = []
    for i, (page_id, first) in enumerate(
        zip(facts.column("page_id").to_pylist(), ledger.first_failures(), strict=True)
    ):
        if first is None:
            reasons.append("kept" if page_id in drawn else "not_drawn")
        elif verdicts[first][i] == "not_measured":
            reasons.append(f"{first}:not_measured")
        elif texts[first][i] is not None and first not in lists:
            reasons.append(f"{first}:{texts[first][i]}")
        else:
            reasons.append(first)
    return reasons


def _samples(facts: pa.Table, recipe: Recipe) -> pa.Table:
    """The chosen rows in the shape that catalog.export expects."""
    from filters.degradation import LABELS

    def struct(names: Sequence[str], prefix: str) -> pa.Array:
        arrays = [facts.column(f"{prefix}{name}").combine_chunks() for name in names]
        if not names:
            return pa.array([{}] * facts.num_rows, pa.struct([]))
        return pa.StructArray.from_arrays(arrays, names=[n.replace(":", "_") for n in names])

    keep = [
        *schema(FileRecord).names,
        *("license", "family", "split", "labels", "severity", "phash", "dhash", "cluster_id"),
    ]
    return _append(
        facts.select(keep),
        {
            "severities": struct(LABELS, "severity."),
            "measures": struct(recipe.measures, "measure."),
            "scores": struct(recipe.scores, "score."),
        },
    )


def _funnel(ledger: Ledger, drawn: int) -> list[tuple[str, int]]:
    """How many are left after each rule, rules that nobody fails first left out."""
    steps = [("listed", int(ledger.failed.shape[0]))]
    left = np.ones(ledger.failed.shape[0], dtype=bool)
    for i, rule in enumerate(ledger.rules):
        left &= np.logical_not(ledger.failed[:, i])
        steps.append((rule.name, int(left.sum())))
    if drawn != steps[-1][1]:
        steps.append(("drawn", drawn))
    return steps
