"""Before and after of one training run, on the held-out split: a table, curves and a picture.

    prefect deployment run train-lucidnft/train-demo        (the flow that calls it; see docs/training.md)

The averaged weights of the last checkpoint are laid beside the base on the same LR and the same noise, which no
evaluation during the training used; differences come with bootstrap intervals over LR.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from catalog import files
from training.backbones import load_backbone
from training.backbones.adapters import borrowed
from training.data import LRDataset
from training.heldout import Measured, held_out, measure
from training.rewards import load_reward
from training.statistics import Interval, interval
from training.train_config import TrainConfig
from training.train_log import grid_image
from training.world import World

FRESH = 1_000_003
"""Added to the seed: evaluations during training use the seed itself."""


@dataclass(frozen=True, kw_only=True)
class BeforeAfter:
    """One objective on held-out LR."""

    reward: str
    before: float
    after: float
    change: Interval


def keep_average(config: TrainConfig, average: dict[str, Tensor]) -> Path:
    """Writes averaged parameters by name to average.safetensors; by rename."""
    file = config.out / "average.safetensors"
    with files.writing(file) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in average.items()}, temporary)
    return file


@torch.no_grad()
def before_after(config: TrainConfig, average: Path) -> list[BeforeAfter]:
    """Every objective at the base and with the averaged weights; also writes grid.png (LR | base | trained).

    Raises:
        DataError: `config` names no dataset, or it has no such split.
    """
    from PIL import Image

    world = World(config.precision)
    backbone = load_backbone(config.backbone, **config.backbone_options)
    for module in backbone.trainable_modules().values():
        module.to(world.device)
    rewards = [load_reward(spec.name, **spec.options) for spec in config.rewards]
    source = LRDataset(config.dataset or Path(), split=config.eval_split, crop_px=config.lr_px)
    watched = held_out(source, seed=config.seed + FRESH, count=config.eval_lrs)
    assert watched is not None  # there is a source
    parameters = dict(backbone.adapter_parameters("default"))
    trained = {name: value.to(world.device) for name, value in load_file(average).items()}

    def measured() -> Measured:
        return measure(
            backbone,
            rewards,
            watched,
            world,
            seed=config.seed + FRESH,
            steps=config.eval_steps,
            solver=config.eval_solver,
            batch=config.rollout_batch,
        )

    with backbone.use(None):
        first = measured()
    with backbone.use("default"), borrowed(parameters, trained):
        last = measured()
    base, after = first.rewards, last.rewards
    with files.stream(config.out / "grid.png") as sink:
        Image.fromarray(grid_image(first.lr, first.sr, last.sr)).save(sink, "PNG")
    return [
        BeforeAfter(
            reward=reward.name,
            before=base[:, k].nanmean().item(),
            after=after[:, k].nanmean().item(),
            change=interval((after - base)[:, k].double().cpu().numpy()),
        )
        for k, reward in enumerate(rewards)
    ]


def results_table(found: list[BeforeAfter], config: TrainConfig) -> str:
    """Markdown; also written to results.md in the run's folder."""
    lines = ["| reward | base | trained | change, 95 % interval over LR |", "|---|---|---|---|"]
    lines += [f"| {r.reward} | {r.before:.4f} | {r.after:.4f} | {r.change} |" for r in found]
    text = "\n".join(lines) + "\n"
    files.put(config.out / "results.md", text)
    return text


def curves(config: TrainConfig) -> Path:
    """The mean of every reward over the rollouts of each epoch, from the run's log; curves.png."""
    from matplotlib.figure import Figure

    with (config.out / "log.csv").open(encoding="utf-8", newline="") as log:
        rows = list(csv.DictReader(log))
    figure = Figure(figsize=(5 * len(config.rewards), 3.6), layout="constrained")
    axes = figure.subplots(1, len(config.rewards), squeeze=False)[0]
    for axis, spec in zip(axes, config.rewards, strict=True):
        name = f"reward_{spec.name}"
        points = [(float(r["epoch"]), float(r[name])) for r in rows if r.get(name)]
        axis.plot([x for x, _ in points], [y for _, y in points])
        axis.set(xlabel="epoch", title=f"{spec.name}, mean of the rollouts")
    with files.stream(config.out / "curves.png") as sink:
        figure.savefig(sink, format="png", dpi=90)
    return config.out / "curves.png"
