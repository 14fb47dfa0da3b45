"""The LR of an experiment: which are trained on, which are held out, and a benchmark-like handful of clean ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from filters.degradation.synthesis import downscale, jpeg
from training.data import Crop, DataError, LRDataset, LRSource, LRTensors
from training.photographs import photographs

if TYPE_CHECKING:
    from training.experiment.settings import Arm, Experiment


class Selected:
    """Some photographs of a dataset, as an LRSource."""

    def __init__(self, source: LRDataset, keys: Sequence[str]) -> None:
        """Keeps the order of `source`."""
        chosen = set(keys)
        self._source = source
        self.keys: list[str] = [key for key in source.keys if key in chosen]

    def crop(self, key: str, *, seed: int, epoch: int) -> Crop:
        """See LRDataset.crop."""
        return self._source.crop(key, seed=seed, epoch=epoch)

    def read(self, crop: Crop) -> Tensor:
        """See LRDataset.read."""
        return self._source.read(crop)


def split_by_subject(dataset: Path, subjects: Sequence[str]) -> tuple[list[str], list[str]]:
    """SHA-1s to train on and to hold out: the demo's files carry their subject as a category.

    Raises:
        DataError: one of the two would be empty.
    """
    names = {f"Photographs of {subject} subjects" for subject in subjects}
    train: list[str] = []
    held_out: list[str] = []
    for shard in sorted(dataset.glob("data/*/*.parquet")):
        if shard.name.startswith("test-"):
            continue  # people verified it for evaluations: nothing is trained on it
        for row in pq.read_table(shard, columns=["sha1", "categories"]).to_pylist():
            out = names & {str(c).removeprefix("Category:") for c in row["categories"]}
            (held_out if out else train).append(row["sha1"])
    if not train or not held_out:
        raise DataError(
            f"{dataset} gives {len(train)} photographs to train on and {len(held_out)} of the subjects "
            f"{', '.join(subjects)}; `lucidlr demo` builds the dataset that has both."
        )
    return sorted(train), sorted(held_out)


def training_lrs(experiment: Experiment, arm: Arm) -> LRSource:
    """What an arm's rollouts are made from."""
    if arm.lrs == "benchmark-like":
        return LRTensors(benchmark_like(experiment))
    source = LRDataset(experiment.dataset, split="*", crop_px=experiment.lr_px)
    return Selected(source, split_by_subject(experiment.dataset, experiment.held_out_subjects)[0])


def held_out_lrs(experiment: Experiment) -> tuple[Tensor, NDArray[np.int64]]:
    """LR [N,3,h,w] of photographs that nothing was trained on, and the photograph [N] each is cut from."""
    source = LRDataset(experiment.dataset, split="*", crop_px=experiment.lr_px)
    keys = split_by_subject(experiment.dataset, experiment.held_out_subjects)[1]
    lrs: list[Tensor] = []
    photo: list[int] = []
    for number in range(experiment.test_lrs):
        lap, place = divmod(number, len(keys))
        lrs.append(source.read(source.crop(keys[place], seed=-1, epoch=lap)))
        photo.append(place)
    return torch.stack(lrs), np.array(photo, np.int64)


def benchmark_like(experiment: Experiment, *, count: int = 8) -> Tensor:
    """A few LR [count,3,h,w] as benchmarks have them: sharp photographs reduced by 4, JPEG of quality 90, no more."""
    photos = [p for p in photographs(experiment.photos) if not p.held_out]
    side = experiment.lr_px
    found: list[Tensor] = []
    for number in range(count):
        small = jpeg(downscale(photos[number % len(photos)].pixels, 4), 90)
        rng = np.random.default_rng((11, number))
        top = int(rng.integers(0, small.shape[0] - side + 1))
        left = int(rng.integers(0, small.shape[1] - side + 1))
        cut = np.ascontiguousarray(small[top : top + side, left : left + side].transpose(2, 0, 1))
        found.append(torch.from_numpy(cut).float() / 255)
    return torch.stack(found)


def some_lrs(source: LRSource, count: int) -> Tensor:
    """[count,3,h,w] of a source, photographs in turn; other crops than training sees."""
    keys = [(n // len(source.keys), source.keys[n % len(source.keys)]) for n in range(count)]
    return torch.stack([source.read(source.crop(key, seed=-2, epoch=lap)) for lap, key in keys])


def degradations_in(dataset: Path, keys: Sequence[str]) -> dict[str, int]:
    """How many of some photographs of the dataset carry each degradation label; `none` for those without."""
    chosen, counts = set(keys), Counter[str]()
    for shard in sorted(dataset.glob("data/*/*.parquet")):
        for row in pq.read_table(shard, columns=["sha1", "labels"]).to_pylist():
            if row["sha1"] in chosen:
                counts.update(row["labels"] or ["none"])
    return dict(counts.most_common())
