"""Decisions again, from stored facts: another recipe over the same crawl, and what a change of thresholds would do.

No network and no model: licences were judged when the listing was, and measures and scores are taken in the version in
which they were last computed. What a recipe would have to fetch or measure first is counted, not done.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.store import Catalog
from filters.policy import Rule
from pipelines.decide import Outcome, decide
from pipelines.gate import gated
from pipelines.progress import Progress
from pipelines.publish import joined_facts, load_built_recipe, publish
from pipelines.recipe import Recipe, RecipeError
from pipelines.run import Build, BuildResult, start_run
from pipelines.runners import pool_runner

pc: Any = compute
NEAR = 0.05
"""Share of candidates that count as near a threshold: the nearest 5 % on either side."""
SHOWN = 5
"""Borderline files named on each side of a threshold."""


@dataclass(frozen=True, kw_only=True)
class Refiltered:
    """A new dataset from old facts, and what it lacks."""

    result: BuildResult
    to_download: int
    """Candidates that pass the recipe's gate and were never fetched."""
    to_measure: dict[str, int]
    """measure.<name>, score.<name> or embedding.<encoder> -> files at hand without a value in any version."""
    unlisted: int
    """Sources of the recipe that were never listed."""


def refilter(
    recipe: Recipe, *, out: Path, limit: int | None = None, progress: Progress | None = None
) -> Refiltered:
    """Decides and releases anew into `out`, from what is stored there.

    Raises:
        FileNotFoundError: there is no build in `out`.
        catalog.store.CatalogLocked, DiskFull: as for a build.
    """
    started = time.perf_counter()
    run = _offline(recipe, out, limit, progress)
    with run.catalog.locked():
        joined, recipe_hash = joined_facts(run, stored=True)
        table, passing = gated(run, **joined)
        at_hand = pc.fill_null(pc.equal(table.column("object"), "present"), fill_value=False)
        present = at_hand.to_numpy(zero_copy_only=False).astype(bool)
        tried = table.column("object").is_valid().to_numpy()
        listed = {source for source, _ in recipe.source_caps(limit)}
        known = {file.name for file in (run.catalog.parts / "listing").iterdir() if file.is_dir()}
        lacking = _unmeasured(run, table, present & passing)
        result = publish(run, recipe_hash, started, table, crawled=False)
    return Refiltered(
        result=result,
        to_download=int((passing & ~tried).sum()),
        to_measure=lacking,
        unlisted=len(listed - known),
    )


def _offline(
    recipe: Recipe, out: Path, limit: int | None, progress: Progress | None = None
) -> Build:
    if not (out / "catalog" / "parts").is_dir():
        raise FileNotFoundError(f"{out} holds no build (no catalog/parts in it).")
    with pool_runner("threads", 1) as runner:
        return start_run(recipe, out=out, runner=runner, limit=limit, progress=progress)


def _unmeasured(
    run: Build, table: pa.Table, wanted: np.ndarray[Any, np.dtype[np.bool_]]
) -> dict[str, int]:
    """Measures and scores that were never computed for all of the wanted files."""
    found: dict[str, int] = {}
    for stage, names in (("measure", run.recipe.measures), ("score", run.recipe.scores)):
        held = {version.rpartition("@")[0] for version in run.catalog.versions_planned(stage)}
        for name in names:
            # A measure that was computed and does not apply is no gap.
            count = int(wanted.sum()) if name not in held else 0
            if count:
                found[f"{stage}.{name}"] = count
    encoder = run.recipe.dedupe.embedding
    if encoder is not None:
        lacking = wanted & table.column("embedding").is_null().to_numpy()
        if lacking.any():
            found[f"embedding.{encoder.encoder}"] = int(lacking.sum())
    return found


# -- what if -----------------------------------------------------------------------------------------------


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
        FileNotFoundError: there is no build in `out`.
        RecipeError: a change names nothing of the recipe.
    """
    started = time.perf_counter()
    if recipe is None:
        recipe, limit = load_built_recipe(Catalog(out / "catalog"))
    new = changed_recipe(recipe, changes)
    run = _offline(recipe, out, limit)
    joined, _ = joined_facts(run, stored=True)
    table, _ = gated(run, **joined)
    before = decide(table, recipe, recipe_hash="before")
    later, passing = (
        gated(_offline(new, out, limit), **joined)
        if _needs_more(recipe, new)
        else (
            table,
            None,
        )
    )
    same = (recipe.gate, recipe.dedupe) == (new.gate, new.dedupe) and later is table
    after = decide(later, new, recipe_hash="after", twins=before.twins if same else None)
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


def changed_recipe(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """The recipe with some values changed: `<rule>.<field>=<value>` or `<section>.<field>=<value>`.

    A rule may be named by its name, by what it looks at, or by the last part of that (`piqe` for `score.pyiqa:piqe`).
    Values are JSON, or text.

    Raises:
        RecipeError: it names nothing, or the value does not fit.
    """
    for change in changes:
        left, equals, text = change.partition("=")
        target, dot, field = left.strip().rpartition(".")
        if not (equals and dot):
            raise RecipeError(
                f"{change!r} is no change: write <rule>.<min|max|...>=<value>, e.g. degraded.min=0.6."
            )
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text.strip()
        recipe = _with(recipe, target, field, value, change)
    return recipe


def _with(recipe: Recipe, target: str, field: str, value: Any, change: str) -> Recipe:
    for group in ("gate", "rules"):
        rules: tuple[Rule, ...] = getattr(recipe, group)
        hits = [i for i, rule in enumerate(rules) if _is_called(rule, target)]
        if len(hits) > 1:
            names = ", ".join(rules[i].name for i in hits)
            raise RecipeError(f"{change!r}: {target!r} may be {names}; name one of them.")
        if hits:
            rule = _replaced(rules[hits[0]], field, value, change)
            changed = (*rules[: hits[0]], rule, *rules[hits[0] + 1 :])
            return _validated(recipe, {group: changed}, change)
    measured = [f"measure.{name}" for name in recipe.measures]
    measured += [f"score.{name}" for name in recipe.scores]
    values = [value for value in measured if target in (value, _tail(value))]
    if len(values) == 1 and field in ("min", "max"):
        # Nothing looks at this value yet: what if something did?
        rule = Rule(name=_tail(values[0]), value=values[0], why="asked what if", **{field: value})
        return _validated(recipe, {"rules": (*recipe.rules, rule)}, change)
    outer, _, inner = target.partition(".")
    section = getattr(recipe, outer, None) if outer in type(recipe).model_fields else None
    if dataclasses.is_dataclass(section) and not isinstance(section, type):
        if inner:
            within = getattr(section, inner, None)
            if not dataclasses.is_dataclass(within) or isinstance(within, type):
                raise RecipeError(f"{change!r}: the recipe has no section {target!r}.")
            field, value = inner, _replaced(within, field, value, change)
        return _validated(recipe, {outer: _replaced(section, field, value, change)}, change)
    rules = (*recipe.gate, *recipe.rules)
    raise RecipeError(
        f"{change!r}: the recipe has no rule or section {target!r}; rules: {', '.join(r.name for r in rules)}."
    )


def _is_called(rule: Rule, target: str) -> bool:
    return target in (rule.name, rule.value, _tail(rule.value))


def _tail(value: str) -> str:
    """`piqe` of `score.pyiqa:piqe`."""
    return value.rpartition(":")[2].rpartition(".")[2]


def _replaced(section: Any, field: str, value: Any, change: str) -> Any:
    names = [f.name for f in dataclasses.fields(section)]
    if field not in names:
        raise RecipeError(f"{change!r}: there is no {field!r}; there are {', '.join(names)}.")
    if isinstance(value, list):
        value = tuple(value)
    try:
        return dataclasses.replace(section, **{field: value})
    except (ValueError, TypeError) as error:
        raise RecipeError(f"{change!r}: {error}") from error


def _validated(recipe: Recipe, update: dict[str, Any], change: str) -> Recipe:
    """Through the recipe's own checks, so that a text in the place of a number is refused."""
    content = recipe.model_copy(update=update).model_dump(mode="json", warnings=False)
    try:
        return Recipe.model_validate(content)
    except ValueError as error:
        raise RecipeError(f"{change!r}: {error}") from error


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
