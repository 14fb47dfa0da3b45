"""Shares of a sample, and how sure they are."""

import numpy as np
import pytest

from filters.shares import share_of, wilson


def test_files_of_their_own_give_wilsons_interval():
    # 5 of 100: 2.2 % to 11.2 %.
    low, high = wilson(0.05, 100)
    assert (low, high) == (pytest.approx(0.022, abs=5e-4), pytest.approx(0.112, abs=5e-4))
    seen = [i < 25 for i in range(100)]
    found = share_of(seen, range(100))
    assert found.share == 0.25
    assert found.worth == pytest.approx(99, rel=0.02)


def test_a_hundred_files_of_one_uploader_are_one_observation():
    found = share_of([True] * 100, ["A"] * 100)
    assert (found.share, found.worth) == (1.0, 1.0)
    assert found.low < 0.25
    # Of four uploaders two pass with everything: worth about four.
    mixed = share_of([i % 4 < 2 for i in range(100)], [i % 4 for i in range(100)])
    assert mixed.worth < 5
    assert mixed.low < 0.2
    assert mixed.high > 0.8


def test_nothing_seen_says_nothing():
    found = share_of([], [])
    assert (found.low, found.high, found.worth) == (0.0, 1.0, 0.0)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Uploaders of 1 to 20 files, each with a rate of its own around 30 %: 95 % within sampling error."""
    chance, held, simple, trials = np.random.default_rng(5), 0, 0, 400
    for _ in range(trials):
        seen, bunches = [], []
        while len(seen) < 100:
            rate = chance.beta(0.3, 0.7)
            size = int(chance.integers(1, 21))
            seen += (chance.random(size) < rate).tolist()
            bunches += [len(bunches)] * size
        found = share_of(seen[:100], bunches[:100])
        held += found.low <= 0.3 <= found.high
        low, high = wilson(found.share, 100)
        simple += low <= 0.3 <= high
    assert held / trials > 0.88
    # What would be said of files that are taken for independent.
    assert simple / trials < 0.8
