"""Intervals of means."""

import numpy as np
import pytest

from training.bootstrap import interval


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
