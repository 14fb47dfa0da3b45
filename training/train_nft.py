"""DiffusionNFT with decoupled advantages: rollouts, rewards, advantages, updates, and the old policy follows.

    lucidlr train recipes/nft.yaml          or          accelerate launch -m pipelines.cli train ...

One loop, read from top to bottom. Everything random is a pure function of seed and epoch, and every sum is divided by
a global number, so that neither a resumed run, nor another batch, nor more processes change the result (but for
rounding). Sources: DiffusionNFT (arXiv 2509.16117), LucidNFT (arXiv 2603.05947).
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog import files
from training.backbones import Backbone, Drawn, load_backbone
from training.backbones.adapters import borrowed
from training.checkpoint import (
    TrainState,
    checkpoints,
    load_checkpoint,
    save_checkpoint,
    write_weights,
)
from training.data import LRDataset, LRSource, derived_seed
from training.epoch import advantages_of, make_rollouts, one_update
from training.heldout import gains, hacked, held_out, measure, yardstick
from training.old_policy import blend_, decay
from training.one_state import agree, check_state, share_state
from training.precompute import store_beside
from training.rewards import Reward, load_reward
from training.rollout import Precomputed, move, rest
from training.train_config import ConfigError, TrainConfig
from training.train_log import Trackers, TrainLog, grid_image, reward_statistics
from training.world import World, whole

log_line = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run arrived at."""

    epochs: int
    steps: int
    stopped: str | None
    """Why it stopped before its last epoch; None: it did not."""
    rows: list[dict[str, float]]
    """The log, a row per epoch; row 0 is the evaluation before training."""
    ema: dict[str, Tensor]
    """The average of the trained parameters, by name: what is evaluated and used."""
    checkpoint: Path | None
    """The last one."""


Evaluate = Callable[[Backbone, int], Mapping[str, float]]
"""(backbone with the averaged weights in use, epoch) -> numbers for the log."""


def main(
    config: TrainConfig,
    *,
    backbone: Backbone | None = None,
    rewards: Sequence[Reward] | None = None,
    lrs: LRSource | None = None,
    eval_lrs: LRSource | None = None,
    precomputed: Precomputed | None = None,
    evaluate: Evaluate | None = None,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> TrainResult:
    """Trains, from the last checkpoint in `config.out` if there is one.

    Objects take the place of what the configuration names: backbone, rewards (in the order of config.rewards, which
    give their weights), LR to train on and to evaluate on. `evaluate` runs at every evaluation, besides the
    built-in one, on the main process (on all of them if the backbone is sharded). `precomputed` defaults to the
    store beside the dataset (`lucidlr precompute`), if there is one.

    Raises:
        ConfigError, DataError, CheckpointError, UnknownBackbone, UnknownReward, RewardError: see there.
        TrainingError: the gradient is no number any more.
        ProcessesDiffer, LaunchError: several processes that do not hold the same state, or did not start.
    """
    check_options(config)
    world = World(config.precision, attention=config.attention)
    if config.group_size == 1 and world.main:
        log_line.warning(
            "group_size is 1: a rollout alone in its group has no advantage, and nothing is learned from it. "
            "DiffusionNFT takes 24, LucidNFT's figure 12."
        )
    # What a backbone or a scorer draws while it is made follows the seed, too.
    torch.manual_seed(derived_seed("made", config.seed))
    if backbone is None:
        backbone = load_backbone(config.backbone, **config.backbone_options)
    if rewards is None:
        rewards = [load_reward(spec.name, **spec.options) for spec in config.rewards]
    weights = [spec.weight for spec in config.rewards]
    if not weights or len(weights) != len(rewards) or not any(weights):
        raise ConfigError(
            "rewards name at least one objective of a weight other than 0, and one for each object."
        )
    names = [reward.name for reward in rewards]
    lrs = lrs or _dataset(config, config.split)
    if precomputed is None and config.dataset is not None:
        precomputed = store_beside(config.dataset, rewards=rewards, backbone=backbone)
    watched = held_out(_held_out_source(config, eval_lrs), seed=config.seed, count=config.eval_lrs)

    if isinstance(backbone, Drawn):
        backbone.draw(derived_seed("drawn", config.seed))
    for module in backbone.trainable_modules().values():
        module.to(world.device)
        if config.gradient_checkpointing:
            _checkpoint_gradients(module)
        if config.compile:
            module.compile()
    share_state(world, backbone)
    if config.shard:
        if config.groups * config.group_size % world.size:
            raise ConfigError(f"shard: groups x group_size has to be a multiple of {world.size}.")
        world.shard(backbone.trainable_modules().values())
        if watched is not None:
            watched = watched.first(len(watched) // world.size * world.size)
    parameters = dict(backbone.adapter_parameters("default"))
    old = dict(backbone.adapter_parameters("old"))
    if any(type(old[name]) is not type(value) for name, value in parameters.items()):
        raise ConfigError(
            "shard: this backbone keeps its old policy apart from its trainable modules."
        )
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        list(parameters.values()),
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.adam_eps,
        weight_decay=config.weight_decay,
    )
    ema = {name: value.detach().clone() for name, value in parameters.items()}
    state = TrainState(parameters=parameters, old=old, ema=ema, optimizer=optimizer)
    files.make_folder(config.out)
    if world.main:
        # Checkpoints that a kill left half written, gigabytes each.
        files.sweep(config.out)
    # Weights are process 0's by now; other copies of the same file may differ in bytes that are no weights.
    base = world.of_main(backbone.weights_sha256)
    decisive = {
        **config.decisive(),
        "lrs": hashlib.sha256("".join(lrs.keys).encode()).hexdigest(),
        "reward_versions": {r.name: [r.version, r.weights_sha256] for r in rewards},
    }
    last = next(reversed(checkpoints(config.out)), None)
    agree(
        world,
        {
            "configuration, data or scorers": json.dumps(decisive, sort_keys=True, default=str),
            "last checkpoint": "none" if last is None else last.name,
        },
    )
    if last is not None:
        load_checkpoint(last, state, config=decisive, weights_sha256=base)
    check_state(world, state, when="before the first epoch of this run")
    log = TrainLog(config.out, until_epoch=state.epoch)
    trackers = Trackers(
        config.trackers if world.main else (),
        folder=config.out,
        run=config.run_name,
        config=decisive,
    )

    def report(row: dict[str, float]) -> None:
        if world.main:
            log.add(row)
            trackers.log(row, step=int(row["epoch"]))
            if progress is not None:
                progress(row)

    def evaluated() -> tuple[dict[str, float], str | None]:
        """On held-out LR with the averaged weights: numbers, and a reason to stop."""
        found: dict[str, float] = {}
        reason = None
        with backbone.use("default"), borrowed(parameters, state.ema):
            if watched:
                move(rewards, world.device)
                now = measure(
                    backbone,
                    rewards,
                    watched,
                    world,
                    seed=config.seed,
                    steps=config.eval_steps,
                    solver=config.eval_solver,
                    batch=config.rollout_batch,
                    precomputed=precomputed,
                )
                means = yardstick(names, now.rewards)
                if not state.start:
                    state.start = means
                moved = gains(names, now.rewards, state.start)
                found |= {f"eval_reward_{name}": means[f"{name}/mean"] for name in names}
                found |= {f"eval_gain/{name}": gain for name, gain in moved.items()}
                gain = sum(w * moved[n] for n, w in zip(names, weights, strict=True))
                found["eval_gain"] = gain
                if gain > state.best.get("gain", -torch.inf):
                    state.best = {"epoch": float(state.epoch), "gain": gain}
                if config.hacking_bound is not None:
                    reason = hacked(moved, config.hacking_bound)
                if world.main and len(now.sr):
                    picture = grid_image(now.lr, now.sr)
                    _save_grid(config.out / "grids" / f"epoch-{state.epoch:06d}.png", picture)
                    trackers.image("LR | SR", picture, state.epoch)
                rest(rewards, world.device, offload=config.offload_rewards)
            # Sharded weights can be used by all together only.
            if evaluate is not None and (world.main or config.shard):
                found |= dict(evaluate(backbone, state.epoch))
        world.wait()
        return found, reason

    stopped = state.stopped or None
    saved = time.monotonic()
    if state.epoch == 0 and config.eval_every:
        report({"epoch": 0.0, "step": 0.0, **evaluated()[0]})

    while state.epoch < config.epochs and stopped is None:
        epoch = state.epoch
        # What a backbone draws by itself (dropout) follows the epoch, too.
        torch.manual_seed(derived_seed("epoch", config.seed, epoch, world.rank))

        # 1. The old policy makes K images of each LR; rewards say what they are worth.
        made = make_rollouts(
            config, backbone, rewards, lrs, world, epoch=epoch, precomputed=precomputed
        )

        # 2. Rewards become advantages within their groups: the same on every process.
        unit_groups = torch.arange(config.groups).repeat_interleave(config.group_size)
        advantages = advantages_of(config, made.rewards, unit_groups, weights, epoch=epoch)
        row = {
            "epoch": epoch + 1.0,
            **reward_statistics(names, made.rewards, advantages, unit_groups),
        }

        # 3. The policy is pulled towards rollouts above their group's mean and away from those below.
        sums: dict[str, Tensor] = {}
        for update in range(config.updates):
            row |= one_update(
                config, backbone, made, advantages, state, world, sums, epoch=epoch, update=update
            )
        row |= world.means({k: v for k, v in sums.items() if k != "rows"}, sums["rows"])
        row["step"] = float(state.step)

        # 4. The old policy follows.
        row["old_decay"] = decay(state.step, config.decay)
        blend_(old, parameters, row["old_decay"])
        state.epoch = epoch + 1
        check_state(world, state, when=f"after epoch {state.epoch}")

        # 5. What became of it.
        ends = state.epoch == config.epochs
        if config.eval_every and (ends or state.epoch % config.eval_every == 0):
            found, stopped = evaluated()
            row |= found
        report(row)
        state.stopped = stopped or ""
        improved = state.best.get("epoch") == state.epoch
        due = ends or stopped or improved or state.epoch % max(1, config.checkpoint_every) == 0
        late = config.checkpoint_minutes is not None and world.told(
            time.monotonic() - saved > 60 * config.checkpoint_minutes
        )
        if late or (config.checkpoint_every and due):
            saved = time.monotonic()
            last = save_checkpoint(
                config.out,
                state,
                # All of it: who exports a run asks where its weights lie. Only what is decisive is compared.
                config={**config.plain(), **{k: decisive[k] for k in ("lrs", "reward_versions")}},
                weights_sha256=base,
                keep=config.keep_checkpoints,
                write=world.main,
            )
            world.wait()

    average = {name: whole(value) for name, value in state.ema.items()}
    if world.main:
        log.write_parquet()
        write_weights(config.out, backbone, average, config_hash=config.hash)
    trackers.finish()
    return TrainResult(
        epochs=state.epoch,
        steps=state.step,
        stopped=stopped,
        rows=log.rows,
        ema=average,
        checkpoint=last,
    )


def check_options(config: TrainConfig) -> None:
    """What cannot be had together.

    Raises:
        ConfigError: sharding and offloading, which both say where a weight is.
    """
    if config.shard and config.backbone_options.get("offload"):
        raise ConfigError(
            "shard and the backbone's offload do not go together: a sharded weight has its place already. Take one."
        )


def _dataset(config: TrainConfig, split: str) -> LRDataset:
    if config.dataset is None:
        raise ConfigError(
            "dataset names the folder of an exported dataset; `lucidlr demo` makes one."
        )
    return LRDataset(config.dataset, split=split, crop_px=config.lr_px)


def _held_out_source(config: TrainConfig, given: LRSource | None) -> LRSource | None:
    if given is not None or not config.eval_every or config.dataset is None:
        return given
    return _dataset(config, config.eval_split)


def _checkpoint_gradients(module: torch.nn.Module) -> None:
    for name in ("enable_gradient_checkpointing", "gradient_checkpointing_enable"):
        switch = getattr(module, name, None)
        if switch is not None:
            switch()
            return
    raise ConfigError(
        f"{type(module).__name__} offers no gradient checkpointing; set gradient_checkpointing to false."
    )


def _save_grid(file: Path, pixels: NDArray[np.uint8]) -> None:
    from PIL import Image

    with files.stream(file) as sink:
        Image.fromarray(pixels).save(sink, "PNG")
