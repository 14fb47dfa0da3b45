"""A training's plan: parameters, memory per GPU by part, FLOP, seconds an epoch, days, disk.

    lucidlr train CONFIG --plan --gpus 8 --gpu H100-80

Time is FLOP over the data sheet's speed times 0.45, plus what decoding and scoring take; memory is a sum over parts at
the moment when most are needed. Both are arithmetic: measure before you rent.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from training.backbones._cost import Cost
from training.cost import EFFICIENCY, GPUS, Gpu, PlanError
from training.data import LRDataset
from training.precompute import crops_of_training
from training.train_config import TrainConfig

GIB = 2**30
BACKWARD = 1.3
"""Of a forward pass, where base weights are frozen: gradients go through all layers and stay in few."""
LOSS_COPIES = 14
"""Latents that one update holds at its worst: x0, noise, x_t, three velocities, both predictions, their errors."""
SCORER_BYTES = {"lucid_consistency": 16.4 * GIB, "visualquality_r1": 15.5 * GIB}
"""Of scorers that share the GPU: Qwen3-VL-Embedding-8B and VisualQuality-R1-7B in bfloat16."""
SCORE_SECONDS = {"lucid_consistency": 0.075, "visualquality_r1": 0.5, "unipercept_iqa": 0.1}
"""Per image of 1024 px on an H100; UniPercept's round trip is a guess that gpu-check replaces."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """See the module. Bytes per GPU, seconds on the machine asked for."""

    gpu: Gpu
    gpus: int
    cost: Cost
    memory: Mapping[str, Mapping[str, float]]
    """Moment -> part -> bytes."""
    epoch_flop: float
    epoch_seconds: float
    evaluation_seconds: float
    days: float
    checkpoint_bytes: float
    disk_bytes: float
    """Of checkpoints that are kept."""
    precompute_bytes: float | None
    """Of a store for all crops; None: how many there are is not known without a dataset."""
    velocities: Mapping[str, int]
    problems: tuple[str, ...] = field(default=())

    @property
    def peak_bytes(self) -> float:
        """The most that is needed at one time."""
        return max(sum(parts.values()) for parts in self.memory.values())


def gpu_of(name: str) -> Gpu:
    """By its name.

    Raises:
        PlanError: none of that name; the nearest is named.
    """
    if name not in GPUS:
        near = difflib.get_close_matches(name, GPUS, n=1, cutoff=0.0)[0]
        raise PlanError(
            f"There is no GPU {name!r}; did you mean {near!r}? There are {', '.join(GPUS)}."
        )
    return GPUS[name]


def plan_of(config: TrainConfig, *, gpu: str = "H100-80", gpus: int = 1) -> Plan:
    """The plan of one training on `gpus` of a kind.

    Raises:
        PlanError: no such GPU, or none.
        UnknownBackbone, BackboneError: a backbone that has to be loaded to be counted cannot be.
    """
    if gpus < 1:
        raise PlanError(f"--gpus is at least 1, got {gpus}.")
    device, cost = gpu_of(gpu), backbone_cost(config)
    units = config.groups * config.group_size
    pairs = units * config.times_per_rollout
    checkpointed = config.gradient_checkpointing or bool(
        config.backbone_options.get("gradient_checkpointing")
    )
    problems: list[str] = []
    if checkpointed and cost.checkpointed_bytes is None:
        problems.append("this backbone offers no gradient checkpointing")
    passes = 2 + bool(config.kl_beta or config.norm_guard) + checkpointed + BACKWARD
    velocities = {
        "rollouts": units * config.rollout_steps,
        "updates": round(pairs * passes),
    }
    speed = (
        (device.half_tflops if _half(config, cost) else device.single_tflops) * 1e12 * EFFICIENCY
    )
    single = device.single_tflops * 1e12 * EFFICIENCY
    scale = GPUS["H100-80"].half_tflops / device.half_tflops
    images = cost.decode_flop / single + scale * sum(
        SCORE_SECONDS.get(reward.name, 0.0) for reward in config.rewards
    )
    flop = sum(velocities.values()) * cost.velocity_flop + config.groups * cost.encode_flop
    flop += units * cost.decode_flop
    seconds = (sum(velocities.values()) * cost.velocity_flop / speed + units * images) / gpus
    watched = config.eval_lrs if config.eval_every else 0
    evaluation = watched * (config.eval_steps * cost.velocity_flop / speed + images) / gpus
    evaluations = 1 + config.epochs // config.eval_every if config.eval_every else 0
    memory = _memory(config, cost, gpus=gpus, checkpointed=checkpointed)
    checkpoint = 5.0 * cost.trained * cost.trained_bytes
    plan = Plan(
        gpu=device,
        gpus=gpus,
        cost=cost,
        memory=memory,
        epoch_flop=flop,
        epoch_seconds=seconds,
        evaluation_seconds=evaluation,
        days=(config.epochs * seconds + evaluations * evaluation) / 86400,
        checkpoint_bytes=checkpoint,
        # While a new one is written the old ones are there, and the best.
        disk_bytes=checkpoint * (config.keep_checkpoints + 2),
        precompute_bytes=precompute_bytes(config, cost),
        velocities=velocities,
        problems=tuple(problems),
    )
    if plan.peak_bytes > device.memory_bytes:
        return _with_problem(plan, checkpointed)
    return plan


def _with_problem(plan: Plan, checkpointed: bool) -> Plan:
    from dataclasses import replace

    need, have = plan.peak_bytes / GIB, plan.gpu.memory_bytes / GIB
    way = "shard over more GPUs" if checkpointed else "set gradient_checkpointing, or shard"
    told = f"out of memory: {need:.0f} GiB are needed, {plan.gpu.name} has {have:.0f}; {way}"
    return replace(plan, problems=(*plan.problems, told))


def _half(config: TrainConfig, cost: Cost) -> bool:
    return config.precision == "bf16" or cost.half


def _memory(
    config: TrainConfig, cost: Cost, *, gpus: int, checkpointed: bool
) -> dict[str, dict[str, float]]:
    share = gpus if config.shard else 1
    always: dict[str, float] = {name: size / share for name, size in cost.weights_bytes.items()}
    if cost.copies == 7:
        # The reference and the old policy are whole copies; the first is among the weights.
        always["trained copies"] = (cost.copies - 1) * cost.trained * cost.trained_bytes / share
    else:
        always["adapters, average, gradient, Adam"] = (
            cost.copies * cost.trained * cost.trained_bytes / share
        )
    units = -(-config.groups * config.group_size // gpus)
    always["latents and conditioning"] = float(
        units * cost.latent_bytes + -(-config.groups // gpus) * cost.conditioning_bytes
    )
    saved = (
        cost.checkpointed_bytes if checkpointed and cost.checkpointed_bytes else cost.saved_bytes
    )
    scorers = {
        f"scorer {reward.name}": SCORER_BYTES[reward.name]
        for reward in config.rewards
        if reward.name in SCORER_BYTES and _on_gpu(reward.options)
    }
    resting = {} if config.offload_rewards else scorers
    return {
        "rollouts": {
            **always,
            **resting,
            "forward pass": float(config.rollout_batch * cost.passing_bytes),
        },
        "scoring": {
            **always,
            **scorers,
            "decoding": float(config.rollout_batch * cost.decode_bytes),
        },
        "update": {
            **always,
            **resting,
            "saved for the backward pass": float(config.train_batch * saved),
            "loss": float(config.train_batch * LOSS_COPIES * cost.latent_bytes),
        },
    }


def _on_gpu(options: Mapping[str, Any]) -> bool:
    return options.get("encoder", "qwen3_vl_embedding") != "efficientnet_lite0"


def precompute_bytes(config: TrainConfig, cost: Cost) -> float | None:
    """Of the conditioning of every crop that a training asks for; None without a dataset."""
    if config.dataset is None:
        crops = config.epochs * config.groups
    else:
        source = LRDataset(config.dataset, split=config.split, crop_px=config.lr_px)
        crops = len(
            crops_of_training(source, seed=config.seed, epochs=config.epochs, groups=config.groups)
        )
    return float(crops * cost.conditioning_bytes)


def backbone_cost(config: TrainConfig) -> Cost:
    """By the backbone's own `cost`, which loads nothing, or by trying it."""
    from training.backbones import load_backbone

    try:
        module = importlib.import_module(f"training.backbones.{config.backbone}.cost")
        told: Callable[..., Cost] = module.cost
    except ModuleNotFoundError:
        from training.cost.measured import cost_of

        backbone = load_backbone(config.backbone, **config.backbone_options)
        return cost_of(backbone, config.lr_px)
    known = inspect.signature(told).parameters
    options = {k: v for k, v in config.backbone_options.items() if k in known}
    return told(lr_px=config.lr_px, **options)


def lines(plan: Plan, config: TrainConfig) -> list[str]:
    """For the terminal."""
    cost = plan.cost
    total = sum(cost.parameters.values())
    found = [
        f"machine     {plan.gpus} x {plan.gpu.name}  (arithmetic at {EFFICIENCY:.0%} of the data sheet, not measured)",
        f"parameters  {total / 1e6:,.1f} M, of which trained {cost.trained / 1e6:,.1f} M",
    ]
    for moment, parts in plan.memory.items():
        told = ", ".join(
            f"{name} {size / GIB:.2f}" for name, size in parts.items() if size > 0.005 * GIB
        )
        found.append(
            f"{moment:<11} {sum(parts.values()) / GIB:.1f} GiB per GPU: {told or 'less than 0.01'}"
        )
    velocities = sum(plan.velocities.values())
    found += [
        f"velocity    {cost.velocity_flop / 1e12:.3g} TFLOP; {velocities:,} an epoch, {plan.epoch_flop:.2g} FLOP",
        f"epoch       {_duration(plan.epoch_seconds)}; an evaluation {_duration(plan.evaluation_seconds)}",
        f"training    {plan.days:.3g} days for {config.epochs} epochs",
        f"disk        {plan.disk_bytes / 1e9:.2f} GB of checkpoints ({plan.checkpoint_bytes / 1e9:.2f} each)",
    ]
    if plan.precompute_bytes is not None:
        size = plan.precompute_bytes / GIB
        found.append(
            f"precompute  {size:,.1f} GiB, if all conditioning is kept (lucidlr precompute; not needed)"
        )
    return [*found, *(f"PROBLEM     {problem}" for problem in plan.problems)]


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.2g} h"
    return f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:.2g} s"


def check_limits(
    plan: Plan, *, most_days: float | None = None, most_disk_gb: float | None = None
) -> None:
    """Refuses a plan that is over a limit, or does not fit the machine.

    Raises:
        PlanError: see above; every limit that is broken is named.
    """
    broken = list(plan.problems)
    if most_days is not None and plan.days > most_days:
        broken.append(f"{plan.days:.3g} days are over the limit of {most_days:g}")
    if most_disk_gb is not None and plan.disk_bytes / 1e9 > most_disk_gb:
        broken.append(
            f"{plan.disk_bytes / 1e9:.3g} GB on disk are over the limit of {most_disk_gb:g}"
        )
    if broken:
        raise PlanError(f"This training does not go: {'; '.join(broken)}.")
