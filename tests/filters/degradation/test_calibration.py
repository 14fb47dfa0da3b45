"""Known damage is what it says, and areas are over photographs."""

import numpy as np
import pytest
import skimage.data
from sklearn.metrics import roc_auc_score

from filters.degradation.examples import graphics_examples, photo_examples, views
from filters.degradation.judge import area
from filters.degradation.kinds import KINDS, LEVELS

PHOTOS = {
    "astronaut": skimage.data.astronaut(),
    "coffee": skimage.data.coffee(),
    "chelsea": skimage.data.chelsea(),
    "rocket": skimage.data.rocket(),
}


@pytest.fixture(scope="module")
def coffee():
    return list(photo_examples("coffee", PHOTOS["coffee"]))


def test_every_kind_comes_at_every_level_both_ways_on_every_view(coffee):
    seen = {(e.view, e.way, e.kind, e.level) for e in coffee}
    here = set(views(PHOTOS["coffee"]))
    assert here == {"whole", "small", "tiny"}
    for view in here:
        for way in ("lab", "camera"):
            assert (view, way, "clean", 0) in seen
            for kind in KINDS:
                for level in range(1, len(LEVELS) + 1):
                    assert (view, way, kind.name, level) in seen


def test_the_same_photograph_gives_the_same_examples(coffee):
    again = list(photo_examples("coffee", PHOTOS["coffee"]))
    assert all((a.rgb == b.rgb).all() for a, b in zip(coffee, again, strict=True))
    other = photo_examples("tea", PHOTOS["coffee"])
    # The first that differs is enough.
    assert any((a.rgb != b.rgb).any() for a, b in zip(coffee, other, strict=True))


def test_a_large_photograph_has_a_busiest_and_an_emptiest_crop():
    chance = np.random.default_rng(0)
    wide = np.full((1300, 2600, 3), 128, dtype=np.uint8)
    wide[:, 1400:] = chance.integers(0, 256, (1300, 1200, 3))
    found = views(wide)
    assert found["sharp"].std() > 10 * max(found["flat"].std(), 0.01)
    assert found["sharp"].shape == found["flat"].shape == (512, 512, 3)
    assert found["whole"].shape[1] <= 704
    assert found["whole"].shape[0] <= 512


def test_only_what_was_saved_as_jpeg_last_has_a_table(coffee):
    for example in coffee:
        if example.kind in ("white_noise", "jpeg_cropped", "jpeg_resized", "upscaled"):
            assert example.quantization is None
        if example.kind in ("jpeg", "jpeg_again", "noise_jpeg", "upscaled_jpeg"):
            assert example.quantization is not None


def test_graphics_come_as_they_are_saved_and_reduced():
    drawn = np.full((400, 600, 3), 255, dtype=np.uint8)
    found = list(graphics_examples("drawn", drawn))
    assert [e.rgb.shape for e in found] == [(400, 600, 3), (400, 600, 3), (267, 400, 3)]


def test_an_area_is_that_of_scikit_learn_and_its_interval_is_over_photographs():
    chance = np.random.default_rng(0)
    ups, downs = chance.normal(1, 1, 200).round(1), chance.normal(0, 1, 300).round(1)
    names = np.arange(200) % 20, np.arange(300) % 20
    found = area(ups, downs, *names)
    wanted = roc_auc_score(np.r_[np.ones(200), np.zeros(300)], np.r_[ups, downs])
    assert found.value == pytest.approx(wanted)
    assert found.low < found.value < found.high
    # Copies of the same images are no more evidence.
    copies = area(*(np.tile(x, 10) for x in (ups, downs, *names)))
    assert copies.high - copies.low == pytest.approx(found.high - found.low, abs=0.02)


def test_examples_that_are_not_chosen_are_not_made_and_the_others_stay_the_same(coffee):
    some = list(
        photo_examples(
            "coffee", PHOTOS["coffee"], chosen=lambda number, view, level: number % 40 == 7
        )
    )
    assert [e.number for e in some] == [e.number for e in coffee if e.number % 40 == 7]
    for example in some:
        assert (example.rgb == coffee[example.number].rgb).all()
