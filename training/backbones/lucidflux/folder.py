"""A weights folder: which file holds what, and from there the loaded parts.

```
flux1-dev.safetensors  ae.safetensors           FLUX.1 [dev]
lucidflux.pth          prompt_embeddings.pt     LucidFlux
swinir.pth                                      DiffBIR's general_swinir_v1.ckpt
siglip/config.json     siglip/model.safetensors
sizes.json                                      only if the networks are not the full-size ones
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.backbones import BackboneError
from training.backbones.lucidflux import networks
from training.backbones.lucidflux.branches import DualConditionBranch
from training.backbones.lucidflux.sizes import Sizes
from training.backbones.lucidflux.tensors import read_tensors

TRANSFORMER = "flux1-dev.safetensors"
AUTOENCODER = "ae.safetensors"
LUCIDFLUX = "lucidflux.pth"
PROMPT = "prompt_embeddings.pt"
SWINIR = "swinir.pth"
SIGLIP = "siglip/model.safetensors"
FILES = (TRANSFORMER, AUTOENCODER, LUCIDFLUX, PROMPT, SWINIR, SIGLIP)
LICENSE = "LicenseRef-FLUX-1-dev-Non-Commercial-1.1.1"
LICENSE_NOTE = (
    "The weights of LucidFlux and FLUX.1 [dev] are under the FLUX.1 [dev] Non-Commercial License v1.1.1: "
    "not for commercial use; read it before you use the images, too."
)


@dataclass(kw_only=True)
class Parts:
    """The networks with their weights, on the CPU, frozen, in eval mode."""

    sizes: Sizes
    transformer: nn.Module
    branches: DualConditionBranch
    connector: nn.Module
    swinir: nn.Module
    siglip: nn.Module
    vae: nn.Module
    text: Tensor
    """The one prompt's hidden states [1, T, text]."""
    pooled: Tensor
    """[1, pooled]."""

    def modules(self) -> dict[str, nn.Module]:
        """By name."""
        return {
            "transformer": self.transformer,
            "branches": self.branches,
            "connector": self.connector,
            "swinir": self.swinir,
            "siglip": self.siglip,
            "vae": self.vae,
        }


def load_parts(
    folder: Path, *, dtype: torch.dtype, small_dtype: torch.dtype, adapter: Path | None = None
) -> Parts:
    """Everything of a weights folder.

    Args:
        dtype: of transformer, branches and prompt.
        small_dtype: of SigLIP and connector; the proxy network and the decoder are always float32.
        adapter: LoRA in official layout to merge into transformer and branches.

    Raises:
        BackboneError: a file missing or damaged, a tensor missing, unexpected or misshapen.
    """
    if not folder.is_dir():
        raise BackboneError(
            f"There is no weights folder {folder}; `lucidlr lucidflux-download --to {folder}` makes one"
        )
    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        raise BackboneError(
            f"{folder} lacks {', '.join(absent)}; `lucidlr lucidflux-download --to {folder}` fetches "
            "what is missing"
        )
    sizes = Sizes.of_folder(folder)
    dit = read_tensors(folder / TRANSFORMER)
    sections = lucidflux_sections(folder / LUCIDFLUX)
    if adapter is not None:
        from training.backbones.lucidflux.merging import merge_into

        dit, sections = merge_into(dit, sections, adapter)
    text, pooled = read_prompt(folder / PROMPT)
    loaded = Parts(
        sizes=sizes,
        transformer=networks.load_transformer(
            sizes.flux, dit, where=str(folder / TRANSFORMER), dtype=dtype
        ),
        branches=networks.load_branches(
            sizes.flux,
            sections,
            where=str(folder / LUCIDFLUX),
            dtype=dtype,
            blocks=sizes.branch_blocks,
        ),
        connector=networks.load_connector(
            sections["connector"],
            where=f"{folder / LUCIDFLUX}, section 'connector'",
            dtype=small_dtype,
        ),
        swinir=networks.load_swinir(
            sizes.swinir, read_tensors(folder / SWINIR), where=str(folder / SWINIR)
        ),
        siglip=networks.load_siglip(
            sizes.siglip,
            read_tensors(folder / SIGLIP),
            where=str(folder / SIGLIP),
            dtype=small_dtype,
        ),
        vae=networks.load_vae_decoder(
            sizes.vae, read_tensors(folder / AUTOENCODER), where=str(folder / AUTOENCODER)
        ),
        text=text.to(dtype),
        pooled=pooled.to(dtype),
    )
    for module in loaded.modules().values():
        module.requires_grad_(False)
    _check_widths(loaded, folder)
    return loaded


def lucidflux_sections(path: Path) -> dict[str, Mapping[str, Tensor]]:
    """The five state dicts of lucidflux.pth (condition_lq, condition_ldr, modulation_lq, modulation_ldr, connector).

    Raises:
        BackboneError: not five sections.
    """
    content = read_tensors(path)
    content = content.get("state_dict", content)
    wanted = {"condition_lq", "condition_ldr", "modulation_lq", "modulation_ldr", "connector"}
    if set(content) != wanted:
        raise BackboneError(
            f"{path} has the sections {sorted(content)[:10]}; the official file has {sorted(wanted)}"
        )
    return dict(content)


def read_prompt(path: Path) -> tuple[Tensor, Tensor]:
    """(hidden states [1,T,text], pooled [1,pooled]) of the one prompt.

    Raises:
        BackboneError: entries missing or of another rank.
    """
    content: dict[str, Any] = read_tensors(path)
    found = content.get("txt"), content.get("vec")
    ranks = tuple(value.ndim if isinstance(value, Tensor) else None for value in found)
    if ranks != (3, 2):
        raise BackboneError(
            f"{path} should hold `txt` [1,T,text] and `vec` [1,pooled]; it holds {sorted(content)}"
        )
    return content["txt"], content["vec"]


def _check_widths(parts: Parts, folder: Path) -> None:
    flux = parts.sizes.flux
    pairs = {
        "txt of the prompt": (parts.text.shape[-1], flux.text),
        "vec of the prompt": (parts.pooled.shape[-1], flux.pooled),
        "the connector's output": (
            parts.connector.get_parameter("redux_down.bias").shape[0],
            flux.text,
        ),
    }
    wrong = [
        f"{name} is {got} wide, not {want}" for name, (got, want) in pairs.items() if got != want
    ]
    if wrong:
        raise BackboneError(f"{folder}: files of different models: {'; '.join(wrong)}")
