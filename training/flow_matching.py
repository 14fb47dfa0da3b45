"""Rectified flow: the forward process, schedules of times, and solvers from noise to image.

    x_t = (1 - t) x0 + t noise,   v = noise - x0,   t from 1 (noise) down to 0 (image)

so that v predicts x0h = z - t v and, with alpha = 1 - t and sigma = t, every solver of diffusion models applies:

- `euler`: z' = z + (t' - t) v. DDIM with eta 0 and first-order DPM-Solver++ (`dpm1`) are the same for x0h;
- `dpm2`: DPM-Solver++(2M) (Lu et al., arXiv 2211.01095), multistep, its first and last step of first order;
- `sde`: the stochastic sampler of Flow-GRPO (Liu et al., arXiv 2505.05470, eq. 9).

Times and coefficients are worked out in float64, the state keeps its dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Solver = Literal["euler", "ddim", "dpm1", "dpm2", "sde"]
SOLVERS: tuple[Solver, ...] = ("euler", "ddim", "dpm1", "dpm2", "sde")

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(z [B,...], t [B]) -> v like z."""


def noised(x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t [B,...] for t [B]: the forward process."""
    time = t.to(x0).reshape(-1, *[1] * (x0.ndim - 1))
    return (1 - time) * x0 + time * noise


def linear_schedule(steps: int) -> Tensor:
    """Times [steps + 1] float32, equally spaced from 1 to 0."""
    if steps < 1:
        raise ValueError(f"a schedule has at least one step, not {steps}.")
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64).float()


def shifted_schedule(steps: int, mu: float) -> Tensor:
    """Times [steps + 1] float32, shifted towards the noise as FLUX.1 does: e^mu / (e^mu + 1/t - 1)."""
    t = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (math.exp(mu) / (math.exp(mu) + (1 / t - 1))).float()


def flux_mu(image_seq_len: int) -> float:
    """FLUX.1's shift for a number of image tokens: the line through (256, 0.5) and (4096, 1.15)."""
    slope = (1.15 - 0.5) / (4096 - 256)
    return slope * image_seq_len + 0.5 - slope * 256


def euler_step(z: Tensor, v: Tensor, t: float, t_next: float) -> Tensor:
    """z' = z + (t' - t) v."""
    return z + (t_next - t) * v


def ddim_step(z: Tensor, v: Tensor, t: float, t_next: float) -> Tensor:
    """DDIM with eta 0: predict image and noise, mix them anew at t'."""
    x0h = z - t * v
    noise = z + (1 - t) * v
    return (1 - t_next) * x0h + t_next * noise


def dpm1_step(z: Tensor, x0h: Tensor, t: float, t_next: float) -> Tensor:
    """First-order DPM-Solver++ on the prediction of x0.

    z' = (s'/s) z - a' (e^-h - 1) x0h, where e^-h = (a s')/(s a') with a = 1 - t, s = t: written without the logarithms,
    so that t = 1 and t' = 0 need no special case.
    """
    ratio = t_next / t
    return ratio * z + (1 - t_next - (1 - t) * ratio) * x0h


def dpm2_step(
    z: Tensor, x0h: Tensor, before: tuple[Tensor, float], t: float, t_next: float
) -> Tensor:
    """Second-order multistep DPM-Solver++; `before` is the last step's prediction of x0 and its time.

    D = x0h + (x0h - x0h_before) / (2 r0), r0 = h0/h the ratio of the last and this step in log(a/s); then `dpm1_step`.
    """
    x0h_before, t_before = before
    h, h0 = _log_snr(t_next) - _log_snr(t), _log_snr(t) - _log_snr(t_before)
    return dpm1_step(z, x0h + (h / h0 / 2) * (x0h - x0h_before), t, t_next)


@dataclass(frozen=True, kw_only=True)
class SDEStep:
    """One step of the stochastic sampler."""

    sample: Tensor
    """Like z: mean + std noise."""
    mean: Tensor
    """Like z."""
    std: float
    """Of the noise that was added."""
    log_prob: Tensor
    """[B] of the sample under the step's normal density, mean over dimensions."""


def sde_step(
    z: Tensor, v: Tensor, t: float, t_next: float, *, noise: Tensor, eta: float, t_of_std: float
) -> SDEStep:
    """One Euler-Maruyama step of Flow-GRPO's SDE; eta 0 is the Euler step with its log-probability undefined (NaN).

    sd = eta sqrt(s / (1 - s)) with s = `t_of_std`: the step's own t, but at t = 1, where it has no bound, the
    schedule's next time (as Flow-GRPO does). dt = t' - t < 0;
    mean = z (1 + sd^2 dt / (2t)) + v (1 + sd^2 (1 - t) / (2t)) dt.
    """
    sd, dt = eta * math.sqrt(t_of_std / (1 - t_of_std)), t_next - t
    mean = z * (1 + sd**2 / (2 * t) * dt) + v * (1 + sd**2 * (1 - t) / (2 * t)) * dt
    std = sd * math.sqrt(-dt)
    sample = mean + std * noise
    if std == 0:
        return SDEStep(sample=sample, mean=mean, std=std, log_prob=z.new_full((len(z),), math.nan))
    density = -((sample - mean) ** 2) / (2 * std**2) - math.log(std) - math.log(2 * math.pi) / 2
    return SDEStep(sample=sample, mean=mean, std=std, log_prob=density.flatten(1).mean(1))


def trajectory(
    velocity: Velocity,
    z: Tensor,
    times: Tensor,
    *,
    solver: Solver = "euler",
    eta: float = 0.7,
    noises: Callable[[int], Tensor] | None = None,
) -> list[Tensor]:
    """All states, from z [B,...] (noise) to the image: len(times) of them; times [steps + 1] run from 1 down to 0.

    `sde` asks `noises(step)` for noise like z and uses `eta`; its last step adds none, so that the image is clean.

    Raises:
        ValueError: an unknown solver, times that do not fall, or `sde` without noises.
    """
    if solver not in SOLVERS:
        raise ValueError(f"there is no solver {solver!r}; there are {', '.join(SOLVERS)}.")
    if solver == "sde" and noises is None:
        raise ValueError("the stochastic solver needs noises.")
    ts = [float(t) for t in times.double()]
    if any(later >= sooner for sooner, later in pairwise(ts)) or ts[-1] < 0:
        raise ValueError("the times of a schedule fall from 1 to 0.")
    states, before, last = [z], None, len(ts) - 2
    for step, (t, t_next) in enumerate(pairwise(ts)):
        v = velocity(z, torch.full((len(z),), t, dtype=z.dtype, device=z.device)).to(z.dtype)
        x0h = z - t * v
        if solver == "dpm2" and before is not None and step < last:
            z_next = dpm2_step(z, x0h, before, t, t_next)
        elif solver in ("dpm1", "dpm2"):
            z_next = dpm1_step(z, x0h, t, t_next)
        elif solver == "ddim":
            z_next = ddim_step(z, v, t, t_next)
        elif solver == "sde" and noises is not None and step < last:
            t_of_std = ts[1] if t >= 1 else t
            z_next = sde_step(
                z, v, t, t_next, noise=noises(step).to(z), eta=eta, t_of_std=t_of_std
            ).sample
        else:
            z_next = euler_step(z, v, t, t_next)
        before, z = (x0h, t), z_next
        states.append(z)
    return states


def solve(
    velocity: Velocity,
    z: Tensor,
    times: Tensor,
    *,
    solver: Solver = "euler",
    eta: float = 0.7,
    noises: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """The image [B,...] at the end of `trajectory`."""
    return trajectory(velocity, z, times, solver=solver, eta=eta, noises=noises)[-1]


def _log_snr(t: float) -> float:
    """log((1 - t) / t), with its limits at both ends."""
    if t >= 1:
        return -math.inf
    return math.inf if t <= 0 else math.log((1 - t) / t)
