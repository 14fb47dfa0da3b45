"""Adapters to train: PEFT LoRA on diffusers' modules, new or from LucidNFT's, saved in LucidNFT's layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.backbones import BackboneError
from training.backbones.adapters import LoraAdapters
from training.backbones.lucidflux.adapters import (
    CONDITION,
    DIT,
    Pair,
    Pairs,
    find_adapters,
    fuse,
    ignored_connector,
    read_pairs,
    split,
    tables,
    write_pairs,
)
from training.backbones.lucidflux.folder import Parts
from training.backbones.lucidflux.sizes import Sizes

MODULES = {DIT: "transformer", CONDITION: "branches"}
"""Official folder -> module here."""
ATTENTION = (
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "to_add_out",
)
"""What DiffusionNFT adapts; the targets of LucidNFT's own adapters are not known to us."""


@dataclass(frozen=True, kw_only=True)
class LoraOptions:
    """For adapters started afresh."""

    rank: int = 32
    alpha: int = 64
    targets: Mapping[str, Sequence[str] | str] | None = None
    """Layers of `transformer` and `branches`, as PEFT's target_modules; a module that is not named is not trained."""


def attach(parts: Parts, options: LoraOptions) -> LoraAdapters:
    """New adapters, which change nothing yet.

    Raises:
        BackboneError: targets that are not there.
    """
    modules = {"transformer": parts.transformer, "branches": parts.branches}
    targets = options.targets or dict.fromkeys(modules, ATTENTION)
    if not targets or not set(targets) <= set(modules):
        raise BackboneError(f"lora_targets has {sorted(targets)}; there are {sorted(modules)}")
    chosen = {name: modules[name] for name in targets}
    try:
        return LoraAdapters(chosen, targets=targets, rank=options.rank, alpha=options.alpha)
    except ValueError as error:
        raise BackboneError(f"LoRA cannot be put onto LucidFlux: {error}") from error


def attach_official(parts: Parts, root: Path) -> LoraAdapters:
    """LucidNFT's adapters, or ours, unmerged: both `default` and `old` start with them; without them is the base.

    Raises:
        BackboneError: no adapter, no plain LoRA, or one for another model.
    """
    official = official_pairs(root, parts.sizes)
    modules = {"transformer": parts.transformer, "branches": parts.branches}
    for module, pairs in official.items():
        for name, pair in pairs.items():
            weight = modules[module].get_parameter(f"{name}.weight")
            if pair.a.shape[1:] != weight.shape[1:] or pair.b.shape[0] != weight.shape[0]:
                raise BackboneError(f"{root} is for a model of another size: {name} does not fit")
    adapters = LoraAdapters(
        {module: modules[module] for module in official},
        targets={module: list(pairs) for module, pairs in official.items()},
        ranks={m: {n: pair.a.shape[0] for n, pair in ps.items()} for m, ps in official.items()},
        alphas={
            m: {n: pair.scale * pair.a.shape[0] for n, pair in ps.items()}
            for m, ps in official.items()
        },
    )
    adapters.random = False
    with torch.no_grad():
        for adapter in ("default", "old"):
            parameters = adapters.parameters(adapter)
            for module, pairs in official.items():
                for name, pair in pairs.items():
                    parameters[f"{module}.{name}.lora_A.weight"].copy_(pair.a)
                    parameters[f"{module}.{name}.lora_B.weight"].copy_(
                        pair.b.reshape(parameters[f"{module}.{name}.lora_B.weight"].shape)
                    )
    return adapters


def official_pairs(root: Path, sizes: Sizes) -> dict[str, Pairs]:
    """`transformer` and/or `branches` -> the LoRA of their layers, under diffusers' names.

    Raises:
        BackboneError: see attach_official.
    """
    found: dict[str, Pairs] = {}
    for kind, folder in find_adapters(root).items():
        pairs = read_pairs(folder)
        for name in ignored_connector(sorted(pairs), folder):
            del pairs[name]
        found[MODULES[kind]] = split(pairs, tables(sizes)[kind])
    return found


def save_official(
    values: Mapping[str, Tensor], scales: Mapping[str, float], sizes: Sizes, out: Path
) -> list[Path]:
    """Writes `lora_dit` and `lora_condition` below `out`, for the official inference script and for ours.

    Args:
        values: `<module>.<layer>.lora_A.weight` and `..lora_B.weight`, as LoraAdapters and checkpoints name them.
        scales: `<module>.<layer>` -> alpha / rank.

    Raises:
        BackboneError: a layer without an official name.
    """
    written: list[Path] = []
    for kind, module in MODULES.items():
        pairs: Pairs = {}
        for full, scale in scales.items():
            if full.startswith(f"{module}."):
                a, b = values[f"{full}.lora_A.weight"], values[f"{full}.lora_B.weight"]
                pairs[full.removeprefix(f"{module}.")] = Pair(a.detach(), b.detach(), scale)
        if pairs:
            write_pairs(fuse(pairs, tables(sizes)[kind]), out / kind)
            written.append(out / kind)
    return written


def scales_of(adapters: LoraAdapters) -> dict[str, float]:
    """`<module>.<layer>` -> alpha / rank, of adapters that are attached."""
    from peft.tuners.lora import LoraLayer

    return {
        f"{prefix}.{name}": layer.scaling["default"]
        for prefix, module in adapters.trainable_modules().items()
        for name, layer in module.named_modules()
        if isinstance(layer, LoraLayer)
    }


def export_adapters(
    config: Mapping[str, Any], values: Mapping[str, Tensor], out: Path
) -> list[Path]:
    """Trained adapters in LucidNFT's layout.

    Args:
        config: what the run was told: `backbone` and `backbone_options`.
        values: `<module>.<layer>.lora_A.weight` and `..lora_B.weight`, as a checkpoint keeps them.

    Raises:
        BackboneError: not a run of LucidFlux, or its weights folder or first adapter is gone.
    """
    if config["backbone"] != "lucidflux":
        raise BackboneError(f"the run trained {config['backbone']!r}, not lucidflux")
    options = config["backbone_options"]
    sizes = Sizes.of_folder(Path(options["weights"]))
    layers = [n.removesuffix(".lora_A.weight") for n in values if n.endswith(".lora_A.weight")]
    if start := options.get("lora_from"):
        pairs = official_pairs(Path(start), sizes)
        scales = {f"{m}.{n}": pair.scale for m, ps in pairs.items() for n, pair in ps.items()}
    else:
        alpha = options.get("lora_alpha", LoraOptions().alpha)
        scales = {n: alpha / values[f"{n}.lora_A.weight"].shape[0] for n in layers}
    return save_official(values, {name: scales[name] for name in layers}, sizes, out)
