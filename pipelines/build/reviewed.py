"""What people said of pictures, as facts of a recipe's candidates, and how decisions obey it.

A drop is obeyed always. A keep sets aside the rules on what was measured in the picture, and no other: licenses, the
file itself, twins, benchmarks and a screen of contents count as before. A label that people took away or gave is
corrected before any rule looks at it.

The frozen test split is a word of people, too: its pictures make the split `test`, beside the draw, and neither they
nor what resembles them is in another split.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.reviews import Word, all_reviews, any_reviews, frozen, standing, words
from catalog.store import Catalog
from filters.degradation import LABELS, NOT_DEGRADED, DegradationPolicy
from filters.degradation.classifier import load_classifier
from filters.policy import Ledger, Rule, set_aside
from pipelines.recipe import Recipe

pc: Any = compute
Bools = np.ndarray[Any, np.dtype[np.bool_]]

REVIEW_RULE = Rule(
    name="review",
    value="review",
    none_match=("^drop",),
    why="A person looked at the picture; a drop is obeyed always, a keep sets aside what was measured in the picture.",
    if_missing="pass",
)
"""Stands in every ledger of a catalog in which anybody said anything."""
OF_THE_PICTURE = ("measure.", "score.", "severity")
"""What a rule that a keep sets aside looks at: such a column, or `undecided`."""


def with_reviews(candidates: pa.Table, catalog: Catalog) -> pa.Table:
    """Adds `review` (`keep 2:1`, `drop 0:1`, with the votes), `review_right` and `review_wrong` (labels); nothing where
    nobody said anything yet. Where a test split was frozen also `held_out`: `test` for its pictures, `replaced` for
    other bytes under the page of one.

    A word counts for the bytes that were looked at.
    """
    if not any_reviews(catalog):
        return candidates
    rows = all_reviews(catalog).to_pylist()
    found, test = words(standing(rows)), frozen(rows)
    keys = zip(*(candidates.column(n).to_pylist() for n in ("page_id", "sha1")), strict=True)
    said: list[Word | None] = [found.get(key) for key in keys]
    columns: dict[str, pa.Array] = {
        "review": pa.array([_told(word) for word in said], pa.string()),
        "review_right": pa.array([w and w.right for w in said], pa.list_(pa.string())),
        "review_wrong": pa.array([w and w.wrong for w in said], pa.list_(pa.string())),
    }
    if test:
        of_test = set(test.values())
        both = zip(*(candidates.column(n).to_pylist() for n in ("page_id", "sha1")), strict=True)
        columns["held_out"] = pa.array(
            ["test" if s in test else "replaced" if p in of_test else None for p, s in both],
            pa.string(),
        )
    for name, column in columns.items():
        candidates = candidates.append_column(name, column)
    return candidates


TEST = "test"
"""The split of the frozen pictures."""
LIKE_TEST = "like_test"
"""Reason of what passed all rules and resembles a picture of the test split."""


def in_test(facts: pa.Table) -> Bools:
    """[N] whether it is a picture of the frozen test split."""
    if "held_out" not in facts.column_names:
        return np.zeros(facts.num_rows, dtype=bool)
    held = pc.equal(facts.column("held_out"), TEST)
    return np.asarray(pc.fill_null(held, False).to_numpy()).astype(bool)


def like_test(facts: pa.Table, groups: pa.Array) -> Bools:
    """[N] whether it is not in the frozen test split but has a group in common with one that is, or its page.

    Args:
        groups: [N] near-duplicates have the same; no nulls.
    """
    test = in_test(facts)
    if "held_out" not in facts.column_names:
        return test
    numbers = groups.to_numpy(zero_copy_only=False)
    held = np.asarray(facts.column("held_out").is_valid().to_numpy()).astype(bool)
    return np.isin(numbers, numbers[held]) & ~test


def _told(word: Word | None) -> str | None:
    if word is None or word.keep is None:
        return None
    return f"{word.keep} {word.votes[0]}:{word.votes[1]}"


def obeyed(ledger: Ledger, facts: pa.Table, recipe: Recipe) -> Ledger:
    """The ledger with the rules set aside that a person's keep sets aside."""
    if "review" not in facts.column_names:
        return ledger
    kept = pc.fill_null(pc.starts_with(facts.column("review"), "keep"), False)
    return set_aside(
        ledger,
        rows=np.asarray(kept.to_numpy()).astype(bool),
        rules=[rule.name for rule in recipe.rules if of_the_picture(rule, recipe)],
    )


def of_the_picture(rule: Rule, recipe: Recipe) -> bool:
    """Whether a keep sets this rule aside."""
    if rule.value == f"score.{recipe.rights.screen}":
        return False
    return rule.value.startswith(OF_THE_PICTURE) or rule.value == "undecided"


def corrected_labels(
    columns: dict[str, Any], candidates: pa.Table, policy: DegradationPolicy
) -> dict[str, Any]:
    """The columns of filters.degradation.label (as `severity.<label>`) with what people said of labels."""
    if "review_right" not in candidates.column_names:
        return columns
    right = candidates.column("review_right").to_pylist()
    wrong = candidates.column("review_wrong").to_pylist()
    rows = [i for i in range(len(right)) if right[i] or wrong[i]]
    if not rows:
        return columns
    new = {name: _plain(column) for name, column in columns.items()}
    own_head = policy.classifier is not None and load_classifier(policy.classifier).overall
    for i in rows:
        _correct(new, i, right[i], wrong[i], policy, whole=not own_head)
    return {name: pa.array(new[name], columns[name].type) for name in columns}


def _plain(column: Any) -> list[Any]:
    return column.to_pylist()


def _correct(
    new: dict[str, list[Any]],
    row: int,
    right: list[str],
    wrong: list[str],
    policy: DegradationPolicy,
    *,
    whole: bool,
) -> None:
    """One row. `whole`: its severity is the largest of its labels, and not said by a head of its own."""
    had = set(new["labels"][row] or ())
    labels = (had | set(right)) - set(wrong)
    new["labels"][row] = [name for name in LABELS if name in labels]
    for name in wrong:
        new[f"severity.{name}"][row] = 0.0
    for name in right:
        cell = new[f"severity.{name}"]
        # Somebody saw it: no less than where the label begins.
        cell[row] = max(cell[row] or 0.0, policy.begins(name))
    of_labels = [new[f"severity.{name}"][row] or 0.0 for name in LABELS if name not in NOT_DEGRADED]
    seen = [new[f"severity.{name}"][row] for name in right if name not in NOT_DEGRADED]
    if whole and wrong:
        new["severity"][row] = max(of_labels)
    elif not labels - set(NOT_DEGRADED) and had - set(NOT_DEGRADED):
        # All that it was said to have, it has not: what is left is less than any damage.
        new["severity"][row] = 0.0
    if seen:
        new["severity"][row] = max(new["severity"][row] or 0.0, *seen)
    if labels:
        new["undecided"][row] = False
