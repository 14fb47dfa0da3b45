"""One NFT optimiser step: ours, a plain transcription of DiffusionNFT's formulas, and the passes that both need.

All three run on the same network, rollouts, noise and times, in turns in one process and on one thread; what is
compared is CPU time, median over turns. The bound is three forward passes (old, reference, trained) and one backward
pass; an optimiser step on top is unavoidable, too, but not in the bound.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from training.backbones.tiny import Tiny, untrained
from training.checkpoint import TrainState
from training.epoch import Rollouts, one_update, times_of_unit
from training.rollout import gaussian
from training.train_config import RewardSpec, TrainConfig
from training.world import World

TURNS = 15
GROUPS, GROUP_SIZE, TIMES, LR_PX, WIDTH = 4, 8, 2, 16, 32


def config_of() -> TrainConfig:
    """4 LR of 16 x 16 px, 8 rollouts each, 2 times each: 64 rows of 3 x 64 x 64 in two pieces."""
    return TrainConfig(
        out=Path(tempfile.gettempdir()) / "unused",
        rewards=(RewardSpec(name="lr_faithfulness"),),
        groups=GROUPS,
        group_size=GROUP_SIZE,
        train_times=TIMES,
        train_batch=32,
        learning_rate=1e-4,
    )


def state_of(backbone: Tiny) -> TrainState:
    """Parameters, average and optimiser."""
    parameters = dict(backbone.adapter_parameters("default"))
    return TrainState(
        parameters=parameters,
        old=dict(backbone.adapter_parameters("old")),
        ema={name: value.detach().clone() for name, value in parameters.items()},
        optimizer=torch.optim.AdamW(list(parameters.values()), lr=1e-4, weight_decay=1e-4),
    )


def transcription(
    config: TrainConfig, backbone: Tiny, made: Rollouts, advantages: Tensor, state: TrainState
) -> float:
    """The formulas as they are written down, line by line; returns the loss."""
    shape = tuple(made.x0.shape[1:])
    sigmas = backbone.schedule(config.rollout_steps, shape)[:-1]
    pairs = [(u, j) for u in made.units for j in times_of_unit(config, u, epoch=0)]
    state.optimizer.zero_grad()
    total = 0.0
    for first in range(0, len(pairs), config.train_batch):
        some = pairs[first : first + config.train_batch]
        rows = torch.tensor([u for u, _ in some])
        x0 = made.x0[rows]
        t = sigmas[[j for _, j in some]]
        noise = torch.stack(
            [gaussian(shape, "train", config.seed, 0, u, j, dtype=x0.dtype) for u, j in some]
        )
        cond = {name: value[rows // config.group_size] for name, value in made.cond.items()}
        te = t.view(-1, 1, 1, 1)
        xt = (1 - te) * x0 + te * noise
        with torch.no_grad():
            with backbone.use("old"):
                old_prediction = backbone.velocity(xt, t, cond)
            with backbone.use(None):
                ref_prediction = backbone.velocity(xt, t, cond)
        forward_prediction = backbone.velocity(xt, t, cond)
        c, beta = config.adv_clip_max, config.beta
        r = torch.clamp(torch.clamp(advantages[rows].float(), -c, c) / c / 2 + 0.5, 0, 1)
        positive_prediction = beta * forward_prediction + (1 - beta) * old_prediction
        negative_prediction = (1 + beta) * old_prediction - beta * forward_prediction
        x0_positive = xt - te * positive_prediction
        x0_negative = xt - te * negative_prediction
        with torch.no_grad():
            dims = (1, 2, 3)
            w_positive = (x0_positive.double() - x0.double()).abs().mean(dims).clip(min=1e-5)
            w_negative = (x0_negative.double() - x0.double()).abs().mean(dims).clip(min=1e-5)
        positive_loss = ((x0_positive - x0) ** 2 / w_positive.view(-1, 1, 1, 1)).mean(dims)
        negative_loss = ((x0_negative - x0) ** 2 / w_negative.view(-1, 1, 1, 1)).mean(dims)
        policy = r * positive_loss / beta + (1 - r) * negative_loss / beta
        kl = ((forward_prediction - ref_prediction) ** 2).mean(dims)
        loss = (c * policy + config.kl_beta * kl).sum() / len(pairs)
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(list(state.parameters.values()), config.max_grad_norm)
    state.optimizer.step()
    with torch.no_grad():
        for name, value in state.ema.items():
            value += (1 - 0.1) * (state.parameters[name] - value)
    return total


def passes(config: TrainConfig, backbone: Tiny, made: Rollouts) -> None:
    """Three forward passes and one backward pass over the same rows."""
    rows = torch.arange(len(made.x0)).repeat_interleave(config.times_per_rollout)
    for part in rows.split(config.train_batch):
        z, t = made.x0[part], torch.full((len(part),), 0.5)
        cond = {name: value[part // config.group_size] for name, value in made.cond.items()}
        with torch.no_grad():
            for adapter in ("old", None):
                with backbone.use(adapter):
                    backbone.velocity(z, t, cond)
        backbone.velocity(z, t, cond).sum().backward()


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    config, world = config_of(), World("fp32")
    backbones = [untrained(width=WIDTH) for _ in range(3)]
    chance = torch.Generator().manual_seed(0)
    cond = backbones[0].encode(torch.rand(GROUPS, 3, LR_PX, LR_PX, generator=chance))
    rows = GROUPS * GROUP_SIZE
    made = Rollouts(
        units=range(rows),
        x0=torch.randn(rows, *backbones[0].latent_shape((LR_PX, LR_PX)), generator=chance),
        cond=cond,
        first_group=0,
        rewards=torch.zeros(rows, 1),
    )
    advantages = torch.randn(rows, dtype=torch.float64, generator=chance)
    ours, plain = state_of(backbones[0]), state_of(backbones[1])

    def step() -> float:
        sums: dict[str, Tensor] = {}
        options = {"epoch": 0, "update": 0}
        one_update(config, backbones[0], made, advantages, ours, world, sums, **options)
        return (sums["total_loss"] / sums["rows"]).item()

    def transcribed() -> float:
        return transcription(config, backbones[1], made, advantages, plain)

    difference = abs(step() - transcribed())
    works: dict[str, Callable[[], object]] = {
        "3 forward + 1 backward": lambda: passes(config, backbones[2], made),
        "plain transcription": transcribed,
        "ours": step,
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(TURNS):
        for name, work in works.items():
            seconds[name].append(cpu_seconds(work))
    bound = seconds["3 forward + 1 backward"]
    print(
        f"first loss differs by {difference:.1e}; {rows * TIMES} rows of 3 x 64 x 64, {TURNS} turns"
    )
    print(f"{'':<26}{'CPU s / step':>14}{'to the bound':>14}")
    for name, found in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(found, bound, strict=True))
        print(f"{name:<26}{statistics.median(found):>14.3f}{ratio:>14.3f}")


if __name__ == "__main__":
    main()
