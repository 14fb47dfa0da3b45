"""One NFT epoch on a tiny random LucidFlux: what is trained, what stays, and what comes back from the files."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from tests.training.backbones.lucidflux_tiny import tiny
from tests.training.small import Agreement, Contrast, small_config
from training.backbones import BackboneError
from training.backbones.adapters import borrowed
from training.backbones.lucidflux import load
from training.backbones.lucidflux.backbone import LucidFlux
from training.backbones.lucidflux.lora import export_adapters
from training.checkpoint import run_of
from training.data import LRTensors
from training.train_config import load_config
from training.train_nft import main


def velocity(model: LucidFlux) -> Tensor:
    chance = torch.Generator().manual_seed(3)
    cond = model.encode(torch.rand(1, 3, 20, 30, generator=chance))
    z = torch.randn(1, *model.latent_shape((20, 30)), generator=chance)
    return model.velocity(z, torch.tensor([0.6]), cond).detach()


def lrs() -> LRTensors:
    """Half as large as the results, as `Agreement` wants them."""
    return LRTensors(torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(5)))


@pytest.mark.slow
def test_an_epoch_of_nft_trains_both_adapters_and_they_come_back_from_their_files(
    lucidflux: LucidFlux, lucidflux_weights: Path, tmp_path: Path
) -> None:
    options = {"weights": str(lucidflux_weights), "lora_rank": 2, "lora_alpha": 4}
    model = tiny(lucidflux_weights, lora_rank=2, lora_alpha=4)
    before = {n: p.detach().clone() for n, p in model.adapter_parameters("default").items()}
    config = small_config(
        tmp_path / "run",
        backbone="lucidflux",
        backbone_options=options,
        epochs=1,
        groups=2,
        group_size=2,
        rollout_steps=2,
        train_times=1,
        checkpoint_every=1,
        gradient_checkpointing=True,
    )
    done = main(config, backbone=model, rewards=[Agreement(), Contrast()], lrs=lrs())
    assert done.steps == 2

    # Two updates: the first moves lora_B, which starts at zero, the second also lora_A.
    after = model.adapter_parameters("default")
    still = {n.rsplit(".lora_", 1)[0] for n in after if torch.equal(after[n], before[n])}
    # A branch gives away its image stream only: of its last block, the text's query and output count for nothing.
    unused = {
        f"branches.{branch}.transformer_blocks.1.attn.{layer}"
        for branch in ("lq", "pre")
        for layer in ("add_q_proj", "to_add_out")
    }
    assert still == unused
    assert {n.split(".", 1)[0] for n in after} == {"transformer", "branches"}

    base = velocity(lucidflux)
    with model.use(None):
        assert torch.equal(velocity(model), base)
    assert not torch.equal(velocity(model), base)

    # What a run leaves behind, under official names: unmerged, then merged.
    export_adapters(*run_of(tmp_path / "run"), tmp_path / "lucidnft")
    names: set[str] = set()
    for kind in ("lora_dit", "lora_condition"):
        with safe_open(tmp_path / "lucidnft" / kind / "adapter_model.safetensors", "pt") as file:
            names |= set(file.keys())
    start = "base_model.model."
    assert f"{start}double_blocks.0.img_attn.qkv.lora_A.weight" in names
    assert f"{start}single_blocks.1.linear1.lora_B.weight" in names
    assert f"{start}dual_condition_branch.pre.double_blocks.0.txt_attn.proj.lora_B.weight" in names
    assert not [name for name in names if "transformer_blocks" in name or "to_q" in name]
    with borrowed(model.adapter_parameters("default"), done.ema):
        trained = velocity(model)
    again = tiny(lucidflux_weights, lora_from=tmp_path / "lucidnft")
    assert torch.equal(velocity(again), trained)
    with again.use(None):
        assert torch.equal(velocity(again), base)
    merged = tiny(lucidflux_weights, adapter=tmp_path / "lucidnft")
    torch.testing.assert_close(velocity(merged), trained, rtol=0, atol=1e-5)
    assert merged.weights_sha256 != again.weights_sha256 == model.weights_sha256


def test_without_adapters_there_is_nothing_to_train_and_the_message_says_how(
    lucidflux: LucidFlux, lucidflux_weights: Path
) -> None:
    with pytest.raises(BackboneError, match="load it with lora_rank"):
        lucidflux.trainable_modules()
    with lucidflux.use("old"), lucidflux.use(None):
        pass
    with pytest.raises(BackboneError, match="name one of them"):
        tiny(lucidflux_weights, lora_rank=2, lora_from=lucidflux_weights)
    with pytest.raises(BackboneError, match="lora_targets has"):
        tiny(lucidflux_weights, lora_rank=2, lora_targets={"connector": ["redux_up"]})
    with pytest.raises(BackboneError, match="cannot be put onto LucidFlux"):
        tiny(lucidflux_weights, lora_rank=2, lora_targets={"transformer": ["nowhere"]})


def test_adapters_are_float32_on_a_bfloat16_model_and_gradients_reach_them(
    lucidflux_weights: Path,
) -> None:
    targets = {"transformer": ["norm_out.linear"], "branches": ["modulation_lq.linear"]}
    model = tiny(lucidflux_weights, dtype="bfloat16", lora_rank=2, lora_targets=targets)
    parameters = model.adapter_parameters("default")
    assert {p.dtype for p in parameters.values()} == {torch.float32}
    cond = model.encode(torch.rand(1, 3, 20, 30))
    z = torch.randn(1, *model.latent_shape((20, 30)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        v = model.velocity(z, torch.tensor([0.6]), cond)
    assert v.dtype == torch.float32
    v.square().mean().backward()
    moved = {
        name.split(".")[0] for name, p in parameters.items() if p.grad is not None and p.grad.any()
    }
    assert moved == {"transformer", "branches"}


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_gradient(lucidflux_weights: Path) -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = tiny(lucidflux_weights, lora_rank=2, gradient_checkpointing=checkpointing)
        cond = model.encode(torch.full((1, 3, 8, 8), 0.5))
        z = torch.ones(1, *model.latent_shape((8, 8)))
        model.velocity(z, torch.tensor([0.5]), cond).square().mean().backward()
        parameters = model.adapter_parameters("default")
        found.append({n: p.grad for n, p in parameters.items() if p.grad is not None})
    plain, checked = found
    assert plain.keys() == checked.keys() and len(plain) > 100
    for name, gradient in plain.items():
        torch.testing.assert_close(checked[name], gradient)


def test_the_recipe_for_lucidflux_names_options_that_there_are_and_trains_adapters() -> None:
    config = load_config(
        Path(__file__).parents[3] / "pipelines" / "recipes" / "nft" / "lucidflux.yaml", {}
    )
    assert set(config.backbone_options) <= set(inspect.signature(load).parameters)
    assert config.backbone_options["lora_rank"] > 0
