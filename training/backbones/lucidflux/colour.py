"""The colour fix: fine structure of the decoded image on the coarse colours of the proxy, by an à-trous wavelet."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 5


def blur(image: Tensor, radius: int) -> Tensor:
    """[B,C,H,W] blurred by [1,2,1]x[1,2,1]/16 with its taps `radius` pixels apart; the border is repeated."""
    channels = image.shape[1]
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=image.dtype, device=image.device)
    kernel = (torch.outer(taps, taps) / 16).expand(channels, 1, 3, 3)
    padded = functional.pad(image, (radius, radius, radius, radius), mode="replicate")
    return functional.conv2d(padded, kernel, dilation=radius, groups=channels)


def bands(image: Tensor, levels: int = LEVELS) -> tuple[Tensor, Tensor]:
    """(high, low) of [B,C,H,W]: low is what `levels` blurs of radius 1, 2, 4, ... leave, high the sum of the rest."""
    high, low = torch.zeros_like(image), image
    for level in range(levels):
        blurred = blur(low, 2**level)
        high = high + (low - blurred)
        low = blurred
    return high, low


def colour_fix(content: Tensor, style: Tensor, levels: int = LEVELS) -> Tensor:
    """[B,C,H,W] float32: the high band of `content` on the low band of `style`, not yet clamped to [0,1]."""
    return bands(content, levels)[0] + bands(style, levels)[1]
