"""What a run tells: a row per epoch in log.csv and log.parquet, the same in trackers, and grids LR | SR.

Names are those of DiffusionNFT's and LucidNFT's logs (reward_<name>, eval_reward_<name>, policy_loss, ...) and of TRL's
(rewards/<name>/mean, frac_reward_zero_std).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from catalog import files
from training.advantage import group_index, group_moments
from training.train_config import ConfigError

GRID = 0.25
"""Advantages that differ by less count as one, as in the paper's figure of distinct advantages."""


class TrainLog:
    """Rows of numbers; written anew after each, by rename, so that a run that was cut off leaves whole files."""

    def __init__(self, folder: Path, *, until_epoch: int) -> None:
        """Keeps what an earlier run logged up to `until_epoch`; what came later is done again."""
        self.folder = folder
        self.rows: list[dict[str, float]] = []
        file = folder / "log.csv"
        if until_epoch and file.exists():
            with file.open(encoding="utf-8", newline="") as lines:
                read = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(lines)]
            self.rows = [row for row in read if row["epoch"] <= until_epoch]

    def add(self, row: Mapping[str, float]) -> None:
        """One epoch's."""
        self.rows.append(dict(row))
        columns = list(dict.fromkeys(name for kept in self.rows for name in kept))
        with files.text(self.folder / "log.csv", newline="") as lines:
            writer = csv.DictWriter(lines, columns)
            writer.writeheader()
            writer.writerows(self.rows)

    def write_parquet(self) -> None:
        """All rows, columns float64, null where an epoch had no such number."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        table = pa.table(
            {n: pa.array([row.get(n) for row in self.rows], pa.float64()) for n in columns}
        )
        with files.stream(self.folder / "log.parquet") as sink:
            pq.write_table(table, sink)


def reward_statistics(
    names: Sequence[str], rewards: Tensor, advantages: Tensor, groups: Tensor
) -> dict[str, float]:
    """From rewards [N,R], advantages [N] and groups [N] of an epoch; failed rollouts (NaN) are counted."""
    valid = ~advantages.isnan()
    found = {"rewards/failed": float((~valid).sum()), "group_size": math.nan}
    if not valid.any():
        return found
    kept, fused, labels = (
        rewards[valid].double(),
        advantages[valid].double(),
        group_index(groups[valid]),
    )
    _, spreads = group_moments(kept.nan_to_num(), labels)
    found["group_size"] = len(labels) / len(spreads)
    for k, name in enumerate(names):
        column = kept[:, k][~kept[:, k].isnan()]
        if not len(column):
            continue
        mean = column.mean().item()
        found |= {f"reward_{name}": mean, f"rewards/{name}/mean": mean}
        found[f"rewards/{name}/std"] = column.std(correction=0).item()
        found[f"rewards/{name}/group_std"] = spreads[:, k].mean().item()
        found[f"frac_reward_zero_std/{name}"] = (spreads[:, k] == 0).double().mean().item()
    _, spread = group_moments(fused[:, None], labels)
    found["frac_reward_zero_std"] = (spread[:, 0] == 0).double().mean().item()
    found["advantages/std"] = fused.std(correction=0).item()
    found["advantages/abs_max"] = fused.abs().max().item()
    found["advantages/distinct"] = distinct_advantages(fused, labels)
    return found


def distinct_advantages(advantages: Tensor, labels: Tensor, *, grid: float = GRID) -> float:
    """How many different advantages a group has, mean over groups, after rounding to `grid`."""
    cells = (advantages.double() / grid).round().long()
    pairs = torch.unique(torch.stack([labels.to(cells.device), cells], dim=1), dim=0)
    return len(pairs) / len(torch.unique(labels))


def grid_image(lr: Sequence[Tensor], *columns: Tensor) -> NDArray[np.uint8]:
    """[h,w,3] uint8: a line per image, the LR (enlarged without smoothing) and then each column's image [3,H,W]."""
    lines: list[Tensor] = []
    for row, image in enumerate(lr):
        size = columns[0][row].shape[-2:]
        big = F.interpolate(image[None].float().cpu(), size=size, mode="nearest")[0]
        lines.append(torch.cat([big, *(column[row].float().cpu() for column in columns)], dim=2))
    pixels = torch.cat(lines, dim=1).clamp(0, 1)
    return (pixels * 255).round().byte().permute(1, 2, 0).numpy()


class Trackers:
    """TensorBoard, Weights & Biases and trackio through accelerate; they follow the log, nothing is read from them."""

    def __init__(
        self, names: Sequence[str], *, folder: Path, run: str, config: Mapping[str, Any]
    ) -> None:
        """Starts them.

        Raises:
            ConfigError: one is not installed; the message names the extra.
        """
        from accelerate.tracking import TensorBoardTracker, TrackioTracker, WandBTracker

        self._trackers: list[Any] = []
        for name in names:
            try:
                if name == "tensorboard":
                    tracker: Any = TensorBoardTracker(run, logging_dir=str(folder / "tensorboard"))
                else:
                    tracker = (WandBTracker if name == "wandb" else TrackioTracker)(run)
                tracker.start()
            except ModuleNotFoundError as error:
                raise ConfigError(
                    f"the tracker {name} is not installed: pip install 'lucidlr[{name}]', or leave it out of trackers."
                ) from error
            if name != "tensorboard":
                tracker.store_init_configuration(dict(config))
            self._trackers.append(tracker)

    def log(self, row: Mapping[str, float], step: int) -> None:
        """One row, at its epoch; `step`, which trackio keeps for itself, is `optimizer_steps` there."""
        values = {
            "optimizer_steps" if n == "step" else n: x for n, x in row.items() if n != "epoch"
        }
        for tracker in self._trackers:
            tracker.log(values, step=step)

    def image(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """One picture [h,w,3]."""
        for tracker in self._trackers:
            if not hasattr(tracker, "log_images"):
                continue  # trackio's has no pictures
            kind: dict[str, Any] = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({name: pixels[None]}, step=step, **kind)

    def finish(self) -> None:
        """Closes them."""
        for tracker in self._trackers:
            tracker.finish()
