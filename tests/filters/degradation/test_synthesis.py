"""Every amount that synthesis claims is measured back from the pixels."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from filters.degradation import synthesis
from filters.degradation.synthesis import Degradation, apply

EVERY_KIND = [
    Degradation(kind="gaussian_blur", amount=2.0),
    Degradation(kind="defocus", amount=3.0),
    Degradation(kind="motion_blur", amount=11.0),
    Degradation(kind="gaussian_noise", amount=15.0),
    Degradation(kind="correlated_noise", amount=12.0),
    Degradation(kind="jpeg", amount=20),
    Degradation(kind="low_light", amount=-3.0),
    Degradation(kind="overexpose", amount=2.0),
    Degradation(kind="upscale", amount=3.0),
    Degradation(kind="downscale", amount=2.0),
    Degradation(kind="camera_chain", amount=3.0),
]


def grey(level, side=128):
    return np.full((side, side, 3), level, np.uint8)


def step_edge(side=128):
    image = grey(40, side)
    image[:, side // 2 :] = 200
    return image


def edge_spread_px(image):
    """Standard deviation of the line spread function: the derivative of the profile across the edge."""
    profile = image[64, :, 1].astype(float)
    weight = np.diff(profile)
    x = np.arange(weight.size)
    mean = (weight * x).sum() / weight.sum()
    return np.sqrt((weight * (x - mean) ** 2).sum() / weight.sum())


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(data.astronaut()[100:260, 100:260])


@pytest.mark.parametrize("degradation", EVERY_KIND, ids=lambda d: d.kind)
def test_the_same_seed_gives_the_same_bytes_and_leaves_the_input_alone(photo, degradation):
    before = photo.copy()
    first = apply(photo, degradation, seed=7)
    assert np.array_equal(first, apply(photo, degradation, seed=7))
    assert np.array_equal(photo, before)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, photo)


@pytest.mark.parametrize("kind", ["gaussian_noise", "correlated_noise", "low_light", "motion_blur"])
def test_another_seed_gives_other_bytes_where_chance_is_part_of_it(photo, kind):
    degradation = next(d for d in EVERY_KIND if d.kind == kind)
    assert not np.array_equal(apply(photo, degradation, seed=1), apply(photo, degradation, seed=2))


@pytest.mark.parametrize("sigma", [1.0, 1.6, 3.5])
def test_gaussian_blur_has_its_sigma_on_a_step_edge(sigma):
    spread = edge_spread_px(synthesis.gaussian_blur(step_edge(), sigma))
    assert spread == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("radius", [2.0, 3.5, 5.0])
def test_a_disk_of_radius_r_spreads_an_edge_by_half_of_r(radius):
    # The marginal of a uniform disk is a semicircle of radius r, whose standard deviation is r / 2.
    # A pixel adds its own 1 / 12 to the variance of the supersampled kernel.
    spread = edge_spread_px(synthesis.defocus(step_edge(), radius))
    assert spread == pytest.approx(np.sqrt(radius**2 / 4 + 1 / 12), rel=0.04)


def test_motion_along_x_spreads_an_edge_by_length_over_root_12_and_across_it_not_at_all():
    spread = edge_spread_px(synthesis.motion_blur(step_edge(), 12.0, 0.0))
    # A uniform line of length l has variance l^2 / 12; bilinear splatting adds about 1 / 6.
    assert spread == pytest.approx(np.sqrt(12.0**2 / 12 + 1 / 6), rel=0.02)
    assert np.array_equal(synthesis.motion_blur(step_edge(), 12.0, 90.0), step_edge())


def test_motion_at_45_degrees_smears_a_dot_along_the_rising_diagonal():
    dot = grey(0)
    dot[64, 64] = 255
    smeared = synthesis.motion_blur(dot, 11.0, 45.0)[:, :, 0]
    assert smeared[61, 67] > 0
    assert smeared[67, 61] > 0
    assert smeared[61, 61] == 0


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("sigma", [3.0, 12.0, 30.0])
def test_noise_has_its_standard_deviation(sigma, correlated):
    rng = np.random.default_rng(3)
    noisy = synthesis.gaussian_noise(grey(128, 256), sigma, rng, correlated=correlated)
    assert noisy.astype(float).std() == pytest.approx(sigma, rel=0.02)


def test_only_correlated_noise_is_correlated_between_neighbours():
    def neighbour_correlation(image):
        plane = image[:, :, 0].astype(float) - 128
        return np.corrcoef(plane[:, :-1].ravel(), plane[:, 1:].ravel())[0, 1]

    rng = np.random.default_rng(3)
    white = synthesis.gaussian_noise(grey(128, 256), 12.0, rng)
    soft = synthesis.gaussian_noise(grey(128, 256), 12.0, rng, correlated=True)
    assert abs(neighbour_correlation(white)) < 0.02
    assert neighbour_correlation(soft) > 0.4


def test_the_encoded_jpeg_carries_the_table_of_its_quality(photo):
    with Image.open(io.BytesIO(synthesis.encode_jpeg(photo, 25))) as image:
        # IJG: below 50 the standard table is scaled by 5000 / q percent: 16 * 2 = 32 at q 25.
        assert image.quantization[0][0] == 32
        assert np.array_equal(np.array(image), synthesis.jpeg(photo, 25))


def test_two_stops_less_light_is_a_quarter_of_the_linear_light():
    # sRGB 188 is linear 0.5029; a quarter, 0.1257, is coded as 99 (1.055 * 0.1257^(1/2.4) - 0.055 = 0.390).
    assert synthesis.low_light(grey(188), -2.0)[0, 0, 0] == 99
    assert synthesis.overexpose(grey(99), 2.0)[0, 0, 0] == pytest.approx(188, abs=1)


def test_low_light_with_noise_has_the_mean_of_the_one_without():
    quiet = synthesis.low_light(grey(188), -3.0).astype(float)
    noisy = synthesis.low_light(grey(188), -3.0, np.random.default_rng(1)).astype(float)
    assert noisy.mean() == pytest.approx(quiet.mean(), abs=1.0)
    assert noisy.std() > 2.0


def test_upscaling_keeps_the_size_and_loses_what_the_small_image_cannot_hold():
    stripes = grey(40)
    stripes[:, ::2] = 200
    flat = synthesis.upscale(stripes, 2.0)
    assert flat.shape == stripes.shape
    assert np.all(flat == 120)  # the mean of 40 and 200


def test_downscaling_averages_areas():
    stripes = grey(40)
    stripes[:, ::2] = 200
    assert np.array_equal(synthesis.downscale(stripes, 2.0), grey(120, 64))


def test_a_camera_leaves_a_photo_nearly_as_it_was(photo):
    taken = synthesis.camera_chain(photo, np.random.default_rng(0), sigma=3.0)
    error = np.sqrt(((taken.astype(float) - photo) ** 2).mean())
    assert 2.0 < error < 8.0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: synthesis.low_light(grey(9), 1.0), "below 0"),
        (lambda: synthesis.jpeg(grey(9), 0), "between 1 and 100"),
        (lambda: synthesis.upscale(grey(9), 1.0), "above 1"),
        (lambda: synthesis.gaussian_blur(np.zeros((8, 8), np.uint8), 1.0), r"\[H,W,3\]"),
    ],
)
def test_an_impossible_amount_or_image_is_an_error_that_says_what_is_allowed(call, says):
    with pytest.raises(ValueError, match=says):
        call()
