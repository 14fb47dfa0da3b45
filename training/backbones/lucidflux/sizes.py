"""How large the networks are. FLUX.1 [dev] by default; a weights folder of another size says so in `sizes.json`.

`sizes.json` speaks the official code's language: sections `flux`, `swinir` and `ae` with the arguments that the
official constructors take. SigLIP brings its own `config.json`, the rest follows from these. Without the file a folder
holds the full-size models. Tiny random models for tests are described in the same way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.backbones import BackboneError


@dataclass(frozen=True, kw_only=True)
class FluxSizes:
    """A FLUX transformer; the condition branches share its widths."""

    hidden: int = 3072
    heads: int = 24
    axes: tuple[int, int, int] = (16, 56, 56)
    """Rotary dimensions for (constant, row, column); they add up to the head's."""
    double_blocks: int = 19
    single_blocks: int = 38
    text: int = 4096
    """Width of T5's hidden states."""
    pooled: int = 768
    """Width of CLIP's pooled output."""
    channels: int = 64
    """Of a packed latent token: 16 latent channels of a 2x2 patch."""

    @classmethod
    def from_official(cls, config: dict[str, Any]) -> FluxSizes:
        """From the arguments of the official `FluxParams`.

        Raises:
            BackboneError: a network that the stock modules cannot express.
        """
        fixed = {"mlp_ratio": 4.0, "theta": 10000, "qkv_bias": True, "guidance_embed": True}
        wrong = {
            key: config[key] for key, value in fixed.items() if config.get(key, value) != value
        }
        if wrong:
            raise BackboneError(f"Only FLUX.1 [dev] networks can be loaded; these differ: {wrong}")
        return cls(
            hidden=config["hidden_size"],
            heads=config["num_heads"],
            axes=tuple(config["axes_dim"]),
            double_blocks=config["depth"],
            single_blocks=config["depth_single_blocks"],
            text=config["context_in_dim"],
            pooled=config["vec_in_dim"],
            channels=config["in_channels"],
        )


@dataclass(frozen=True, kw_only=True)
class SwinIRSizes:
    """DiffBIR's general SwinIR: pixel-unshuffle by 8, windows of 8, up again by three doublings."""

    img_size: int = 64
    embed_dim: int = 180
    depths: tuple[int, ...] = (6,) * 8
    num_heads: tuple[int, ...] = (6,) * 8
    window_size: int = 8
    mlp_ratio: float = 2.0

    @classmethod
    def from_official(cls, config: dict[str, Any]) -> SwinIRSizes:
        """From the arguments of DiffBIR's constructor.

        Raises:
            BackboneError: not the layout of the general SwinIR.
        """
        fixed = {
            "sf": 8,
            "unshuffle_scale": 8,
            "upsampler": "nearest+conv",
            "resi_connection": "1conv",
        }
        wrong = {
            key: config[key] for key, value in fixed.items() if config.get(key, value) != value
        }
        if wrong:
            raise BackboneError(
                f"Only DiffBIR's general SwinIR can be loaded; these differ: {wrong}"
            )
        return cls(
            img_size=config["img_size"],
            embed_dim=config["embed_dim"],
            depths=tuple(config["depths"]),
            num_heads=tuple(config["num_heads"]),
            window_size=config["window_size"],
            mlp_ratio=config["mlp_ratio"],
        )


@dataclass(frozen=True, kw_only=True)
class VaeSizes:
    """FLUX's autoencoder, of which only the decoder is used."""

    channels: tuple[int, ...] = (128, 256, 512, 512)
    layers: int = 2
    latent: int = 16
    scale: float = 0.3611
    shift: float = 0.1159

    @classmethod
    def from_official(cls, config: dict[str, Any]) -> VaeSizes:
        """From the arguments of the official `AutoEncoderParams`."""
        return cls(
            channels=tuple(config["ch"] * factor for factor in config["ch_mult"]),
            layers=config["num_res_blocks"],
            latent=config["z_channels"],
            scale=config["scale_factor"],
            shift=config["shift_factor"],
        )


SIGLIP = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 512,
    "patch_size": 16,
    "num_channels": 3,
}
"""google/siglip2-so400m-patch16-512; a weights folder's own siglip/config.json is what counts."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """All of them."""

    flux: FluxSizes = field(default_factory=FluxSizes)
    branch_blocks: int = 2
    """Double blocks of a condition branch; the official code works for 2 only."""
    swinir: SwinIRSizes = field(default_factory=SwinIRSizes)
    vae: VaeSizes = field(default_factory=VaeSizes)
    siglip: dict[str, Any] = field(default_factory=lambda: dict(SIGLIP))
    """Arguments of transformers' `SiglipVisionConfig`."""

    @classmethod
    def of_folder(cls, folder: Path) -> Sizes:
        """What `sizes.json` and `siglip/config.json` of a weights folder say.

        Raises:
            BackboneError: a file that cannot be read, or an unknown or missing entry.
        """
        given = _json(folder / "sizes.json") if (folder / "sizes.json").is_file() else {}
        readers: dict[str, Any] = {
            "flux": FluxSizes.from_official,
            "swinir": SwinIRSizes.from_official,
            "ae": VaeSizes.from_official,
        }
        if unknown := sorted(set(given) - set(readers)):
            raise BackboneError(
                f"{folder / 'sizes.json'}: unknown sections {unknown}; known: {sorted(readers)}"
            )
        found: dict[str, Any] = {}
        for section, content in given.items():
            try:
                found["vae" if section == "ae" else section] = readers[section](content)
            except (KeyError, TypeError) as error:
                raise BackboneError(
                    f"{folder / 'sizes.json'}: section {section!r} lacks or garbles {error}"
                ) from error
        config = _json(folder / "siglip" / "config.json")
        found["siglip"] = dict(config.get("vision_config", config))
        return cls(**found)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BackboneError(
            f"{path} is missing; `lucidlr lucidflux-download` fetches what can be fetched"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BackboneError(f"{path} is no JSON: {error}; fetch it again") from error
