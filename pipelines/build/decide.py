"""From facts to decisions: asks the policy about every candidate. Pure; no network, no model.

It can be run again at any time from the stored facts: a threshold moves without a crawl. Columns, not objects: a table
of candidates is decided in one go, and takes the room of a table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.arrow import decoded
from catalog.facts import LOOKS
from catalog.records import Decision, schema
from filters.degradation import LABELS
from filters.policy import NOT_MEASURED, Ledger, evaluate
from filters.sampling import (
    Accepted,
    Drawn,
    SamplingPolicy,
    Shortfall,
    draw,
    split_groups,
    split_of,
    takes_all,
)
from filters.scenes import scenes
from pipelines.build.copies import Twins, find_twins
from pipelines.build.gate import as_decoded, gate_rules, measured_rules, passes_gate
from pipelines.build.parts import leak_points, tied_groups
from pipelines.build.reviewed import (
    LIKE_TEST,
    REVIEW_RULE,
    TEST,
    corrected_labels,
    in_test,
    like_test,
    obeyed,
)
from pipelines.build.twins import looks_of
from pipelines.recipe import Recipe

pc: Any = compute


SLICE = 50_000
"""Candidates that are judged at a time."""
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a recipe makes of the facts."""

    decisions: pa.Table
    """catalog.records.Decision, one row per candidate, page id order."""
    ledger: Ledger
    facts: pa.Table
    """What the rules saw: one row per candidate, same order as the decisions."""
    kept: pa.Array
    """[N]: in the dataset."""
    funnel: list[tuple[str, int]]
    """(step, candidates left), from listed to kept."""
    twins: Twins | None
    """None: forgotten."""
    shortfalls: tuple[Shortfall, ...] = ()
    """Quotas of the sampling that could not be filled."""


def decide(
    candidates: pa.Table,
    recipe: Recipe,
    *,
    recipe_hash: str,
    twins: Twins | None = None,
    edges: Ints | None = None,
) -> Outcome:
    """Decides on every candidate.

    Args:
        candidates: as pipelines.build.gate has them, with hashes, measures and scores.
        twins: of an earlier decision on the same candidates with the same gate, dedupe and degradation sections.
        edges: confirmed edges among all candidates with hashes (pipelines.build.twins), where they are known.

    Raises:
        filters.policy.RuleError: a rule names a value that is not there.
    """
    candidates = as_decoded(candidates, recipe)
    labels = _labels(candidates, recipe)
    twins = twins or find_twins(candidates, recipe, passes_gate(candidates, recipe), edges, labels)
    roles, clusters, duplicate_of = twins
    leaks = _leakage(candidates, recipe)
    # Looked at for the last time.
    looks = [name for name in LOOKS if name in candidates.column_names]
    facts = _append(candidates.drop_columns(looks), {"twin": roles, **labels, **leaks})
    # All rules on all files, also behind the first that failed: `alone` and what-if need the whole ledger.
    said = (REVIEW_RULE,) if "review" in facts.column_names else ()
    ledger = evaluate(facts, (*gate_rules(recipe), *said, *measured_rules(recipe)))
    ledger = obeyed(ledger, facts, recipe)
    page_ids = facts.column("page_id").to_numpy()
    # A file that was not hashed is a group of its own.
    groups = pc.coalesce(clusters, facts.column("page_id").combine_chunks())
    # People chose the test split: it is not drawn from, and what resembles it is in no split.
    test, like = in_test(facts) & ledger.passed, like_test(facts, groups)
    # Sampling draws from what passed every rule and knows nothing of the others.
    accepted = _accepted(facts.filter(pa.array(ledger.passed & ~test & ~like)), recipe)
    drawn = draw(accepted, seed=recipe.seed, policy=_without(recipe.sampling, int(test.sum())))
    chosen = np.fromiter(drawn.page_ids, np.int64, len(drawn.page_ids))
    keep = pa.array(np.isin(page_ids, chosen) | test)
    tied = tied_groups(facts, groups, keep, recipe)
    if test.any():
        # A part of a test picture was not known as its twin.
        like |= like_test(facts, tied) & keep.to_numpy(zero_copy_only=False)
        keep = pc.and_(keep, pa.array(~like))
    # After the draw, so that the share of validation holds among the files that are kept.
    splits = _splits(facts, tied, keep, test, recipe)
    # In the order and types of the record, whatever order the columns were made in.
    columns: dict[str, Any] = {
        "recipe_hash": pa.repeat(recipe_hash, facts.num_rows),
        "keep": keep,
        "reason": _reasons(facts, ledger, keep, drawn, like),
        "failed_rules": ledger.failures(),
        "cluster_id": clusters,
        "duplicate_of": duplicate_of,
        "split": splits,
    }
    wanted = schema(Decision)
    decisions = pa.table(
        {field.name: _as(columns.get(field.name), facts, field) for field in wanted},
        schema=wanted,
    )
    facts = _append(
        facts, {"cluster_id": groups, "split": splits, **_kept_scenes(facts, keep, recipe)}
    )
    return Outcome(
        decisions=decisions,
        ledger=ledger,
        facts=facts,
        kept=keep,
        funnel=_funnel(ledger, int(pc.sum(keep).as_py() or 0)),
        twins=twins,
        shortfalls=drawn.shortfalls,
    )


def _without(policy: SamplingPolicy, held: int) -> SamplingPolicy:
    """The policy for what is drawn beside `held` pictures of the test split."""
    if policy.max_samples is None or not held:
        return policy
    return replace(policy, max_samples=max(1, policy.max_samples - held))


def _as(column: Any, facts: pa.Table, field: pa.Field) -> Any:
    """A column of the decisions: made here, or one of the facts."""
    given = facts.column(field.name) if column is None else column
    if pa.types.is_list(field.type):
        given = pc.coalesce(given, pa.scalar([], given.type))
    return given.cast(field.type)


def _accepted(passed: pa.Table, recipe: Recipe) -> list[Accepted]:
    """What sampling looks at, of the rows that passed all rules; their page ids where it will take them all."""
    if takes_all(passed.num_rows, recipe.sampling):
        return [Accepted(page_id=page_id) for page_id in passed.column("page_id").to_pylist()]
    severities = np.stack(
        [pc.fill_null(passed.column(f"severity.{label}"), -1.0).to_numpy() for label in LABELS],
        axis=1,
    )
    columns = ("page_id", "labels", "severity", "uploader", "upload_year")
    known = "categories" in passed.column_names
    categories = passed.column("categories").to_pylist() if known else [()] * passed.num_rows
    scene = _scenes(passed, recipe)
    values = zip(*(passed.column(name).to_pylist() for name in columns), strict=True)
    return [
        Accepted(
            page_id=page_id,
            label=max(labels, key=lambda label: row[LABELS.index(label)]) if labels else None,
            severity=severity,
            uploader=uploader,
            upload_year=year,
            categories=tuple(categories[place] or ()),
            scene=scene[place],
        )
        for place, ((page_id, labels, severity, uploader, year), row) in enumerate(
            zip(values, severities, strict=True)
        )
    ]


def _scenes(passed: pa.Table, recipe: Recipe) -> list[int | None]:
    """[N]; all None where no cap asks for them."""
    if "scene" not in recipe.sampling.caps:
        return [None] * passed.num_rows
    return _scenes_of(passed, recipe)


def _scenes_of(some: pa.Table, recipe: Recipe) -> list[int | None]:
    """[N] page id of the first picture of each one's scene; all None without an encoder."""
    policy = recipe.dedupe.embedding
    if policy is None:
        return [None] * some.num_rows
    page_ids = some.column("page_id").to_numpy()
    return scenes(page_ids, some.column("embedding").to_pylist(), policy.least_cosine)


def _kept_scenes(facts: pa.Table, keep: pa.Array, recipe: Recipe) -> dict[str, Any]:
    """`scene` of what was kept, among what was kept, for card and report; nothing where no encoder looked."""
    if recipe.dedupe.embedding is None or "embedding" not in facts.column_names:
        return {}
    kept = np.flatnonzero(keep.to_numpy(zero_copy_only=False))
    found: list[int | None] = [None] * facts.num_rows
    for row, scene in zip(
        kept.tolist(), _scenes_of(facts.take(pa.array(kept)), recipe), strict=True
    ):
        found[row] = scene
    return {"scene": pa.array(found, pa.int64())}


def _splits(
    facts: pa.Table, groups: pa.Array, keep: pa.Array, test: Bools, recipe: Recipe
) -> pa.Array:
    """Split of each kept file; null for the others."""
    policy = recipe.sampling
    here = keep.to_numpy(zero_copy_only=False)
    kept = np.flatnonzero(here & ~test)
    # Groups are made of kept files alone: what was dropped ties nobody together.
    columns = [
        column.take(pa.array(kept)).to_pylist()
        for column in (facts.column("page_id"), groups, facts.column("uploader"))
    ]
    together = split_groups(columns[0], columns[1], columns[2], policy)
    names = [split_of(group, seed=recipe.seed, policy=policy) for group in together]
    # Back to the rows of all candidates, null where nothing was kept.
    place = np.full(facts.num_rows, -1)
    place[kept] = np.arange(len(kept))
    drawn = pa.array(names, pa.string()).take(pa.array(place, mask=place < 0))
    return pc.if_else(pa.array(test), TEST, drawn) if test.any() else drawn


def _append(table: pa.Table, columns: dict[str, Any]) -> pa.Table:
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _leakage(candidates: pa.Table, recipe: Recipe) -> dict[str, Any]:
    """leak_distance, leak_points and leak_of, where the recipe names an index of fingerprints; else null."""
    from filters.duplicates.leakage import nearest, read_index

    rows = candidates.num_rows
    if recipe.leakage.index is None:
        return {
            "leak_distance": pa.nulls(rows, pa.int64()),
            "leak_points": pa.nulls(rows, pa.int64()),
            "leak_of": pa.nulls(rows, pa.string()),
        }
    index = read_index(Path(recipe.leakage.index))
    hashed = candidates.column("phash").is_valid().to_numpy()
    names_of = ("phash", "dhash", "phash_mirror", "dhash_mirror", "spread", *LOOKS)
    some = candidates.select([n for n in names_of if n in candidates.column_names])
    some = some.filter(pa.array(hashed))
    distance = np.full(rows, 0, dtype=np.int64)
    which = np.full(rows, -1, dtype=np.int64)
    phash, dhash, other_phash, other_dhash = looks_of(some)
    distance[hashed], which[hashed] = nearest(
        index,
        phash=phash,
        dhash=dhash,
        phash_mirror=other_phash,
        dhash_mirror=other_dhash,
        spread=pc.fill_null(some.column("spread"), 0.0).to_numpy().astype(np.float64),
        policy=recipe.leakage,
    )
    names = pc.binary_join_element_wise(index.column("benchmark"), index.column("name"), ": ")
    # A file without hashes was compared with nothing; null is not the same as far away.
    nowhere = (which < 0) | ~hashed
    nearest_row = pa.array(which, mask=nowhere)
    shared, holder = leak_points(candidates, recipe)
    # Of what a picture shares a part with, that is the news.
    a_part = pc.fill_null(pc.greater(shared, 0), fill_value=False)
    return {
        "leak_distance": pa.array(distance, mask=~hashed),
        "leak_points": shared,
        "leak_of": names.combine_chunks().take(pc.if_else(a_part, holder, nearest_row)),
    }


def _labels(candidates: pa.Table, recipe: Recipe) -> dict[str, Any]:
    """labels, severity, undecided and severity.<label> columns."""
    from filters.degradation import label

    names = sorted(recipe.degradation.measures)
    measures = pa.table({name: candidates.column(f"measure.{name}") for name in names})
    # In slices: a classifier holds several numbers for each measure. Every row is judged by itself.
    slices = [measures.slice(at, SLICE) for at in range(0, max(1, measures.num_rows), SLICE)]
    labelled = pa.concat_tables([label(one, recipe.degradation) for one in slices])
    columns: dict[str, Any] = {
        name.replace("severity_", "severity.", 1): labelled.column(name)
        for name in labelled.column_names
    }
    return corrected_labels(columns, candidates, recipe.degradation)


def _reasons(
    facts: pa.Table, ledger: Ledger, keep: pa.Array, drawn: Drawn, like: Bools
) -> pa.Array:
    """`kept`, why it was not drawn, that it resembles the test split, or the first failed rule with what it saw where
    that is a text."""
    # What was drawn or left out by the draw passed all rules; the loop below overwrites only those that failed one.
    first = ledger.first
    left_out = pa.array(list(drawn.reasons), pa.int64())
    why = pa.array(list(drawn.reasons.values()), pa.string())
    place = pc.index_in(facts.column("page_id").combine_chunks(), value_set=left_out)
    reasons = pc.if_else(keep, "kept", pc.coalesce(why.take(place), "not_drawn"))
    reasons = pc.if_else(pa.array(like), LIKE_TEST, reasons)
    for i, rule in enumerate(ledger.rules):
        here = first == i
        if not here.any():
            continue
        reason = pa.repeat(rule.name, facts.num_rows)
        # The text that failed belongs into the reason, but a match of a forbidden pattern may be a whole list.
        if not rule.none_match:
            text = decoded(ledger.wide.column(f"{rule.name}:text").combine_chunks())
            seen = pc.binary_join_element_wise(reason, text, ":")
            reason = pc.coalesce(seen, reason)
        unknown = pa.array(ledger.verdicts[:, i] == NOT_MEASURED)
        reason = pc.if_else(unknown, f"{rule.name}:not_measured", reason)
        reasons = pc.if_else(pa.array(here), reason, reasons)
    return reasons


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
