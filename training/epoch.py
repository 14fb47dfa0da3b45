"""The halves of an epoch: rollouts and what they are worth, then optimiser steps on them; `train_nft.main` calls both.

Work is dealt by rollout, not by batch: which update uses it, at which times, with which noise are functions of (seed,
epoch, rollout), and sums are divided by global numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from catalog.errors import Expected
from training.advantage import decoupled, scalarized
from training.backbones import Backbone, Conditioning
from training.checkpoint import TrainState
from training.data import LRSource, derived_seed
from training.flow_matching import noised
from training.nft_loss import nft_loss
from training.old_policy import blend_, ema_decay
from training.rewards import Reward
from training.rollout import (
    Precomputed,
    encode,
    gaussian,
    groups_of_epoch,
    move,
    prepare,
    rest,
    roll_out,
    rows_of,
    score,
    unit_noise,
)
from training.train_config import TrainConfig
from training.world import World, whole


class TrainingError(Expected, RuntimeError):
    """Training cannot go on; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """What this process made in an epoch; rewards and advantages are those of all processes."""

    units: range
    """Numbers of its rollouts: unit u is rollout u % K of group u // K."""
    x0: Tensor
    """[n,*latent_shape]."""
    cond: Conditioning
    """One row per group of this process, from `first_group` on."""
    first_group: int
    rewards: Tensor
    """[G K, R] float64, of all."""

    def cond_of(self, units: Tensor, group_size: int) -> Conditioning:
        """One row per unit."""
        return rows_of(self.cond, units // group_size - self.first_group)


@torch.no_grad()
def make_rollouts(
    config: TrainConfig,
    backbone: Backbone,
    rewards: Sequence[Reward],
    lrs: LRSource,
    world: World,
    *,
    epoch: int,
    precomputed: Precomputed | None = None,
) -> Rollouts:
    """This process's share of an epoch's images, and everybody's rewards."""
    total, size = config.groups * config.group_size, config.group_size
    units = world.share_of(total)
    # Every process decodes the photographs of its own rollouts; one without any needs one for the shapes.
    own = range(units.start // size, (units.stop - 1) // size + 1) if units else range(1)
    mine = groups_of_epoch(lrs, seed=config.seed, epoch=epoch, groups=config.groups, wanted=own)
    first = mine[0].index
    cond = encode(backbone, mine, device=world.device, precomputed=precomputed)
    lr = torch.stack([group.lr for group in mine]).to(world.device)
    shape = backbone.latent_shape((lr.shape[-2], lr.shape[-1]))
    batches = [
        units[i : i + config.rollout_batch] for i in range(0, len(units), config.rollout_batch)
    ]
    images = [torch.zeros(0, *shape, dtype=world.dtype, device=world.device)]
    with backbone.use("old"):
        for batch in batches:
            places = [divmod(unit, size) for unit in batch]
            noise = unit_noise(places, shape, "rollout", config.seed, epoch, dtype=world.dtype)
            rows = torch.tensor([g - first for g, _ in places], device=world.device)

            def noises(step: int, places: list[tuple[int, int]] = places) -> Tensor:
                made = unit_noise(places, shape, "sde", step, config.seed, epoch, dtype=world.dtype)
                return made.to(world.device)

            with world.autocast():
                z = roll_out(
                    backbone,
                    rows_of(cond, rows),
                    noise.to(world.device),
                    steps=config.rollout_steps,
                    solver=config.rollout_solver,
                    eta=config.sde_eta,
                    noises=noises,
                )
            images.append(z)
    x0 = torch.cat(images)

    # Scoring is a phase of its own, so that scorers need the accelerator only now.
    move(rewards, world.device)
    shared = prepare(rewards, mine, device=world.device, precomputed=precomputed)
    values = [torch.zeros(0, len(rewards), device=world.device)]
    for batch in batches:
        rows = torch.tensor([unit // size - first for unit in batch], device=world.device)
        z = x0[batch.start - units.start : batch.stop - units.start]
        sr = backbone.decode(z, rows_of(cond, rows))
        values.append(score(rewards, sr, lr[rows], [rows_of(one, rows) for one in shared]))
    rest(rewards, world.device, offload=config.offload_rewards)
    everyone = world.gathered(torch.cat(values), units, total).cpu()
    return Rollouts(units=units, x0=x0, cond=cond, first_group=first, rewards=everyone)


def advantages_of(
    config: TrainConfig, rewards: Tensor, groups: Tensor, weights: Sequence[float], *, epoch: int
) -> Tensor:
    """[N] float64; NaN for rollouts whose reward failed. The control deals them anew among the others."""
    if config.aggregation == "decoupled":
        found = decoupled(
            rewards,
            groups,
            weights,
            eps=config.advantage_eps,
            std=config.advantage_std or "group",
            ddof=config.advantage_ddof,
            std_floor=config.advantage_std_floor,
            whiten=config.advantage_whiten,
        )
    else:
        found = scalarized(
            rewards,
            groups,
            weights,
            eps=config.advantage_eps,
            std=config.advantage_std or "global",
            ddof=config.advantage_ddof,
        )
    if config.control == "shuffled":
        chance = torch.Generator().manual_seed(derived_seed("shuffled", config.seed, epoch))
        valid = (~found.isnan()).nonzero()[:, 0]
        found[valid] = found[valid[torch.randperm(len(valid), generator=chance)]]
    return found


def update_of_unit(config: TrainConfig, *, epoch: int) -> Tensor:
    """[G K]: in which of the epoch's updates a rollout is used; every update gets its share of each group."""
    dealt: list[Tensor] = []
    for group in range(config.groups):
        chance = torch.Generator().manual_seed(derived_seed("update", config.seed, epoch, group))
        order = torch.randperm(config.group_size, generator=chance)
        dealt.append((order + group) % config.updates)
    return torch.cat(dealt)


def times_of_unit(config: TrainConfig, unit: int, *, epoch: int) -> list[int]:
    """Which of the solver's times a rollout is trained at: T of them, drawn without repetition."""
    chance = torch.Generator().manual_seed(derived_seed("times", config.seed, epoch, unit))
    return torch.randperm(config.rollout_steps, generator=chance)[
        : config.times_per_rollout
    ].tolist()


def one_update(
    config: TrainConfig,
    backbone: Backbone,
    made: Rollouts,
    advantages: Tensor,
    state: TrainState,
    world: World,
    sums: dict[str, Tensor],
    *,
    epoch: int,
    update: int,
) -> dict[str, float]:
    """One optimiser step over its share of the rollouts, in pieces of `train_batch`; adds to `sums` for the log."""
    chosen = update_of_unit(config, epoch=epoch) == update
    valid = chosen & ~advantages.isnan()
    count = int(valid.sum()) * config.times_per_rollout
    shape = tuple(made.x0.shape[1:])
    times = backbone.schedule(config.rollout_steps, shape)[:-1].to(world.dtype)
    pairs = [(u, j) for u in made.units if valid[u] for j in times_of_unit(config, u, epoch=epoch)]
    for name in _LOGGED:
        sums.setdefault(name, torch.zeros((), dtype=torch.float64, device=world.device))
    state.optimizer.zero_grad(set_to_none=True)
    if not count:
        return {"grad_norm": 0.0, "learning_rate": 0.0}
    pieces = [pairs[i : i + config.train_batch] for i in range(0, len(pairs), config.train_batch)]
    # A sharded backbone needs everyone at every pass: who has nothing left repeats a row without weight.
    rounds = world.most(len(pieces)) if config.shard else len(pieces)
    for number in range(rounds):
        real = number < len(pieces)
        some = pieces[number] if real else [(made.units.start, 0)]
        units = torch.tensor([u for u, _ in some])
        x0 = made.x0[(units - made.units.start).to(world.device)]
        noise = torch.stack(
            [gaussian(shape, "train", config.seed, epoch, u, j, dtype=world.dtype) for u, j in some]
        ).to(world.device)
        t = times[[j for _, j in some]].to(world.device)
        cond = made.cond_of(units.to(world.device), config.group_size)
        x_t = noised(x0, noise, t)
        with torch.no_grad(), world.autocast():
            with backbone.use("old"):
                v_old = backbone.velocity(x_t, t, cond)
            v_ref = None
            if config.kl_beta or config.norm_guard:
                with backbone.use(None):
                    v_ref = backbone.velocity(x_t, t, cond)
        with backbone.use("default"):
            with world.autocast():
                v = backbone.velocity(x_t, t, cond)
            terms = nft_loss(
                x0=x0,
                noise=noise,
                t=t,
                v=v,
                v_old=v_old,
                v_ref=v_ref,
                advantages=advantages[units].to(world.device),
                beta=config.beta,
                adv_clip_max=config.adv_clip_max,
                kl_beta=config.kl_beta,
                adv_mode=config.adv_mode,
            )
            each = terms.each
            if v_ref is not None:
                ratio = _norms(v) / _norms(v_ref).clamp(min=1e-12)
                if config.norm_guard:
                    each = each + config.norm_guard * (ratio - 1).relu().square()
                sums["velocity_norm_ratio"] += ratio.detach().sum() * real
            # The backward pass belongs in here: gradient checkpointing runs the policy once more.
            (each.sum() * real / count).backward()
        if not real:
            continue
        rows = float(len(some))
        sums["rows"] += rows
        sums["total_loss"] += each.detach().sum()
        sums["policy_loss"] += terms.policy.detach() * rows
        sums["unweighted_policy_loss"] += terms.unweighted * rows
        sums["kl_div_loss"] += terms.kl.detach() * rows
        sums["old_kl_div"] += terms.old_kl * rows
        sums["old_deviate"] += terms.old_deviation * rows
        sums["x0_norm"] += x0.square().flatten(1).mean(1).sum()
    parameters = list(state.parameters.values())
    world.sum_gradients(parameters)
    norm = float(whole(torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)))
    if not norm < torch.inf:
        raise TrainingError(
            f"the gradient of epoch {epoch + 1} is {norm}: lower learning_rate, raise kl_beta, or train in fp32."
        )
    rate = config.learning_rate * min(1.0, (state.step + 1) / max(1, config.warmup_steps))
    for slot in state.optimizer.param_groups:
        slot["lr"] = rate
    state.optimizer.step()
    state.step += 1
    blend_(state.ema, state.parameters, ema_decay(state.step, cap=config.ema_cap))
    return {"grad_norm": norm, "learning_rate": rate}


_LOGGED = (
    "rows",
    "total_loss",
    "policy_loss",
    "unweighted_policy_loss",
    "kl_div_loss",
    "old_kl_div",
    "old_deviate",
    "x0_norm",
    "velocity_norm_ratio",
)


def _norms(v: Tensor) -> Tensor:
    return torch.linalg.vector_norm(v.flatten(1).float(), dim=1)
