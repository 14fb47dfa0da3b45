"""A small conditional flow-matching super-resolution network in pixel space, x4, for a CPU.

It exists so that training, rollouts and measurements can be shown to work on real photographs in minutes; it shows the
method, not the quality that a large model has. What is generated is the residual to the upsampled LR:

    z = (HR - up(LR)) / RESIDUAL_STD        decode(z) = clip(up(LR) + RESIDUAL_STD * z, 0, 1)

so that the image's low frequencies need not be learned. Its weights come from `python -m training.pretrain_tiny`; a
small checkpoint of it ships in weights/. All parameters are trained: the adapters `default` and `old` and the reference
are three copies of the network.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from training.backbones import Adapter, BackboneError, Conditioning

SCALE = 4
RESIDUAL_STD = 0.182
"""Puts most residuals of photographs reduced by 4 into [-1, 1]; chosen beforehand, not fitted."""
WEIGHTS = Path(__file__).parent / "weights" / "tiny-1.safetensors"


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the time scales and shifts between them (FiLM)."""

    def __init__(self, channels_in: int, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(8, channels_in)
        self.conv_in = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * channels)
        self.norm_out = nn.GroupNorm(8, channels)
        self.conv_out = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = (
            nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        )
        # The block starts as the identity.
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """[B,channels_in,h,w] and [B,embedding] to [B,channels,h,w]."""
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)
        hidden = self.conv_in(F.silu(self.norm_in(x)))
        hidden = self.norm_out(hidden) * (1 + scale) + shift
        return self.skip(x) + self.conv_out(F.silu(hidden))


class TinyNet(nn.Module):
    """U-Net over pixels unshuffled by 2: `width` channels at half, twice as many at a quarter of the resolution."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        deep, embedding = 2 * width, 2 * width
        self.width = width
        self.time = nn.Sequential(
            nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.entry = nn.Conv2d(2 * 12, width, 3, padding=1)
        self.first = ResidualBlock(width, width, embedding)
        self.second = ResidualBlock(width, width, embedding)
        self.down = nn.Conv2d(width, deep, 3, stride=2, padding=1)
        self.deep = nn.ModuleList(ResidualBlock(deep, deep, embedding) for _ in range(3))
        self.up = nn.Conv2d(deep, 4 * width, 1)
        self.third = ResidualBlock(2 * width, width, embedding)
        self.fourth = ResidualBlock(width, width, embedding)
        self.norm = nn.GroupNorm(8, width)
        self.exit = nn.Conv2d(width, 12, 3, padding=1)
        nn.init.zeros_(self.exit.weight)

    def forward(self, z: Tensor, t: Tensor, up: Tensor) -> Tensor:
        """v [B,3,H,W] at z [B,3,H,W] and t [B], given the upsampled LR [B,3,H,W] in [0,1]; H, W multiples of 4."""
        embedding = self.time(_fourier(t, self.width))
        x = self.entry(F.pixel_unshuffle(torch.cat([z, 4 * (up - 0.5)], dim=1), 2))
        shallow = self.second(self.first(x, embedding), embedding)
        x = self.down(shallow)
        for block in self.deep:
            x = block(x, embedding)
        x = torch.cat([F.pixel_shuffle(self.up(x), 2), shallow], dim=1)
        x = self.fourth(self.third(x, embedding), embedding)
        return F.pixel_shuffle(self.exit(F.silu(self.norm(x))), 2)


def _fourier(t: Tensor, size: int) -> Tensor:
    """Sines and cosines of t in [0,1], [B] to [B,size]; half a period to about 50 of them."""
    frequencies = math.pi * torch.logspace(0, 2, size // 2, dtype=t.dtype, device=t.device)
    angles = t[:, None] * frequencies[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def upsample(lr: Tensor) -> Tensor:
    """LR [B,3,h,w] to [B,3,4h,4w], bicubic, clipped to [0,1]: what a residual is added to."""
    up = F.interpolate(lr, scale_factor=float(SCALE), mode="bicubic", align_corners=False)
    return up.clamp(0.0, 1.0)


class Tiny:
    """The Backbone; see training/backbones/__init__.py for what each method promises."""

    name = "tiny"
    license = "Apache-2.0"

    def __init__(self, net: TinyNet, *, weights_sha256: str) -> None:
        """Takes `net` as `default`; `old` and the reference begin as its copies."""
        self.weights_sha256 = weights_sha256
        self.net = net.requires_grad_(True)
        self.old = copy.deepcopy(net).requires_grad_(False)
        self.reference = copy.deepcopy(net).requires_grad_(False)
        self._adapter: Adapter | None = "default"

    def encode(self, lr: Tensor) -> Conditioning:
        """`up`: the upsampled LR."""
        if lr.ndim != 4 or lr.shape[1] != 3 or min(lr.shape[-2:]) < 2:
            raise BackboneError(
                f"tiny takes LR [B,3,h,w] of at least 2 x 2 pixels, got {list(lr.shape)}."
            )
        return {"up": upsample(lr.detach())}

    def latent_shape(self, lr_size: tuple[int, int]) -> tuple[int, ...]:
        """Pixels: (3, 4h, 4w)."""
        return (3, SCALE * lr_size[0], SCALE * lr_size[1])

    def schedule(self, steps: int, latent_shape: tuple[int, ...]) -> Tensor:
        """Even steps from 1 to 0."""
        del latent_shape  # larger models shift their schedule by it
        if steps < 1:
            raise BackboneError(f"A schedule needs at least 1 step, got {steps}.")
        return torch.linspace(1.0, 0.0, steps + 1)

    def velocity(self, z: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        """v of the adapter in use."""
        nets = {"default": self.net, "old": self.old, None: self.reference}
        return nets[self._adapter](z, t.to(z.dtype), cond["up"].to(z.dtype))

    def decode(self, z: Tensor, cond: Conditioning) -> Tensor:
        """The upsampled LR plus the residual."""
        return (cond["up"] + RESIDUAL_STD * z.to(cond["up"].dtype)).clamp(0.0, 1.0)

    def trainable_modules(self) -> Mapping[str, nn.Module]:
        """The whole network."""
        return {"net": self.net}

    def adapter_parameters(self, adapter: Adapter) -> Mapping[str, nn.Parameter]:
        """All parameters of that copy."""
        return dict((self.net if adapter == "default" else self.old).named_parameters())

    @contextmanager
    def use(self, adapter: Adapter | None) -> Generator[None]:
        """Switches the copy that `velocity` asks."""
        before, self._adapter = self._adapter, adapter
        try:
            yield
        finally:
            self._adapter = before


def load(*, weights: Path | str | None = None, device: str = "cpu") -> Tiny:
    """The backbone with pretrained weights; `weights` is a file of training/pretrain_tiny.py, default: the shipped one.

    Raises:
        BackboneError: no such file, or it is cut, or it does not hold this network.
    """
    path = WEIGHTS if weights is None else Path(weights)
    if not path.is_file():
        raise BackboneError(
            f"No weights of the tiny backbone at {path}; `python -m training.pretrain_tiny` makes them."
        )
    content = path.read_bytes()
    try:
        state = {name: value.float() for name, value in load_safetensors(content).items()}
        net = TinyNet(width=state["entry.weight"].shape[0])
        net.load_state_dict(state)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise BackboneError(f"{path} does not hold the tiny network ({error}).") from error
    return Tiny(net.to(device), weights_sha256=hashlib.sha256(content).hexdigest())


def untrained(*, seed: int = 0, width: int = 8) -> Tiny:
    """Random weights, for tests of everything around: narrow, and with an exit that is not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = TinyNet(width)
        for parameter in net.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
    return Tiny(net, weights_sha256=f"untrained-{seed}-{width}")
