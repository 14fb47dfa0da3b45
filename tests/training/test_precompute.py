"""Precomputed embeddings and conditioning: keyed by what they follow from, resumable, without effect on a number."""

import itertools

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from skimage import data

from tests.training.small import SmallBackbone, photographs, small_config
from training.consistency.images import to_tensor
from training.data import DataError, LRTensors
from training.precompute import (
    SCHEMA,
    Store,
    crops_of_training,
    makers,
    precompute,
)
from training.rewards import load_reward
from training.train_config import RewardSpec
from training.train_nft import main

EPOCHS, GROUPS = 3, 2


@pytest.fixture(scope="module")
def consistency():
    return load_reward("lucid_consistency", size_px=32)


@pytest.fixture(scope="module")
def faithfulness():
    return load_reward("lr_faithfulness")


def crops_of(source):
    return crops_of_training(source, seed=0, epochs=EPOCHS, groups=GROUPS)


def fill(folder, source, rewards, backbone=None):
    return precompute(folder, source, crops_of(source), makers(rewards, backbone))


def test_what_is_read_back_is_bit_for_bit_what_was_worked_out(tmp_path, consistency, faithfulness):
    source, backbone = photographs(), SmallBackbone()
    rewards = [consistency, faithfulness]
    fill(tmp_path, source, rewards, backbone)
    store = Store(tmp_path, rewards=rewards, backbone=backbone)
    crops = crops_of(source)[::-1]
    lr = torch.stack([source.read(crop) for crop in crops])
    assert torch.equal(
        store.shared("lucid_consistency", crops)["lr_embedding"],
        consistency.prepare(lr)["lr_embedding"],
    )
    assert torch.equal(store.conditioning(crops)["up"], backbone.encode(lr)["up"])
    up = torch.nn.functional.interpolate(lr, scale_factor=4.0, mode="bicubic").clamp(0, 1)
    assert torch.equal(store.baseline("lr_faithfulness", crops), faithfulness.score(up, lr, {}))


def test_every_dtype_survives(tmp_path):
    class Odd(SmallBackbone):
        def encode(self, lr):
            return {
                "half": lr.bfloat16(),
                "double": lr.double(),
                "ids": (lr.flatten(1)[:, :5] * 100).long(),
                "empty": lr[:, :, :0],
            }

    source, backbone = photographs(), Odd()
    fill(tmp_path, source, [], backbone)
    crops = crops_of(source)
    found = Store(tmp_path, rewards=[], backbone=backbone).conditioning(crops)
    for name, tensor in backbone.encode(torch.stack([source.read(c) for c in crops])).items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_second_run_finds_everything_there(tmp_path, consistency):
    source = photographs()
    count = len(crops_of(source))
    first = fill(tmp_path, source, [consistency])
    assert {(m.kind, m.there, m.made) for m in first} == {
        ("shared-lucid_consistency", 0, count),
        ("baseline-lucid_consistency", 0, count),
    }
    assert all(m.there == count and m.made == 0 for m in fill(tmp_path, source, [consistency]))


def test_after_an_interruption_the_same_command_does_what_is_missing(
    tmp_path, monkeypatch, consistency
):
    monkeypatch.setattr("training.precompute.PART_CROPS", 2)
    source = photographs()
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    fill(whole, source, [consistency])
    reads = itertools.count()

    class Failing(LRTensors):
        def read(self, crop):
            if next(reads) == 3:
                raise DataError("gone")
            return super().read(crop)

    failing = Failing(torch.stack([source.read(crop) for crop in crops_of(source)]))
    with pytest.raises(DataError, match="gone"):
        fill(cut, failing, [consistency])
    # One part of two crops was finished; a torn temporary file of another must not matter.
    torn = cut / "shared-lucid_consistency" / "part-0123.parquet.tmp"
    torn.write_bytes(b"PAR1 torn")
    again = fill(cut, source, [consistency])
    assert again[0].there == 2
    names = [sorted(f.name for f in d.rglob("part-*.parquet")) for d in (whole, cut)]
    assert names[0] == names[1]
    crops = crops_of(source)
    stores = [Store(d, rewards=[consistency], backbone=None) for d in (whole, cut)]
    read = [s.shared("lucid_consistency", crops)["lr_embedding"] for s in stores]
    assert torch.equal(*read)


def test_another_preprocessing_other_weights_and_other_crops_find_nothing(tmp_path, consistency):
    source = photographs()
    fill(tmp_path, source, [consistency])
    crops = crops_of(source)
    other = load_reward("lucid_consistency", size_px=64)
    store = Store(tmp_path, rewards=[other], backbone=None)
    assert store.shared("lucid_consistency", crops) is None
    assert store.missed["shared-lucid_consistency"] == len(crops)
    elsewhere = crops_of(photographs(offset=7))
    store = Store(tmp_path, rewards=[consistency], backbone=None)
    assert store.shared("lucid_consistency", [*crops, elsewhere[0]]) is None
    assert store.shared("lucid_consistency", crops) is not None
    assert store.conditioning(crops) is None
    assert Store(tmp_path / "nowhere", rewards=[consistency], backbone=None).places() == 0


def test_a_reward_that_shares_nothing_is_told_and_costs_nothing(tmp_path, faithfulness):
    source = photographs()
    made = fill(tmp_path, source, [faithfulness])
    shared = next(m for m in made if m.kind == "shared-lr_faithfulness")
    assert shared.nothing and shared.made == 0
    assert not (tmp_path / "shared-lr_faithfulness").exists()


def test_the_table_has_the_keys_that_the_docs_name(tmp_path, consistency):
    source = photographs()
    fill(tmp_path, source, [consistency])
    file = next((tmp_path / "shared-lucid_consistency").glob("part-*.parquet"))
    assert pq.read_schema(file).equals(SCHEMA)
    row = pq.read_table(file).to_pylist()[0]
    assert row["weights"] == consistency.weights_sha256
    assert row["shape"] == [1, 1280] and row["dtype"] == "float32"


def test_training_gives_the_very_same_numbers_with_and_without_it(
    tmp_path, consistency, faithfulness
):
    cat = to_tensor(Image.fromarray(data.chelsea()))
    source = LRTensors(
        torch.stack([cat[:, 40 + 9 * i :, 60 + 30 * i :][:, :16, :16] for i in range(5)])
    )
    rewards = [consistency, faithfulness]
    config = {
        "rewards": tuple(RewardSpec(name=reward.name) for reward in rewards),
        "epochs": EPOCHS,
        "groups": GROUPS,
        "group_size": 3,
    }

    def train(name, **given):
        # Its own backbone each time; a crop seen again in the second pass comes from the store, too.
        return main(
            small_config(tmp_path / name, **config),
            backbone=SmallBackbone(),
            rewards=rewards,
            lrs=source,
            **given,
        )

    without = train("without")
    backbone = SmallBackbone()
    fill(tmp_path / "store", source, rewards, backbone)
    store = Store(tmp_path / "store", rewards=rewards, backbone=backbone)
    with_it = train("with", precomputed=store)
    asked = EPOCHS * GROUPS
    assert store.found["conditioning"] == store.found["shared-lucid_consistency"] == asked
    assert store.missed["conditioning"] == store.missed["shared-lucid_consistency"] == 0
    assert [_numbers(row) for row in with_it.rows] == [_numbers(row) for row in without.rows]
    for name, value in without.ema.items():
        assert torch.equal(value, with_it.ema[name]), name


def _numbers(row):
    """All but how long it took."""
    return {name: value for name, value in row.items() if "second" not in name}
