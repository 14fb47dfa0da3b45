"""Measures of grain, of grids and of the spectrum: they tell what they say they tell, at amounts that are known."""

import numpy as np
import pytest
import skimage.data

from filters.degradation.sensor import NOISY, QUIET, through_sensor
from filters.degradation.synthesis import defocus, downscale, gaussian_noise, jpeg, upscale
from filters.measures import Photo, load_measure

COFFEE = downscale(skimage.data.coffee(), 1.5)
ROCKET = downscale(skimage.data.rocket(), 1.5)


def value(name, image):
    return load_measure(name).measure(Photo(image))


def noisy(image, sigma, *, correlated=False):
    return gaussian_noise(image, sigma, np.random.default_rng(1), correlated=correlated)


@pytest.mark.parametrize("image", [COFFEE, ROCKET])
@pytest.mark.parametrize("name", ["grain_p10", "grain_half_p25", "grain_quarter_p50"])
def test_grain_rises_with_noise_at_every_size(name, image):
    said = [value(name, noisy(image, sigma)) for sigma in (0, 8, 20)]
    assert said == sorted(said)
    assert said[2] - said[0] > 0.1


def test_grain_is_the_deviation_of_the_noise_on_a_level_picture_and_halves_when_white():
    flat = noisy(np.full((400, 400, 3), 120, np.uint8), 10.0)
    # A channel each: the luma has sqrt(.299^2 + .587^2 + .114^2) of the noise.
    luma = 10.0 * np.sqrt(0.299**2 + 0.587**2 + 0.114**2)
    assert np.exp(value("grain_p50", flat)) == pytest.approx(luma, rel=0.1)
    assert np.exp(value("grain_half_p50", flat)) == pytest.approx(luma / 2, rel=0.1)
    # What hangs together does not halve.
    together = noisy(np.full((400, 400, 3), 120, np.uint8), 10.0, correlated=True)
    fell = value("grain_p50", together) - value("grain_half_p50", together)
    assert fell < 0.5 * np.log(2)


def test_neighbors_of_white_noise_are_as_the_filter_makes_them_and_of_a_sensor_more_alike():
    flat = np.full((400, 400, 3), 120, np.uint8)
    white = noisy(flat, 10.0)
    # Second difference of white noise: -24 / 36 of its power at one px, 16 / 36 of it diagonally, 6 / 36 at two.
    assert value("grain_across", white) == pytest.approx(-2 / 3, abs=0.05)
    assert value("grain_down", white) == pytest.approx(-2 / 3, abs=0.05)
    assert value("grain_diagonal", white) == pytest.approx(4 / 9, abs=0.08)
    assert value("grain_across_two", white) == pytest.approx(1 / 6, abs=0.06)
    camera = noisy(flat, 10.0, correlated=True)
    assert value("grain_across", camera) > value("grain_across", white) + 0.1
    # Of normal noise the kurtosis is 3.
    assert value("grain_tails", white) == pytest.approx(np.log(3.1), abs=0.15)


def test_a_denoised_or_drawn_picture_is_silent_and_a_noisy_one_is_not():
    drawn = np.full((256, 256, 3), 200, np.uint8)
    drawn[40:90, 30:200] = (30, 60, 160)
    assert value("silent_share", drawn) > 0.7
    assert value("silent_share", noisy(drawn, 5.0)) == 0.0
    assert value("quiet_ratio", noisy(COFFEE, 20.0)) > value("quiet_ratio", COFFEE)


@pytest.mark.parametrize("image", [COFFEE, ROCKET])
@pytest.mark.parametrize("name", ["grid_weaker", "grid_mean", "still_blocks", "block_spread"])
def test_a_jpeg_shows_its_blocks_the_more_the_coarser(name, image):
    said = [value(name, image), value(name, jpeg(image, 25)), value(name, jpeg(image, 8))]
    assert said[0] < said[1] < said[2]


def test_a_grid_is_found_wherever_it_begins_and_one_of_another_period_is_told_apart():
    coarse = jpeg(COFFEE, 12)
    moved = np.ascontiguousarray(coarse[3:, 5:])
    assert value("grid_weaker", moved) == pytest.approx(value("grid_weaker", coarse), abs=0.15)
    # 8 px become 10.
    large = upscale_to(coarse, 1.25)
    assert value("grid_other", large) > value("grid_other", coarse)


def upscale_to(image, factor):
    import cv2

    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def test_the_spectrum_falls_where_blur_and_enlarging_cut_it_off():
    for image in (COFFEE, ROCKET):
        assert value("band_fall_2", defocus(image, 2.0)) > value("band_fall_2", image)
        assert value("band_fall_3", upscale(image, 1.6)) > value("band_fall_3", image)


@pytest.mark.parametrize(
    "name",
    ["grain_p10", "grain_across", "quiet_ratio", "grid_mean", "still_blocks", "band_fall_1"],
)
def test_where_there_is_nothing_to_measure_there_is_no_value(name):
    assert value(name, np.full((5, 5, 3), 90, np.uint8)) is None


def test_of_a_noisy_sensor_more_is_left_than_of_a_quiet_one():
    for seed in range(4):
        left = [
            through_sensor(COFFEE, np.random.default_rng(seed), sensor)[1]
            for sensor in (QUIET, NOISY)
        ]
        assert left[0] < 2.0 < left[1]
