"""What a change of thresholds would do to the same facts: who comes in, who goes, which rule decides."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.store import catalog_in
from filters.policy import Rule
from pipelines.build.decide import Outcome, decide
from pipelines.build.gate import gated, needs_categories
from pipelines.build.history import load_built_recipe
from pipelines.build.publish import facts_to_join
from pipelines.build.twins import edges_among
from pipelines.offline.changes import changed_recipe
from pipelines.offline.refilter import offline_run
from pipelines.recipe import Recipe

pc: Any = compute
SHOWN = 5
"""Borderline files named on each side of a threshold."""


@dataclass(frozen=True, kw_only=True)
class RuleEffect:
    """One rule before and after."""

    rule: str
    threshold: str
    fails: int
    alone: int
    """Dropped by this rule only."""
    before: int
    """Failed before the change."""
    changed: bool
    below: tuple[tuple[str, float], ...] = ()
    """Titles and values just below the threshold, nearest first; for changed rules with a bound."""
    above: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """What a changed recipe would do to the same facts."""

    changes: tuple[str, ...]
    kept_before: int
    kept_after: int
    entering: dict[str, int]
    """Reason for which they are out now -> files that would come in."""
    leaving: dict[str, int]
    """Reason for which they would go -> files."""
    effects: tuple[RuleEffect, ...]
    to_download: int
    """Files that pass the changed gate and were never fetched."""
    seconds: float


def what_if(
    changes: Sequence[str], *, out: Path, recipe: Recipe | None = None, limit: int | None = None
) -> WhatIf:
    """Compares the decisions of a recipe with those of a changed one. Writes nothing.

    Args:
        changes: e.g. `degraded.min=0.6`, `score.pyiqa:piqe.max=40`, `sampling.max_samples=5000`.
        recipe: default: the recipe of the last build in `out`.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
        RecipeError: a change names nothing of the recipe.
    """
    with catalog_in(out).reading():
        return _what_if(changes, out, recipe, limit)


def _what_if(changes: Sequence[str], out: Path, recipe: Recipe | None, limit: int | None) -> WhatIf:
    started = time.perf_counter()
    catalog = catalog_in(out)
    if recipe is None:
        recipe, limit = load_built_recipe(catalog)
    new = changed_recipe(recipe, changes)
    run = offline_run(recipe, out, limit)
    joined, _ = facts_to_join(run, stored=True)
    # What either of them looks at.
    joined["looks"] |= new.leakage.index is not None or new.dedupe.embedding is not None
    joined["slim"] &= not needs_categories(new)
    table, _ = gated(run, **joined)
    catalog = run.catalog
    edges = edges_among(catalog, table, recipe.dedupe, version=joined["hash_version"], keep=False)
    before = decide(table, recipe, recipe_hash="before", edges=edges)
    later, passing = (
        gated(offline_run(new, out, limit), **joined)
        if _needs_more(recipe, new)
        else (
            table,
            None,
        )
    )
    same_edges = (recipe.gate, recipe.dedupe) == (new.gate, new.dedupe) and later is table
    # Which copy stays follows from labels, too.
    same = same_edges and recipe.degradation == new.degradation
    if not same_edges:
        edges = edges_among(catalog, later, new.dedupe, version=joined["hash_version"], keep=False)
    twins = before.twins if same else None
    after = decide(later, new, recipe_hash="after", twins=twins, edges=edges)
    if passing is None:
        passing = ~after.ledger.failed[:, : 1 + len(new.gate)].any(axis=1)
    tried = later.column("object").is_valid().to_numpy()
    entering, leaving = _moves(before, after)
    return WhatIf(
        changes=tuple(changes),
        kept_before=int(pc.sum(before.kept).as_py() or 0),
        kept_after=int(pc.sum(after.kept).as_py() or 0),
        entering=entering,
        leaving=leaving,
        effects=_effects(before, after),
        to_download=int((passing & ~tried).sum()),
        seconds=round(time.perf_counter() - started, 3),
    )


def _needs_more(recipe: Recipe, new: Recipe) -> bool:
    """Whether the changed recipe looks at columns that the table of the old one may not have."""
    before, after = recipe.dedupe.embedding, new.dedupe.embedding
    seen = after is not None and (before is None or before.encoder != after.encoder)
    seen = seen or (new.dedupe.partial is not None and recipe.dedupe.partial is None)
    return seen or (recipe.prefilter, recipe.sources) != (new.prefilter, new.sources)


def _moves(before: Outcome, after: Outcome) -> tuple[dict[str, int], dict[str, int]]:
    """Reasons of the files that come in and of those that go, by number."""
    kept, keep = (np.asarray(o.kept.to_numpy(zero_copy_only=False), bool) for o in (before, after))

    def counted(outcome: Outcome, where: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, int]:
        reasons = outcome.decisions.column("reason").filter(pa.array(where)).to_pylist()
        return dict(Counter(reasons).most_common())

    return counted(before, keep & ~kept), counted(after, kept & ~keep)


def _effects(before: Outcome, after: Outcome) -> tuple[RuleEffect, ...]:
    none = {"fails": 0}
    old = {row["rule"]: row for row in before.ledger.effects()}
    thresholds = {rule.name: rule.threshold for rule in before.ledger.rules}
    found: list[RuleEffect] = []
    for rule, row in zip(after.ledger.rules, after.ledger.effects(), strict=True):
        changed = thresholds.get(rule.name) != rule.threshold
        below, above = _borderline(after, rule) if changed else ((), ())
        found.append(
            RuleEffect(
                rule=rule.name,
                threshold=rule.threshold,
                fails=row["fails"],
                alone=row["alone"],
                before=old.get(rule.name, none)["fails"],
                changed=changed,
                below=below,
                above=above,
            )
        )
    return tuple(found)


Named = tuple[tuple[str, float], ...]


def _borderline(outcome: Outcome, rule: Rule) -> tuple[Named, Named]:
    """The files nearest to a rule's bound, on either side."""
    bound = rule.min if rule.min is not None else rule.max
    if bound is None:
        return (), ()
    values = outcome.facts.column(rule.value).cast(pa.float64()).to_numpy()
    known = np.isfinite(values)
    sides: list[Named] = []
    for side in (known & (values < bound), known & (values >= bound)):
        rows = np.flatnonzero(side)
        nearest = rows[np.argsort(np.abs(values[rows] - bound), kind="stable")[:SHOWN]]
        titles = outcome.facts.column("title").take(pa.array(nearest)).to_pylist()
        sides.append(tuple(zip(titles, values[nearest].tolist(), strict=True)))
    return sides[0], sides[1]


def what_if_lines(found: WhatIf) -> list[str]:
    """The comparison for a terminal."""
    difference = found.kept_after - found.kept_before
    lines = [
        f"what if {', '.join(found.changes)}",
        f"  kept   {found.kept_before:,} -> {found.kept_after:,} ({difference:+,})",
    ]
    for name, reasons in (("enter", found.entering), ("leave", found.leaving)):
        lines += [f"  {count:>7,} {name}: {reason}" for reason, count in list(reasons.items())[:12]]
    if found.to_download:
        lines.append(f"  {found.to_download:,} more pass the gate and were never fetched")
    lines += ["", f"  {'rule':<24}{'fails':>9}{'before':>9}{'alone':>9}  threshold"]
    for effect in found.effects:
        mark = "*" if effect.changed else " "
        lines.append(
            f" {mark}{effect.rule:<24}{effect.fails:>9,}{effect.before:>9,}{effect.alone:>9,}  "
            f"{effect.threshold[:60]}"
        )
        for side, files in (("below", effect.below), ("above", effect.above)):
            lines += [f"      just {side}  {value:<10.4g} {title}" for title, value in files]
    lines.append(f"  ({found.seconds:.1f} s; nothing was written)")
    return lines
