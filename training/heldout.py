"""How good a policy is on LR that it is not trained on: the same LR and the same noise every time.

Everything is measured against the start of training, in standard deviations over the LR at the start, so that
objectives of different scale can be laid side by side and an objective that pays for another is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training.backbones import Backbone
from training.data import LRSource, derived_seed
from training.flow_matching import Solver
from training.rewards import Reward
from training.rollout import Group, Precomputed, encode, prepare, roll_out, score, unit_noise
from training.world import World

SHOWN = 8
"""LR in a grid."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One evaluation."""

    rewards: Tensor
    """[N,R] of all held-out LR, float64; NaN where a scorer failed."""
    sr: Tensor
    """[<= SHOWN,3,H,W] of the first of them, on the process that has them."""
    lr: list[Tensor]
    """Their LR."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The held-out LR of a run; each process decodes its own."""

    source: LRSource
    keys: tuple[str, ...]
    """Sorted."""
    seed: int

    def __len__(self) -> int:
        return len(self.keys)

    def first(self, count: int) -> Watched:
        """Those alone."""
        return replace(self, keys=self.keys[:count])

    def groups(self, wanted: range) -> list[Group]:
        """Decoded, by number; the crop is that of pass 0."""
        crops = [(i, self.source.crop(self.keys[i], seed=self.seed, epoch=0)) for i in wanted]
        return [Group(index=i, crop=crop, lr=self.source.read(crop)) for i, crop in crops]


def held_out(source: LRSource | None, *, seed: int, count: int) -> Watched | None:
    """At most `count` LR, drawn by key. None without a source."""
    if source is None:
        return None
    keys = sorted(source.keys, key=lambda key: derived_seed("held out", seed, key))[:count]
    return Watched(source=source, keys=tuple(sorted(keys)), seed=seed)


@torch.no_grad()
def measure(
    backbone: Backbone,
    rewards: Sequence[Reward],
    watched: Watched,
    world: World,
    *,
    seed: int,
    steps: int,
    solver: Solver,
    batch: int,
    precomputed: Precomputed | None = None,
) -> Measured:
    """One image per LR under the adapter in use, from noise that depends on the LR's number alone."""
    mine = world.share_of(len(watched))
    values: list[Tensor] = []
    images: list[Tensor] = []
    shown: list[Tensor] = []
    for first in range(mine.start, mine.stop, batch):
        some = watched.groups(range(first, min(first + batch, mine.stop)))
        cond = encode(backbone, some, device=world.device, precomputed=precomputed)
        lr = torch.stack([group.lr for group in some]).to(world.device)
        shape = backbone.latent_shape((lr.shape[-2], lr.shape[-1]))
        units = [(group.index, 0) for group in some]
        noise = unit_noise(units, shape, "held out", seed, dtype=world.dtype).to(world.device)
        with world.autocast():
            z = roll_out(backbone, cond, noise, steps=steps, solver=solver)
        sr = backbone.decode(z, cond)
        shared = prepare(rewards, some, device=world.device, precomputed=precomputed)
        values.append(score(rewards, sr, lr, shared))
        if first - mine.start < SHOWN:
            images.append(sr.cpu())
            shown += [group.lr for group in some]
    own = torch.cat(values) if values else torch.zeros(0, len(rewards), device=world.device)
    everyone = world.gathered(own, mine, len(watched)).cpu()
    return Measured(
        rewards=everyone,
        sr=torch.cat(images)[:SHOWN] if images else torch.zeros(0, 3, 1, 1),
        lr=shown[:SHOWN],
    )


def yardstick(names: Sequence[str], rewards: Tensor) -> dict[str, float]:
    """Mean and standard deviation per objective before training, under `<name>/mean` and `<name>/std`."""
    found: dict[str, float] = {}
    for k, name in enumerate(names):
        column = rewards[:, k][~rewards[:, k].isnan()]
        found[f"{name}/mean"] = column.mean().item()
        found[f"{name}/std"] = column.std(correction=0).item()
    return found


def gains(names: Sequence[str], rewards: Tensor, start: Mapping[str, float]) -> dict[str, float]:
    """(mean - mean at the start) / standard deviation at the start, per objective; 0 where nothing varied."""
    now = yardstick(names, rewards)
    return {
        name: (now[f"{name}/mean"] - start[f"{name}/mean"]) / start[f"{name}/std"]
        if start[f"{name}/std"] > 0
        else 0.0
        for name in names
    }


def hacked(gains: Mapping[str, float], bound: float) -> str | None:
    """Why to stop: one objective fell by more than `bound` while another rose; None where there is no reason."""
    risen = [name for name, gain in gains.items() if gain > 0]
    fallen = [name for name, gain in gains.items() if gain < -bound]
    if not risen or not fallen:
        return None
    parts = [f"{name} {gains[name]:+.2f}" for name in (*fallen, *risen)]
    return (
        f"one objective pays for another on held-out LR, in standard deviations: {', '.join(parts)}"
    )
