"""What thumbnails confirm where hashes say little: pages that were written on, and no two papers of one layout."""

import numpy as np
import pytest
from skimage import data

from benchmarks._papers import DRAWN, drawn, fogged
from benchmarks.lookalikes import looked_for
from filters.duplicates.confirm import VERSION
from filters.duplicates.dedupe import DedupePolicy, confirmed_edges
from filters.duplicates.hashing import hash_pixels
from filters.duplicates.patches import one_backdrop, written_on


@pytest.mark.parametrize("kind", DRAWN)
def test_a_page_that_was_written_on_is_its_copy_and_its_neighbor_is_another(kind):
    found = looked_for(drawn(kind, 2, seed=5), ("text written on it", "JPEG 30"))
    assert found.copies == {"text written on it": 2, "JPEG 30": 2}
    assert found.false == 0


def test_photographs_in_fog_are_told_apart_and_found_again():
    photos = [data.astronaut(), data.chelsea(), data.coffee()]
    foggy = [fogged(photo[::2, ::2], number) for number, photo in enumerate(photos)]
    found = looked_for(foggy, ("JPEG 30", "mirror"))
    assert found.copies == {"JPEG 30": 3, "mirror": 3}
    assert found.false == 0


def test_two_forms_with_half_of_the_answers_in_common_are_two_papers():
    form = drawn("forms", 1, seed=5)[0][..., 0]
    other = form.copy()
    # Nine of fourteen answers are others.
    other[200:700] = drawn("forms", 2, seed=5)[1][200:700, :, 0]
    hashes = [hash_pixels(np.ascontiguousarray(one)) for one in (form, other)]
    phash, dhash = (
        np.array([getattr(one, name) for one in hashes], dtype=np.uint64)
        for name in ("phash", "dhash")
    )
    spread = np.array([one.spread for one in hashes])
    looks = (phash[:, 0], dhash[:, 0], phash[:, 1:], dhash[:, 1:])
    loose = DedupePolicy(phash_radius=24, dhash_radius=24)
    assert len(confirmed_edges(*looks, spread, loose))
    thumbnails = [one.thumbnail for one in hashes]
    found = confirmed_edges(
        *looks, spread, loose, lambda rows: [thumbnails[row] for row in rows.tolist()]
    )
    assert (VERSION, len(found)) == ("confirm-2", 0)


def planes(side, *, everywhere=0.0):
    """Two fine parts of 128 px: one picture, with another in a square of `side` px, and noise everywhere."""
    chance = np.random.default_rng(3)
    one, other, noise = chance.normal(size=(3, 128, 128)).astype(np.float32)
    two = one + everywhere * noise
    two[16 : 16 + side, 16 : 16 + side] = other[:side, :side]
    return one, two


@pytest.mark.parametrize(
    ("side", "everywhere", "written", "backdrop"),
    [
        # 32 px are a sixteenth of the area, 64 px a quarter, 104 px two thirds: then it is another picture altogether.
        (32, 0.0, True, False),
        (64, 0.0, False, True),
        (104, 0.0, False, False),
        # Differences all over the picture: turned, cut or compressed.
        (0, 1.0, False, False),
    ],
)
def test_where_two_pictures_differ_says_what_they_are(side, everywhere, written, backdrop):
    one, two = planes(side, everywhere=everywhere)
    assert written_on(one, two, flat=False) is written
    assert one_backdrop(one, two) is backdrop
