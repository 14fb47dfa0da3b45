"""Verdicts with the demo's known truth: thresholds that are found again, intervals that hold it, a frozen split."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from catalog.errors import Expected
from catalog.reviews import SampleRow, Word, add_reviews
from catalog.store import Catalog
from filters.degradation import LABELS
from filters.reviewing import draw, shares, strata
from pipelines.build.report.measured import as_answers
from pipelines.build.reviewed import of_the_picture
from pipelines.offline.changes import changed_recipe, save_recipe
from pipelines.offline.judged import NotEnoughVerdicts, fitted, freeze_test_split, outcome_of
from pipelines.recipe import DEMO_RECIPE, load_recipe
from tests.catalog.test_reviews import said
from tests.counts import rounds


def population(out, recipe=None):
    """The demo's candidates with pictures as rows of a sample of all, and what somebody who knows the truth says."""
    catalog = Catalog(out / "catalog")
    outcome, recipe = outcome_of(out, catalog, recipe=recipe)
    truth = {
        item["title"]: item["degradation"] is not None
        for item in json.loads((out / "corpus" / "truth.json").read_text())["items"]
    }
    facts = outcome.facts
    here = np.flatnonzero([o == "present" for o in facts.column("object").to_pylist()])
    names = ("page_id", "sha1", "title", "labels")
    columns = {n: facts.column(n).take(pa.array(here)).to_pylist() for n in names}
    keep = np.asarray(outcome.kept.to_numpy(zero_copy_only=False), dtype=bool)[here]
    severity = facts.column("severity").cast(pa.float64()).to_numpy()[here]
    groups = strata(columns["labels"], severity, keep, LABELS)
    rows = [
        SampleRow(
            page_id=columns["page_id"][i],
            sha1=columns["sha1"][i],
            stratum=groups[i],
            stratum_size=groups.count(groups[i]),
            keep=bool(keep[i]),
            reason="",
            labels=tuple(columns["labels"][i] or ()),
            severity=float(severity[i]),
            source="",
            blind=True,
        )
        for i in range(len(here))
    ]
    words = []
    for title in columns["title"]:
        degraded = truth[title]
        words.append(
            Word(
                keep="keep" if degraded else "drop",
                votes=(int(degraded), int(not degraded)),
                right=(),
                wrong=(),
                reviewers=("truth",),
            )
        )
    return outcome, recipe, groups, rows, words


@pytest.mark.slow
@pytest.mark.parametrize("bad", [0.02, 0.97])
@pytest.mark.parametrize("count", [60, 200])
def test_a_bad_threshold_is_mended_by_verdicts(small_build, bad, count):
    start = changed_recipe(built(small_build), [f"degraded.min={bad}"])
    outcome, recipe, groups, rows, words = population(small_build, start)
    severity = np.array([row.severity for row in rows])
    wanted = np.array([word.keep == "keep" for word in words])
    rule = next(i for i, one in enumerate(outcome.ledger.rules) if one.name == "degraded")
    free = ~np.delete(outcome.ledger.failed, rule, axis=1).any(axis=1)
    pages = {p for p, f in zip(outcome.facts.column("page_id").to_pylist(), free, strict=True) if f}
    use = np.array([row.page_id in pages for row in rows]) & np.isfinite(severity)

    def agrees(bound):
        return float(((severity >= bound) == wanted)[use].mean())

    best = max(agrees(bound) for bound in np.unique(severity[use]))
    assert agrees(bad) < best - 0.08
    behind = []
    for seed in range(rounds(50, least=10)):
        chosen = draw(groups, count, seed=seed).tolist()
        found = fitted(outcome, recipe, [rows[i] for i in chosen], [words[i] for i in chosen])
        (bound,) = [one.min for one in found.recipe.rules if one.name == "degraded"]
        behind.append(best - agrees(bound))
    assert np.median(behind) <= 0.02, behind
    assert np.quantile(behind, 0.9) <= 0.05, behind


def built(out):
    from pipelines.build.history import load_built_recipe

    return load_built_recipe(Catalog(out / "catalog"))[0]


@pytest.mark.slow
def test_intervals_hold_the_known_truth_of_the_demo(small_build):
    _, _, groups, rows, words = population(small_build)
    truth = {s.name: s.estimate for s in shares(as_answers(rows, words)) if s.verdicts}
    named = ("filter precision", "filter recall", "false keeps")
    held = []
    for seed in range(rounds(500)):
        chosen = draw(groups, 40, seed=seed).tolist()
        answers = as_answers([rows[i] for i in chosen], [words[i] for i in chosen])
        held += [s.low <= truth[s.name] <= s.high for s in shares(answers) if s.name in named]
    assert np.mean(held) >= 0.93


def test_a_keep_sets_aside_what_was_measured_in_the_picture_and_no_screen():
    recipe = load_recipe(DEMO_RECIPE)
    by_name = {rule.name: rule for rule in recipe.rules}
    assert of_the_picture(by_name["degraded"], recipe)
    assert not of_the_picture(by_name["object"], recipe)
    assert not of_the_picture(by_name["near_duplicate"], recipe)


def test_a_saved_recipe_is_the_one_that_was_meant_and_takes_no_other_s_place(tmp_path):
    recipe = changed_recipe(load_recipe(DEMO_RECIPE), ["degraded.min=0.8"])
    path = save_recipe(recipe, tmp_path, "bolder")
    assert load_recipe(path) == recipe
    with pytest.raises(Expected, match="already"):
        save_recipe(recipe, tmp_path, "bolder")
    for name in ("../x", "", "a/b", "x.yaml"):
        with pytest.raises(Expected, match="no name"):
            save_recipe(recipe, tmp_path, name)


def test_the_frozen_split_holds_what_two_kept_and_nobody_dropped(tmp_path):
    catalog = Catalog(tmp_path)
    with pytest.raises(NotEnoughVerdicts):
        freeze_test_split(catalog, tmp_path / "test.csv")
    add_reviews(
        catalog,
        [
            *(said("keep", page, by) for page in (1, 2, 3) for by in ("Ann", "Bo")),
            said("drop", 2, "Cy"),
            said("keep", 4, "Ann"),
            *(said("right_label", 1, by, label="blur") for by in ("Ann", "Bo")),
        ],
    )
    path = tmp_path / "test.csv"
    assert freeze_test_split(catalog, path) == 2
    assert path.read_text().splitlines() == [
        "sha1,page_id,labels",
        f"{1:040x},1,blur",
        f"{3:040x},3,",
    ]
    with pytest.raises(Expected, match="frozen"):
        freeze_test_split(catalog, path)
