"""What LucidFlux costs per sample, from the shapes of its full-size networks: nothing is loaded.

    linear layers      24 D^2 FLOP a token and block (12 D^2 weights: attention 4, MLP 8)
    attention          4 L^2 D FLOP a block of L tokens
    saved for backward 56 D bytes a token and block, of which checkpointing keeps 2 D and one block's whole

The last is a count over the block's operations with frozen base weights: in bfloat16 GELU's input 4 D, attention's q,
k, v and output 4 D, rotary and gates 5 D, LayerNorm D; in float32 what LoRA reads, 3 D, and the norms of q and k, 4 D.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.backbones._cost import Cost
from training.backbones.lucidflux.latents import latent_size
from training.backbones.lucidflux.memory import BYTES, conditioning_bytes
from training.backbones.lucidflux.networks import full_size
from training.backbones.lucidflux.sizes import Sizes

PROMPT_TOKENS = 512
_SAVED = 56
_RESIDUAL_COPIES = 6
"""Of the branches' residuals, in the graph: both modulations' normalised input, its product and the sum."""
_DECODE_BYTES = 5 * 2**30
"""Decoding 1024 x 1024 px in float32, at its widest layer; in proportion to the pixels."""
_DECODE_FLOP = 2.6e12 * 4
_ENCODE_FLOP = 1.5e13
"""SwinIR over 1024 x 1024 px and SigLIP over 512 x 512."""


def cost(
    *,
    lr_px: int,
    width: int = 1024,
    height: int = 1024,
    lora_rank: int | None = None,
    lora_targets: Mapping[str, Sequence[str] | str] | None = None,
    weights: Path | str | None = None,
    **others: Any,
) -> Cost:
    """The full-size model at one size of results, with LoRA of that rank on the default targets.

    A weights folder of another size is not looked at; LR crops of any size are resized, so `lr_px` changes nothing.
    """
    del lr_px, weights, others
    sizes = Sizes()
    flux = sizes.flux
    rows, columns = latent_size(height, width)
    image = (rows // 2) * (columns // 2)
    siglip = (sizes.siglip["image_size"] // sizes.siglip["patch_size"]) ** 2
    tokens, branch_tokens = image + PROMPT_TOKENS + siglip, image + PROMPT_TOKENS
    d, blocks = flux.hidden, flux.double_blocks + flux.single_blocks
    branch_blocks = 2 * sizes.branch_blocks
    flop = blocks * _block_flop(tokens, d) + branch_blocks * _block_flop(branch_tokens, d)
    modules = full_size()
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()}
    block = _SAVED * d * tokens
    residuals = _RESIDUAL_COPIES * flux.double_blocks * image * d * 2
    share = width * height / 2**20
    return Cost(
        parameters=counts,
        weights_bytes={name: count * BYTES[name] for name, count in counts.items()},
        trained=_lora_parameters(sizes, lora_rank or 32, lora_targets),
        copies=6,
        trained_bytes=4,
        velocity_flop=flop,
        encode_flop=_ENCODE_FLOP * share,
        decode_flop=_DECODE_FLOP * share,
        saved_bytes=blocks * block + residuals + branch_blocks * _SAVED * d * branch_tokens,
        checkpointed_bytes=blocks * 2 * d * tokens + residuals + 2 * block,
        passing_bytes=block + flux.double_blocks * image * d * 2,
        decode_bytes=int(_DECODE_BYTES * share),
        conditioning_bytes=conditioning_bytes(height, width),
        latent_bytes=16 * rows * columns * 4,
        half=True,
    )


def _block_flop(tokens: int, d: int) -> float:
    return 24.0 * tokens * d**2 + 4.0 * tokens**2 * d


def _lora_parameters(
    sizes: Sizes, rank: int, targets: Mapping[str, Sequence[str] | str] | None
) -> int:
    """LoRA on layers of D to D: eight of a double block, three of a single one, by default all of them."""
    from training.backbones.lucidflux.lora import ATTENTION

    d, flux = sizes.flux.hidden, sizes.flux
    own = ("to_q", "to_k", "to_v")
    total = 0
    for module, doubles, singles in (
        ("transformer", flux.double_blocks, flux.single_blocks),
        ("branches", 2 * sizes.branch_blocks, 0),
    ):
        names = ATTENTION if targets is None else targets.get(module, ())
        if isinstance(names, str):
            names = (names,)
        total += doubles * sum(name in ATTENTION for name in names)
        total += singles * sum(name in own for name in names)
    return total * 2 * rank * d
