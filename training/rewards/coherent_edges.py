"""Edges that run along a line count, gradients in all directions (noise, ringing) cost; needs no weights.

With l1 >= l2 the eigenvalues of the structure tensor of luma, smoothed over 5 x 5 px (Bigun and Granlund 1987), l1 is
large on edges and in noise, l2 in noise and corners only:

    score = mean over pixels of tanh(sqrt(l1) / 0.15) - weight * tanh(sqrt(l2) / 0.15)

How far it may be trusted is measured in docs/LOG.md: no weight ranks photographs above both restorations and noise
in all content. It serves as a reward that pulls against faithfulness, and as a check on learned rewards.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from training.rewards import Shared

_CONTRAST = 0.15


class CoherentEdges:
    """The Reward; see training/rewards/__init__.py."""

    name = "coherent_edges"
    weights_sha256: str | None = None

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.version = f"1-{weight:g}"
        self.range = (-max(weight, 0.0), 1.0)

    def prepare(self, lr: Tensor) -> Shared:
        """Nothing is shared."""
        del lr
        return {}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        """[B] for SR [B,3,H,W]; the LR is not looked at."""
        del lr, shared
        first, second = structure_tensor_eigenvalues(sr)
        edges = torch.tanh(first.sqrt() / _CONTRAST)
        noise = torch.tanh(second.sqrt() / _CONTRAST)
        return (edges - self.weight * noise).mean((1, 2))


def structure_tensor_eigenvalues(image: Tensor) -> tuple[Tensor, Tensor]:
    """The larger and the smaller one, [B,H-1,W-1] each, of RGB [B,3,H,W] in [0,1]; per squared unit a pixel."""
    luma = image[:, 0] * 0.299 + image[:, 1] * 0.587 + image[:, 2] * 0.114
    dx = luma[:, :-1, 1:] - luma[:, :-1, :-1]
    dy = luma[:, 1:, :-1] - luma[:, :-1, :-1]
    products = torch.stack([dx * dx, dy * dy, dx * dy], dim=1)
    xx, yy, xy = F.avg_pool2d(
        F.pad(products, (2, 2, 2, 2), mode="reflect"), kernel_size=5, stride=1
    ).unbind(1)
    middle, half = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    return middle + half, (middle - half).clamp_min(0.0)


def load(*, weight: float = 1.25) -> CoherentEdges:
    """`weight`: what a gradient across the edge costs."""
    return CoherentEdges(weight)
