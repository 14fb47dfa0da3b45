"""Images between files, tensors and Pillow; the one place where consistency reads a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.consistency import ConsistencyError, Images

if TYPE_CHECKING:
    from PIL import Image


def read_image(file: Path) -> Tensor:
    """[3,H,W] float32 RGB in [0,1], as training/pictures.py reads every image.

    Raises:
        ConsistencyError: no such file, or no image.
    """
    from filters.measures import NotAnImage
    from training.pictures import read_pixels

    try:
        return _tensor(read_pixels(file))
    except (NotAnImage, OSError) as error:
        raise ConsistencyError(f"{file} can't be read as an image: {error}") from error


def to_tensor(image: Image.Image) -> Tensor:
    """[3,H,W] float32 RGB in [0,1] of a Pillow image, as stored; what is transparent becomes white."""
    from filters.seen import Picture

    return _tensor(Picture(image, image.format or "", upright=False, stripped=None).rgb)


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def to_pillow(image: Tensor) -> Image.Image:
    """[3,H,W] in [0,1], rounded to 8 bits."""
    from PIL import Image as Pillow

    pixels = (image.detach().cpu().float().clamp(0, 1) * 255).round().byte()
    return Pillow.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def each_image(images: Images) -> Sequence[Tensor]:
    """The images one by one, each [3,H,W].

    Raises:
        ConsistencyError: not RGB, not finite, or not in [0,1]: scored in silence, such a tensor would only look bad.
    """
    found = list(images)
    for index, image in enumerate(found):
        if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
            raise ConsistencyError(
                f"Image {index} has the shape {list(image.shape)}; an RGB image is [3,H,W]."
            )
        if not image.is_floating_point():
            raise ConsistencyError(
                f"Image {index} is {image.dtype}; give float RGB in [0,1] (divide bytes by 255)."
            )
        low, high = float(image.min()), float(image.max())
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise ConsistencyError(
                f"Image {index} has values from {low:.3g} to {high:.3g}; RGB in [0,1] is expected."
            )
    return found
