"""Smoothing and gradients: the same bits on every processor, however the work is divided."""

import numpy as np
import pytest

from filters.measures import _edges, _smooth
from filters.measures._smooth import scharr, scharr_at, smoothed


def test_gradients_at_a_few_places_are_those_of_the_whole_plane_bit_for_bit():
    plane = np.random.default_rng(0).random((300, 257), np.float32) * 255
    inside = np.random.default_rng(1).permutation(298 * 255)[:5000]
    place = (inside // 255 + 1) * 257 + inside % 255 + 1
    for whole, few in zip(scharr(plane), scharr_at(plane, place), strict=True):
        assert (whole.ravel()[place] == few).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 40), (33, 700)])
def test_smoothing_is_one_rounded_step_after_the_other_for_each_pixel(shape):
    plane = (np.random.default_rng(3).random(shape) * 255).astype(np.float32)
    weights = _smooth._weights(0.7)
    reach = len(weights) - 1
    mode = "reflect" if min(shape) > 1 else "edge"

    def along(padded):
        count = padded.shape[1] - 2 * reach
        total = weights[0] * padded[:, reach : reach + count]
        for far in range(1, reach + 1):
            near, beyond = (padded[:, at : at + count] for at in (reach - far, reach + far))
            total = total + (near + beyond) * weights[far]
        return total

    wanted = along(along(np.pad(plane, reach, mode=mode)).T).T
    assert np.array_equal(smoothed(plane, 0.7), wanted)


def test_half_a_turn_is_taken_off_as_the_operator_does_it():
    edge = [0.0, np.pi, np.nextafter(np.pi, 0), np.nextafter(np.pi, 4), -1e-300, -np.pi]
    angles = np.concatenate([edge, np.random.default_rng(4).uniform(-np.pi, 2 * np.pi, 4000)])
    assert np.array_equal(_edges._half_turn(angles), angles % np.pi)


def test_planes_of_many_strips_are_smoothed_as_in_one(monkeypatch):
    plane = np.random.default_rng(0).random((300, 257), np.float32) * 255
    strips = smoothed(plane, 1.5), *scharr(plane)
    monkeypatch.setattr(_smooth, "STRIP_PX", plane.size * 2)
    for many, one in zip(strips, (smoothed(plane, 1.5), *scharr(plane)), strict=True):
        assert (many == one).all()
