"""Adapters merged into official weights, for inference, by PEFT itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from training.backbones import BackboneError
from training.backbones.lucidflux.adapters import (
    CONDITION,
    DIT,
    PREFIX,
    WEIGHTS,
    WRAPPER,
    find_adapters,
    ignored_connector,
    read_config,
)
from training.backbones.lucidflux.branches import OFFICIAL_NAMES
from training.backbones.lucidflux.tensors import read_tensors


def merge_into(
    dit: Mapping[str, Tensor],
    sections: Mapping[str, Mapping[str, Tensor]],
    root: Path,
    *,
    dtype: torch.dtype | None = None,
) -> tuple[dict[str, Tensor], dict[str, Mapping[str, Tensor]]]:
    """Official weights of transformer and lucidflux.pth with the adapters below `root` merged in.

    PEFT does it, on modules of the official names, so that whatever PEFT can merge works. Adapters take the dtype of
    the weights, as under PEFT 0.10, which the official code pins: on a CPU the two agreed to the bit, in bfloat16, too.

    Raises:
        BackboneError: an adapter for modules that are not there.
    """
    found = find_adapters(root)
    merged_dit = dict(dit)
    merged_sections = dict(sections)
    if DIT in found:
        merged_dit |= _merged(merged_dit, found[DIT], dtype)
    if CONDITION in found:
        official = {
            f"{WRAPPER}{child}.{name}": tensor
            for child, section in OFFICIAL_NAMES.items()
            for name, tensor in sections[section].items()
        }
        merged = _merged(official, found[CONDITION], dtype)
        for child, section in OFFICIAL_NAMES.items():
            start = f"{WRAPPER}{child}."
            merged_sections[section] = dict(sections[section]) | {
                name.removeprefix(start): tensor
                for name, tensor in merged.items()
                if name.startswith(start)
            }
    return merged_dit, merged_sections


def _merged(
    official: Mapping[str, Tensor], folder: Path, dtype: torch.dtype | None
) -> dict[str, Tensor]:
    """The weights that an adapter changes, merged."""
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    tensors = read_tensors(folder / WEIGHTS)
    names = {name.removeprefix(PREFIX).rsplit(".lora_", 1)[0] for name in tensors}
    read_config(folder)
    names -= set(ignored_connector(sorted(names), folder))
    if absent := sorted(name for name in names if f"{name}.weight" not in official):
        raise BackboneError(f"{folder} adapts modules that LucidFlux lacks: {', '.join(absent)}")
    if unfit := sorted(name for name in names if not _fits(name, official, tensors)):
        raise BackboneError(
            f"{folder} is for a model of another size; these do not fit: {', '.join(unfit)}"
        )
    skeleton = nn.Module()
    for name in sorted(names):
        weight = official[f"{name}.weight"].to(dtype)
        _hang(skeleton, name, _layer(weight))
    model = PeftModel.from_pretrained(skeleton, str(folder), autocast_adapter_dtype=False)
    adapted = {
        name.removeprefix(PREFIX)
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }
    if adapted != names:
        raise BackboneError(
            f"{folder}: adapter_config.json does not name all modules that the tensors are for: "
            f"{', '.join(sorted(names - adapted))}"
        )
    state = model.merge_and_unload().state_dict()
    return {name: tensor.detach() for name, tensor in state.items()}


def _fits(name: str, official: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> bool:
    weight = official[f"{name}.weight"]
    a = tensors.get(f"{PREFIX}{name}.lora_A.weight")
    b = tensors.get(f"{PREFIX}{name}.lora_B.weight")
    return (
        a is not None
        and b is not None
        and a.shape[1:] == weight.shape[1:]
        and b.shape[:2] == (weight.shape[0], a.shape[0])
    )


def _layer(weight: Tensor) -> nn.Module:
    with torch.device("meta"):
        if weight.ndim == 4:
            size = (weight.shape[2], weight.shape[3])
            module = nn.Conv2d(weight.shape[1], weight.shape[0], size, padding=1, bias=False)
        else:
            module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    module.weight = nn.Parameter(weight.clone(), requires_grad=False)
    return module


def _hang(root: nn.Module, name: str, leaf: nn.Module) -> None:
    *path, last = name.split(".")
    for part in path:
        if part not in dict(root.named_children()):
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, leaf)
