"""Official names to diffusers' names, as tables: which tensor, and which of its rows.

The official files fuse what diffusers keeps apart: q, k and v of a double block are one matrix, q, k, v and the MLP of
a single block another, and the last modulation holds (shift, scale) where diffusers holds (scale, shift). A table says
for each module of diffusers where its rows come from; weights and LoRA adapters are converted by the same tables.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Cut = Literal["all", "third", "linear1", "swap"]
"""Which rows: all; a third (q, k, v); of [D, D, D, 4D] (q, k, v, mlp); the two halves changed."""


class Source(NamedTuple):
    """Where a module of diffusers (or a tensor) comes from."""

    name: str
    cut: Cut = "all"
    part: int = 0
    """Which third, or which of the four."""


Table = dict[str, Source]


def cut_rows(tensor: Tensor, source: Source) -> Tensor:
    """The rows of an official tensor [rows, ...] that belong to one target."""
    match source.cut:
        case "all":
            return tensor
        case "third":
            return tensor.tensor_split(3)[source.part]
        case "linear1":
            unit = tensor.shape[0] // 7
            return tensor.tensor_split([unit, 2 * unit, 3 * unit])[source.part]
        case "swap":
            first, second = tensor.tensor_split(2)
            return torch.cat([second, first])


def join_rows(parts: dict[int, Tensor], source: Source) -> Tensor:
    """The inverse of `cut_rows`: all parts of one official tensor together, in order."""
    if source.cut == "swap":
        return cut_rows(parts[0], source)
    return torch.cat([parts[index] for index in sorted(parts)])


def parts_of(cut: Cut) -> int:
    """How many targets share an official module."""
    return {"all": 1, "third": 3, "linear1": 4, "swap": 1}[cut]


def transformer_modules(double_blocks: int, single_blocks: int) -> Table:
    """Linear layers of `FluxTransformer2DModel` by name."""
    table = _stem() | _double_blocks(double_blocks)
    for i in range(single_blocks):
        theirs, ours = f"single_blocks.{i}", f"single_transformer_blocks.{i}"
        table[f"{ours}.norm.linear"] = Source(f"{theirs}.modulation.lin")
        for part, name in enumerate(("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")):
            table[f"{ours}.{name}"] = Source(f"{theirs}.linear1", "linear1", part)
        table[f"{ours}.proj_out"] = Source(f"{theirs}.linear2")
    table["proj_out"] = Source("final_layer.linear")
    table["norm_out.linear"] = Source("final_layer.adaLN_modulation.1", "swap")
    return table


def branch_modules(blocks: int) -> Table:
    """Linear layers and convolutions of `FluxControlNetModel` by name."""
    table = _stem() | _double_blocks(blocks)
    for i in range(blocks):
        table[f"controlnet_blocks.{i}"] = Source(f"controlnet_blocks.{i}")
    table["controlnet_x_embedder"] = Source("pos_embed_input")
    table["input_hint_block.conv_in"] = Source("input_hint_block.0")
    for i in range(6):
        table[f"input_hint_block.blocks.{i}"] = Source(f"input_hint_block.{2 * i + 2}")
    table["input_hint_block.conv_out"] = Source("input_hint_block.14")
    return table


def transformer_tensors(double_blocks: int, single_blocks: int) -> Table:
    """Every tensor of `FluxTransformer2DModel`."""
    table = _with_tensors(transformer_modules(double_blocks, single_blocks))
    table |= _double_norms(double_blocks)
    for i in range(single_blocks):
        for ours, theirs in (("q", "query"), ("k", "key")):
            table[f"single_transformer_blocks.{i}.attn.norm_{ours}.weight"] = Source(
                f"single_blocks.{i}.norm.{theirs}_norm.scale"
            )
    return table


def branch_tensors(blocks: int) -> Table:
    """Every tensor of `FluxControlNetModel`."""
    return _with_tensors(branch_modules(blocks)) | _double_norms(blocks)


def _with_tensors(modules: Table) -> Table:
    return {
        f"{target}.{kind}": source._replace(name=f"{source.name}.{kind}")
        for target, source in modules.items()
        for kind in ("weight", "bias")
    }


def _stem() -> Table:
    table = {"x_embedder": Source("img_in"), "context_embedder": Source("txt_in")}
    embedders = (("timestep", "time_in"), ("guidance", "guidance_in"), ("text", "vector_in"))
    for ours, theirs in embedders:
        table[f"time_text_embed.{ours}_embedder.linear_1"] = Source(f"{theirs}.in_layer")
        table[f"time_text_embed.{ours}_embedder.linear_2"] = Source(f"{theirs}.out_layer")
    return table


def _double_blocks(count: int) -> Table:
    table: Table = {}
    for i in range(count):
        theirs, ours = f"double_blocks.{i}", f"transformer_blocks.{i}"
        table[f"{ours}.norm1.linear"] = Source(f"{theirs}.img_mod.lin")
        table[f"{ours}.norm1_context.linear"] = Source(f"{theirs}.txt_mod.lin")
        for part, letter in enumerate("qkv"):
            table[f"{ours}.attn.to_{letter}"] = Source(f"{theirs}.img_attn.qkv", "third", part)
            table[f"{ours}.attn.add_{letter}_proj"] = Source(
                f"{theirs}.txt_attn.qkv", "third", part
            )
        table[f"{ours}.attn.to_out.0"] = Source(f"{theirs}.img_attn.proj")
        table[f"{ours}.attn.to_add_out"] = Source(f"{theirs}.txt_attn.proj")
        for stream, feed_forward in (("img", "ff"), ("txt", "ff_context")):
            table[f"{ours}.{feed_forward}.net.0.proj"] = Source(f"{theirs}.{stream}_mlp.0")
            table[f"{ours}.{feed_forward}.net.2"] = Source(f"{theirs}.{stream}_mlp.2")
    return table


def _double_norms(count: int) -> Table:
    return {
        f"transformer_blocks.{i}.attn.norm_{ours}.weight": Source(
            f"double_blocks.{i}.{stream}_attn.norm.{theirs}_norm.scale"
        )
        for i in range(count)
        for ours, stream, theirs in (
            ("q", "img", "query"),
            ("k", "img", "key"),
            ("added_q", "txt", "query"),
            ("added_k", "txt", "key"),
        )
    }
