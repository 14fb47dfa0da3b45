"""Benchmark images are recognised by their fingerprints, whatever became of their bytes."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage import data

from filters.duplicates.hashing import hash_image
from filters.duplicates.leakage import (
    INDEX,
    FingerprintError,
    LeakagePolicy,
    fingerprint,
    index_hash,
    nearest,
    read_index,
)

PHOTOS = {"astronaut": data.astronaut(), "coffee": data.coffee(), "chelsea": data.chelsea()}


def saved(pixels, kind="PNG", **options):
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(sink, kind, **options)
    return sink.getvalue()


def index():
    return fingerprint("RealSR", [(name, saved(p)) for name, p in list(PHOTOS.items())[:2]])


def distances(images, policy=None):
    hashes = [hash_image(Image.fromarray(np.ascontiguousarray(p))) for p in images]
    columns = {
        name: np.array([getattr(h, name) for h in hashes], dtype=np.uint64)
        for name in ("phash", "dhash", "phash_mirror", "dhash_mirror")
    }
    spread = np.array([h.spread for h in hashes])
    return nearest(index(), **columns, spread=spread, policy=policy or LeakagePolicy())


def test_copies_are_near_and_other_photographs_far():
    small = np.asarray(Image.fromarray(PHOTOS["coffee"]).resize((200, 133)))
    near, which = distances(
        [PHOTOS["astronaut"], small, PHOTOS["astronaut"][:, ::-1], PHOTOS["chelsea"]]
    )
    assert near[0] == 0
    assert which[:3].tolist() == [0, 1, 0]
    assert max(near[:3]) <= 12
    assert near[3] > 16


def test_blank_images_match_nothing():
    near, which = distances([np.full((64, 64, 3), 128, np.uint8)])
    assert (near[0], which[0]) == (64, -1)


def test_an_index_goes_to_parquet_and_back_and_its_hash_does_not_depend_on_the_order(tmp_path):
    made = index()
    assert made.schema == INDEX
    pq.write_table(made, tmp_path / "a.parquet")
    pq.write_table(made.take([1, 0]), tmp_path / "b.parquet")
    assert read_index(tmp_path / "a.parquet").equals(made)
    assert index_hash(tmp_path / "a.parquet") == index_hash(tmp_path / "b.parquet")
    pq.write_table(made.slice(0, 1), tmp_path / "c.parquet")
    assert index_hash(tmp_path / "c.parquet") != index_hash(tmp_path / "a.parquet")


def test_what_is_no_index_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="lucidlr fingerprint"):
        read_index(tmp_path / "gone.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(FingerprintError, match="no index"):
        read_index(tmp_path / "other.parquet")
    old = index().set_column(5, "version", pa.array(["older", "older"]))
    pq.write_table(old, tmp_path / "old.parquet")
    with pytest.raises(FingerprintError, match="make it again"):
        read_index(tmp_path / "old.parquet")


def test_images_that_do_not_decode_are_told_and_left_out():
    told = []
    made = fingerprint("X", [("a", b"nothing")], failed=lambda name, why: told.append(name))
    assert (made.num_rows, told) == (0, ["a"])
