"""Measures of light, color and edges: bars around a picture, saturated colors and night do not fool them."""

import numpy as np
import pytest
import skimage.data

from filters.degradation.synthesis import defocus, downscale, low_light, motion_blur, overexpose
from filters.measures import Photo, load_measure

COFFEE = downscale(skimage.data.coffee(), 1.5)
INNER = ("blown_luma", "dark_share", "inner_luma_p5", "inner_luma_p75", "tile_luma_p90", "veil")


def value(name, image):
    return load_measure(name).measure(Photo(image))


def drawing():
    page = np.full((300, 400, 3), 245, np.uint8)
    page[20:60, 20:300] = (200, 40, 40)
    page[100:220, 50:90] = (30, 60, 160)
    return page


@pytest.mark.parametrize("name", [*INNER, "reblur", "narrow_edges", "color_count", "saturation"])
@pytest.mark.parametrize("level", [0, 255])
def test_bars_around_a_picture_change_nothing(name, level):
    height, width = COFFEE.shape[:2]
    framed = np.full((height + 60, width + 100, 3), level, np.uint8)
    framed[30 : height + 30, 50 : width + 50] = COFFEE
    assert value(name, framed) == value(name, COFFEE)


def test_bars_are_taken_off_up_to_a_quarter_and_never_all():
    black = np.zeros((200, 300, 3), np.uint8)
    assert value("dark_share", black) == 1.0
    half = black.copy()
    half[:100] = np.random.default_rng(0).integers(60, 200, (100, 300, 3))
    # A quarter of the rows is a bar at most; of the other 150, 50 are black.
    assert value("dark_share", half) == pytest.approx(50 / 150, abs=0.02)


@pytest.mark.parametrize(
    ("name", "degrade", "amounts", "more"),
    [
        ("reblur", defocus, (1.0, 2.0, 4.0), False),
        ("narrow_edges", defocus, (1.0, 2.0, 4.0), False),
        ("blown_luma", overexpose, (1.0, 2.0, 3.0), True),
        ("bright_share", overexpose, (1.0, 2.0, 3.0), True),
        ("blown_area", overexpose, (1.0, 2.0, 3.0), True),
        ("veil", overexpose, (1.0, 2.0, 3.0), True),
        ("dark_share", lambda i, a: low_light(i, -a), (1.0, 2.0, 4.0), True),
        ("inner_luma_p99", lambda i, a: low_light(i, -a), (1.0, 2.0, 4.0), False),
        ("tile_luma_p10", lambda i, a: low_light(i, -a), (1.0, 2.0, 4.0), False),
    ],
)
def test_they_grow_or_fall_with_the_known_amount(name, degrade, amounts, more):
    values = [value(name, COFFEE)] + [value(name, degrade(COFFEE, a)) for a in amounts]
    assert values == sorted(values, reverse=not more)
    assert values[0] != values[-1]


def test_motion_along_an_axis_makes_edges_across_it_run_longer():
    still, along = value("edge_run_ratio", COFFEE), motion_blur(COFFEE, 15.0, 0.0)
    assert value("edge_run_ratio", along) > still + 0.3
    assert value("edge_run_ratio", defocus(COFFEE, 3.0)) < value("edge_run_ratio", along)


def test_a_saturated_color_is_not_blown_and_a_lamp_is_a_small_area():
    red = COFFEE.copy()
    red[:100] = (255, 30, 20)
    assert value("clipped_share", red) > 0.2
    assert value("blown_luma", red) <= value("blown_luma", COFFEE)
    lamp = low_light(COFFEE, -3.0)
    lamp[100:112, 200:212] = 255
    assert 0.0 < value("blown_area", lamp) < 0.01


def test_drawings_have_few_colors_and_night_is_no_drawing():
    night = low_light(COFFEE, -5.0)
    assert value("flat_share", night) > 0.2
    for name in ("equal_share", "common_colors"):
        assert value(name, drawing()) > 0.9
        assert value(name, COFFEE) < 0.5
    assert value("equal_share", night) < 0.5
    assert value("color_count", drawing()) < 1.0 < value("color_count", COFFEE)
