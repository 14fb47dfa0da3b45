from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from catalog.release.columns import IMAGE_TYPE
from tests.counts import rounds
from training.data import (
    DataError,
    LRDataset,
    LRTensors,
    crop_box,
    derived_seed,
    group_schedule,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 40, 60, 3), dtype=np.uint8)


def write_shard(file, rows):
    """As catalog.release.export lays it out, with the columns that training reads."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    image = pa.array([{"bytes": row.pop("bytes"), "path": "x.png"} for row in rows], IMAGE_TYPE)
    table = pa.Table.from_pylist(rows).append_column("image", image)
    pq.write_table(table, file, row_group_size=2)


def encoded(pixels, **options):
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG", **options)
    return sink.getvalue()


@pytest.fixture
def dataset(tmp_path):
    rows = [
        {"sha1": f"{n:040x}", "width": 60, "height": 40, "bytes": encoded(pixels)}
        for n, pixels in enumerate(PIXELS)
    ]
    write_shard(tmp_path / "data" / "cc_by" / "train-00000-of-00002.parquet", rows[:3])
    write_shard(tmp_path / "data" / "pd_cc0" / "train-00000-of-00001.parquet", rows[3:])
    return tmp_path


def test_crops_are_the_pixels_of_the_photograph(dataset):
    source = LRDataset(dataset, split="train", crop_px=16)
    assert len(source.keys) == 5
    for n, key in enumerate(source.keys):
        crop = source.crop(key, seed=3, epoch=1)
        left, top, right, bottom = crop.box
        assert (right - left, bottom - top) == (16, 16)
        found = source.read(crop)
        assert found.dtype == torch.float32
        wanted = PIXELS[n, top:bottom, left:right].transpose(2, 0, 1) / np.float32(255)
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-7)


def test_photographs_turned_by_exif_are_upright_and_as_large_as_their_row_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise to be upright: 60 x 40 stored, 40 x 60 shown
    row = {"sha1": "a" * 40, "width": 40, "height": 60, "bytes": encoded(PIXELS[0], exif=exif)}
    write_shard(tmp_path / "data" / "cc_by" / "train-00000-of-00001.parquet", [row])
    source = LRDataset(tmp_path, split="train", crop_px=40)
    crop = source.crop("a" * 40, seed=0, epoch=0)
    upright = np.rot90(PIXELS[0], k=-1)[crop.top : crop.top + 40]
    np.testing.assert_allclose(
        source.read(crop).numpy(), upright.transpose(2, 0, 1) / np.float32(255), atol=1e-7
    )


def test_photographs_smaller_than_a_crop_are_left_out_and_counted(dataset):
    small = {"sha1": "f" * 40, "width": 15, "height": 90, "bytes": b"never decoded"}
    write_shard(dataset / "data" / "cc_by" / "train-00001-of-00002.parquet", [small])
    source = LRDataset(dataset, split="train", crop_px=16)
    assert (len(source.keys), source.too_small) == (5, 1)


def test_a_dataset_that_cannot_be_trained_on_says_why(dataset, tmp_path):
    with pytest.raises(DataError, match="no split 'validation'"):
        LRDataset(dataset, split="validation", crop_px=16)
    with pytest.raises(DataError, match="smaller crops"):
        LRDataset(dataset, split="train", crop_px=64)
    damaged = {"sha1": "d" * 40, "width": 60, "height": 40, "bytes": b"no image"}
    write_shard(tmp_path / "other" / "data" / "cc_by" / "train-0.parquet", [damaged])
    source = LRDataset(tmp_path / "other", split="train", crop_px=16)
    with pytest.raises(DataError, match="does not decode"):
        source.read(source.crop("d" * 40, seed=0, epoch=0))
    liar = {"sha1": "e" * 40, "width": 600, "height": 400, "bytes": encoded(PIXELS[0])}
    write_shard(tmp_path / "liar" / "data" / "cc_by" / "train-0.parquet", [liar])
    source = LRDataset(tmp_path / "liar", split="train", crop_px=100)
    with pytest.raises(DataError, match="60 x 40"):
        source.read(source.crop("e" * 40, seed=0, epoch=0))
    write_shard(tmp_path / "bare" / "data" / "cc_by" / "train-0.parquet", [{"bytes": b"", "id": 1}])
    with pytest.raises(DataError, match="no column height, sha1, width"):
        LRDataset(tmp_path / "bare", split="train", crop_px=16)


def test_decoded_photographs_are_kept_within_bounds(dataset, monkeypatch):
    monkeypatch.setattr("training.data.CACHE_BYTES", 2 * PIXELS[0].nbytes)
    source = LRDataset(dataset, split="train", crop_px=16)
    for key in source.keys * 2:
        source.read(source.crop(key, seed=0, epoch=0))
    assert len(source._pixels) == 2


@settings(max_examples=rounds(500), deadline=None)
@given(st.integers(16, 500), st.integers(16, 500), st.integers(0, 5), st.integers(0, 5))
def test_a_crop_lies_within_the_photograph_and_depends_on_nothing_else(width, height, seed, epoch):
    left, top = crop_box("ab" * 20, (width, height), 16, seed=seed, epoch=epoch)
    assert 0 <= left <= width - 16
    assert 0 <= top <= height - 16
    assert (left, top) == crop_box("ab" * 20, (width, height), 16, seed=seed, epoch=epoch)


def test_crops_reach_every_position_about_equally_often():
    # 4 positions across, 3 down, 2,400 epochs: 200 each expected, standard deviation about 14.
    found = Counter(crop_box("ab" * 20, (19, 18), 16, seed=0, epoch=e) for e in range(2400))
    assert len(found) == 12
    assert max(abs(count - 200) for count in found.values()) < 70


def test_every_pass_meets_every_photograph_once_in_an_order_of_its_own():
    flat = [p for epoch in range(6) for p in group_schedule(7, seed=1, epoch=epoch, groups=4)]
    assert len(flat) == 24
    laps = [[place for lap, place in flat if lap == n] for n in range(3)]
    assert [sorted(lap) for lap in laps] == [list(range(7))] * 3
    assert laps[0] != laps[1]


def test_the_schedule_is_a_function_of_seed_epoch_and_batch_alone():
    # However an epoch is cut into batches, and whichever is asked first, the same groups come.
    whole = group_schedule(10, seed=5, epoch=3, groups=6)
    pieces = [group_schedule(10, seed=5, epoch=3, batch=b, groups=2, batches=3) for b in (2, 0, 1)]
    assert [*pieces[1], *pieces[2], *pieces[0]] == whole
    assert whole != group_schedule(10, seed=6, epoch=3, groups=6)
    with pytest.raises(DataError):
        group_schedule(0, seed=0, epoch=0, groups=1)


def test_seeds_of_different_purposes_differ():
    assert derived_seed("a", 1, 11) != derived_seed("a", 11, 1)
    assert 0 <= derived_seed("a") < 2**63


def test_lr_in_memory_are_their_own_crops():
    images = torch.rand(3, 3, 8, 10)
    source = LRTensors(images)
    found = torch.stack([source.read(source.crop(k, seed=0, epoch=0)) for k in source.keys])
    assert {tuple(x.flatten().tolist()) for x in found} == {
        tuple(x.flatten().tolist()) for x in images
    }
    assert source.crop(source.keys[0], seed=0, epoch=0).box == (0, 0, 10, 8)
    with pytest.raises(DataError):
        LRTensors(torch.rand(3, 8, 10))


def test_a_stream_gives_every_photograph_once_in_an_order_of_its_own(dataset):
    data = LRDataset(dataset, split="train", crop_px=8)

    def order(**options):
        return [sha1 for sha1, _ in data.stream(**{"seed": 1, "epoch": 0, **options})]

    first = order(buffer_rows=3)
    assert sorted(first) == data.keys
    assert order(buffer_rows=3) == first
    assert {tuple(order(buffer_rows=3, epoch=e)) for e in range(8)} != {tuple(first)}
    # Two readers share the row groups.
    parts = [order(part=(number, 2)) for number in (0, 1)]
    assert sorted(parts[0] + parts[1]) == data.keys and not set(parts[0]) & set(parts[1])


def test_a_stream_gives_the_pixels_that_a_crop_gives(dataset):
    data = LRDataset(dataset, split="train", crop_px=8)
    for sha1, pixels in data.stream(seed=0, epoch=0, buffer_rows=2):
        crop = data.crop(sha1, seed=0, epoch=0)
        part = pixels[crop.top : crop.top + 8, crop.left : crop.left + 8].transpose(2, 0, 1)
        assert torch.equal(data.read(crop), torch.from_numpy(part.copy()).float() / 255)


def test_a_small_buffer_keeps_rows_of_a_group_near_each_other(tmp_path):
    rows = [
        {"sha1": f"{n:040x}", "width": 60, "height": 40, "bytes": encoded(PIXELS[n % len(PIXELS)])}
        for n in range(12)
    ]
    write_shard(tmp_path / "data" / "cc_by" / "train-00000-of-00001.parquet", rows)
    data = LRDataset(tmp_path, split="train", crop_px=8)
    one = [sha1 for sha1, _ in data.stream(seed=0, epoch=0, buffer_rows=1)]
    many = [sha1 for sha1, _ in data.stream(seed=0, epoch=0, buffer_rows=12)]
    groups = [data._place[sha1][1] for sha1 in one]
    # Without a buffer a group ends before the next begins.
    assert len([i for i in range(1, 12) if groups[i] != groups[i - 1]]) == len(set(groups)) - 1
    assert sorted(many) == sorted(one) and many != one
