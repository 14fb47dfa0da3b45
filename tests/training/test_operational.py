"""What may change between two halves of a run, and what may not."""

from __future__ import annotations

import logging

import pytest
import torch

from tests.training.small import Agreement, Contrast, parts, small_config
from training.checkpoint import CheckpointError, checkpoints
from training.one_state import tensors_of
from training.rollout import score
from training.train_config import RewardSpec
from training.train_nft import main


def halves(tmp_path, first, second):
    rewards = [Agreement(), Contrast()]
    for epochs, changes in ((1, first), (2, second)):
        config = small_config(tmp_path, epochs=epochs, checkpoint_every=1, **changes)
        done = main(config, **{**parts(), "rewards": rewards})
    return done


def rewards_at(url):
    return (
        RewardSpec(name="agreement", options={"url": url, "weights": f"/w/{url}"}),
        RewardSpec(name="contrast"),
    )


def test_another_place_of_weights_and_another_address_do_not_refuse_a_resume(tmp_path):
    first = {
        "rewards": rewards_at("one"),
        "backbone_options": {"weights": "/old", "decode_batch": 1},
    }
    second = {
        "rewards": rewards_at("two"),
        "backbone_options": {"weights": "/new", "gradient_checkpointing": True},
        "attention": "math",
    }
    assert halves(tmp_path, first, second).epochs == 2


def test_another_rank_of_lora_does(tmp_path):
    with pytest.raises(CheckpointError, match="backbone_options"):
        halves(
            tmp_path, {"backbone_options": {"lora_rank": 4}}, {"backbone_options": {"lora_rank": 8}}
        )


def test_a_checkpoint_of_before_there_were_such_options_resumes(tmp_path):
    import json

    config = small_config(tmp_path, epochs=1, checkpoint_every=1)
    main(config, **parts())
    file = checkpoints(tmp_path)[-1] / "state.json"
    meta = json.loads(file.read_text())
    del meta["config"]["norm_guard"]
    meta["config"]["backbone_options"] = {"weights": "/somewhere"}
    file.write_text(json.dumps(meta))
    assert main(small_config(tmp_path, epochs=2, checkpoint_every=1), **parts()).epochs == 2


def test_checkpoints_come_by_minutes(tmp_path):
    config = small_config(tmp_path, epochs=3, checkpoint_every=0, checkpoint_minutes=1e-9)
    main(config, **parts())
    assert [path.name for path in checkpoints(tmp_path)] == ["epoch-000002", "epoch-000003"]


def test_a_reward_that_is_not_finite_is_a_failed_one():
    class Broken(Agreement):
        def score(self, sr, lr, shared):
            return torch.tensor([1.0, torch.inf, -torch.inf, torch.nan])

    found = score([Broken()], torch.zeros(4, 3, 4, 4), torch.zeros(4, 3, 2, 2), [{}])
    assert found[:, 0].isnan().tolist() == [False, True, True, True]


def test_one_rollout_per_group_is_warned_of(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        main(small_config(tmp_path, epochs=1, group_size=1, updates=1), **parts())
    assert "a rollout alone in its group has no advantage" in caplog.text


def test_the_seed_fixes_what_is_drawn_whatever_was_drawn_before(tmp_path):
    from tests.training.test_lora_training import SmallTransformer

    found = []
    for before in (1, 2):
        torch.manual_seed(before)
        found.append(
            {n: p.clone() for n, p in SmallTransformer().adapter_parameters("default").items()}
        )
    assert all(found[0][name].equal(found[1][name]) for name in found[0])
    assert any(value.any() for name, value in found[0].items() if "lora_A" in name)


def test_every_tensor_of_a_backbone_is_found_once():
    backbone = parts()["backbone"]
    found = dict(tensors_of(backbone))
    # Two convolutions with biases, in three copies.
    assert len(found) == 12
    assert len({id(value) for value in found.values()}) == 12
