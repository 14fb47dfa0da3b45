"""Verdicts with the demo's known truth: thresholds that are found again, intervals that hold it, a frozen split."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from catalog.errors import Expected
from catalog.reviews import (
    SampleRow,
    Word,
    add_reviews,
    all_reviews,
    frozen,
    read_reviews,
    standing,
    words,
    write_reviews,
)
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
from tests.pipelines.builds import ENVIRONMENT


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
    catalog, kept = Catalog(tmp_path), frozenset((page, f"{page:040x}") for page in (1, 2, 3, 4, 6))
    freeze = partial(freeze_test_split, catalog, by="Ann", kept=kept)
    with pytest.raises(NotEnoughVerdicts):
        freeze(tmp_path / "test.csv")
    add_reviews(
        catalog,
        [
            *(said("keep", page, by) for page in (1, 2, 3, 5) for by in ("Ann", "Bo")),
            said("drop", 2, "Cy"),
            said("keep", 4, "Ann"),
            *(said("right_label", 1, by, label="blur") for by in ("Ann", "Bo")),
        ],
    )
    path = tmp_path / "test.csv"
    # 5 was kept by two, and a rule on rights, files or twins drops it.
    done = freeze(path)
    assert (done.pictures, done.new, done.left_out) == (2, 2, 1)
    listed = ["sha1,page_id,labels", f"{1:040x},1,blur", f"{3:040x},3,"]
    assert path.read_text().splitlines() == listed
    with pytest.raises(Expected, match="already"):
        freeze(path)
    # Frozen is frozen: what is verified later comes in by --grow alone, and nothing leaves.
    add_reviews(catalog, [said("keep", 6, by) for by in ("Ann", "Bo")])
    add_reviews(catalog, [said("drop", 3, "Cy")])
    assert freeze(tmp_path / "again.csv").pictures == 2
    assert (tmp_path / "again.csv").read_text().splitlines() == listed
    grown = freeze(tmp_path / "grown.csv", grow=True)
    assert (grown.pictures, grown.new) == (3, 1)
    # It takes nobody's word away, and goes to another catalog with the verdicts.
    assert words(standing(all_reviews(catalog).to_pylist()))[1, f"{1:040x}"].votes == (2, 0)
    write_reviews(all_reviews(catalog), tmp_path / "verdicts.csv")
    other = Catalog(tmp_path / "other")
    add_reviews(other, read_reviews(tmp_path / "verdicts.csv", labels=LABELS))
    assert sorted(frozen(all_reviews(other).to_pylist()).values()) == [1, 3, 6]


@pytest.mark.slow
def test_the_frozen_split_is_released_as_a_split_of_its_own(small_build, tmp_path, monkeypatch):
    import datasets

    out = tmp_path / "demo"
    shutil.copytree(small_build, out)
    catalog = Catalog(out / "catalog")
    outcome, _ = outcome_of(out, catalog)
    pages, sha1s, clusters = (
        outcome.facts.column(n).to_pylist() for n in ("page_id", "sha1", "cluster_id")
    )
    kept = [i for i, keep in enumerate(outcome.kept.to_pylist()) if keep]
    twins = [i for i in kept if clusters.count(clusters[i]) > 1][:1]
    chosen = sorted({*twins, *kept[::5]})
    rows = [
        replace(said("keep", pages[i], by), sha1=sha1s[i]) for i in chosen for by in ("Ann", "Bo")
    ]
    add_reviews(catalog, rows)
    run = partial(subprocess.run, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    cli = [sys.executable, "-m", "pipelines.cli"]
    done = run([*cli, "review", "--out", str(out), "--test-split", str(tmp_path / "test.csv")])
    assert f"{len(chosen)} pictures" in done.stdout
    run([*cli, "export", "--out", str(out)])
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    held = {
        split: set(rows["sha1"])
        for split, rows in datasets.load_dataset(str(out / "dataset"), "all").items()
    }
    wanted = {sha1s[i] for i in chosen}
    assert held["test"] == wanted
    assert not wanted & (held["train"] | held.get("validation", set()))
    of_test = {clusters[i] for i in chosen}
    others = {sha1 for split, rows in held.items() if split != "test" for sha1 in rows}
    assert not [i for i, s in enumerate(sha1s) if s in others and clusters[i] in of_test]
    card = (out / "dataset" / "README.md").read_text()
    assert f"The split `test` holds {len(chosen)} photographs that people verified" in card
    assert run([*cli, "verify", "--out", str(out)])
    lines = run([*cli, "explain", str(pages[chosen[0]]), "--out", str(out)]).stdout
    assert "put it into the test split" in lines
    assert "Bo said keep" in lines
