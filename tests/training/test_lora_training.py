"""NFT on a small diffusers transformer with LoRA in two modules: what a large backbone needs, at the size of a test."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.training.small import SCALE, Agreement, Contrast, photographs, small_config
from training.backbones import Adapter, Conditioning
from training.backbones.adapters import LoraAdapters
from training.flow_matching import shifted_schedule
from training.train_nft import main

pytestmark = pytest.mark.slow


class SmallTransformer:
    """SD3's transformer with random weights (one block pair) and a condition branch, LoRA in both."""

    name = "small-sd3"
    license = "Apache-2.0"
    weights_sha256 = "1" * 64

    def __init__(self, *, dropout: float = 0.0) -> None:
        from diffusers import SD3Transformer2DModel

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            transformer = SD3Transformer2DModel(
                sample_size=12,
                patch_size=2,
                in_channels=3,
                num_layers=2,
                attention_head_dim=8,
                num_attention_heads=2,
                caption_projection_dim=16,
                joint_attention_dim=8,
                pooled_projection_dim=8,
                out_channels=3,
                pos_embed_max_size=12,
            )
            branch = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 8))
            self.adapters = LoraAdapters(
                {"transformer": transformer, "branch": branch},
                targets={"transformer": ["to_q", "to_k", "to_v", "to_out.0"], "branch": ["0", "2"]},
                rank=4,
                alpha=8,
                dropout=dropout,
            )
        self.transformer, self.branch = transformer, branch

    def encode(self, lr: Tensor) -> Conditioning:
        return {"lr": lr, "up": F.interpolate(lr, scale_factor=float(SCALE), mode="bilinear")}

    def latent_shape(self, lr_size: tuple[int, int]) -> tuple[int, ...]:
        return (3, SCALE * lr_size[0], SCALE * lr_size[1])

    def schedule(self, steps: int, latent_shape: tuple[int, ...]) -> Tensor:
        return shifted_schedule(steps, 0.5)

    def velocity(self, z: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        tokens = self.branch(F.adaptive_avg_pool2d(cond["lr"], 2).flatten(2).transpose(1, 2))
        return self.transformer(
            hidden_states=z + cond["up"],
            timestep=t * 1000,
            encoder_hidden_states=tokens,
            pooled_projections=tokens.mean(1),
            return_dict=False,
        )[0]

    def decode(self, z: Tensor, cond: Conditioning) -> Tensor:
        return (cond["up"] + 0.2 * z).clamp(0, 1)

    def trainable_modules(self) -> Mapping[str, nn.Module]:
        return self.adapters.trainable_modules()

    def adapter_parameters(self, adapter: Adapter) -> Mapping[str, nn.Parameter]:
        return self.adapters.parameters(adapter)

    def use(self, adapter: Adapter | None) -> AbstractContextManager[None]:
        return self.adapters.use(adapter)


def run(out, *, dropout=0.0, progress=None, **changes):
    backbone = SmallTransformer(dropout=dropout)
    before = {
        name: value.detach().clone()
        for module in backbone.trainable_modules().values()
        for name, value in module.named_parameters()
        if "lora" not in name
    }
    result = main(
        small_config(out, learning_rate=1e-2, **changes),
        backbone=backbone,
        rewards=[Agreement(), Contrast()],
        lrs=photographs(),
        progress=progress,
    )
    for module in backbone.trainable_modules().values():
        for name, value in module.named_parameters():
            assert name not in before or value.equal(before[name]), f"{name} was trained"
    return result


def test_both_modules_are_trained_and_nothing_else(tmp_path):
    result = run(tmp_path)
    moved = {name for name, value in result.ema.items() if "lora_B" in name and value.any()}
    assert {name.split(".")[0] for name in moved} == {"transformer", "branch"}
    # Before the first step default, old and reference are one; then they part.
    deviations = [row["old_deviate"] for row in result.rows]
    assert all(value > 0 for value in deviations)
    assert result.rows[0]["old_kl_div"] == 0
    assert result.rows[-1]["old_kl_div"] > 0


def test_a_resumed_run_with_dropout_equals_the_uninterrupted_one_bit_for_bit(tmp_path):
    class Killed(Exception):
        pass

    def kill(row):
        if row["epoch"] == 3:
            raise Killed

    often = {"epochs": 4, "checkpoint_every": 2, "dropout": 0.3}
    whole = run(tmp_path / "whole", **often)
    with pytest.raises(Killed):
        run(tmp_path / "killed", progress=kill, **often)
    again = run(tmp_path / "killed", **often)
    assert whole.rows == again.rows
    assert all(value.equal(again.ema[name]) for name, value in whole.ema.items())


def test_gradient_checkpointing_saves_memory_and_changes_no_number(tmp_path):
    class OnlyTransformer(SmallTransformer):
        """The branch of this test offers no checkpointing, so the switch is thrown where it is offered."""

        def trainable_modules(self) -> Mapping[str, nn.Module]:
            return {"transformer": self.transformer}

    curves = []
    for on in (False, True):
        backbone = OnlyTransformer()
        config = small_config(tmp_path / str(on), gradient_checkpointing=on, learning_rate=1e-2)
        given = {"rewards": [Agreement(), Contrast()], "lrs": photographs()}
        result = main(config, backbone=backbone, **given)
        assert backbone.transformer.gradient_checkpointing == on
        curves.append([row["total_loss"] for row in result.rows])
    assert curves[1] == pytest.approx(curves[0], rel=1e-6)


def test_half_precision_trains_adapters_kept_in_full_precision(tmp_path):
    result = run(tmp_path, precision="bf16")
    assert {value.dtype for value in result.ema.values()} == {torch.float32}
    full = run(tmp_path / "full")
    for half, whole in zip(result.rows, full.rows, strict=True):
        assert half["total_loss"] == pytest.approx(whole["total_loss"], rel=0.05)
