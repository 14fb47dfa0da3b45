"""A backbone of two convolutions, rewards that need nothing and LR from real photographs: training in milliseconds."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import AbstractContextManager

import numpy as np
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

from training.backbones import Adapter, Conditioning
from training.backbones.adapters import FullCopies
from training.data import LRTensors
from training.flow_matching import linear_schedule, noised
from training.rewards import Shared
from training.train_config import RewardSpec, TrainConfig

SCALE = 2


class TwoConvolutions(nn.Module):
    """v from z, the upsampled LR and the time."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(7, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, z: Tensor, t: Tensor, up: Tensor) -> Tensor:
        time = t.view(-1, 1, 1, 1).expand(-1, 1, *z.shape[2:])
        return self.second(F.silu(self.first(torch.cat([z, up, time], dim=1))))


class SmallBackbone:
    """x2 in pixel space; z is what is added to the upsampled LR."""

    name = "small"
    license = "Apache-2.0"
    weights_sha256 = "0" * 64

    def __init__(self, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.copies = FullCopies({"net": TwoConvolutions().to(dtype)})
        self.dtype = dtype

    def encode(self, lr: Tensor) -> Conditioning:
        return {"up": F.interpolate(lr.to(self.dtype), scale_factor=float(SCALE), mode="bilinear")}

    def latent_shape(self, lr_size: tuple[int, int]) -> tuple[int, ...]:
        return (3, SCALE * lr_size[0], SCALE * lr_size[1])

    def schedule(self, steps: int, latent_shape: tuple[int, ...]) -> Tensor:
        return linear_schedule(steps)

    def velocity(self, z: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        return self.copies["net"](z, t, cond["up"])

    def decode(self, z: Tensor, cond: Conditioning) -> Tensor:
        return (cond["up"] + 0.2 * z).clamp(0, 1)

    def trainable_modules(self) -> Mapping[str, nn.Module]:
        return self.copies.trainable_modules()

    def adapter_parameters(self, adapter: Adapter) -> Mapping[str, nn.Parameter]:
        return self.copies.parameters(adapter)

    def use(self, adapter: Adapter | None) -> AbstractContextManager[None]:
        return self.copies.use(adapter)


class Agreement:
    """Minus ten times the mean difference between the reduced SR and the LR."""

    name = "agreement"
    version = "1"
    weights_sha256 = None
    range = (-10.0, 0.0)

    def prepare(self, lr: Tensor) -> Shared:
        return {"mean": lr.mean((1, 2, 3))}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        assert len(shared["mean"]) == len(sr)
        return -10 * (F.avg_pool2d(sr, SCALE) - lr).abs().mean((1, 2, 3))


class Contrast:
    """Standard deviation of the SR's luma: pulls away from agreement."""

    name = "contrast"
    version = "1"
    weights_sha256 = None
    range = (0.0, 0.5)

    def prepare(self, lr: Tensor) -> Shared:
        return {}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        return sr.mean(1).flatten(1).std(1)


def photographs(count: int = 6, edge: int = 6, *, offset: int = 0) -> LRTensors:
    """LR crops of scikit-image's cat."""
    cat = np.asarray(data.chelsea())
    crops = [
        cat[20 + 17 * i : 20 + 17 * i + edge, 40 + 31 * i : 40 + 31 * i + edge]
        for i in range(offset, offset + count)
    ]
    pixels = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy())
    return LRTensors(pixels.float() / 255)


@functools.cache
def pretrained_weights() -> dict[str, Tensor]:
    """A flow model of the cat's details, from 500 steps of plain flow matching."""
    cat = torch.from_numpy(np.asarray(data.chelsea()).copy()).permute(2, 0, 1).float() / 255
    chance = torch.Generator().manual_seed(0)
    backbone = SmallBackbone()
    parameters = list(backbone.adapter_parameters("default").values())
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    for _ in range(500):
        places = torch.randint(0, 280, (16, 2), generator=chance).tolist()
        hr = torch.stack([cat[:, y : y + 12, x : x + 12] for y, x in places])
        cond = backbone.encode(F.avg_pool2d(hr, SCALE))
        x0 = (hr - cond["up"]) / 0.2
        noise = torch.randn(x0.shape, generator=chance)
        t = torch.rand(16, generator=chance)
        v = backbone.velocity(noised(x0, noise, t), t, cond)
        optimizer.zero_grad()
        (v - (noise - x0)).square().mean().backward()
        optimizer.step()
    return {n: p.detach().clone() for n, p in backbone.adapter_parameters("default").items()}


def pretrained() -> SmallBackbone:
    """With those weights in all three policies."""
    backbone, weights = SmallBackbone(), pretrained_weights()
    modules = (backbone.copies._default, backbone.copies._old, backbone.copies._reference)
    with torch.no_grad():
        for module in modules:
            for name, value in module["net"].named_parameters():
                value.copy_(weights[f"net.{name}"])
    return backbone


def small_config(out, **changes) -> TrainConfig:
    """Two epochs' worth of work in well under a second."""
    values = {
        "out": out,
        "backbone": "small",
        "rewards": (RewardSpec(name="agreement"), RewardSpec(name="contrast")),
        "epochs": 3,
        "groups": 3,
        "group_size": 5,
        "rollout_steps": 3,
        "rollout_batch": 4,
        "train_times": 2,
        "train_batch": 7,
        "updates": 2,
        "learning_rate": 1e-3,
        "eval_every": 0,
        "checkpoint_every": 0,
        "trackers": (),
    }
    return TrainConfig(**{**values, **changes})


def parts(*, dtype: torch.dtype = torch.float32, seed: int = 0) -> dict:
    """The objects that main takes."""
    return {
        "backbone": SmallBackbone(seed=seed, dtype=dtype),
        "rewards": [Agreement(), Contrast()],
        "lrs": photographs(),
    }
