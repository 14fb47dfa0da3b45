"""Figures from verdicts: intervals hold what they promise, kappa is the library's, bounds are found again."""

from __future__ import annotations

import numpy as np
import pytest

from filters.reviewing import (
    Answers,
    agreement,
    best_bound,
    draw,
    korn_graubard,
    refit,
    share,
    shares,
    strata,
)
from tests.counts import rounds

LABELS = {"blur": 0.3, "noise": 0.12, "jpeg": 0.04}


def population(size=3000):
    """Truth and measured labels of a made-up crawl: a rare label, and errors of both kinds."""
    rng = np.random.default_rng(1)
    truth = {name: rng.random(size) < often for name, often in LABELS.items()}
    measured, severity = {}, np.zeros(size)
    for name, there in truth.items():
        level = np.where(there, rng.beta(5, 2, size), rng.beta(1.2, 6, size))
        measured[name] = level > 0.5
        severity = np.maximum(severity, level)
    kept = severity >= 0.5
    keep = np.any(list(truth.values()), axis=0)
    names = [[name for name in LABELS if measured[name][i]] for i in range(size)]
    groups = np.array(strata(names, severity, kept, tuple(LABELS)))
    sizes = {name: int((groups == name).sum()) for name in set(groups.tolist())}

    def answers(rows):
        return Answers(
            group=groups[rows],
            sizes=sizes,
            kept=kept[rows],
            keep=keep[rows],
            labels={name: values[rows] for name, values in measured.items()},
            seen={name: values[rows] for name, values in truth.items()},
        )

    return groups, answers


def test_ninety_five_in_a_hundred_intervals_hold_the_truth():
    groups, answers = population()
    truth = {s.name: s.estimate for s in shares(answers(np.arange(len(groups))))}
    held = {name: [] for name in truth}
    for seed in range(rounds(500)):
        for found in shares(answers(draw(groups.tolist(), 200, seed=seed))):
            held[found.name].append(found.low <= truth[found.name] <= found.high)
    assert np.mean([hit for hits in held.values() for hit in hits]) >= 0.93
    # Each figure by itself; with a tenth of the seeds there is room for luck.
    least = 0.93 if rounds(500) == 500 else 0.88
    assert min(np.mean(hits) for hits in held.values()) >= least, held


def test_a_verdict_stands_for_its_stratum():
    # 90 kept of which 1 of 2 seen is right, 10 kept of which both are: (45 + 10) of 100.
    answers = Answers(
        group=np.array(["a", "a", "b", "b"]),
        sizes={"a": 90, "b": 10},
        kept=np.array([True] * 4),
        keep=np.array([True, False, True, True]),
        labels={},
        seen={},
    )
    found = share("x", answers.keep, answers.kept, answers)
    assert found.estimate == pytest.approx(0.55)
    assert found.low < 0.1
    assert found.high > 0.9  # four verdicts tell little


def test_where_all_are_seen_nothing_is_unsure_but_nothing_is_said_to_be_certain():
    groups = np.array(["a"] * 50)
    whole = np.array([True] * 50)
    answers = Answers(group=groups, sizes={"a": 50}, kept=whole, keep=whole, labels={}, seen={})
    found = share("x", whole, whole, answers)
    # The rule of three: of 50 right ones, 1 - 0.025 ** (1 / 50) may be wrong.
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 50), abs=1e-6)


def test_nothing_that_could_tell_is_no_figure():
    answers = Answers(
        group=np.array(["a"]),
        sizes={"a": 5},
        kept=np.array([False]),
        keep=np.array([True]),
        labels={},
        seen={},
    )
    found = share("x", answers.kept, answers.kept, answers)
    assert (found.estimate, found.low, found.high) == (None, 0.0, 1.0)


def test_the_interval_is_that_of_clopper_and_pearson_where_verdicts_are_independent():
    # 8 of 10: from tables.
    assert korn_graubard(0.8, 10) == pytest.approx((0.4439, 0.9748), abs=1e-4)


@pytest.mark.parametrize("count", [5, 60, 200, 5000])
def test_a_sample_has_some_of_every_stratum_none_twice_and_is_the_same_for_a_seed(count):
    groups, _ = population(1500)
    names = groups.tolist()
    rows = draw(names, count, seed=3)
    assert len(rows) == len(set(rows.tolist())) == min(count, 1500)
    assert rows.tolist() == draw(names, count, seed=3).tolist()
    assert count >= 1500 or rows.tolist() != draw(names, count, seed=4).tolist()
    if count >= 60:
        assert set(groups[rows].tolist()) == set(names)


def test_kappa_by_hand():
    # Both say keep 2 of 4 times, and agree 3 of 4 times by ... (0.75 - 0.5) / (1 - 0.5).
    assert agreement(["k", "k", "d", "d"], ["k", "d", "d", "d"]) == pytest.approx(0.5)
    assert agreement(["k", "k"], ["k", "k"]) is None


@pytest.mark.parametrize("lower", [True, False])
def test_a_bound_is_found_again_from_200_verdicts(lower):
    """Verdicts follow a bound at 0.4 but for noise: what is found agrees with all nearly as well as the best."""
    behind = []
    for seed in range(rounds(50, least=10)):
        rng = np.random.default_rng(seed)
        values = rng.random(4000)
        keep = rng.random(4000) < 1 / (1 + np.exp(-(values - 0.4) / 0.04 * (1 if lower else -1)))

        def agrees(bound, values=values, keep=keep):
            return float((((values >= bound) if lower else (values <= bound)) == keep).mean())

        some = rng.choice(4000, 200, replace=False)
        found = refit(values[some], keep[some], np.ones(200), 0.9, lower=lower)
        best = max(agrees(bound) for bound in np.linspace(0, 1, 201))
        behind.append(best - agrees(found.value))
        assert found.agreement > found.before
    assert np.median(behind) <= 0.02
    assert np.quantile(behind, 0.9) <= 0.05


def test_one_answer_alone_gives_the_bound_that_lets_all_in_or_none():
    values, weights = np.array([1.0, 2.0, 3.0]), np.ones(3)
    assert best_bound(values, np.array([True] * 3), weights, lower=True) <= 1.0
    assert best_bound(values, np.array([False] * 3), weights, lower=True) > 3.0
    assert best_bound(values, np.array([True] * 3), weights, lower=False) >= 3.0
