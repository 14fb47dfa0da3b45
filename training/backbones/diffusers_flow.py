"""Any flow model of diffusers with a control branch as a backbone: Stable Diffusion 3, FLUX, SANA; trained by LoRA.

`weights` is a folder in diffusers' layout, with one file more, because prompts are fixed and text encoders not needed:

    transformer/  controlnet/  vae/      as `save_pretrained` writes them
    scheduler/scheduler_config.json      `shift`, or FLUX's dynamic shifting; without it times are even
    prompt.safetensors                   prompt_embeds [1,S,C]; pooled [1,P] (SD3, FLUX); attention_mask [1,S] (SANA)

Which family it is stands in transformer/config.json. The control is the VAE's latent (its mode, no sample) of the LR,
enlarged by bicubic interpolation: what ControlNet upscalers are trained on. Guidance by a second, unconditional pass is
not offered: NFT trains without. Run with tiny random networks of all three; with real weights **not run**.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.backbones import Adapter, BackboneError, Conditioning
from training.backbones._diffusers_velocities import VELOCITY
from training.backbones.adapters import LoraAdapters
from training.flow_matching import linear_schedule, shifted_schedule
from training.weights import hash_of_weights, sha256_of

Family = Literal["sd3", "flux", "sana"]
FAMILIES: dict[str, tuple[Family, str]] = {
    "SD3Transformer2DModel": ("sd3", "SD3ControlNetModel"),
    "FluxTransformer2DModel": ("flux", "FluxControlNetModel"),
    "SanaTransformer2DModel": ("sana", "SanaControlNetModel"),
}
"""Class of the transformer -> family and class of its control branch."""
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The networks, without gradients, and what they are always told."""

    family: Family
    transformer: Any
    controlnet: Any
    vae: Any
    prompt: Mapping[str, Tensor]
    scheduler: Mapping[str, Any]


class DiffusersFlow:
    """The Backbone; see training/backbones/__init__.py."""

    name = "diffusers_flow"

    def __init__(
        self,
        parts: Parts,
        *,
        weights_sha256: str,
        license: str,
        scale: int,
        guidance: float,
        control_scale: float,
        decode_batch: int,
        adapters: LoraAdapters | None,
    ) -> None:
        self.parts, self.weights_sha256, self.license = parts, weights_sha256, license
        self.scale, self.guidance, self.control_scale = scale, guidance, control_scale
        self.decode_batch = decode_batch
        self._adapters = adapters
        first = next(parts.transformer.parameters())
        self.device, self.dtype = first.device, next(parts.vae.parameters()).dtype
        config = parts.vae.config
        widths = getattr(config, "block_out_channels", None) or config.encoder_block_out_channels
        self._reduced_by: int = 2 ** (len(widths) - 1)
        self._channels: int = config.latent_channels
        self._factor = float(config.scaling_factor)
        self._shift = float(getattr(config, "shift_factor", None) or 0.0)

    @property
    def configuration(self) -> str:
        """What a conditioning depends on besides pixels and weights."""
        return f"{self.parts.family} x{self.scale} {self.dtype}"

    def encode(self, lr: Tensor) -> Conditioning:
        """`control`: the latent of the enlarged LR; one image at a time, so that a sample depends on no other."""
        if lr.ndim != 4 or lr.shape[1] != 3:
            raise BackboneError(f"diffusers_flow takes LR [B,3,h,w], got {list(lr.shape)}.")
        self.latent_shape((lr.shape[2], lr.shape[3]))
        up = functional.interpolate(
            lr.to(self.device, self.dtype),
            scale_factor=float(self.scale),
            mode="bicubic",
            antialias=True,
        )
        with torch.no_grad():
            latents = [self._encoded(image[None].clamp(0, 1) * 2 - 1) for image in up]
        return {"control": torch.cat(latents)}

    def _encoded(self, image: Tensor) -> Tensor:
        found = self.parts.vae.encode(image)
        latent = found.latent if hasattr(found, "latent") else found.latent_dist.mode()
        return (latent - self._shift) * self._factor

    def latent_shape(self, lr_size: tuple[int, int]) -> tuple[int, ...]:
        """(C, rows, columns).

        Raises:
            BackboneError: the result is no whole number of patches.
        """
        height, width = (self.scale * side for side in lr_size)
        patch = 2 if self.parts.family == "flux" else int(self.parts.transformer.config.patch_size)
        unit = self._reduced_by * patch
        if height % unit or width % unit:
            raise BackboneError(
                f"{self.parts.family} makes results of multiples of {unit} px; {lr_size[1]}x{lr_size[0]} times "
                f"{self.scale} is none. Choose lr_px so that it is."
            )
        return (self._channels, height // self._reduced_by, width // self._reduced_by)

    def schedule(self, steps: int, latent_shape: tuple[int, ...]) -> Tensor:
        """The scheduler's: a fixed shift, or FLUX's, which grows with the number of tokens."""
        if steps < 1:
            raise BackboneError(f"A schedule needs at least 1 step, got {steps}.")
        about = self.parts.scheduler
        if about.get("use_dynamic_shifting"):
            tokens = latent_shape[1] * latent_shape[2] / 4
            low, high = about.get("base_image_seq_len", 256), about.get("max_image_seq_len", 4096)
            first, last = about.get("base_shift", 0.5), about.get("max_shift", 1.15)
            return shifted_schedule(steps, first + (tokens - low) * (last - first) / (high - low))
        shift = float(about.get("shift", 1.0))
        return linear_schedule(steps) if shift == 1.0 else shifted_schedule(steps, math.log(shift))

    def velocity(self, z: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        """Of the family, under the adapter in use; in the transformer's dtype inside, in z's outside."""
        dtype = next(self.parts.transformer.parameters()).dtype
        found = VELOCITY[self.parts.family](
            self,
            z.to(self.device, dtype),
            t.to(self.device, dtype),
            cond["control"].to(self.device, dtype),
        )
        return found.to(z)

    def told(self, name: str, count: int, dtype: torch.dtype) -> Tensor:
        """What is fixed about the prompt, once per sample."""
        value = self.parts.prompt[name].to(self.device)
        value = value.to(dtype) if value.is_floating_point() else value
        return value.expand(count, *value.shape[1:])

    def decode(self, z: Tensor, cond: Conditioning) -> Tensor:
        """By the VAE; `decode_batch` latents at a time."""
        del cond
        with torch.no_grad():
            latents = z.to(self.device, self.dtype) / self._factor + self._shift
            images = [
                self.parts.vae.decode(part).sample for part in latents.split(self.decode_batch)
            ]
        return ((torch.cat(images).float() + 1) / 2).clamp(0, 1)

    def trainable_modules(self) -> Mapping[str, nn.Module]:
        """`transformer` and `controlnet`, as far as they carry adapters."""
        return self._trained().trainable_modules()

    def adapter_parameters(self, adapter: Adapter) -> Mapping[str, nn.Parameter]:
        """LoRA by `<module>.<layer>.lora_A.weight`."""
        return self._trained().parameters(adapter)

    def use(self, adapter: Adapter | None) -> AbstractContextManager[None]:
        """Switches adapters; without any there is only the reference."""
        return nullcontext() if self._adapters is None else self._adapters.use(adapter)

    def draw(self, seed: int) -> None:
        """See training.backbones.Drawn."""
        if self._adapters is not None:
            self._adapters.draw(seed)

    def _trained(self) -> LoraAdapters:
        if self._adapters is None:
            raise BackboneError("This model carries no adapters to train: load it with lora_rank.")
        return self._adapters


def load(
    *,
    weights: Path | str,
    scale: int = 4,
    guidance: float = 3.5,
    control_scale: float = 1.0,
    license: str = "LicenseRef-Unknown",
    device: str | None = None,
    dtype: Literal["bfloat16", "float32"] | None = None,
    gradient_checkpointing: bool = False,
    decode_batch: int = 1,
    lora_rank: int | None = None,
    lora_alpha: int = 64,
    lora_targets: Mapping[str, Sequence[str] | str] | None = None,
) -> DiffusersFlow:
    """From a folder in diffusers' layout; see the module.

    Args:
        scale: of results over LR.
        guidance: of models that have it embedded (FLUX).
        control_scale: of the branch's residuals.
        license: SPDX id of the weights, which outputs may inherit conditions from.
        dtype: of transformer and branch; default: bfloat16 on a GPU. The VAE is float32.
        lora_rank, lora_alpha, lora_targets: adapters to train; targets per `transformer` and `controlnet`.

    Raises:
        BackboneError: a part is missing or of another family, or targets that are in no layer.
    """
    folder = Path(weights)
    own = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    place = torch.device(device or own)
    main = getattr(torch, dtype or ("bfloat16" if place.type == "cuda" else "float32"))
    parts = _parts(folder, place, main)
    if gradient_checkpointing:
        for module in (parts.transformer, parts.controlnet):
            module.enable_gradient_checkpointing()
    adapters = None
    if lora_rank is not None:
        modules = {"transformer": parts.transformer, "controlnet": parts.controlnet}
        targets = lora_targets or dict.fromkeys(modules, TARGETS)
        if not set(targets) <= set(modules):
            raise BackboneError(f"lora_targets has {sorted(targets)}; there are {sorted(modules)}.")
        try:
            adapters = LoraAdapters(
                {name: modules[name] for name in targets},
                targets=targets,
                rank=lora_rank,
                alpha=lora_alpha,
            )
        except ValueError as error:
            raise BackboneError(f"LoRA cannot be put onto {folder}: {error}") from error
    told = [hash_of_weights(folder / name) for name in ("transformer", "controlnet", "vae")]
    return DiffusersFlow(
        parts,
        weights_sha256="+".join(
            one[:16] for one in (*told, sha256_of(folder / "prompt.safetensors"))
        ),
        license=license,
        scale=scale,
        guidance=guidance,
        control_scale=control_scale,
        decode_batch=decode_batch,
        adapters=adapters,
    )


def _parts(folder: Path, place: torch.device, dtype: torch.dtype) -> Parts:
    import diffusers
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        kind = json.loads((folder / "transformer" / "config.json").read_text("utf-8"))[
            "_class_name"
        ]
        vae_kind = json.loads((folder / "vae" / "config.json").read_text("utf-8"))["_class_name"]
        prompt = load_file(folder / "prompt.safetensors")
        file = folder / "scheduler" / "scheduler_config.json"
        scheduler = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise BackboneError(
            f"{folder} is no folder of diffusers_flow ({error}); it needs transformer/, controlnet/, vae/ and "
            "prompt.safetensors."
        ) from error
    if kind not in FAMILIES:
        raise BackboneError(f"{folder} holds a {kind}; there are {', '.join(FAMILIES)}.")
    family, branch = FAMILIES[kind]
    wanted = {"prompt_embeds", "attention_mask" if family == "sana" else "pooled"}
    if missing := sorted(wanted - set(prompt)):
        raise BackboneError(f"{folder / 'prompt.safetensors'} lacks {', '.join(missing)}.")
    loaded: dict[str, Any] = {}
    for name, cls, kept in (
        ("transformer", kind, dtype),
        ("controlnet", branch, dtype),
        ("vae", vae_kind, torch.float32),
    ):
        try:
            module = getattr(diffusers, cls).from_pretrained(folder / name, torch_dtype=kept)
        except (OSError, ValueError) as error:
            raise BackboneError(f"{folder / name} does not load as {cls}: {error}") from error
        loaded[name] = module.requires_grad_(False).eval().to(place)
    return Parts(family=family, prompt=prompt, scheduler=scheduler, **loaded)
