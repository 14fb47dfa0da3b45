"""Intervals, marks, fronts, correlations and the gate, on numbers that can be worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.counts import rounds
from training.statistics import (
    holm,
    interval,
    paired_bootstrap,
    pareto_front,
    rank_correlation,
    regressions,
)


def test_the_interval_of_a_mean_is_that_of_normal_theory_for_many_images():
    differences = np.random.default_rng(7).normal(0.5, 2.0, 400)
    found = paired_bootstrap(differences)
    half = 1.96 * differences.std() / np.sqrt(400)
    assert found.mean == pytest.approx(differences.mean())
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)


def test_a_95_percent_interval_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(300):
        found = paired_bootstrap(rng.normal(1.0, 1.0, 60), draws=800)
        hits += found.low <= 1.0 <= found.high
    # 285 expected; three standard deviations of a binomial are 11, and the percentile method is a little narrow.
    assert 268 <= hits <= 296


def test_p_is_small_for_a_clear_difference_and_one_for_none():
    assert paired_bootstrap(np.full(20, 0.1), draws=999).p == pytest.approx(2 / 1000)
    assert paired_bootstrap(np.zeros(20)).p == 1.0
    assert paired_bootstrap(np.array([-1.0, 1.0] * 10)).p > 0.5


def test_the_interval_is_the_same_every_time():
    values = np.arange(30.0)
    assert paired_bootstrap(values) == paired_bootstrap(values)


def test_crops_of_one_photograph_count_once():
    # Three photographs of 40 crops each that all agree: 120 images, but three independent ones.
    differences = np.repeat([0.0, 1.0, 2.0], 40)
    alone, together = (
        paired_bootstrap(differences, clusters=clusters)
        for clusters in (None, list(np.repeat(["a", "b", "c"], 40)))
    )
    assert together.count == 3
    assert together.high - together.low > 4 * (alone.high - alone.low)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0]]])
def test_nothing_finite_is_no_interval(values):
    with pytest.raises(ValueError, match="finite differences"):
        paired_bootstrap(np.array(values))


def test_holm_rejects_step_by_step():
    # Three tests at .05: .01 <= .05/3, then .03 > .05/2 ends it, though .04 <= .05.
    assert holm([0.04, 0.01, 0.03]) == [False, True, False]
    assert holm([0.01, 0.02, 0.04]) == [True, True, True]
    assert holm([]) == []


def test_the_front_keeps_what_nobody_beats():
    points = [(0.9, 1.0), (0.5, 3.0), (0.5, 2.0), (0.2, 3.0), (0.9, 1.0)]
    assert pareto_front(points) == [0, 1, 4]


@settings(max_examples=rounds(500), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_every_point_off_the_front_is_beaten_by_one_on_it(points):
    front = pareto_front(points)
    assert front
    for index, (x, y) in enumerate(points):
        if index not in front:
            assert any(
                points[k][0] >= x and points[k][1] >= y and points[k] != (x, y) for k in front
            )


def test_rank_correlation_sees_order_only_and_leaves_out_what_is_missing():
    nan = float("nan")
    names, rho, shared = rank_correlation(
        {
            "a": np.array([1.0, 2.0, 3.0, 4.0]),
            "b": np.array([1.0, 10.0, 100.0, nan]),
            "c": np.array([4.0, 3.0, 2.0, 1.0]),
            "flat": np.array([1.0, 1.0, 1.0, 1.0]),
        }
    )
    at = {name: i for i, name in enumerate(names)}
    assert rho[at["a"], at["b"]] == pytest.approx(1.0)
    assert shared[at["a"], at["b"]] == 3
    assert rho[at["a"], at["c"]] == pytest.approx(-1.0)
    assert np.isnan(rho[at["a"], at["flat"]])


def scores(values):
    return {f"{i}.png": float(v) for i, v in enumerate(values)}


def test_the_gate_trips_on_a_real_drop_only_and_knows_which_way_is_worse():
    rng = np.random.default_rng(0)
    base, wobble = rng.normal(60, 5, 40), rng.normal(0, 1, 40)
    lower_better = {"MUSIQ": False, "NIQE": True}
    old = {("b", "m", "MUSIQ"): scores(base), ("b", "m", "NIQE"): scores(base)}
    same = {key: scores(base + wobble - wobble.mean()) for key in old}
    assert regressions(old, same, lower_better=lower_better) == []
    lower = {key: scores(base + wobble - 2) for key in old}
    (found,) = regressions(old, lower, lower_better=lower_better)
    assert found.metric == "MUSIQ"
    assert found.drop.mean == pytest.approx(wobble.mean() - 2)
    assert "worse by" in str(found)
    higher = {key: scores(base + wobble + 2) for key in old}
    assert [r.metric for r in regressions(old, higher, lower_better=lower_better)] == ["NIQE"]


def test_the_gate_compares_the_images_that_both_runs_have():
    old = {("b", "m", "x"): {"1": 1.0, "2": 5.0}}
    new = {("b", "m", "x"): {"2": 4.0, "3": 0.0}}
    (found,) = regressions(old, new, lower_better={"x": False})
    assert found.drop.count == 1
    assert regressions(old, {("b", "m", "x"): {"9": 0.0}}, lower_better={"x": False}) == []


def test_the_interval_of_a_normal_mean_is_about_two_standard_errors_wide_on_each_side():
    values = np.random.default_rng(0).standard_normal(400) + 3.0
    found = interval(values)
    error = values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.3 * error)


def test_copies_of_one_photograph_do_not_narrow_the_interval_where_clusters_are_drawn():
    ten = np.random.default_rng(1).standard_normal(10)
    copied, photo = np.repeat(ten, 50), np.repeat(np.arange(10), 50)
    by_photo, by_patch = interval(copied, clusters=photo), interval(copied)
    alone = interval(ten)
    assert by_photo.low == pytest.approx(alone.low) and by_photo.high == pytest.approx(alone.high)
    assert by_patch.high - by_patch.low < 0.3 * (by_photo.high - by_photo.low)


def test_failed_values_are_left_out_and_nothing_gives_nan():
    assert interval(np.array([1.0, np.nan, 3.0])).mean == 2.0
    assert np.isnan(interval(np.array([np.nan])).low)


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(2).random(30)
    assert interval(values) == interval(values)
