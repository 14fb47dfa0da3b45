"""The configuration of `train_nft.main`: one frozen dataclass, every field explained, unknown keys are errors."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from catalog.errors import Expected
from catalog.files import named_text
from training.advantage import AdvantageMode, Std
from training.flow_matching import Solver
from training.old_policy import Schedule

Attention = Literal["auto", "flash", "efficient", "cudnn", "math"]


class ConfigError(Expected, ValueError):
    """A configuration that cannot be used; the message says which key to change, and how."""


@dataclass(frozen=True, kw_only=True)
class RewardSpec:
    """One objective."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    """A file of training/rewards/, or `metric:<name>`."""
    weight: float = 1.0
    """Its share in the advantage; 0: logged only."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Passed to its `load`."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run. The defaults of the method are DiffusionNFT's where LucidNFT's are not known."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    out: Path = Path("out/nft")
    """Folder of logs, checkpoints and grids. A run that was cut off goes on from its last checkpoint there."""
    seed: int = 0
    """Of everything random: crops, groups, noise, times, dropout."""

    dataset: Path | None = None
    """Folder of an exported dataset (with data/<family>/*.parquet); None: the caller hands over the LR."""
    split: str = "train"
    """Its split to train on."""
    lr_px: int = 256
    """Edge of the LR crops."""

    backbone: str = "tiny"
    """A file or folder of training/backbones/."""
    backbone_options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Passed to its `load`."""
    rewards: tuple[RewardSpec, ...] = ()
    """The objectives, in the order of logs and columns."""

    epochs: int = 100
    """Rounds of rollouts; an epoch makes groups x group_size images, then trains on them."""
    groups: int = 48
    """LR per epoch."""
    group_size: int = 24
    """K, rollouts per LR; need not divide any batch."""
    rollout_steps: int = 10
    """Steps of the solver that makes rollouts."""
    rollout_solver: Solver = "dpm2"
    """Solver of rollouts: euler, ddim, dpm1, dpm2, sde."""
    sde_eta: float = 0.7
    """Noise of the `sde` solver."""
    rollout_batch: int = 16
    """Images per forward pass in rollouts and scoring, per process; does not change the result but for rounding."""

    aggregation: Literal["decoupled", "scalarized"] = "decoupled"
    """Normalise each objective and add up (LucidNFT), or add up and normalise (DiffusionNFT)."""
    advantage_std: Std | None = None
    """Standard deviation of the group or of all rollouts (global); None: group if decoupled, global if scalarized."""
    advantage_eps: float = 1e-4
    """Added to the standard deviation."""
    advantage_ddof: int = 0
    """0: population, 1: sample standard deviation."""
    advantage_std_floor: float = 0.0
    """Least standard deviation of an objective (decoupled): differences below it are not blown up."""
    advantage_whiten: bool = False
    """Normalise the sum over all rollouts once more (decoupled; GDPO)."""
    adv_clip_max: float = 5.0
    """c: advantages are clipped to [-c, c] and mapped to [0, 1]."""
    adv_mode: AdvantageMode = "all"
    """Which advantages count: all, positive_only, negative_only, one_only, binary."""
    control: Literal["none", "shuffled"] = "none"
    """shuffled: advantages are dealt anew among all rollouts of the epoch, which is training without a signal."""

    beta: float = 1.0
    """NFT's beta: how far the implicit policies reach from the old one."""
    kl_beta: float = 1e-4
    """Weight of mean (v - v_ref)^2."""
    norm_guard: float = 0.0
    """Weight of a hinge relu(norm(v) / norm(v_ref) - 1)^2 per sample, against growing velocities; 0: only logged."""
    decay: Schedule = "linear_to_0_5"
    """How much of the old policy is kept after an epoch: copy, linear_to_0_5, delayed_linear_to_0_999."""
    ema_cap: float = 0.9
    """Most of the average that is kept after a step; the average is what is evaluated and exported."""
    updates: int = 1
    """Optimiser steps per epoch; each takes its share of every group."""
    train_times: int | None = None
    """Times per rollout to train at, drawn from the solver's own without repetition; None: all but one."""
    train_batch: int = 9
    """(rollout, time) pairs per forward pass, per process; gradients are accumulated, so it changes rounding only."""

    learning_rate: float = 3e-4
    """Of AdamW."""
    warmup_steps: int = 0
    """Steps over which the learning rate grows from its first share to the whole."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    weight_decay: float = 1e-4
    """Of AdamW."""
    adam_eps: float = 1e-8
    """Of AdamW."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""

    precision: Literal["fp32", "bf16", "fp64"] = "fp32"
    """bf16: velocities under autocast, states and loss in fp32. fp64: states in float64, for tests."""
    shard: bool = False
    """FSDP2: base weights, adapters, averages and optimiser states are spread over the processes."""
    gradient_checkpointing: bool = False
    """Trade time for memory in modules that offer it."""
    compile: bool = False
    """torch.compile the trainable modules: minutes at the start, faster velocities; changes rounding only."""
    attention: Attention = "auto"
    """Kernel of scaled dot-product attention: auto (torch chooses), flash, efficient, cudnn, math. A named one that
    cannot run is an error instead of a slow run."""
    offload_rewards: bool = True
    """Scorers leave the accelerator while the backbone works."""

    eval_every: int = 10
    """Epochs between evaluations on held-out LR, the first before training and one at the end; 0: none."""
    eval_split: str = "validation"
    """Split of the dataset that is held out."""
    eval_lrs: int = 32
    """How many of its LR, at most."""
    eval_steps: int = 10
    """Steps of the solver in evaluations."""
    eval_solver: Solver = "euler"
    """Solver in evaluations."""
    hacking_bound: float | None = None
    """Stop when one objective on held-out LR fell by more than this below its start while another rose, in standard
    deviations over the LR at the start; None: never."""

    checkpoint_every: int = 10
    """Epochs between checkpoints; there is one at the end as well. 0: none."""
    checkpoint_minutes: float | None = None
    """Also at the end of an epoch when so many minutes have passed since the last checkpoint; None: by epochs alone."""
    keep_checkpoints: int = 2
    """The newest so many stay, and the best."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    """Beside log.csv and log.parquet; wandb and trackio come as extras."""
    run_name: str = "nft"
    """In trackers."""

    def __post_init__(self) -> None:
        at_least_one = (
            "epochs",
            "groups",
            "group_size",
            "rollout_steps",
            "rollout_batch",
            "updates",
            "train_batch",
        )
        at_least_one += ("lr_px", "eval_steps", "keep_checkpoints", "eval_lrs")
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1, not {getattr(self, name)}.")
        for name in (
            "kl_beta",
            "norm_guard",
            "warmup_steps",
            "eval_every",
            "checkpoint_every",
            "weight_decay",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is not negative.")
        for name in ("beta", "adv_clip_max", "learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is above 0, not {getattr(self, name)}.")
        if self.updates > self.group_size:
            raise ConfigError(
                "updates is at most group_size: every update takes its share of each group."
            )
        if not 1 <= self.times_per_rollout <= self.rollout_steps:
            raise ConfigError(
                f"train_times is 1 to rollout_steps ({self.rollout_steps}), not {self.train_times}."
            )
        if self.aggregation == "scalarized" and (self.advantage_whiten or self.advantage_std_floor):
            raise ConfigError(
                "advantage_whiten and advantage_std_floor are for decoupled advantages."
            )
        if self.checkpoint_minutes is not None and not self.checkpoint_minutes > 0:
            raise ConfigError(f"checkpoint_minutes is above 0, not {self.checkpoint_minutes}.")
        names = [reward.name for reward in self.rewards]
        if len(set(names)) < len(names):
            raise ConfigError("the same reward is named twice.")

    @property
    def times_per_rollout(self) -> int:
        """T: `train_times`, or all but one of the solver's times."""
        if self.train_times is not None:
            return self.train_times
        return max(1, int(self.rollout_steps * 0.99))

    @property
    def hash(self) -> str:
        """Of what decides the result: a checkpoint of another hash is not gone on from."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()

    def decisive(self) -> dict[str, Any]:
        """The fields that can change a trained weight; how long to train, where to write and what to look at cannot.

        Nor can where weights lie or how they are run: what they are is told by their hashes, which a checkpoint keeps.
        """
        return decisive(self.plain())

    def plain(self) -> dict[str, Any]:
        """All fields as plain values, as a checkpoint keeps them."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}


def decisive(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration (as plain values, also of an older version) can change a trained weight."""
    kept = {name: value for name, value in values.items() if name not in _INDECISIVE}
    if "backbone_options" in kept:
        kept["backbone_options"] = decisive_options(kept["backbone_options"])
    if "rewards" in kept:
        kept["rewards"] = [
            {**reward, "options": decisive_options(reward["options"])} for reward in kept["rewards"]
        ]
    return kept


def decisive_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """What of a backbone's or reward's options can change a result; see OPERATIONAL."""
    return {name: value for name, value in options.items() if name not in OPERATIONAL}


OPERATIONAL = frozenset(
    {
        "weights",
        "model",
        "revision",
        "head",
        "device",
        "offload",
        "gradient_checkpointing",
        "decode_batch",
        "batch_size",
        "url",
        "urls",
        "connections",
        "retries",
        "timeout_s",
        "hint",
    }
)
"""Options of backbones and rewards that say where something is or how it is run, whichever of them has it. Weights are
compared by their hashes, a server by the version that it tells."""
_INDECISIVE = {
    "out",
    "epochs",
    "dataset",
    "rollout_batch",
    "train_batch",
    "shard",
    "gradient_checkpointing",
    "compile",
    "attention",
    "offload_rewards",
    "eval_every",
    "eval_split",
    "eval_lrs",
    "eval_steps",
    "eval_solver",
    "hacking_bound",
    "checkpoint_every",
    "checkpoint_minutes",
    "keep_checkpoints",
    "trackers",
    "run_name",
}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def defaults() -> dict[str, Any]:
    """The decisive fields of a configuration that says nothing: what an older checkpoint meant where it lacks one."""
    return TrainConfig().decisive()


def config_from(values: Mapping[str, Any]) -> TrainConfig:
    """A configuration from plain values, as YAML gives them.

    Raises:
        ConfigError: an unknown key (the nearest is named), or a value that does not fit.
    """
    from pydantic import TypeAdapter, ValidationError

    known = [f.name for f in dataclasses.fields(TrainConfig)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise ConfigError(f"there is no key {key!r}; did you mean {near[0]!r}?")
    try:
        return TypeAdapter(TrainConfig).validate_python(dict(values))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors()]
        raise ConfigError("; ".join(lines)) from error


def load_config(file: Path, changes: Mapping[str, Any] | None = None) -> TrainConfig:
    """A configuration from a YAML file, `changes` on top of it.

    Raises:
        catalog.errors.Missing: there is no such file.
        ConfigError: see `config_from`; or the file is no mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(named_text(file, "a configuration in YAML"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds no keys.")
    return config_from({**values, **(changes or {})})
