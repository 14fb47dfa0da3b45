"""How each family of diffusers_flow asks its control branch and its transformer: layouts, times, arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Model(Protocol):
    """What is needed of the backbone."""

    parts: Any
    guidance: float
    control_scale: float

    def told(self, name: str, count: int, dtype: torch.dtype) -> Tensor:
        """What is fixed about the prompt, once per sample."""
        ...


def _sd3(model: Model, z: Tensor, t: Tensor, control: Tensor) -> Tensor:
    parts, count = model.parts, len(z)
    pooled = model.told("pooled", count, z.dtype)
    about = {
        "hidden_states": z,
        "encoder_hidden_states": model.told("prompt_embeds", count, z.dtype),
    }
    seen = (
        torch.zeros_like(pooled)
        if parts.controlnet.config.force_zeros_for_pooled_projection
        else pooled
    )
    residuals = parts.controlnet(
        **about,
        controlnet_cond=control,
        conditioning_scale=model.control_scale,
        pooled_projections=seen,
        timestep=t * 1000,
        return_dict=False,
    )[0]
    return parts.transformer(
        **about,
        pooled_projections=pooled,
        timestep=t * 1000,
        block_controlnet_hidden_states=residuals,
        return_dict=False,
    )[0]


def _flux(model: Model, z: Tensor, t: Tensor, control: Tensor) -> Tensor:
    parts, count = model.parts, len(z)
    rows, columns = z.shape[2] // 2, z.shape[3] // 2
    text = model.told("prompt_embeds", count, z.dtype)
    places = torch.zeros(rows, columns, 3, device=z.device, dtype=z.dtype)
    places[..., 1] += torch.arange(rows, device=z.device, dtype=z.dtype)[:, None]
    places[..., 2] += torch.arange(columns, device=z.device, dtype=z.dtype)[None]
    about: dict[str, Any] = {
        "hidden_states": functional.pixel_unshuffle(z, 2).flatten(2).transpose(1, 2),
        "encoder_hidden_states": text,
        "pooled_projections": model.told("pooled", count, z.dtype),
        "timestep": t,
        "img_ids": places.view(-1, 3),
        "txt_ids": places.new_zeros(text.shape[1], 3),
        "return_dict": False,
    }
    guidance = z.new_full((count,), model.guidance)
    blocks, singles = parts.controlnet(
        **about,
        guidance=guidance if parts.controlnet.config.guidance_embeds else None,
        controlnet_cond=functional.pixel_unshuffle(control, 2).flatten(2).transpose(1, 2),
        conditioning_scale=model.control_scale,
    )
    v = parts.transformer(
        **about,
        guidance=guidance if parts.transformer.config.guidance_embeds else None,
        controlnet_block_samples=blocks,
        controlnet_single_block_samples=singles,
    )[0]
    return functional.pixel_shuffle(v.transpose(1, 2).reshape(count, -1, rows, columns), 2)


def _sana(model: Model, z: Tensor, t: Tensor, control: Tensor) -> Tensor:
    parts, count = model.parts, len(z)
    about: dict[str, Any] = {
        "hidden_states": z,
        "encoder_hidden_states": model.told("prompt_embeds", count, z.dtype),
        "encoder_attention_mask": model.told("attention_mask", count, z.dtype),
        "return_dict": False,
    }
    scale = float(getattr(parts.transformer.config, "timestep_scale", 1.0))
    residuals = parts.controlnet(
        **about,
        timestep=t * 1000 * scale,
        controlnet_cond=control,
        conditioning_scale=model.control_scale,
    )[0]
    return parts.transformer(
        **about, timestep=t * 1000 * scale, controlnet_block_samples=residuals
    )[0]


VELOCITY: dict[str, Callable[[Model, Tensor, Tensor, Tensor], Tensor]] = {
    "sd3": _sd3,
    "flux": _flux,
    "sana": _sana,
}
