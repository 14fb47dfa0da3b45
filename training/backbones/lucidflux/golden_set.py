"""The golden files, and a weights folder of tiny networks made of them, in the layout of the real one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from catalog import files
from training.backbones import BackboneError
from training.backbones.lucidflux.branches import OFFICIAL_NAMES, Inputs
from training.backbones.lucidflux.folder import (
    AUTOENCODER,
    LUCIDFLUX,
    PROMPT,
    SIGLIP,
    SWINIR,
    TRANSFORMER,
)
from training.backbones.lucidflux.sinusoid import frequencies, read_frequencies
from training.backbones.lucidflux.sizes import FluxSizes
from training.backbones.lucidflux.tensors import read_tensors

MODULATION = "c_modulation"
"""Piece c, which holds the sinusoids."""


class Golden:
    """A file of the set: tensors and metadata."""

    def __init__(self, folder: Path, stem: str) -> None:
        from safetensors import safe_open

        self.path = folder / f"{stem}.safetensors"
        self.tensors: dict[str, Tensor] = read_tensors(self.path)
        with safe_open(self.path, "pt") as file:
            self.meta = {
                key: json.loads(value)
                for key, value in (file.metadata() or {}).items()
                if key != "format"
            }

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise BackboneError(f"{self.path} lacks {name!r}: not a golden set of LucidFlux")
        return self.tensors[name]

    def state(self, prefix: str = "") -> dict[str, Tensor]:
        """The official weights below `sd.<prefix>`."""
        start = f"sd.{prefix}"
        return {n.removeprefix(start): t for n, t in self.tensors.items() if n.startswith(start)}

    def inputs(self) -> Inputs:
        """Of files a, b, d."""
        return Inputs(
            tokens=self["img"],
            positions=self["img_ids"][0],
            text=self["txt"],
            pooled=self["y"],
            t=self["timesteps"],
            guidance=self["guidance"],
        )

    def flux(self) -> FluxSizes:
        """The sizes in the metadata."""
        return FluxSizes.from_official(self.meta["config"])

    def sections(self) -> dict[str, dict[str, Tensor]]:
        """Branches and modulations, as in lucidflux.pth."""
        return {section: self.state(f"{section}.") for section in OFFICIAL_NAMES.values()}


def frequencies_of(folder: Path) -> Tensor:
    """Those of the machine that made the set, read off its piece c; ours where it has none.

    Raises:
        BackboneError: piece c is damaged or lacks a tensor.
    """
    if not (folder / f"{MODULATION}.safetensors").is_file():
        return frequencies()
    golden = Golden(folder, MODULATION)
    return read_frequencies(golden["time_proj_of_t1000"], golden["timesteps"] * 1000)


def write_weights(golden: Path, out: Path) -> Path:
    """Puts what piece j ran with into `out`, under the names and nesting of the official files.

    Raises:
        BackboneError: a file of the golden set is missing or damaged.
    """
    from safetensors.torch import save_file

    loop, branches = Golden(golden, "h_denoise_loop"), Golden(golden, "d_dual_composer")
    rest, run = Golden(golden, "j_weights"), Golden(golden, "j_end_to_end")

    def safetensors(name: str, state: dict[str, Tensor]) -> None:
        with files.writing(out / name) as temporary:
            save_file(state, temporary)

    def pickled(name: str, content: object) -> None:
        with files.writing(out / name) as temporary:
            torch.save(content, temporary)

    safetensors(TRANSFORMER, loop.state("flux."))
    safetensors(AUTOENCODER, rest.state("ae."))
    sections = branches.sections() | {"connector": rest.state("connector.")}
    pickled(LUCIDFLUX, sections)
    pickled(PROMPT, {"txt": run["txt"], "vec": run["vec"], "prompt": "restore"})
    pickled(SWINIR, {"state_dict": rest.state("swinir.")})
    vision = {f"vision_model.{name}": tensor for name, tensor in rest.state("siglip.").items()}
    safetensors(SIGLIP, vision)
    siglip = {"model_type": "siglip", "vision_config": rest.meta["siglip"]}
    files.put((out / SIGLIP).with_name("config.json"), json.dumps(siglip))
    sizes = {"flux": loop.meta["config"], "swinir": rest.meta["swinir"], "ae": rest.meta["ae"]}
    files.put(out / "sizes.json", json.dumps(sizes, indent=1))
    return out
