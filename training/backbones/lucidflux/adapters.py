"""LoRA adapters in LucidNFT's layout: two PEFT folders whose tensors bear official names.

`<root>/lora_dit` belongs to the transformer, `<root>/lora_condition` to the branches. They can be merged into official
weights (for inference), or split onto diffusers' modules and back (for training): fused matrices share lora_A among
their parts and split the rows of lora_B.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from catalog import files
from training.backbones import BackboneError
from training.backbones.lucidflux.keys import (
    Source,
    Table,
    branch_modules,
    cut_rows,
    join_rows,
    parts_of,
    transformer_modules,
)
from training.backbones.lucidflux.sizes import Sizes
from training.backbones.lucidflux.tensors import read_tensors

DIT, CONDITION = "lora_dit", "lora_condition"
PREFIX = "base_model.model."
WRAPPER = "dual_condition_branch."
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """W + scale * b @ a for one module."""

    a: Tensor
    """[r, in] (for a convolution [r, in, kh, kw])."""
    b: Tensor
    """[out, r]."""
    scale: float


Pairs = dict[str, Pair]


def find_adapters(root: Path) -> dict[str, Path]:
    """`lora_dit` and `lora_condition` below a folder, or the folder itself if it is one of them.

    Raises:
        BackboneError: neither; the official code would look further and put the wrong one onto the transformer.
    """
    found = {kind: root / kind for kind in (DIT, CONDITION) if (root / kind / CONFIG).is_file()}
    if not found and (root / CONFIG).is_file():
        names = read_tensors(root / WEIGHTS)
        condition = any(WRAPPER in name or "connector." in name for name in names)
        found = {CONDITION if condition else DIT: root}
    if not found:
        raise BackboneError(
            f"{root} holds no LucidFlux adapter: neither {DIT}/{CONFIG} nor {CONDITION}/{CONFIG}"
        )
    return found


def read_pairs(folder: Path) -> Pairs:
    """The LoRA of one PEFT folder, by official module name.

    Raises:
        BackboneError: no plain LoRA (DoRA, biases), or a tensor without its partner.
    """
    config = read_config(folder)
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in read_tensors(folder / WEIGHTS).items():
        matched = re.fullmatch(re.escape(PREFIX) + r"(.+)\.lora_(A|B)\.weight", name)
        if not matched:
            raise BackboneError(
                f"{folder / WEIGHTS}: {name} is no plain LoRA tensor (DoRA? biases?)"
            )
        halves.setdefault(matched[1], {})[matched[2]] = tensor
    alone = sorted(name for name, both in halves.items() if len(both) != 2)
    if alone:
        raise BackboneError(
            f"{folder / WEIGHTS}: lora_A or lora_B is missing for {', '.join(alone)}"
        )
    return {
        name: Pair(both["A"], both["B"], _scale(config, name, both["A"].shape[0]))
        for name, both in halves.items()
    }


def read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json.

    Raises:
        BackboneError: unreadable, or not LoRA.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackboneError(f"{folder / CONFIG} cannot be read: {error}") from error
    if config.get("peft_type") != "LORA":
        raise BackboneError(f"{folder / CONFIG}: peft_type is {config.get('peft_type')}, not LORA")
    return config


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    from peft.utils.other import get_pattern_key

    patterns = config.get("alpha_pattern") or {}
    alpha = patterns.get(get_pattern_key(list(patterns), module), config["lora_alpha"])
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)


def ignored_connector(names: list[str], folder: Path) -> list[str]:
    """Connector LoRA among these names, with a warning: officially it is dropped, so it does nothing here either."""
    ignored = sorted(name for name in names if name.startswith("connector."))
    if ignored:
        log.warning(
            "%s adapts the connector (%s). The official inference drops that without a word; so do we, aloud.",
            folder,
            ", ".join(ignored),
        )
    return ignored


def split(pairs: Pairs, table: Table) -> Pairs:
    """Official modules to diffusers' modules: each part shares lora_A and takes its rows of lora_B.

    Ranks that do nothing for a part (others have them for themselves, see `fuse`) are left out there, so that `split`
    undoes `fuse` to the bit.

    Raises:
        BackboneError: a module that the table lacks.
    """
    known = {source.name for source in table.values()}
    if strangers := sorted(set(pairs) - known):
        raise BackboneError(
            f"The adapter is for modules that LucidFlux lacks: {', '.join(strangers)}"
        )
    parts: Pairs = {}
    for target, source in table.items():
        if source.name in pairs:
            whole = pairs[source.name]
            b = cut_rows(whole.b, source)
            used = b.ne(0).any(0)
            if used.any():
                parts[target] = Pair(whole.a[used], b[:, used], whole.scale)
            elif not whole.b.any():
                # Not trained yet: nothing tells whose ranks are whose.
                parts[target] = Pair(whole.a, b, whole.scale)
    return parts


def fuse(pairs: Pairs, table: Table) -> Pairs:
    """The inverse of `split`. Parts trained apart have a lora_A each: ranks add up, lora_B becomes block-diagonal.

    Parts without an adapter get zeros.

    Raises:
        BackboneError: a module that the table lacks.
    """
    if strangers := sorted(set(pairs) - set(table)):
        raise BackboneError(f"These modules have no official name: {', '.join(strangers)}")
    groups: dict[Source, dict[int, Pair]] = {}
    for target, pair in pairs.items():
        source = table[target]
        groups.setdefault(source._replace(part=0), {})[source.part] = pair
    return {source.name: _fused(present, source) for source, present in groups.items()}


def _fused(present: dict[int, Pair], source: Source) -> Pair:
    first = next(iter(present.values()))
    shared = len(present) == parts_of(source.cut) and all(
        pair.scale == first.scale and torch.equal(pair.a, first.a) for pair in present.values()
    )
    if shared:
        b = join_rows({part: pair.b for part, pair in present.items()}, source)
        return Pair(first.a, b, first.scale)
    a = torch.cat([pair.a for _, pair in sorted(present.items())])
    some_part, some = next(iter(present.items()))
    unit = some.b.shape[0] // _share(source, some_part)
    blocks = {
        part: torch.zeros(unit * _share(source, part), a.shape[0], dtype=a.dtype, device=a.device)
        for part in range(parts_of(source.cut))
    }
    start = 0
    for part, pair in sorted(present.items()):
        rank = pair.a.shape[0]
        blocks[part][:, start : start + rank] = pair.b * (pair.scale / first.scale)
        start += rank
    return Pair(a, join_rows(blocks, source), first.scale)


def _share(source: Source, part: int) -> int:
    """How many units of rows a part has: the MLP of a single block is four times as high as q, k and v."""
    return 4 if source.cut == "linear1" and part == 3 else 1


def tables(sizes: Sizes) -> dict[str, Table]:
    """Per adapter folder: module below `transformer` or `branches` here -> official name in the folder."""
    condition: Table = {}
    for child in ("lq", "pre"):
        for target, source in branch_modules(sizes.branch_blocks).items():
            condition[f"{child}.{target}"] = source._replace(name=f"{WRAPPER}{child}.{source.name}")
    for child in ("modulation_lq", "modulation_pre"):
        for leaf in ("linear", *_embedders("timestep"), *_embedders("control_index")):
            condition[f"{child}.{leaf}"] = Source(f"{WRAPPER}{child}.{leaf}")
    flux = sizes.flux
    return {DIT: transformer_modules(flux.double_blocks, flux.single_blocks), CONDITION: condition}


def _embedders(name: str) -> list[str]:
    return [f"{name}_embedder.linear_1", f"{name}_embedder.linear_2"]


def write_pairs(pairs: Pairs, folder: Path) -> None:
    """A PEFT folder that the official inference script can read.

    Its pinned PEFT 0.10 refuses configuration entries that it does not know, so only entries of 0.10 are written.
    """
    from safetensors.torch import save_file

    ranks = {name: pair.a.shape[0] for name, pair in pairs.items()}
    rank = min(ranks.values())
    scale = next(pair.scale for name, pair in pairs.items() if ranks[name] == rank)
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": _number(scale * rank),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "target_modules": sorted(pairs),
        "rank_pattern": {name: r for name, r in sorted(ranks.items()) if r != rank},
        "alpha_pattern": {
            name: _number(pair.scale * ranks[name])
            for name, pair in sorted(pairs.items())
            if pair.scale * ranks[name] != scale * rank
        },
    }
    tensors = {
        f"{PREFIX}{name}.lora_{half}.weight": tensor.detach().cpu().contiguous()
        for name, pair in pairs.items()
        for half, tensor in (("A", pair.a), ("B", pair.b))
    }
    # The configuration comes last: a folder without it is no adapter.
    files.make_folder(folder)
    files.delete(folder / CONFIG)
    with files.writing(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    files.put(folder / CONFIG, json.dumps(config, indent=1) + "\n")


def _number(value: float) -> float | int:
    """PEFT's own files have whole alphas as integers."""
    return int(value) if float(value).is_integer() else value
