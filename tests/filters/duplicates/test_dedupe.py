"""Twins are found, strangers are left alone, and a chain does not drop what is distinct."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from filters.duplicates.dedupe import DedupePolicy, confirmed_edges, dedupe, edges_of_new
from filters.duplicates.hashing import hash_image
from tests.counts import rounds

FOLDER = Path(skimage.__file__).parent / "data"
NAMES = (
    "astronaut.png",
    "coffee.png",
    "chelsea.png",
    "camera.png",
    "rocket.jpg",
    "motorcycle_left.png",
)
PHOTOS = {
    path.stem: Image.open(path).convert("RGB")
    for path in (
        *(FOLDER / name for name in NAMES),
        *sorted((Path(sklearn.__file__).parent / "datasets" / "images").glob("*.jpg")),
    )
}
POLICY = DedupePolicy()


def resaved(image, quality):
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality)
    return Image.open(io.BytesIO(sink.getvalue()))


def cropped(image, share):
    dx, dy = round(image.width * share), round(image.height * share)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


TRANSFORMS = {
    "jpeg 30": lambda image: resaved(image, 30),
    "half size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "quarter size": lambda image: image.resize((image.width // 4, image.height // 4)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "crop 1.5 % a side": lambda image: cropped(image, 0.015),
    "mirror": ImageOps.mirror,
    "mirror and jpeg 50": lambda image: resaved(ImageOps.mirror(image), 50),
}


def run(images, policy=POLICY, **columns):
    hashes = [hash_image(image) for image in images]
    count = len(images)
    given = {
        "page_ids": np.arange(1, count + 1),
        "pixels": np.array([i.width * i.height for i in images], dtype=np.int64),
        "size_bytes": np.zeros(count, dtype=np.int64),
        "uploaded_at": np.zeros(count, dtype=np.int64),
    }
    for name in ("phash", "dhash", "phash_mirror", "dhash_mirror"):
        given[name] = np.array([getattr(h, name) for h in hashes], dtype=np.uint64)
    given["spread"] = np.array([h.spread for h in hashes], dtype=np.float64)
    return dedupe(**{**given, **columns}, policy=policy)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_copy_is_found_and_the_original_is_kept(transform):
    originals = list(PHOTOS.values())
    copies = [TRANSFORMS[transform](image) for image in originals]
    # The original is preferred: same or more pixels, and an earlier upload where they tie.
    uploaded = np.array([0] * len(originals) + [1] * len(originals), dtype=np.int64)
    result = run(originals + copies, uploaded_at=uploaded)
    count = len(originals)
    assert result.duplicate_of[:count].tolist() == [-1] * count
    assert result.duplicate_of[count:].tolist() == list(range(1, count + 1))
    assert result.cluster_id[count:].tolist() == list(range(1, count + 1))


def test_distinct_photographs_are_not_merged():
    result = run(list(PHOTOS.values()))
    assert result.edges.tolist() == []
    assert (result.duplicate_of == -1).all()


def test_blank_images_are_not_each_others_copies():
    blank = [Image.new("RGB", (90, 60), (v, v, v)) for v in (250, 251, 252)]
    assert (run(blank).duplicate_of == -1).all()


def table(hashes, order=None, **columns):
    """Rows that are distinct in all but pHash; dHash agrees where pHash nearly does."""
    count = len(hashes)
    h = np.array(hashes, dtype=np.uint64)
    far = np.random.default_rng(0).integers(0, 2**64, count, dtype=np.uint64)
    given = {
        "page_ids": np.arange(1, count + 1),
        "phash": h,
        "dhash": h,
        "phash_mirror": far,
        "dhash_mirror": far,
        "spread": np.full(count, 50.0),
        "pixels": np.full(count, 100, dtype=np.int64),
        "size_bytes": np.full(count, 10, dtype=np.int64),
        "uploaded_at": np.zeros(count, dtype=np.int64),
        **{k: np.array(v, dtype=np.int64) for k, v in columns.items()},
    }
    if order is not None:
        given = {k: v[order] for k, v in given.items()}
    return dedupe(**given, policy=POLICY)


def test_a_chain_drops_only_what_is_close_to_the_kept_copy():
    # A and B are 10 bits apart, B and C 10, A and C 20: B goes for A, and C stays.
    result = table([0, 2**10 - 1, 2**20 - 1])
    assert result.duplicate_of.tolist() == [-1, 1, -1]
    assert result.cluster_id.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("columns", "kept"),
    [
        ({"pixels": [50, 100], "size_bytes": [99, 1]}, 2),
        ({"size_bytes": [1, 99], "uploaded_at": [0, 5]}, 2),
        ({"uploaded_at": [7, 5]}, 2),
        ({}, 1),
    ],
)
def test_more_pixels_then_more_bytes_then_earlier_upload_then_lower_id(columns, kept):
    result = table([0, 1], **columns)
    assert result.duplicate_of.tolist() == [-1 if page == kept else kept for page in (1, 2)]


def test_a_candidate_is_confirmed_by_dhash_or_left_alone():
    near = np.array([0, 1], dtype=np.uint64)
    far = np.array([0, 2**64 - 1], dtype=np.uint64)
    ones = np.ones(2, dtype=np.int64)
    rest = {"spread": np.full(2, 50.0), "pixels": ones, "size_bytes": ones, "uploaded_at": ones}
    result = dedupe(
        page_ids=np.array([1, 2]),
        phash=near,
        dhash=far,
        phash_mirror=~near,
        dhash_mirror=far,
        policy=POLICY,
        **rest,
    )
    assert result.edges.tolist() == []


@settings(max_examples=rounds(300), deadline=None)
@given(st.integers(0, 2**32))
def test_the_order_of_the_rows_does_not_matter(seed):
    chance = np.random.default_rng(seed)
    hashes = chance.integers(0, 2**64, 60, dtype=np.uint64)
    for i in range(20, 60):
        hashes[i] = hashes[i % 7] ^ np.uint64((1 << int(chance.integers(0, 9))) - 1)
    columns = {"pixels": chance.integers(1, 4, 60), "size_bytes": chance.integers(1, 4, 60)}
    plain = table(hashes, **columns)
    order = chance.permutation(60)
    shuffled = table(hashes, order, **columns)
    assert shuffled.duplicate_of.tolist() == plain.duplicate_of[order].tolist()
    assert shuffled.cluster_id.tolist() == plain.cluster_id[order].tolist()


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one_are_no_problem(count):
    assert len(table([5] * count).duplicate_of) == count


def test_unreasonable_radii_are_refused():
    with pytest.raises(ValueError, match="0 to 24"):
        replace(POLICY, phash_radius=40)


@st.composite
def families(draw):
    """[N] hashes in which every fourth is near an earlier one, plain or mirrored, some of them blank."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(0, 260))
    plain, plain_d, mirror, mirror_d = chance.integers(0, 2**64, (4, count), dtype=np.uint64)

    def near(value):
        bits = chance.choice(64, size=chance.integers(0, 15), replace=False).astype(np.uint64)
        return value ^ np.bitwise_or.reduce(np.uint64(1) << bits, initial=np.uint64(0))

    for i in range(4, count, 4):
        j = chance.integers(0, i)
        old = (plain[j], plain_d[j], mirror[j], mirror_d[j])
        if chance.random() < 0.4:
            old = (mirror[j], mirror_d[j], plain[j], plain_d[j])
        plain[i], plain_d[i], mirror[i], mirror_d[i] = map(near, old)
    spread = np.where(chance.random(count) < 0.1, 0.5, 50.0)
    return plain, plain_d, mirror, mirror_d, spread


@settings(max_examples=rounds(400), deadline=None)
@given(families(), st.floats(0, 1), st.booleans())
def test_what_new_hashes_add_is_what_a_search_of_all_finds(family, share, few):
    known = int(share * len(family[0]))
    with pytest.MonkeyPatch.context() as patch:
        # Few new ones go through the index of the old, many through one search of all.
        patch.setattr("filters.duplicates.dedupe.FRESH_SHARE", 0 if few else 10**9)
        added = edges_of_new(known, *family, policy=POLICY)
    old = confirmed_edges(*(column[:known] for column in family), policy=POLICY)
    whole = confirmed_edges(*family, policy=POLICY)
    both = np.concatenate([old, added])
    ends = {(i, j, p, flip) for i, j, p, _, flip in both.tolist()}
    assert ends == {(i, j, p, flip) for i, j, p, _, flip in whole.tolist()}
    assert len(ends) == len(both)
    assert (added[:, 1] >= known).all()
