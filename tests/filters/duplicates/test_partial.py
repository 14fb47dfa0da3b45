"""Partial copies are found by points, and what only shares a watermark, a layout or nothing is not."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from filters.degradation.synthesis import encode_jpeg
from filters.duplicates.hashing import hash_seen
from filters.duplicates.leakage import FingerprintError, fingerprint, most_shared, read_index
from filters.duplicates.partial import PartialPolicy, fit_of, partial_pairs
from filters.duplicates.points import MOST_POINTS, points_of, unpacked
from filters.duplicates.voting import candidates_of
from filters.picture import open_picture

PHOTOS = {
    "astronaut": data.astronaut(),
    "cat": data.chelsea(),
    "coffee": data.coffee(),
    "rocket": data.rocket(),
}
POLICY = PartialPolicy()


def cut(image, share, at=(0.5, 0.5)):
    """So much of each side taken off, the rest lying at `at`."""
    sides = [round(side * (1 - share)) for side in image.shape[:2]]
    top, left = (
        round((side - rest) * place)
        for side, rest, place in zip(image.shape[:2], sides, at, strict=True)
    )
    return image[top : top + sides[0], left : left + sides[1]]


def scaled(image, width, height):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def lettered(image, text="breaking news, found on the internet"):
    page = Image.fromarray(image.copy())
    font = ImageFont.load_default(image.shape[0] // 14)
    ImageDraw.Draw(page).text((8, image.shape[0] // 2), text, fill=(255, 255, 0), font=font)
    return np.asarray(page)


def seen(image, quality=85):
    with open_picture(encode_jpeg(np.ascontiguousarray(image), quality)) as picture:
        return points_of(picture.grey), hash_seen(picture).thumbnail


def pairs_of(*images):
    both = [seen(image) for image in images]
    found = partial_pairs([one for one, _ in both], [thumb for _, thumb in both], POLICY)
    return {tuple(pair) for pair in found.tolist()}


def collage(images):
    parts = [scaled(image, 300, 200) for image in images]
    return np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])


COPIES = {
    "crop 10 %": lambda i: cut(i, 0.1, (0, 0)),
    "crop 30 %": lambda i: cut(i, 0.3, (1, 0)),
    "crop 50 %": lambda i: cut(i, 0.5),
    "crop 30 %, 60 % of the size": lambda i: scaled(
        cut(i, 0.3), i.shape[1] * 42 // 100, i.shape[0] * 42 // 100
    ),
    "border": lambda i: np.pad(i, ((60, 60), (60, 60), (0, 0)), constant_values=255),
    "letterbox": lambda i: np.pad(i, ((90, 90), (0, 0), (0, 0))),
    "mirrored crop": lambda i: cut(i, 0.3)[:, ::-1],
    "turned crop": lambda i: np.rot90(cut(i, 0.3)),
    "text": lettered,
}


@pytest.mark.parametrize("kind", COPIES)
def test_parts_of_photographs_are_found_and_nothing_else(kind):
    photos = list(PHOTOS.values())
    copies = [COPIES[kind](photo) for photo in photos]
    n = len(photos)
    assert pairs_of(*photos, *copies) == {(i, n + i) for i in range(n)}


def test_a_collage_is_tied_to_each_of_its_photographs():
    photos = [photo[: photo.shape[1] * 2 // 3] for photo in PHOTOS.values()]
    assert pairs_of(*photos, collage(photos)) == {(i, 4) for i in range(4)}


def test_one_text_written_on_different_photographs_ties_nobody():
    assert pairs_of(*(lettered(photo) for photo in PHOTOS.values())) == set()


def form(number):
    chance = np.random.default_rng((7, number))
    page = Image.new("L", (800, 1000), 252)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(22)
    for row in range(16):
        top = 60 + row * 55
        draw.text((40, top), f"Question {row + 1}", fill=0, font=font)
        draw.rectangle((220, top - 6, 760, top + 30), outline=0)
        answer = "".join(chr(97 + c) for c in chance.integers(0, 26, int(chance.integers(6, 30))))
        draw.text((230, top), answer, fill=40, font=font)
    return np.asarray(page.convert("RGB"))


def test_filled_in_forms_are_different_papers():
    assert pairs_of(*(form(number) for number in range(4))) == set()


def test_pairs_do_not_depend_on_the_order_of_rows():
    images = [*PHOTOS.values(), *(cut(photo, 0.4) for photo in PHOTOS.values())]
    order = np.random.default_rng(3).permutation(len(images))
    found = pairs_of(*(images[k] for k in order))
    assert {tuple(sorted((int(order[i]), int(order[j])))) for i, j in found} == pairs_of(*images)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (15, 15), (300, 200), (64, 64)])
def test_a_picture_without_points_is_a_head_alone_and_no_pair(shape):
    blank = points_of(np.full(shape, 90, dtype=np.uint8))
    assert len(unpacked(blank).bits) == 0
    assert fit_of(unpacked(blank), unpacked(blank)) is None
    thumb = bytes(64 * 64)
    assert len(partial_pairs([blank, blank, None], [thumb, thumb, thumb], POLICY)) == 0
    assert len(partial_pairs([], [], POLICY)) == 0


def test_the_points_of_a_mirror_image_are_the_mirrored_points():
    grey = np.asarray(Image.fromarray(data.chelsea()).convert("L"))
    points = unpacked(points_of(grey))
    assert 100 < len(points.bits) <= MOST_POINTS
    mirror = unpacked(points_of(np.ascontiguousarray(grey[:, ::-1])))
    fit = fit_of(points.mirrored(), mirror)
    assert fit.share > 0.8
    # No turn, no growth, no shift: every point lies where it was.
    assert np.abs(fit.to_second - [[1, 0, 0], [0, 1, 0]]).max() < 0.5
    other = fit_of(points, mirror)
    assert other is None or other.share < 0.1


def test_only_pairs_of_a_first_picture_with_another_are_asked_for():
    photo = PHOTOS["cat"]
    plain = [unpacked(seen(image)[0]) for image in (photo, cut(photo, 0.2), cut(photo, 0.3))]
    assert {(i, j) for i, j, _ in candidates_of(plain, 9).tolist()} == {(0, 1), (0, 2), (1, 2)}
    assert {(i, j) for i, j, _ in candidates_of(plain, 9, first=1).tolist()} == {(0, 1), (0, 2)}


def png(image):
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(sink, "PNG")
    return sink.getvalue()


def test_a_crop_of_a_benchmark_image_is_found_where_the_index_has_points(tmp_path):
    images = [(name, png(photo)) for name, photo in PHOTOS.items()]
    index = fingerprint("Web", images, parts=True)
    asked = [cut(PHOTOS["rocket"], 0.4), data.immunohistochemistry(), cut(PHOTOS["cat"], 0.3)]
    shared, which = most_shared(index, [*(seen(image)[0] for image in asked), None], 20)
    assert [which[0], which[1], which[2], which[3]] == [3, -1, 1, -1]
    assert min(shared[0], shared[2]) >= 12 > shared[1] == shared[3] == 0
    plain = fingerprint("Web", images)
    assert plain.column("points").null_count == len(images)
    pq.write_table(index, tmp_path / "other.parquet")
    assert read_index(tmp_path / "other.parquet").equals(index)
    older = index.set_column(5, "version", pa.array(["imagehash-1+points-0"] * 4))
    pq.write_table(older, tmp_path / "old.parquet")
    with pytest.raises(FingerprintError, match="points-0"):
        read_index(tmp_path / "old.parquet")


@pytest.mark.parametrize(
    "wrong", [{"least_agreeing": 3}, {"least_share": 0.0}, {"most_candidates": 0}]
)
def test_a_policy_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="least_"):
        PartialPolicy(**wrong)
