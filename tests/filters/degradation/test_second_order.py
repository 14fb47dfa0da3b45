"""The second-order degradations on real photographs: seeded, bounded, and harder than one round."""

import math

import numpy as np
import pytest
from skimage import data

from filters.degradation.second_order import (
    Round,
    SecondOrder,
    anisotropic_blur,
    ringing,
    second_order,
    shot_noise,
)
from filters.degradation.synthesis import downscale

PHOTO = data.coffee()[:200, :320].copy()
NOTHING = Round(
    blur=0.0,
    sigma_px=(0.2, 0.2),
    up=0.0,
    down=0.0,
    factor=(1.0, 1.0),
    noise_sigma=(0.0, 0.0),
    poisson_scale=(1e-6, 1e-6),
    grey_noise=0.0,
    quality=(100, 100),
)


def difference(a, b):
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    first = second_order(PHOTO, scale=4.0, seed=7)
    assert np.array_equal(first, second_order(PHOTO, scale=4.0, seed=7))
    assert not np.array_equal(first, second_order(PHOTO, scale=4.0, seed=8))


@pytest.mark.parametrize(
    ("scale", "shape"), [(1.0, (200, 320, 3)), (4.0, (50, 80, 3)), (3.0, (67, 107, 3))]
)
def test_the_result_has_the_size_divided_by_the_scale(scale, shape):
    for seed in range(5):
        found = second_order(PHOTO, scale=scale, seed=seed)
        assert found.shape == shape
        assert found.dtype == np.uint8


def test_it_works_on_tiny_and_flat_images_and_refuses_what_is_none():
    assert second_order(PHOTO[:1, :1], scale=4.0, seed=0).shape == (1, 1, 3)
    flat = np.full((40, 40, 3), 128, np.uint8)
    assert abs(float(second_order(flat, scale=2.0, seed=1).mean()) - 128) < 6
    with pytest.raises(ValueError, match="at least 1"):
        second_order(PHOTO, scale=0.5, seed=0)
    with pytest.raises(ValueError, match="uint8 RGB"):
        second_order(PHOTO.astype(np.float32), scale=2.0, seed=0)


def test_ranges_that_do_nothing_leave_only_the_resize_and_the_best_jpeg():
    gentle = SecondOrder(first=NOTHING, second=NOTHING, sinc=0.0)
    for seed in range(4):
        found = second_order(PHOTO, scale=1.0, seed=seed, ranges=gentle)
        assert difference(found, PHOTO) < 3.0


def test_the_default_loses_more_than_a_plain_reduction_but_keeps_the_picture():
    plain = downscale(PHOTO, 4.0)
    found = [difference(second_order(PHOTO, scale=4.0, seed=s), plain) for s in range(12)]
    gentle = SecondOrder(first=NOTHING, second=NOTHING, sinc=0.0)
    least = difference(second_order(PHOTO, scale=4.0, seed=0, ranges=gentle), plain)
    assert min(found) > least
    # Another photograph differs by far more than any degradation of this one.
    other = downscale(data.astronaut()[:200, :320], 4.0)
    assert max(found) < 0.6 * difference(other, plain)


def test_a_gaussian_of_two_sigmas_blurs_along_its_angle():
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    found = anisotropic_blur(point, (4.0, 0.5), 0.0)[..., 0].astype(float)
    assert found[20, 24] > 0 and found[24, 20] == 0
    turned = anisotropic_blur(point, (4.0, 0.5), 90.0)[..., 0].astype(float)
    assert np.array_equal(turned, found.T)


def test_ringing_overshoots_at_an_edge_and_leaves_flat_parts():
    edge = np.full((41, 80, 3), 64, np.uint8)
    edge[:, 40:] = 192
    found = ringing(edge, math.pi / 3)[20, :, 0].astype(int)
    assert found.max() > 192 + 5 and found.min() < 64 - 5
    assert abs(found[5] - 64) <= 2 and abs(found[-6] - 192) <= 2


def test_shot_noise_has_the_stated_variance_and_keeps_the_mean():
    flat = np.full((200, 200, 3), 100, np.uint8)
    rng = np.random.default_rng(0)
    noisy = shot_noise(flat, 0.5, rng).astype(float)
    # Var = 0.5 * 100 = 50; rounding to whole levels adds 1/12.
    assert noisy.var() == pytest.approx(50, rel=0.05)
    assert noisy.mean() == pytest.approx(100, abs=0.2)
    grey = shot_noise(flat, 0.5, rng, grey=True)
    assert np.array_equal(grey[..., 0], grey[..., 1])
