"""Where a restoration departs from its input: a map, a cell per 4 x 4 px of the LR, and a number from it.

The restoration is reduced to the size of the LR, and both are compared in windows: do their structures correlate, what
of one is left when the other explains it, how their contrasts, means and colours differ, at several widths and after
several amounts of blur. Degradations act everywhere, so every quantity is also taken relative to the picture's own
median: what stands out is local. A logistic regression over these 132 numbers says how probable it is that a cell shows
something else.

    map    = sigmoid(w x + b)              0: as in the LR, 1: something else
    number = sigmoid(mean of the highest twentieth of the cells' logits)

Weights: weights/departure-1.safetensors, fitted by `lucidlr consistency-fit` (training/consistency/fit.py); no encoder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from catalog import files
from training.consistency import ConsistencyError

CELL_PX = 4
"""Of the LR."""
LEAST_PX = 16
VERSION = "1"
WEIGHTS = Path(__file__).parent / "weights" / "departure-1.safetensors"
_TOP = 20
_EPS = (2 / 255) ** 2
_WINDOWS = (
    (0.0, 1.5),
    (0.0, 3.0),
    (0.0, 5.0),
    (1.0, 1.5),
    (1.0, 3.0),
    (1.0, 5.0),
    (2.0, 3.0),
    (2.0, 5.0),
)
"""(blur before, width of the window), Gaussian sigmas in LR px."""
_COLOURS = 1.0
"""The blur at which means and colours are compared."""
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@dataclass(frozen=True, kw_only=True)
class Departure:
    """The fitted regression."""

    mean: Tensor
    """[F] of the quantities, in fitting."""
    scale: Tensor
    """[F]"""
    weight: Tensor
    """[F]"""
    bias: Tensor
    """[1]"""

    @property
    def weights_sha256(self) -> str:
        """Over the four tensors, as float32."""
        digest = hashlib.sha256()
        for tensor in (self.mean, self.scale, self.weight, self.bias):
            digest.update(tensor.float().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def logits(self, lr: Tensor, sr: Tensor) -> Tensor:
        """[rows,columns] for LR [3,h,w] and SR [3,H,W], float32 RGB in [0,1]."""
        x, (rows, columns) = quantities(lr, sr)
        weight = (self.weight / self.scale).to(x)
        return (x @ weight + (self.bias - (self.mean * self.weight / self.scale).sum()).to(x)).view(
            rows, columns
        )

    def map(self, lr: Tensor, sr: Tensor) -> Tensor:
        """[rows,columns] in [0,1]: how probable it is that a cell shows something else."""
        return self.logits(lr, sr).sigmoid()

    def number(self, lr: Tensor, sr: Tensor) -> Tensor:
        """[] in [0,1]: of the cells that depart most."""
        return top_of(self.logits(lr, sr)).sigmoid()


def top_of(logits: Tensor) -> Tensor:
    """The mean of the highest twentieth, at least one."""
    flat = logits.flatten()
    return flat.topk(max(1, len(flat) // _TOP)).values.mean()


def quantities(lr: Tensor, sr: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """[cells,F] and (rows, columns); a pure function of the pixels.

    Raises:
        ConsistencyError: not RGB, an LR below 16 px, or an SR smaller than the LR.
    """
    height, width = lr.shape[-2:]
    if lr.ndim != 3 or sr.ndim != 3 or lr.shape[0] != 3 or sr.shape[0] != 3:
        raise ConsistencyError(
            f"A map takes RGB [3,H,W], got {list(lr.shape)} and {list(sr.shape)}."
        )
    if min(height, width) < LEAST_PX or sr.shape[-2] < height or sr.shape[-1] < width:
        raise ConsistencyError(
            f"A map takes an LR of {LEAST_PX} px or more and an SR at least as large, got "
            f"{width}x{height} and {sr.shape[-1]}x{sr.shape[-2]}."
        )
    first, second = _ycc(lr[None].float()), _ycc(_reduced(sr[None].float(), (height, width)))
    found: list[Tensor] = []
    for before, window in _WINDOWS:
        a, b = (first, second) if before == 0 else (_blur(first, before), _blur(second, before))
        found += _compared(a, b, window, colours=before == _COLOURS)
    grid = (height // CELL_PX, width // CELL_PX)
    flat = functional.adaptive_avg_pool2d(torch.stack(found, 1), grid).flatten(2)
    median = flat.median(2, keepdim=True).values
    spread = (flat - median).abs().median(2, keepdim=True).values + 0.05
    relative = ((flat - median) / spread).clamp(-8, 8)
    return torch.cat([flat, relative, median.expand_as(flat)], 1)[0].T, grid


def _compared(a: Tensor, b: Tensor, window: float, *, colours: bool) -> list[Tensor]:
    """Each [1,h,w]: correlation, what neither explains of the other, contrast; with colours the means as well."""
    x, y = a[:, :1], b[:, :1]
    mean = _blur(torch.cat([x, y, x * x, y * y, x * y], 1), window)
    var_x = (mean[:, 2] - mean[:, 0] ** 2).clamp(min=0)
    var_y = (mean[:, 3] - mean[:, 1] ** 2).clamp(min=0)
    cov = mean[:, 4] - mean[:, 0] * mean[:, 1]
    found = [
        cov / ((var_x + _EPS) * (var_y + _EPS)).sqrt(),
        ((var_x - cov**2 / (var_y + _EPS)).clamp(min=0) + _EPS).log(),
        ((var_y - cov**2 / (var_x + _EPS)).clamp(min=0) + _EPS).log(),
        ((var_y + _EPS) / (var_x + _EPS)).log(),
    ]
    if colours:
        difference = _blur(a - b, window)
        squared = _blur((a - b).square().sum(1, keepdim=True), window)
        found += [
            (difference[:, 0].abs() + 1 / 255).log(),
            (difference[:, 1:].norm(dim=1) + 1 / 255).log(),
            (squared[:, 0].clamp(min=0) + _EPS).log(),
            (var_x + _EPS).log(),
        ]
    return found


def _ycc(rgb: Tensor) -> Tensor:
    return torch.einsum("oc,bchw->bohw", torch.tensor(_YCC, device=rgb.device), rgb)


def _reduced(image: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(image.shape[-2:]) == size:
        return image
    small = functional.interpolate(
        image, size=size, mode="bicubic", antialias=True, align_corners=False
    )
    return small.clamp(0, 1)


def _blur(x: Tensor, sigma: float) -> Tensor:
    radius = max(1, int(3 * sigma + 0.5))
    places = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel, channels = kernel / kernel.sum(), x.shape[1]
    x = functional.pad(x, (radius, radius, radius, radius), mode="replicate")
    x = functional.conv2d(x, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(
        x, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels
    )


def load_departure(file: Path = WEIGHTS) -> Departure:
    """The shipped regression, or another one.

    Raises:
        ConsistencyError: no such file, or not one.
    """
    try:
        with safe_open(file, "pt") as opened:
            tensors = {
                name: opened.get_tensor(name) for name in ("mean", "scale", "weight", "bias")
            }
    except (FileNotFoundError, SafetensorError, OSError) as error:
        raise ConsistencyError(
            f"{file} holds no map ({error}); `lucidlr consistency-fit` makes one."
        ) from error
    return Departure(**tensors)


def save_departure(file: Path, made: Departure, *, notes: str) -> None:
    """Complete or absent; `notes` (JSON) go into the metadata."""
    tensors = {
        name: getattr(made, name).float().contiguous()
        for name in ("mean", "scale", "weight", "bias")
    }
    with files.writing(file) as temporary:
        save_file(tensors, temporary, {"notes": notes})
