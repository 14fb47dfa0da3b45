"""What is judged was not learnt from: groups stay together, calibration and thresholds come of other groups."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import skimage.data

from filters.degradation import LABELS, NOT_DEGRADED, heads, probability
from filters.degradation.heads import (
    HEADS,
    OVERALL,
    SLOPE,
    Pictures,
    calibration_of,
    folds_of,
    hats,
    knots_of,
    saves_of,
    standing_of,
    weights_of,
)
from filters.degradation.learn import MOST_KEPT, PLAIN, Design, begins_of, learn, nested
from filters.degradation.real import NoManifest, chosen_clean, real_pictures
from filters.degradation.wild import WILD, wild_examples

GROUPS = 24


def pictures(seed=0):
    """24 groups of 12 real pictures, half of them degraded: measure `a` tells, `b` and `c` are chance."""
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"g{i:02d}" for i in range(GROUPS)], 12)
    degraded = np.tile([0.0, 1.0], GROUPS * 6)
    truth = np.zeros((len(groups), len(HEADS)))
    truth[:, HEADS.index(OVERALL)] = degraded
    for at, label in enumerate(LABELS):
        truth[:, at] = degraded * (np.arange(len(groups)) // 2 % len(LABELS) == at)
        assert label in HEADS
    return Pictures(
        names=np.array([f"{g}/{i}" for i, g in enumerate(groups)]),
        groups=groups,
        kinds=np.where(degraded == 1, "lq", "clean"),
        real=np.ones(len(groups), bool),
        stored=np.zeros(len(groups), bool),
        counts=np.ones(len(groups)),
        truth=truth,
        measures={
            "a": degraded * 1.5 + rng.normal(0, 1, len(groups)),
            "b": rng.normal(0, 1, len(groups)),
            "c": rng.normal(0, 1, len(groups)),
            "jpeg_quality": degraded * 50,
        },
        early=np.zeros((len(groups), 0)),
    )


def test_a_group_is_in_one_fold_and_both_kinds_are_in_each():
    some = pictures()
    folds = folds_of(some)
    assert set(folds.tolist()) == set(range(8))
    for group in np.unique(some.groups):
        assert len(set(folds[some.groups == group])) == 1
    for fold in range(8):
        assert {0.0, 1.0} == set(some.truth[folds == fold, HEADS.index(OVERALL)])


def test_ones_and_zeros_weigh_alike_and_large_groups_by_the_root_of_their_size():
    some = pictures()
    rows = np.flatnonzero((some.groups == "g00") | (some.groups == "g01"))[:-6]
    wanted = some.truth[rows, HEADS.index(OVERALL)]
    weight = weights_of(some, rows, wanted)
    assert weight[wanted == 1].sum() == pytest.approx(weight[wanted == 0].sum())
    # Six of the first group and three of the second: each class has weights 6 : 3 by number, the root of it by weight.
    ones = wanted == 1
    first = weight[ones & (some.groups[rows] == "g00")].sum()
    second = weight[ones & (some.groups[rows] == "g01")].sum()
    assert first / second == pytest.approx(np.sqrt(6 / 3))


def test_hats_add_up_to_one_where_a_value_is_known_and_null_has_a_column_of_its_own():
    values = np.array([0.0, 1.5, 99.0, np.nan])
    knots = knots_of(np.array([0.0, 1.0, 2.0, 3.0, np.nan]))
    found = hats(values, knots)
    assert found.sum(axis=1).tolist() == pytest.approx([1.0] * 4)
    assert found[:, -1].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_calibration_gives_back_the_log_odds_that_made_the_truth():
    rng = np.random.default_rng(1)
    true = rng.normal(-0.5, 2.2, 8000)
    wanted = (rng.random(8000) < probability(true)).astype(float)
    mean, spread = standing_of(true, np.arange(8000))
    slope, offset = calibration_of(
        (true - mean) / spread, wanted, np.arange(8000), float(wanted.mean())
    )
    # Drawn a little towards SLOPE from the 2.2 that is true.
    assert slope == pytest.approx(2.2, rel=0.1)
    assert offset == pytest.approx(-0.5, abs=0.15)


def test_calibration_does_not_depend_on_how_many_ones_are_left_to_learn_from():
    rng = np.random.default_rng(2)
    wanted = (rng.random(6000) < 0.3).astype(float)
    scores = rng.normal(0, 1, 6000) + 1.5 * wanted
    fewer = (wanted == 0) | (rng.random(6000) < 0.2)
    groups = np.arange(6000)
    whole = calibration_of(scores, wanted, groups, 0.3)
    part = calibration_of(scores[fewer], wanted[fewer], groups[fewer], 0.3)
    assert part == pytest.approx(whole, abs=0.15)


def test_a_calibration_never_turns_a_score_round_and_stays_where_it_began_without_ones():
    scores = np.linspace(-1, 1, 40)
    wanted = (scores < 0).astype(float)
    slope, _ = calibration_of(scores, wanted, np.arange(40), 0.5)
    assert slope > 0
    assert calibration_of(scores, np.zeros(40), np.arange(40), 0.5) == (SLOPE, 0.0)


def test_nested_scores_of_a_fold_do_not_know_its_truth():
    some = pictures()
    # Four folds instead of eight: each is judged by mixtures of all others.
    folds = folds_of(some) % 4
    judged = folds == 3
    turned = replace(some, truth=np.where(judged[:, None], 1 - some.truth, some.truth))
    one, other = (nested(Design(pictures=p, folds=folds), PLAIN) for p in (some, turned))
    for head in HEADS:
        # Heads, mixture, calibration and threshold are those of the other folds.
        assert one.log_odds[head][judged].tolist() == other.log_odds[head][judged].tolist()
        assert one.begins[head][3] == other.begins[head][3]
        assert one.log_odds[head][~judged].tolist() != other.log_odds[head][~judged].tolist()
    wanted = some.truth[:, HEADS.index(OVERALL)]
    assert np.mean((one.log_odds[OVERALL] > 0) == (wanted == 1)) > 0.7


def test_any_damage_is_no_less_likely_than_a_label_where_nothing_was_seen():
    some = pictures()
    found = nested(Design(pictures=some, folds=folds_of(some) % 4), PLAIN)
    for head in LABELS:
        if head not in NOT_DEGRADED:
            assert (found.log_odds[OVERALL] >= found.log_odds[head]).all()
            assert not (found.borne[head] & ~found.borne[OVERALL]).any()


def saved_again(some, rng):
    """Each clean picture once more, as a save leaves it: `c` is larger by two, `a` hardly changes."""
    rows = np.flatnonzero(some.kinds == "clean")
    measures = {name: values[rows].copy() for name, values in some.measures.items()}
    measures["c"] += 2.0
    measures["a"] += rng.normal(0, 0.05, len(rows))
    twice = {
        name: np.concatenate([getattr(some, name), getattr(some, name)[rows]])
        for name in ("groups", "kinds", "counts", "truth", "early")
    }
    return replace(
        some,
        names=np.concatenate([some.names, [f"{some.names[i]}#85" for i in rows]]),
        real=np.concatenate([some.real, np.zeros(len(rows), bool)]),
        stored=np.concatenate([some.stored, np.ones(len(rows), bool)]),
        measures={name: np.concatenate([some.measures[name], measures[name]]) for name in measures},
        **twice,
    )


def test_a_head_is_steadied_against_what_a_save_changes(monkeypatch):
    rng = np.random.default_rng(5)
    some = pictures()
    # `c` tells a little of the damage, too: without steadying a head looks at it.
    degraded = some.truth[:, HEADS.index(OVERALL)]
    told = some.measures | {"c": some.measures["c"] + 1.5 * degraded}
    some = saved_again(replace(some, measures=told), rng)
    first, again = saves_of(some)
    assert [f"{n}#85" for n in some.names[first]] == some.names[again].tolist()

    def moves():
        design = Design(pictures=some, folds=folds_of(some))
        said = design.scores("additive", OVERALL, frozenset(), np.ones(len(some), bool))
        wanted = some.truth[:, HEADS.index(OVERALL)] == 1
        right = np.mean(said[wanted][:, None] > said[~wanted][None, :])
        return np.abs(said[again] - said[first]).mean() / said.std(), right

    steady, right = moves()
    monkeypatch.setattr(heads, "STEADY", {})
    loose, before = moves()
    assert steady < 0.7 * loose
    assert right > before - 0.05


def test_what_is_learnt_is_calibrated_and_ignores_how_a_file_was_stored():
    some = pictures()
    design = Design(pictures=some, folds=folds_of(some))
    learnt = learn(design, PLAIN, {name: f"{name}@1" for name in some.measures})
    assert [term.measure for term in learnt.terms] == ["a@1", "b@1", "c@1"]
    assert set(learnt.begins) == set(HEADS)
    assert all(0.1 <= learnt.begins[label] <= 0.5 for label in LABELS)


def test_a_label_begins_where_few_clean_ones_of_unseen_groups_bear_it():
    some = pictures()
    said = np.where(some.kinds == "clean", np.linspace(-6, 2, len(some)), np.nan)
    begins = begins_of(some, OVERALL, said)
    clean = some.kinds == "clean"
    assert np.mean(probability(said[clean]) >= begins) == pytest.approx(MOST_KEPT, abs=0.01)


def manifest(folder, rows):
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "source", "eye_class", "degradation_seen"])
        writer.writeheader()
        writer.writerows(
            dict(zip(("file", "source", "eye_class", "degradation_seen"), row, strict=True))
            for row in rows
        )


def test_a_manifest_says_what_is_true_of_each_picture(tmp_path):
    rows = [
        ("a.png", "RNI15", "lq", "noise|blur"),
        ("b.png", "SCUNet3", "lq", "low resolution only"),
        ("c.png", "x", "clean", ""),
        ("d.png", "x", "graphics", ""),
        ("e.png", "y", "lq", "noise (slight)"),
        ("f.png", "y", "lq", "motion_blur, jpeg"),
    ]
    manifest(tmp_path, rows)
    found = {p.file.name: p for p in real_pictures(tmp_path)}
    truth = {name: dict(zip(HEADS, p.truth.tolist(), strict=True)) for name, p in found.items()}
    assert found["a.png"].group == found["b.png"].group == "restoration sets"
    assert (truth["a.png"]["noise"], truth["a.png"]["blur"], truth["a.png"][OVERALL]) == (1, 1, 1)
    assert truth["b.png"][OVERALL] == 0
    assert found["b.png"].counts == 0.3
    assert not any(truth["c.png"].values())
    assert truth["d.png"]["graphics"] == 1
    assert np.isnan(truth["d.png"][OVERALL])
    assert np.isnan(truth["e.png"][OVERALL])
    assert (truth["f.png"]["blur"], truth["f.png"]["motion_blur"]) == (1, 1)


def test_a_folder_without_a_manifest_is_refused_with_what_it_needs(tmp_path):
    with pytest.raises(NoManifest, match="eye_class"):
        real_pictures(tmp_path)
    (tmp_path / "manifest.csv").write_text("file,source\na.png,b\n")
    with pytest.raises(NoManifest, match="degradation_seen"):
        real_pictures(tmp_path)


def test_no_source_gives_more_than_a_dozen_clean_pictures(tmp_path):
    manifest(tmp_path, [(f"{i}.png", "many", "clean", "") for i in range(40)])
    assert len(chosen_clean(real_pictures(tmp_path))) == 12


def test_wild_examples_are_the_same_again_and_keep_the_clean_ones_clean():
    photo = skimage.data.astronaut()
    one, again = (list(wild_examples("astronaut", photo)) for _ in range(2))
    assert all((a.rgb == b.rgb).all() for a, b in zip(one, again, strict=True))
    kinds = {e.kind for name in "abcdef" for e in wild_examples(name, photo)}
    assert kinds == set(WILD)
    for example in one:
        if example.kind == "small":
            assert max(example.rgb.shape[:2]) <= 224
