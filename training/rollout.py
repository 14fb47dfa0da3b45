"""Rollouts: K images of each LR from the old policy, and what they are worth.

A unit is one rollout of an epoch: unit u is rollout u % K of group u // K. Its noise is a pure function of (seed,
epoch, group, rollout), so K need not divide a batch, and neither batch nor number of processes changes what is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from training.backbones import Backbone, Conditioning
from training.data import Crop, LRSource, derived_seed, group_schedule
from training.flow_matching import Solver, solve
from training.rewards import Reward, RewardError, Shared


@dataclass(frozen=True, kw_only=True)
class RolloutGroup:
    """One LR and its rollouts, on the CPU."""

    crop: Crop
    lr: Tensor
    """[3,h,w] float32 RGB in [0,1]."""
    sr: Tensor
    """[K,3,H,W] float32 RGB in [0,1]."""
    rewards: Tensor
    """[K,R] raw rewards; NaN where a scorer failed."""


class Precomputed(Protocol):
    """What was worked out beforehand for a crop, by precompute.py; None: not there, it is worked out on the way."""

    def conditioning(self, crops: Sequence[Crop]) -> Conditioning | None:
        """What `Backbone.encode` would return, batch first."""
        ...

    def shared(self, reward: str, crops: Sequence[Crop]) -> Shared | None:
        """What `Reward.prepare` of that name would return, batch first."""
        ...


@runtime_checkable
class Movable(Protocol):
    """A reward with weights that can leave the accelerator while the backbone trains."""

    def to(self, device: torch.device) -> object:
        """Moves them."""
        ...


@dataclass(frozen=True, kw_only=True)
class Group:
    """One LR, encoded once for all of its rollouts."""

    index: int
    """Within the epoch."""
    crop: Crop
    lr: Tensor
    """[3,h,w] float32 RGB in [0,1]."""


def groups_of_epoch(
    source: LRSource, *, seed: int, epoch: int, groups: int, wanted: range | None = None
) -> list[Group]:
    """The LR of an epoch, by `group_schedule`; with `wanted` only those numbers are decoded."""
    keys, found = source.keys, list[Group]()
    places = group_schedule(len(keys), seed=seed, epoch=epoch, groups=groups)
    for index in range(groups) if wanted is None else wanted:
        lap, place = places[index]
        crop = source.crop(keys[place], seed=seed, epoch=lap)
        found.append(Group(index=index, crop=crop, lr=source.read(crop)))
    return found


def gaussian(shape: Sequence[int], *purpose: int | str, dtype: torch.dtype) -> Tensor:
    """Standard normal noise [*shape] that depends on its purpose alone; made on the CPU, so on no device either."""
    chance = torch.Generator().manual_seed(derived_seed(*purpose))
    return torch.randn(*shape, generator=chance, dtype=dtype)


def unit_noise(
    units: Sequence[tuple[int, int]], shape: Sequence[int], *purpose: int | str, dtype: torch.dtype
) -> Tensor:
    """[n,*shape]: noise for each (group, rollout), for one purpose."""
    return torch.stack([gaussian(shape, *purpose, g, k, dtype=dtype) for g, k in units])


@torch.no_grad()
def encode(
    backbone: Backbone,
    groups: Sequence[Group],
    *,
    device: torch.device,
    precomputed: Precomputed | None,
) -> Conditioning:
    """What the velocity depends on, one row per group, on the device."""
    if precomputed is not None:
        found = precomputed.conditioning([group.crop for group in groups])
        if found is not None:
            return {name: value.to(device) for name, value in found.items()}
    return backbone.encode(torch.stack([group.lr for group in groups]).to(device))


@torch.no_grad()
def roll_out(
    backbone: Backbone,
    cond: Conditioning,
    noise: Tensor,
    *,
    steps: int,
    solver: Solver,
    eta: float = 0.7,
    noises: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """x0 [n,*latent_shape] from noise [n,*latent_shape], row by row with the conditioning, under the adapter in use.

    `sde` asks `noises(step)` for the noise of every step.
    """
    times = backbone.schedule(steps, tuple(noise.shape[1:]))
    return solve(
        lambda z, t: backbone.velocity(z, t, cond),
        noise,
        times,
        solver=solver,
        eta=eta,
        noises=noises,
    )


@torch.no_grad()
def score(rewards: Sequence[Reward], sr: Tensor, lr: Tensor, shared: Sequence[Shared]) -> Tensor:
    """[n,R] for SR [n,3,H,W] made from LR [n,3,h,w], row by row; `shared` is what each reward prepared, row by row.

    NaN where a scorer failed, which is also what a value that is not finite counts as.

    Raises:
        RewardError: a reward did not return one number per row.
    """
    columns: list[Tensor] = []
    for reward, prepared in zip(rewards, shared, strict=True):
        values = reward.score(sr, lr, prepared)
        if values.shape != (len(sr),):
            raise RewardError(
                f"reward {reward.name!r} gave {list(values.shape)} for {len(sr)} images; it has to be one number each."
            )
        # An infinite reward would make its whole group's mean infinite: it failed like one that is no number.
        values = values.to(sr.device)
        columns.append(values.where(values.isfinite(), torch.full_like(values, torch.nan)))
    return torch.stack(columns, dim=1)


def prepare(
    rewards: Sequence[Reward],
    groups: Sequence[Group],
    *,
    device: torch.device,
    precomputed: Precomputed | None,
) -> list[Shared]:
    """What the rollouts of each group share, for every reward: one row per group."""
    lr = torch.stack([group.lr for group in groups]).to(device)
    crops = [group.crop for group in groups]
    made: list[Shared] = []
    for reward in rewards:
        found = precomputed.shared(reward.name, crops) if precomputed is not None else None
        with torch.no_grad():
            made.append(
                reward.prepare(lr) if found is None else {n: x.to(device) for n, x in found.items()}
            )
    return made


def rows_of(tensors: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Some rows of every tensor."""
    return {name: value[rows.to(value.device)] for name, value in tensors.items()}


def move(rewards: Sequence[Reward], device: torch.device) -> None:
    """Takes the weights of those that have any to a device."""
    for reward in rewards:
        if isinstance(reward, Movable):
            reward.to(device)


def rest(rewards: Sequence[Reward], device: torch.device, *, offload: bool) -> None:
    """After scoring: the accelerator's memory is the backbone's again."""
    if offload and device.type != "cpu":
        move(rewards, torch.device("cpu"))
        torch.cuda.empty_cache()
