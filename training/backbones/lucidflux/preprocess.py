"""From an LR image to what the networks see. All of it is exact: 8-bit pixels in, Pillow's filters, fixed casts."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.backbones import BackboneError
from training.backbones.lucidflux.latents import SIZE_STEP


def check_size(width: int, height: int) -> None:
    """The proxy network pads to multiples of 8 only, then fails, or answers in another size, off multiples of 64.

    Raises:
        BackboneError: a side that is not a positive multiple of 64; names the nearest ones.
    """
    for name, value in (("width", width), ("height", height)):
        if value <= 0 or value % SIZE_STEP:
            lower = max(SIZE_STEP, value // SIZE_STEP * SIZE_STEP)
            raise BackboneError(
                f"LucidFlux works in multiples of {SIZE_STEP} pixels; {name} {value} is none. "
                f"Nearest: {lower} and {lower + SIZE_STEP}"
            )


def to_bytes(image: Tensor) -> Tensor:
    """[..., 3, h, w] float32 in [0,1] to uint8, rounded: exact for what came from 8-bit pixels."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def fitted(height: int, width: int, *, canvas: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the same shape as h x w with about the canvas's area; without padding to multiples of 64."""
    factor = math.sqrt(canvas[0] * canvas[1] / (height * width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def padded(height: int, width: int) -> tuple[int, int]:
    """Both up to the next multiple of 64."""
    return math.ceil(height / SIZE_STEP) * SIZE_STEP, math.ceil(width / SIZE_STEP) * SIZE_STEP


def resize(pixels: Tensor, height: int, width: int) -> Tensor:
    """uint8 [3,h,w] to [3,H,W] by Pillow's bicubic filter; unchanged if it has the size already."""
    if pixels.shape[1:] == (height, width):
        return pixels
    image = Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
    return _pixels(image.resize((width, height), Image.Resampling.BICUBIC))


def pad_edge(pixels: Tensor, height: int, width: int) -> Tensor:
    """uint8 [3,h,w] to [3,H,W]: last row and column repeated downwards and to the right."""
    rows = torch.arange(height).clamp(max=pixels.shape[1] - 1)
    columns = torch.arange(width).clamp(max=pixels.shape[2] - 1)
    return pixels[:, rows][:, :, columns]


def signed(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 to [-1,1]: divided in float64, then cast to the model's dtype."""
    return (pixels.double() / 127.5 - 1).to(dtype)


def unsigned(image: Tensor) -> Tensor:
    """[-1,1] in any dtype to [0,1] float32: in bfloat16 the proxy network sees the rounded LR."""
    return ((image.float() + 1) / 2).clamp(0, 1)


def for_siglip(proxy: Tensor, side: int, *, truncate: bool = True) -> Tensor:
    """Proxy [3,H,W] float32 in [0,1] to [1,3,side,side] in [-1,1]; bilinear, shape not kept.

    `truncate`: 8 bits by cutting off and a pass through bfloat16, as the official code does.
    """
    scaled = (proxy * 255).permute(1, 2, 0).cpu().numpy()
    image = Image.fromarray((scaled if truncate else np.round(scaled)).astype(np.uint8))
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    values = (_pixels(image).float() / 255 - 0.5) / 0.5
    return values.to(torch.bfloat16 if truncate else torch.float32)[None]


def _pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
