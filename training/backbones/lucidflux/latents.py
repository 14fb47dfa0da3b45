"""Latents: noise, packing into tokens, token positions, and the times of the sampler. Pure functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.flow_matching import flux_mu

OFFICIAL_SEED = 123456789
"""For every image, in the official scripts."""
SIZE_STEP = 64
"""The proxy network unshuffles by 8 and then has windows of 8 pixels."""


def latent_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the latent of an H x W image: an even number each, as 2x2 patches become tokens."""
    return 2 * math.ceil(height / 16), 2 * math.ceil(width / 16)


def noise(
    shape: tuple[int, ...],
    *,
    seed: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """[1, *shape], drawn in `dtype` on `device`: CPU and CUDA draw differently, so images differ, too."""
    generator = torch.Generator(device=device).manual_seed(seed)
    return torch.randn((1, *shape), generator=generator, dtype=dtype, device=device)


def pack(z: Tensor) -> Tensor:
    """Latent [B, C, h, w] to tokens [B, (h/2)*(w/2), 4C]: patches row by row; within one, channel first, then row."""
    b, c, h, w = z.shape
    patches = z.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(b, (h // 2) * (w // 2), 4 * c)


def unpack(tokens: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `pack`, for a latent of so many rows and columns."""
    b, _, channels = tokens.shape
    patches = tokens.reshape(b, rows // 2, columns // 2, channels // 4, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(b, channels // 4, rows, columns)


def token_positions(rows: int, columns: int, *, like: Tensor) -> Tensor:
    """[(rows/2)*(columns/2), 3]: (0, row, column) of each token, in the dtype and on the device of `like`."""
    row, column = torch.meshgrid(torch.arange(rows // 2), torch.arange(columns // 2), indexing="ij")
    positions = torch.stack([torch.zeros_like(row), row, column], dim=-1).reshape(-1, 3)
    return positions.to(device=like.device, dtype=like.dtype)


def schedule(steps: int, *, height: int, width: int, true_tokens: bool = False) -> Tensor:
    """Times [steps + 1] float32 from 1 to 0, shifted towards noise: t' = e^mu / (e^mu + 1/t - 1).

    mu grows with the number of tokens (training.flow_matching.flux_mu). The official code counts
    (W//8)*(H//8)//256 instead, 64 for 1024 x 1024; `true_tokens` counts ceil(W/16)*ceil(H/16), 4096.
    In float32 throughout, unlike flow_matching.shifted_schedule: the official times to the bit, on every CPU.
    """
    tokens = (width // 8) * (height // 8) // 256
    if true_tokens:
        tokens = math.ceil(width / 16) * math.ceil(height / 16)
    shift = math.exp(flux_mu(tokens))
    t = spaced(steps)
    return shift / (shift + (1 / t - 1))


def spaced(steps: int) -> Tensor:
    """torch.linspace(1, 0, steps + 1) in float32 as CPUs with a fused multiply-add compute it: from either end to the
    middle. Others round the product as well; by float64, which holds it exactly, all have the same times."""
    step = torch.tensor(-1.0) / steps
    i = torch.arange(steps + 1, dtype=torch.float64)
    from_one, from_zero = 1.0 + step.double() * i, step.double() * (i - steps)
    return torch.where(i < (steps + 1) // 2, from_one, from_zero).float()
