"""Samples drawn for people to judge, thresholds fitted to what they saw, and a test split that people verified.

lucidlr review --draw 200        draws a sample and opens it
lucidlr calibrate --reviews      proposes thresholds, as a recipe to save
lucidlr review --test-split F    freezes the test split, which the next build releases
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from catalog import files
from catalog.errors import Expected
from catalog.records import ReviewRow
from catalog.reviews import (
    FROZEN,
    SampleRow,
    Word,
    add_reviews,
    all_reviews,
    checked,
    frozen,
    keep_sample,
    new_id,
    sample_names,
    standing,
    words,
)
from catalog.store import Catalog
from filters.degradation import LABELS, NOT_DEGRADED
from filters.reviewing import Answers, draw, refit, strata
from pipelines.build.decide import Outcome, decide
from pipelines.build.gate import gated
from pipelines.build.history import load_built_recipe
from pipelines.build.publish import facts_to_join
from pipelines.build.report.measured import answers_to, as_answers
from pipelines.build.reviewed import of_the_picture
from pipelines.build.twins import edges_among
from pipelines.offline.changes import changed_recipe
from pipelines.offline.refilter import offline_run
from pipelines.recipe import Recipe


class NotEnoughVerdicts(Expected, ValueError):
    """Too few verdicts for what was asked."""


FEWEST = 20
"""Verdicts below which no threshold is fitted."""


def outcome_of(
    out: Path, catalog: Catalog, *, reviewed: bool = True, recipe: Recipe | None = None
) -> tuple[Outcome, Recipe]:
    """What the last build's recipe (or `recipe`) makes of the facts now.

    Args:
        reviewed: False: as if nobody had said anything.

    Raises:
        catalog.errors.NoBuild: there is no finished build in `out`.
    """
    built, limit = load_built_recipe(catalog)
    recipe = recipe or built
    run = offline_run(recipe, out, limit)
    joined, recipe_hash = facts_to_join(run, stored=True)
    with catalog.reading():
        table, _ = gated(run, **joined)
        if not reviewed:
            said = ("review", "held_out")
            table = table.select([n for n in table.column_names if not n.startswith(said)])
        edges = edges_among(
            catalog, table, recipe.dedupe, version=joined["hash_version"], keep=False
        )
    return decide(table, recipe, recipe_hash=recipe_hash, edges=edges), recipe


def draw_sample(
    out: Path, catalog: Catalog, count: int, *, name: str, seed: int = 0, blind: bool = True
) -> list[SampleRow]:
    """Draws and freezes a sample of the candidates with pictures: by label, severity and verdict of the filter.

    Raises:
        catalog.reviews.BadReviews: the name is taken.
        catalog.errors.NoBuild: there is no finished build in `out`.
    """
    outcome, _ = outcome_of(out, catalog, reviewed=False)
    facts, decisions = outcome.facts, outcome.decisions
    seen = [o == "present" for o in facts.column("object").to_pylist()]
    rows = np.flatnonzero(np.array(seen, dtype=bool))
    keep = np.asarray(outcome.kept.to_numpy(zero_copy_only=False), dtype=bool)[rows]
    severity = facts.column("severity").cast(pa.float64()).to_numpy()[rows]
    some = pa.array(rows)
    columns = {
        n: facts.column(n).take(some).to_pylist() for n in ("page_id", "sha1", "labels", "source")
    }
    reasons = decisions.column("reason").take(some).to_pylist()
    groups = strata(columns["labels"], severity, keep, LABELS)
    sizes = Counter(groups)
    drawn = [
        SampleRow(
            page_id=columns["page_id"][i],
            sha1=columns["sha1"][i],
            stratum=groups[i],
            stratum_size=sizes[groups[i]],
            keep=bool(keep[i]),
            reason=reasons[i],
            labels=tuple(columns["labels"][i] or ()),
            severity=None if not np.isfinite(severity[i]) else float(severity[i]),
            source=columns["source"][i],
            blind=blind,
        )
        for i in draw(groups, count, seed=seed).tolist()
    ]  # fmt: skip
    keep_sample(catalog, name, drawn)
    return drawn


# -- thresholds by verdicts ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A bound of a rule that agrees better with people."""

    change: str
    """As `lucidlr whatif` takes it."""
    rule: str
    now: float
    value: float
    before: float
    """Agreement with the verdicts with the bound as it is, weighted, 0 to 1."""
    agreement: float
    held_out: float


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a sample's verdicts propose."""

    proposals: tuple[Proposal, ...]
    recipe: Recipe
    """With those that agree better on verdicts that they were not fitted to."""
    reliability: tuple[tuple[str, int, float, float], ...]
    """Band of severity, verdicts, mean severity, share of pictures in which people saw any damage."""
    answered: int


def propose(out: Path, catalog: Catalog, name: str | None = None) -> Fitted:
    """Bounds of the rules on what was measured in the picture, each fitted to the verdicts on what passes all other
    rules. Under the catalog's lock.

    Raises:
        NotEnoughVerdicts: fewer than FEWEST.
    """
    for one in [name] if name else list(reversed(sample_names(catalog))):
        rows, said, _ = answers_to(catalog, one)
        if len(rows) >= FEWEST:
            outcome, recipe = outcome_of(out, catalog, reviewed=False)
            return fitted(outcome, recipe, rows, said)
    raise NotEnoughVerdicts(
        f"No sample has {FEWEST} verdicts: run `lucidlr review --draw 200` and answer them."
    )


def fitted(
    outcome: Outcome, recipe: Recipe, rows: Sequence[SampleRow], said: Sequence[Word]
) -> Fitted:
    """As `propose`, from what is at hand."""
    at = {page: i for i, page in enumerate(outcome.facts.column("page_id").to_pylist())}
    here = [i for i, row in enumerate(rows) if row.page_id in at]
    place = np.array([at[rows[i].page_id] for i in here], dtype=np.int64)
    answers = as_answers([rows[i] for i in here], [said[i] for i in here])
    found: list[Proposal] = []
    for rule in recipe.rules:
        bounded = [(side, getattr(rule, side)) for side in ("min", "max")]
        bounded = [(side, bound) for side, bound in bounded if bound is not None]
        if len(bounded) != 1 or not of_the_picture(rule, recipe):
            continue
        # What another rule drops says nothing of this bound.
        others = [i for i, r in enumerate(outcome.ledger.rules) if r.name != rule.name]
        free = ~outcome.ledger.failed[place][:, others].any(axis=1)
        values = outcome.facts.column(rule.value).cast(pa.float64()).to_numpy()[place]
        use = free & np.isfinite(values)
        if int(use.sum()) < FEWEST or len(set(answers.keep[use].tolist())) < 2:
            continue
        side, now = bounded[0]
        best = refit(values[use], answers.keep[use], answers.weights[use], now, lower=side == "min")
        found.append(
            Proposal(
                change=f"{rule.name}.{side}={best.value:.6g}",
                rule=rule.name,
                now=now,
                value=best.value,
                before=best.before,
                agreement=best.agreement,
                held_out=best.held_out,
            )
        )
    better = [one.change for one in found if one.held_out > one.before]
    severity = outcome.facts.column("severity").cast(pa.float64()).to_numpy()[place]
    return Fitted(
        proposals=tuple(found),
        recipe=changed_recipe(recipe, better),
        reliability=tuple(_reliability(severity, answers)),
        answered=len(here),
    )


def _reliability(
    severity: np.ndarray[Any, Any], answers: Answers
) -> list[tuple[str, int, float, float]]:
    damaged = np.zeros(len(severity), dtype=bool)
    for name, seen in answers.seen.items():
        if name not in NOT_DEGRADED:
            damaged |= seen
    found: list[tuple[str, int, float, float]] = []
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        band = (severity >= low) & (severity < low + 0.2 + (low > 0.7))
        if band.any():
            weights = answers.weights[band]
            found.append(
                (
                    f"{low:.1f} to {low + 0.2:.1f}",
                    int(band.sum()),
                    float(np.average(severity[band], weights=weights)),
                    float(np.average(damaged[band], weights=weights)),
                )
            )
    return found


def proposal_lines(found: Fitted) -> list[str]:
    """For a terminal."""
    lines = [f"{found.answered} verdicts; agreement with them, each standing for its stratum:"]
    lines.append(f"  {'change':<34}{'now':>9}{'before':>9}{'fitted':>9}{'held out':>10}")
    for one in found.proposals:
        mark = "" if one.held_out > one.before else "   not better, left as it is"
        lines.append(
            f"  {one.change:<34}{one.now:>9.4g}{one.before:>9.3f}{one.agreement:>9.3f}{one.held_out:>10.3f}{mark}"
        )
    if not found.proposals:
        lines.append(
            "  no rule has one bound on what was measured in the picture, and enough verdicts"
        )
    lines.append(f"  {'severity':<16}{'verdicts':>9}{'mean':>8}{'damage seen':>13}")
    lines += [
        f"  {band:<16}{count:>9}{mean:>8.2f}{seen:>13.2f}"
        for band, count, mean, seen in found.reliability
    ]
    return lines


# -- a test split that people verified ------------------------------------------------------------------


def verified(catalog: Catalog, *, reviewers: int = 2) -> list[tuple[int, str, tuple[str, ...]]]:
    """(page id, SHA-1, labels) of pictures that so many people kept, and nobody dropped, by page id."""
    rows = standing(all_reviews(catalog).to_pylist())
    found = words(rows)
    return sorted(
        (page, sha1, word.right)
        for (page, sha1), word in found.items()
        if word.votes[0] >= reviewers and word.votes[1] == 0
    )


@dataclass(frozen=True, kw_only=True)
class TestSplit:
    """What `freeze_test_split` froze."""

    __test__ = False  # of pytest, which takes the name for a test

    pictures: int
    """Frozen now and before."""
    new: int
    left_out: int
    """Verified by people, but not in the dataset: rules on rights, files or twins keep them out."""


def freeze_test_split(
    catalog: Catalog,
    path: Path,
    *,
    by: str,
    kept: frozenset[tuple[int, str]],
    grow: bool = False,
) -> TestSplit:
    """Freezes the verified pictures by SHA-1, as facts that the next build obeys, and lists them in a CSV of sha1,
    page_id and labels. What is frozen stays; without `grow` it is only listed again. An old file stays.

    Args:
        by: who freezes.
        kept: (page id, SHA-1) of the pictures that the dataset has (`kept_now`); no other is frozen.

    Raises:
        NotEnoughVerdicts: two people agreed on none.
        Expected: there is such a file.
    """
    if path.exists():
        raise Expected(f"There is {path} already: name another file.")
    found = verified(catalog)
    labels = {sha1: names for _, sha1, names in found}
    held = frozen(all_reviews(catalog).to_pylist())
    fresh = [row for row in found if row[1] not in held] if grow or not held else []
    taken = [row for row in fresh if row[:2] in kept]
    if not held and not taken:
        raise NotEnoughVerdicts(
            "No picture was kept by two reviewers yet."
            if not found
            else f"All {len(found)} pictures that two reviewers kept are kept out by rules on rights, files or twins."
        )
    moment = datetime.now(UTC).replace(microsecond=0)
    rows = [
        ReviewRow(
            page_id=page,
            sha1=sha1,
            reviewer=by,
            what=FROZEN,
            label=None,
            why="",
            reviewed_at=moment,
            question=TEST_QUESTION,
            row_id=new_id(),
        )
        for page, sha1, _ in taken
    ]
    add_reviews(catalog, [checked(row, labels=LABELS) for row in rows])
    held |= {sha1: page for page, sha1, _ in taken}
    lines = [f"{sha1},{held[sha1]},{'|'.join(labels.get(sha1, ()))}" for sha1 in sorted(held)]
    files.put(path, "\n".join(["sha1,page_id,labels", *lines, ""]))
    return TestSplit(pictures=len(held), new=len(taken), left_out=len(fresh) - len(taken))


TEST_QUESTION = "test-split@1"


def kept_now(out: Path, catalog: Catalog) -> frozenset[tuple[int, str]]:
    """(page id, SHA-1) of what the last build's recipe keeps now, verdicts obeyed. Under the catalog's lock."""
    outcome, _ = outcome_of(out, catalog)
    rows = outcome.decisions.filter(outcome.kept)
    return frozenset(zip(*(rows.column(n).to_pylist() for n in ("page_id", "sha1")), strict=True))
