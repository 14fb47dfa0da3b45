"""LucidFlux (FLUX.1 [dev] with two condition branches) and its LucidNFT adapters, from official weights.

Stock modules of diffusers, transformers, peft and spandrel; what the official inference does is reproduced, oddities
included (oddities.py names them). Facts and what was verified: docs/lucidflux.md. The weights are under a
non-commercial license.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from training.backbones import BackboneError

if TYPE_CHECKING:
    from training.backbones.lucidflux.backbone import LucidFlux


def notice() -> str:
    """The weights' license, in a sentence."""
    from training.backbones.lucidflux.folder import LICENSE_NOTE

    return LICENSE_NOTE


def load(
    *,
    weights: Path | str,
    adapter: Path | str | None = None,
    width: int = 1024,
    height: int = 1024,
    guidance: float = 4.0,
    device: str | None = None,
    dtype: Literal["bfloat16", "float32"] = "bfloat16",
    corrected: bool = False,
    offload: bool = False,
    gradient_checkpointing: bool = False,
    lora_rank: int | None = None,
    lora_alpha: int = 64,
    lora_targets: Mapping[str, Sequence[str] | str] | None = None,
    lora_from: Path | str | None = None,
    decode_batch: int = 1,
) -> LucidFlux:
    """A LucidFlux from a weights folder (see folder.py; `lucidlr lucidflux-download` makes one).

    Args:
        adapter: LoRA in LucidNFT's layout, merged into the weights: the reference contains it.
        width, height: of the result, multiples of 64, whatever the LR's shape (with `corrected`: of its area).
        device: default: this process's cuda if there is one.
        dtype: of transformer and branches.
        corrected: do what was probably meant instead of the official oddities: deviates from the paper's results.
        offload: keep modules that are not at work in the CPU's memory.
        gradient_checkpointing: less memory in training, for a second forward pass.
        lora_rank, lora_alpha, lora_targets: new adapters to train; see lora.LoraOptions.
        lora_from: train LucidNFT's adapters further, unmerged: the reference is without them.
        decode_batch: latents decoded at a time: faster on a GPU, about 5 GiB each at 1024 x 1024.

    Raises:
        BackboneError: see there.
    """
    import torch

    from training.backbones.lucidflux.backbone import LucidFlux
    from training.backbones.lucidflux.checksums import weights_sha256
    from training.backbones.lucidflux.folder import load_parts
    from training.backbones.lucidflux.lora import LoraOptions, attach, attach_official
    from training.backbones.lucidflux.oddities import CORRECTED, OFFICIAL
    from training.backbones.lucidflux.preprocess import check_size

    check_size(width, height)
    if decode_batch < 1:
        raise BackboneError(f"decode_batch is at least 1, got {decode_batch}")
    if lora_rank is not None and lora_from is not None:
        raise BackboneError(
            "lora_rank is for new adapters, lora_from for given ones: name one of them"
        )
    # The current device, as several processes have one each.
    own = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    place = torch.device(device or own)
    main = getattr(torch, dtype)
    parts = load_parts(
        Path(weights),
        dtype=main,
        # As the official code does: SigLIP and connector in the model's dtype on a GPU only.
        small_dtype=main if place.type == "cuda" else torch.float32,
        adapter=None if adapter is None else Path(adapter),
    )
    adapters = None
    if lora_from is not None:
        adapters = attach_official(parts, Path(lora_from))
    elif lora_rank is not None:
        options = LoraOptions(rank=lora_rank, alpha=lora_alpha, targets=lora_targets)
        adapters = attach(parts, options)
    return LucidFlux(
        parts,
        weights_sha256=weights_sha256(Path(weights), None if adapter is None else Path(adapter)),
        width=width,
        height=height,
        guidance=guidance,
        device=place,
        oddities=CORRECTED if corrected else OFFICIAL,
        offload=offload,
        gradient_checkpointing=gradient_checkpointing,
        adapters=adapters,
        decode_batch=decode_batch,
        merged=adapter is not None,
    )
