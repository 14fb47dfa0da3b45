"""Sines and cosines of times, guidance and block indices, the same on every CPU.

The official code takes 128 exponentials in float32 by torch.exp, whose last bit is a matter of the machine: MKL's
vector maths rounds some of them otherwise on Intel's processors than on AMD's, and CUDA otherwise again. At t = 1000
that bit moves an angle by up to 6e-5. Here the exponents are the official float32 ones; their exponentials are taken in
float64 and rounded once. So they are within a unit in the last place of what any CPU has, and equal everywhere.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

MAX_PERIOD = 10_000
NEIGHBOURS = 2
"""Units in the last place that an exponential of a machine may be off: MKL's is off by one, CUDA's by two."""
ROUNDING = 1.5e-7
"""What sine, cosine and the angle's product may be off in float32 when the frequency is right."""

Module = TypeVar("Module", bound=nn.Module)


def frequencies(count: int = 128) -> Tensor:
    """exp(-ln(10000) i / count) for i below `count`: float32 [count], on the CPU; exponents as in the official code."""
    places = torch.arange(count, dtype=torch.float32, device="cpu")
    exponents = -math.log(MAX_PERIOD) * places / count
    exact = [math.exp(exponent) for exponent in exponents.double().tolist()]
    return torch.tensor(exact, dtype=torch.float64, device="cpu").float()


class Sinusoid(nn.Module):
    """t [B] to [B, 2 count] float32, cosines first. In the place of diffusers' Timesteps."""

    def __init__(self, count: int = 128) -> None:
        super().__init__()
        # Not a buffer: networks are built on the meta device, and cast to bfloat16.
        self.frequencies = frequencies(count)

    def forward(self, t: Tensor) -> Tensor:
        """See the class."""
        angles = t[:, None].float() * self.frequencies.to(t.device)[None, :]
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


def same_everywhere(module: Module) -> Module:
    """Exchanges diffusers' Timesteps in `module`, which take their exponentials at every call."""
    from diffusers.models.embeddings import Timesteps

    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Timesteps):
                official = (child.flip_sin_to_cos, child.downscale_freq_shift, child.scale)
                if official != (True, 0, 1):
                    raise TypeError(f"Timesteps with {official} are not those of FLUX")
                setattr(parent, name, Sinusoid(child.num_channels // 2))
    return module


def use_frequencies(module: Module, given: Tensor) -> Module:
    """Has every Sinusoid in `module` use the frequencies [count] of another machine, to compare with its results."""
    for child in module.modules():
        if isinstance(child, Sinusoid):
            child.frequencies = given
    return module


def read_frequencies(sinusoids: Tensor, t: Tensor) -> Tensor:
    """The frequencies of the machine that computed these sines and cosines: ours, or their neighbours where those alone
    explain them.

    Args:
        sinusoids: float32 [B, 2 count], cosines first.
        t: float32 [B].

    Returns:
        float32 [count]. What no neighbour explains stays as ours, so that a comparison shows it.
    """
    ours = frequencies(sinusoids.shape[1] // 2)
    candidates = [ours]
    for towards in (0.0, math.inf):
        near = ours
        for _ in range(NEIGHBOURS):
            near = torch.nextafter(near, torch.full_like(near, towards))
            candidates.append(near)
    tried = torch.stack(candidates)
    angles = (t[:, None] * tried[:, None, :]).double()
    theirs = sinusoids.double().chunk(2, dim=1)
    off = torch.stack([(angles.cos() - theirs[0]).abs(), (angles.sin() - theirs[1]).abs()])
    worst = off.amax(dim=(0, 2))
    best = worst.argmin(dim=0)
    explained = worst.gather(0, best[None])[0] <= ROUNDING
    best = torch.where((worst[0] <= ROUNDING) | ~explained, 0, best)
    return tried.gather(0, best[None])[0]
