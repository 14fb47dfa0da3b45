"""The figures of `python -m benchmarks labels`: areas as scikit-learn has them, intervals over whole groups."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks._judging import auc, ranking, recall_at, reliability, wilson, within


def test_areas_are_those_of_scikit_learn_with_ties_counted_half():
    rng = np.random.default_rng(0)
    wanted = rng.random(300) < 0.4
    scores = (wanted + rng.normal(0, 1, 300)).round(1)
    assert auc(wanted, scores) == pytest.approx(roc_auc_score(wanted, scores))


def test_recall_is_counted_above_what_a_tenth_of_the_clean_exceed():
    wanted = np.array([False] * 10 + [True] * 4)
    scores = np.array([*range(10), 5.0, 8.05, 8.2, 20.0])
    # The 90 % quantile of 0..9 is 8.1.
    assert recall_at(wanted, scores, 0.1) == 0.5


def test_an_interval_is_wider_where_pictures_come_in_few_groups():
    rng = np.random.default_rng(0)
    wanted = np.tile([True, False], 200)
    groups = np.repeat(np.arange(8).astype(str), 50)
    shift = np.repeat(rng.normal(0, 1.5, 8), 50)
    scores = wanted + shift * wanted + rng.normal(0, 1, 400)
    few = ranking(wanted, scores, groups)
    many = ranking(wanted, scores, np.arange(400).astype(str))
    assert few.area.low <= few.area.value <= few.area.high
    assert few.area.high - few.area.low > many.area.high - many.area.low


def test_folds_with_scores_of_their_own_scale_are_judged_inside():
    wanted = np.tile([True, False], 50)
    scores = wanted + np.repeat([0.0, 10.0], 50)
    folds = np.repeat([0, 1], 50)
    assert auc(wanted, scores) == pytest.approx(0.75)
    assert within(wanted, scores, folds) == 1.0


def test_a_bin_says_how_far_its_interval_is_from_what_was_said():
    wanted = np.array([True] * 5 + [False] * 95)
    (found,) = reliability(wanted, np.full(100, 0.5))
    assert (found.n, found.said, found.seen) == (100, 0.5, 0.05)
    low, high = wilson(0.05, 100)
    assert (found.low, found.high) == (low, high)
    assert found.off == pytest.approx(0.5 - high)
    # Wilson's interval of 5 of 100 is 2.2 % to 11.2 %.
    assert (low, high) == pytest.approx((0.0215, 0.1118), abs=1e-3)
