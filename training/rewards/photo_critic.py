"""A small learned judge of how much a patch looks like a sharp photograph; training/train_critic.py makes its weights.

Trained to rank photographs above mixtures with a restoration, these above the restoration itself, and that above the
restoration with noise; also photographs above blurred, noisy, compressed and interpolated versions of themselves.
Whether it does so on photographs that it has not seen, training/experiment/validity.py measures. It is specific to the
backbone whose restorations it saw, and like any learned reward it can be deceived: watch a second one of another seed.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from training.rewards import RewardError, Shared

WEIGHTS = Path(__file__).parent / "weights" / "photo_critic-1.safetensors"


class CriticNet(nn.Module):
    """Four convolutions; the mean and the spread of what they find over the patch decide."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.third = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.fourth = nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1)
        self.hidden = nn.Linear(2 * (width + 4 * width), 2 * width)
        self.exit = nn.Linear(2 * width, 1)

    def forward(self, image: Tensor) -> Tensor:
        """[B] for RGB [B,3,H,W] in [0,1]."""
        x = image - image.mean((2, 3), keepdim=True)
        fine = F.leaky_relu(self.first(4 * x), 0.1)
        middle = F.leaky_relu(self.second(fine), 0.1)
        middle = F.leaky_relu(self.third(middle), 0.1)
        coarse = F.leaky_relu(self.fourth(middle), 0.1)
        found: list[Tensor] = []
        for x in (fine, middle, coarse):
            found += [x.mean((2, 3)), _spread(x)]
        return self.exit(F.leaky_relu(self.hidden(torch.cat(found, dim=1)), 0.1))[:, 0]


def _spread(x: Tensor) -> Tensor:
    return (x.var((2, 3), unbiased=False) + 1e-4).sqrt()


class PhotoCritic:
    """The Reward; see training/rewards/__init__.py."""

    name = "photo_critic"
    version = "1"
    range = (-math.inf, math.inf)

    def __init__(self, net: CriticNet, weights_sha256: str) -> None:
        self.net = net.eval().requires_grad_(False)
        self.weights_sha256: str | None = weights_sha256

    def prepare(self, lr: Tensor) -> Shared:
        """Nothing is shared."""
        del lr
        return {}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        """[B] for SR [B,3,H,W], best at 32 to 64 px; differences are log-odds of being the better one."""
        del lr, shared
        with torch.no_grad():
            return self.net(sr).float()


def load(*, weights: Path | str | None = None, device: str = "cpu") -> PhotoCritic:
    """`weights`: a file of training/train_critic.py; default: the shipped one, made for the shipped tiny backbone.

    Raises:
        RewardError: there is no such file, or it holds something else.
    """
    path = WEIGHTS if weights is None else Path(weights)
    if not path.is_file():
        raise RewardError(
            f"No weights of the critic at {path}; `python -m training.train_critic` makes them."
        )
    content = path.read_bytes()
    try:
        state = load_safetensors(content)
        net = CriticNet(width=state["first.weight"].shape[0])
        net.load_state_dict(state)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise RewardError(f"{path} does not hold the critic ({error}).") from error
    return PhotoCritic(net.to(device), hashlib.sha256(content).hexdigest())
