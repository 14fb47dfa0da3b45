"""LoRA under official names: split onto diffusers' modules and back, unmerged and merged."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.backbones.lucidflux_tiny import GOLDEN, LORA
from training.backbones import BackboneError
from training.backbones.lucidflux import adapters, merging, networks
from training.backbones.lucidflux.adapters import Pair, fuse, read_pairs, split, tables
from training.backbones.lucidflux.branches import flow
from training.backbones.lucidflux.closeness import CHAIN, compared
from training.backbones.lucidflux.folder import Parts
from training.backbones.lucidflux.golden_set import Golden, frequencies_of
from training.backbones.lucidflux.lora import attach_official
from training.backbones.lucidflux.sinusoid import use_frequencies
from training.backbones.lucidflux.sizes import FluxSizes, Sizes

pytestmark = pytest.mark.golden

DIT, CONDITION = LORA / "lora_dit", LORA / "lora_condition"
# PEFT 0.10.0, which the official code pins, knows these entries of a LoraConfig and refuses any other.
PEFT_0_10 = {
    "peft_type", "auto_mapping", "base_model_name_or_path", "revision", "task_type", "inference_mode",
    "r", "target_modules", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias", "use_rslora",
    "modules_to_save", "init_lora_weights", "layers_to_transform", "layers_pattern", "rank_pattern",
    "alpha_pattern", "megatron_config", "megatron_core", "loftq_config", "use_dora", "layer_replication",
}  # fmt: skip


def sizes(stem: str) -> Sizes:
    return Sizes(flux=FluxSizes.from_official(Golden(GOLDEN, stem).meta["config"]))


def test_official_adapters_unmerged_give_what_the_official_merge_gave() -> None:
    """The transformer's is for piece a, the branches' for piece d: two models of different width."""
    wanted = Golden(GOLDEN, "i_lora_merged")
    dit, condition = Golden(GOLDEN, "a_transformer"), Golden(GOLDEN, "d_dual_composer")
    model = networks.load_transformer(dit.flux(), dit.state(), where="a", dtype=torch.float32)
    branches = networks.load_branches(
        condition.flux(), condition.sections(), where="d", dtype=torch.float32
    )
    for network in (model, branches):
        use_frequencies(network, frequencies_of(GOLDEN))

    def parts(stem: str) -> Parts:
        small = torch.nn.Identity()
        return Parts(
            sizes=sizes(stem), transformer=model, branches=branches, connector=small,
            swinir=small, siglip=small, vae=small, text=torch.zeros(1), pooled=torch.zeros(1),
        )  # fmt: skip

    attach_official(parts("a_transformer"), DIT)
    attach_official(parts("d_dual_composer"), CONDITION)
    with torch.no_grad():
        given = [dit[f"residual.{i}"] for i in range(2)]
        steered = flow(model, dit.inputs(), residuals=given)
        found = [compared("velocity", steered, wanted["transformer.out_with_residual"], CHAIN)]
        out = branches(
            condition.inputs(), condition["condition_cond_lq"], condition["condition_cond_ldr"], 19
        )
        for n, one in enumerate(out):
            found.append(compared(f"residual {n}", one, wanted[f"condition.out.{n:02d}"], CHAIN))
    assert [one for one in found if not one[1] <= one[2]] == []


@pytest.mark.parametrize(
    ("folder", "stem"), [(DIT, "a_transformer"), (CONDITION, "d_dual_composer")]
)
def test_split_and_fused_again_an_official_adapter_is_the_same_to_the_bit(
    folder: Path, stem: str, tmp_path: Path
) -> None:
    table = tables(sizes(stem))[folder.name]
    pairs = read_pairs(folder)
    adapters.write_pairs(fuse(split(pairs, table), table), tmp_path)
    ours, theirs = (load_file(f / "adapter_model.safetensors") for f in (tmp_path, folder))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert read_pairs(tmp_path).keys() == pairs.keys()
    assert all(read_pairs(tmp_path)[n].scale == pair.scale for n, pair in pairs.items())


def test_parts_trained_apart_become_blocks_and_come_back_to_the_bit() -> None:
    chance = torch.Generator().manual_seed(0)

    def pair(rows: int, scale: float) -> Pair:
        a, b = torch.randn(2, 5, generator=chance), torch.randn(rows, 2, generator=chance)
        return Pair(a, b, scale)

    table = tables(sizes("a_transformer"))["lora_dit"]
    block = "single_transformer_blocks.0"
    parts = {
        f"{block}.attn.to_q": pair(4, 2.0),
        f"{block}.attn.to_v": pair(4, 2.0),
        f"{block}.proj_mlp": pair(16, 2.0),
        "norm_out.linear": pair(8, 2.0),
    }
    fused = fuse(parts, table)
    whole = fused["single_blocks.0.linear1"]
    # q, k, v and mlp have 4 + 4 + 4 + 16 rows; three parts of rank 2 are there, k has none.
    assert whole.a.shape == (6, 5) and whole.b.shape == (28, 6)
    delta = whole.b @ whole.a
    torch.testing.assert_close(
        delta[:4], parts[f"{block}.attn.to_q"].b @ parts[f"{block}.attn.to_q"].a
    )
    assert not delta[4:8].any()
    # The official last modulation is (shift, scale), diffusers' (scale, shift).
    swapped = fused["final_layer.adaLN_modulation.1"].b
    assert torch.equal(swapped[:4], parts["norm_out.linear"].b[4:])
    again = split(fused, table)
    assert again.keys() == parts.keys()
    for name, one in parts.items():
        assert torch.equal(again[name].a, one.a) and torch.equal(again[name].b, one.b)


def test_ranks_and_scales_that_differ_are_written_and_read_per_module(tmp_path: Path) -> None:
    pairs = {
        "img_in": Pair(torch.ones(2, 3), torch.ones(4, 2), 0.5),
        "double_blocks.0.img_attn.qkv": Pair(torch.ones(6, 3), torch.ones(12, 6), 0.5),
        "double_blocks.0.txt_attn.qkv": Pair(torch.ones(2, 3), torch.ones(12, 2), 4.0),
    }
    adapters.write_pairs(pairs, tmp_path)
    read = read_pairs(tmp_path)
    assert {n: (p.a.shape[0], p.scale) for n, p in read.items()} == {
        "img_in": (2, 0.5),
        "double_blocks.0.img_attn.qkv": (6, 0.5),
        "double_blocks.0.txt_attn.qkv": (2, 4.0),
    }


def test_the_configuration_has_no_entry_that_the_official_peft_would_refuse(tmp_path: Path) -> None:
    adapters.write_pairs({"img_in": Pair(torch.ones(2, 3), torch.ones(4, 2), 1.0)}, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert set(config) <= PEFT_0_10


def changed_copy(folder: Path, to: Path, **tensors: torch.Tensor) -> Path:
    shutil.copytree(folder, to)
    state = load_file(to / "adapter_model.safetensors")
    save_file(state | tensors, to / "adapter_model.safetensors")
    return to


def test_connector_lora_is_dropped_as_officially_but_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    condition = Golden(GOLDEN, "d_dual_composer")
    extra = {
        "base_model.model.connector.redux_up.lora_A.weight": torch.ones(4, 16),
        "base_model.model.connector.redux_up.lora_B.weight": torch.ones(72, 4),
    }
    changed_copy(CONDITION, tmp_path / "lora_condition", **extra)
    with caplog.at_level(logging.WARNING):
        _, with_it = merging.merge_into({}, condition.sections(), tmp_path)
    assert "redux_up" in caplog.text
    _, without = merging.merge_into({}, condition.sections(), CONDITION)
    for section, state in without.items():
        assert all(torch.equal(with_it[section][name], tensor) for name, tensor in state.items())


def test_what_is_no_plain_lora_or_for_other_modules_is_refused_by_name(tmp_path: Path) -> None:
    dit = Golden(GOLDEN, "a_transformer")
    dora = changed_copy(
        DIT, tmp_path / "dora", **{"base_model.model.img_in.lora_magnitude_vector": torch.ones(64)}
    )
    with pytest.raises(BackboneError, match=r"img_in\.lora_magnitude_vector is no plain LoRA"):
        read_pairs(dora)
    strange = {f"base_model.model.foo.lora_{h}.weight": torch.ones(4, 4) for h in "AB"}
    other = changed_copy(DIT, tmp_path / "other" / "lora_dit", **strange)
    with pytest.raises(BackboneError, match="modules that LucidFlux lacks: foo"):
        merging.merge_into(dit.state(), {}, other.parent)
    with pytest.raises(BackboneError, match="modules that LucidFlux lacks: foo"):
        split(read_pairs(other), tables(sizes("a_transformer"))["lora_dit"])
    cut = changed_copy(DIT, tmp_path / "cut" / "lora_dit")
    whole = (cut / "adapter_model.safetensors").read_bytes()
    (cut / "adapter_model.safetensors").write_bytes(whole[:1000])
    with pytest.raises(BackboneError, match="is cut off"):
        merging.merge_into(dit.state(), {}, cut.parent)


def test_only_the_adapter_that_is_there_is_used(tmp_path: Path) -> None:
    """The official code would put a lone lora_condition onto the transformer."""
    shutil.copytree(CONDITION, tmp_path / "lora_condition")
    assert set(adapters.find_adapters(tmp_path)) == {"lora_condition"}
    assert set(adapters.find_adapters(tmp_path / "lora_condition")) == {"lora_condition"}
    assert set(adapters.find_adapters(DIT)) == {"lora_dit"}
