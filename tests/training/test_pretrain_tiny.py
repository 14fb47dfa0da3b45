"""Pretraining: photographs held out by name, seeded pairs, and a killed run that ends like an undisturbed one."""

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from training.backbones.tiny import load
from training.photographs import (
    PACKAGED_HELD_OUT,
    NoPhotographs,
    fingerprint,
    is_held_out,
    make_pairs,
    photographs,
)
from training.pretrain_tiny import OtherRun, PretrainConfig, pretrain


@pytest.fixture(scope="module")
def packaged():
    return photographs()


def test_packaged_photographs_are_held_out_by_name(packaged):
    assert {p.name for p in packaged if p.held_out} == set(PACKAGED_HELD_OUT)
    assert {p.name for p in packaged if not p.held_out} >= {"astronaut", "coffee", "china"}
    assert all(min(p.pixels.shape[:2]) <= 480 for p in packaged)


def test_three_in_ten_of_other_names_are_held_out_whatever_else_is_in_the_folder():
    held = [is_held_out(f"photo-{i}.jpg") for i in range(1000)]
    assert 250 < sum(held) < 350
    assert held[:5] == [is_held_out(f"photo-{i}.jpg") for i in range(5)]


def test_pairs_are_a_function_of_the_seed_and_the_lr_is_the_reduced_hr_with_damage(packaged):
    few = packaged[:3]
    pairs = make_pairs(few, count=40, seed=5)
    again = make_pairs(few, count=40, seed=5)
    other = make_pairs(few, count=40, seed=6)
    assert torch.equal(pairs.lr, again.lr) and torch.equal(pairs.hr, again.hr)
    assert not torch.equal(pairs.lr, other.lr)
    assert pairs.lr.shape == (40, 3, 8, 8) and pairs.hr.shape == (40, 3, 32, 32)
    lr, hr = pairs.floats()
    reduced = torch.nn.functional.avg_pool2d(hr, 4)
    # Blur and noise move single pixels; a patch that belongs to another place would be off by its own contrast.
    own = (lr - reduced).abs().mean((1, 2, 3))
    swapped = (lr - reduced.roll(16, 0)).abs().mean((1, 2, 3))
    assert own.median() < 0.05 < swapped.median()
    assert own.min() > 0, "every LR carries some damage or rounding"


def test_a_folder_without_usable_photographs_says_so(tmp_path):
    with pytest.raises(NoPhotographs, match="no folder"):
        photographs(tmp_path / "missing")
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(NoPhotographs, match="give 0 photographs"):
        photographs(tmp_path, packaged=False)


def test_the_fingerprint_sees_a_changed_pixel_and_not_the_folder(packaged):
    changed = replace(packaged[0], pixels=packaged[0].pixels.copy())
    changed.pixels[0, 0, 0] ^= 1
    assert fingerprint(packaged) == fingerprint(photographs())
    assert fingerprint(packaged) != fingerprint([changed, *packaged[1:]])


SMALL = {"width": 8, "pairs": 64, "batch": 4, "steps": 24}


def test_pretraining_lowers_the_held_out_loss_and_its_weights_load(tmp_path):
    config = PretrainConfig(**SMALL | {"steps": 60, "save_every": 30}, out=tmp_path)
    backbone = load(weights=pretrain(config))
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(r["step"]) for r in rows] == [30, 60]
    assert float(rows[1]["held_out_loss"]) < float(rows[0]["held_out_loss"])
    assert backbone.net.width == 8
    with pytest.raises(OtherRun, match="other settings"):
        pretrain(replace(config, seed=1))


@pytest.mark.slow
def test_a_killed_pretraining_goes_on_to_the_same_bytes(tmp_path):
    """Each run in a process of its own, as a person's are: other tests change this one's torch."""

    def started(out):
        code = (
            "from pathlib import Path; from training.pretrain_tiny import *;"
            f"pretrain(PretrainConfig(width=8, pairs=64, batch=4, steps=400, save_every=10, out=Path({str(out)!r})))"
        )
        return subprocess.Popen([sys.executable, "-c", code])

    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert started(whole).wait(240) == 0
    run = started(out)
    deadline = time.monotonic() + 120
    while not (out / "checkpoint.pt").is_file():
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (out / "tiny.safetensors").exists()
    assert started(out).wait(240) == 0
    same = (out / "tiny.safetensors").read_bytes() == (whole / "tiny.safetensors").read_bytes()
    assert same, "the resumed run gave other bytes"


def test_the_test_split_of_a_release_is_not_trained_on(tmp_path):
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "data" / "cc_by").mkdir(parents=True)
    for seed, split in enumerate(("train", "validation", "test")):
        sink = io.BytesIO()
        noise = np.random.default_rng(seed).integers(0, 255, (400, 400, 3), dtype=np.uint8)
        Image.fromarray(noise).save(sink, "PNG")
        rows = [{"title": f"{split}.png", "image": {"bytes": sink.getvalue(), "path": "x.png"}}]
        path = tmp_path / "data" / "cc_by" / f"{split}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
    found = photographs(tmp_path, packaged=False, split=False)
    assert [photo.name for photo in found] == ["train.png", "validation.png"]
