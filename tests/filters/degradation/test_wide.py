"""Examples of damage that went through a camera: seeded, of all kinds, small ones among them, true to their labels."""

import numpy as np
import pytest
import skimage.data

from filters.degradation.heads import HEADS, OVERALL
from filters.degradation.real import CLEAN_KINDS, truth_of_example
from filters.degradation.sensor import QUIET, curved_motion, through_sensor
from filters.degradation.synthesis import downscale
from filters.degradation.wide import WIDE, wide_examples
from filters.measures import Photo, load_measure

COFFEE = downscale(skimage.data.coffee(), 1.5)


@pytest.fixture(scope="module")
def examples():
    """Of five names."""
    return [e for name in "abcde" for e in wide_examples(name, COFFEE)]


def test_the_same_name_gives_the_same_pictures_and_another_name_others():
    small = downscale(COFFEE, 2.0)
    one, again, other = (list(wide_examples(name, small)) for name in ("a", "a", "b"))
    assert [e.kind for e in one] == [e.kind for e in again]
    assert all(np.array_equal(x.rgb, y.rgb) for x, y in zip(one, again, strict=True))
    assert not any(np.array_equal(one[0].rgb, e.rgb) for e in other)


def test_every_kind_comes_and_says_what_is_true_of_it(examples):
    assert {e.kind for e in examples} == set(WIDE)
    overall = HEADS.index(OVERALL)
    for example in examples:
        truth = truth_of_example(example)
        assert truth[overall] == (0.0 if example.kind in CLEAN_KINDS else 1.0)
        for label in WIDE[example.kind].labels:
            assert truth[HEADS.index(label)] == 1.0
        for label in WIDE[example.kind].unclear:
            assert np.isnan(truth[HEADS.index(label)])
    # Damaged ones are as small as clean ones: small is no sign of either.
    for clean in (True, False):
        sides = [min(e.rgb.shape[:2]) for e in examples if (e.kind in CLEAN_KINDS) == clean]
        assert min(sides) < 200 < max(sides)


def test_what_is_called_noisy_has_more_grain_than_what_is_called_clean(examples):
    grain = load_measure("grain_p50")
    means = {
        kind: np.mean([grain.measure(Photo(e.rgb)) for e in examples if e.kind == kind])
        for kind in ("wide_noise", "wide_clean")
    }
    assert means["wide_noise"] > means["wide_clean"] + 0.3


def test_a_camera_that_gets_more_light_or_gains_it_makes_a_lighter_picture():
    def mean(**more):
        return through_sensor(COFFEE, np.random.default_rng(0), QUIET, **more)[0].mean()

    assert mean(ev=-2.0) < 0.7 * mean() < mean() < mean(gain=1.5)
    # What it does not get and gains after is as light.
    assert abs(mean(ev=-1.0, gain=2.0) - mean()) < 1.5


def test_a_shaken_line_sums_to_one_and_is_about_as_long_as_said():
    for seed in range(5):
        kernel = curved_motion(20.0, np.random.default_rng(seed))
        assert abs(float(kernel.sum()) - 1.0) < 1e-5
        rows, columns = np.nonzero(kernel > 1e-4)
        reach = np.hypot(np.ptp(rows), np.ptp(columns))
        assert 10 < reach < 26
