"""The full-size networks on the meta device: every name and shape of the official files, and no other."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor

from tests.training.backbones.lucidflux_tiny import GOLDEN
from training.backbones.lucidflux import memory, networks
from training.backbones.lucidflux.keys import Table, branch_tensors, transformer_tensors
from training.backbones.lucidflux.sizes import FluxSizes, Sizes, VaeSizes

SHAPES = json.loads((GOLDEN / "lucidflux_shapes.json").read_text())
KEYMAP = json.loads((GOLDEN / "lucidflux_keymap.json").read_text())


def official(section: str) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in SHAPES[section].items()}


@pytest.mark.parametrize(
    ("key", "table"),
    [("transformer", transformer_tensors(19, 38)), ("condition_branch", branch_tensors(2))],
)
def test_the_conversion_tables_say_what_the_verified_table_says(key: str, table: Table) -> None:
    ops = {"all": lambda s: None, "third": lambda s: ["third", s.part]}
    ops |= {"linear1": lambda s: ["lin1", s.part], "swap": lambda s: ["swap_halves"]}
    ours = {target: [source.name, ops[source.cut](source)] for target, source in table.items()}
    assert ours == KEYMAP[key]


def test_the_full_size_transformer_takes_every_tensor_of_flux1_dev() -> None:
    model = networks.load_transformer(
        FluxSizes(), official("flux1-dev.safetensors"), where="shapes", dtype=torch.bfloat16
    )
    assert sum(p.numel() for p in model.parameters()) == 11_901_408_320


def test_both_full_size_branches_and_modulations_take_every_tensor_of_lucidflux() -> None:
    branch, modulation = (
        official("condition_lq/condition_ldr"),
        official("modulation_lq/modulation_ldr"),
    )
    sections = {"condition_lq": branch, "condition_ldr": branch}
    sections |= {"modulation_lq": modulation, "modulation_ldr": modulation}
    model = networks.load_branches(FluxSizes(), sections, where="shapes", dtype=torch.bfloat16)
    count = sum(tensor.numel() for section in sections.values() for tensor in section.values())
    assert sum(p.numel() for p in model.parameters()) == count


def test_the_full_size_connector_takes_every_tensor() -> None:
    model = networks.load_connector(official("connector"), where="shapes", dtype=torch.bfloat16)
    assert {n: list(t.shape) for n, t in model.state_dict().items()} == SHAPES["connector"]


def test_the_full_size_proxy_network_has_every_name_and_shape_of_the_official_one() -> None:
    state = networks.swinir(Sizes().swinir).state_dict()
    ours = {n.replace("conv_first.", "conv_first.1."): list(t.shape) for n, t in state.items()}
    assert ours == SHAPES["swinir"]


def ldm_decoder(sizes: VaeSizes) -> dict[str, Tensor]:
    """The official decoder's tensors, after the official constructor: `up` counts from the image's end."""
    found: dict[str, Tensor] = {}

    def put(name: str, *shape: int) -> None:
        found[f"decoder.{name}.weight"] = torch.empty(*shape, device="meta")
        found[f"decoder.{name}.bias"] = torch.empty(shape[0], device="meta")

    def resnet(name: str, into: int, out: int) -> None:
        put(f"{name}.norm1", into)
        put(f"{name}.conv1", out, into, 3, 3)
        put(f"{name}.norm2", out)
        put(f"{name}.conv2", out, out, 3, 3)
        if into != out:
            put(f"{name}.nin_shortcut", out, into, 1, 1)

    width = sizes.channels[-1]
    put("conv_in", width, sizes.latent, 3, 3)
    for block in ("block_1", "block_2"):
        resnet(f"mid.{block}", width, width)
    put("mid.attn_1.norm", width)
    for name in ("q", "k", "v", "proj_out"):
        put(f"mid.attn_1.{name}", width, width, 1, 1)
    for level in reversed(range(len(sizes.channels))):
        for block in range(sizes.layers + 1):
            resnet(f"up.{level}.block.{block}", width, sizes.channels[level])
            width = sizes.channels[level]
        if level:
            put(f"up.{level}.upsample.conv", width, width, 3, 3)
    put("norm_out", width)
    put("conv_out", 3, width, 3, 3)
    return found


def test_the_full_size_decoder_takes_every_tensor_of_the_autoencoder_file() -> None:
    state = ldm_decoder(VaeSizes())
    model = networks.load_vae_decoder(VaeSizes(), state, where="shapes")
    assert sum(p.numel() for p in model.parameters()) == sum(t.numel() for t in state.values())


def test_parameters_agree_with_the_sizes_of_the_official_files() -> None:
    """flux1-dev.safetensors has 23,802,932,552 bytes, ae.safetensors 335,304,388: tensors and a short header."""
    from diffusers import AutoencoderKL

    sizes = VaeSizes()
    with torch.device("meta"):
        autoencoder = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=sizes.channels,
            layers_per_block=sizes.layers,
            latent_channels=sizes.latent,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )
    ours = networks.vae_decoder(sizes).state_dict()
    assert {n: t.shape for n, t in ours.items()} == {
        n: t.shape for n, t in autoencoder.decoder.state_dict().items()
    }
    headers = (
        335_304_388 - 4 * sum(p.numel() for p in autoencoder.parameters()),
        23_802_932_552 - 2 * 11_901_408_320,
    )
    assert all(0 < header < 200_000 for header in headers)


def test_the_memory_table_counts_what_the_shapes_say_and_stands_in_the_guide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = memory.weights()
    # The networks at full size are not made a second time.
    monkeypatch.setattr(memory, "weights", lambda: counted)
    needs = {need.module: need for need in counted}
    assert needs["transformer"].bytes == 2 * 11_901_408_320
    proxy = {n: s for n, s in SHAPES["swinir"].items() if not n.endswith(("_mask", "_index"))}
    assert needs["swinir"].parameters == sum(math.prod(shape) for shape in proxy.values())
    guide = (GOLDEN.parents[2] / "docs" / "lucidflux.md").read_text()
    for line in memory.table():
        assert line in guide
