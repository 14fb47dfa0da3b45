"""What all rollouts of one LR share, worked out once and kept: embeddings, conditioning, the LR's own scores.

    lucidlr precompute CONFIG.yaml [--plan] [--kind shared] [--processes N]      (the training's configuration)

A crop is a pure function of seed, SHA-1 and pass over the data, so the crops of a training are known beforehand. For
each of them the store holds, in Parquet, one row per tensor: what `Reward.prepare` and `Backbone.encode` gave, and each
reward of the LR itself, enlarged by bicubic interpolation, which is what a restoration that does nothing would get. The
key is (SHA-1, crop box, preprocessing hash, weights hash): with another version or other weights, nothing is found.

A part is written under a temporary name and renamed; after a kill, the same command does what is missing. Crops are
worked out one at a time: on a CPU batch mates change the last bits of a convolution, and what is kept shall be what
training would have got by itself. For the same reason, use as many threads of torch as in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from catalog import files
from training.backbones import Backbone, load_backbone
from training.data import Crop, LRDataset, LRSource, derived_seed, group_schedule
from training.precompute.makers import KINDS, Maker, makers
from training.precompute.store import SCHEMA, Kind, Store
from training.rewards import Reward, load_reward
from training.train_config import ConfigError, TrainConfig

__all__ = [
    "SCHEMA",
    "Made",
    "Maker",
    "Store",
    "crops_of_training",
    "default_folder",
    "makers",
    "makers_and_crops",
    "precompute",
    "store_beside",
]

PART_CROPS = 32
IDLE_S = 600.0
"""A part is written in seconds; a temporary file this old was left by a kill, not by another process at work."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a run of `precompute` did, by kind."""

    kind: str
    there: int
    """Crops that the store held already."""
    made: int
    nothing: bool
    """There is nothing to keep: the maker shares nothing."""


def crops_of_training(source: LRSource, *, seed: int, epochs: int, groups: int) -> list[Crop]:
    """Every crop that a training of that many epochs will ask for, once, in the order of first use."""
    found: dict[Crop, None] = {}
    keys = source.keys
    for epoch in range(epochs):
        for lap, place in group_schedule(len(keys), seed=seed, epoch=epoch, groups=groups):
            found[source.crop(keys[place], seed=seed, epoch=lap)] = None
    return list(found)


def precompute(
    folder: Path,
    source: LRSource,
    crops: Sequence[Crop],
    wanted: Sequence[Maker],
    *,
    device: str = "cpu",
    advance: Callable[[int], None] = lambda _: None,
) -> list[Made]:
    """Works out and keeps what the store in `folder` lacks; `advance` counts crops, one maker after the other.

    Raises:
        DataError: a photograph that can't be read; what was finished before stays.
    """
    report: list[Made] = []
    files.sweep(folder, idle_s=IDLE_S)
    for maker in wanted:
        store = Kind(folder, maker)
        missing = [crop for crop in crops if crop not in store.places]
        advance(len(crops) - len(missing))
        nothing = False
        for part in parts_of(missing):
            tensors: list[tuple[Crop, dict[str, torch.Tensor]]] = []
            for crop in part:
                with torch.no_grad():
                    made = maker.make(source.read(crop)[None].to(device))
                if not made:
                    nothing = True
                    break
                tensors.append((crop, made))
                advance(1)
            if nothing:
                break
            store.write(tensors)
        report.append(
            Made(
                kind=maker.kind,
                there=len(crops) - len(missing),
                made=0 if nothing else len(missing),
                nothing=nothing,
            )
        )
    return report


def default_folder(dataset: Path) -> Path:
    """Where training looks: beside the dataset."""
    return dataset.parent / "precomputed"


def store_beside(dataset: Path, *, rewards: Sequence[Reward], backbone: Backbone) -> Store | None:
    """The store beside a dataset; None where there is none, or nothing in it for these rewards and this backbone."""
    folder = default_folder(dataset)
    if not folder.is_dir():
        return None
    store = Store(folder, rewards=rewards, backbone=backbone)
    return store if store.places() else None


def makers_and_crops(
    config: TrainConfig, *, kinds: Sequence[str] = ()
) -> tuple[LRDataset, list[Crop], list[Maker]]:
    """Source, crops and makers of a training.

    Args:
        kinds: of KINDS; none: all. Only what they need is loaded: baselines and shared tensors need no backbone.

    Raises:
        ConfigError: the configuration names no dataset, or there is no such kind.
        DataError, UnknownBackbone, UnknownReward, RewardError: see there.
    """
    if config.dataset is None:
        raise ConfigError("precompute needs `dataset` in the configuration, a release on disk.")
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise ConfigError(
            f"There is nothing of the kind {unknown[0]!r}; there are {', '.join(KINDS)}."
        )
    chosen = set(kinds or KINDS)
    source = LRDataset(config.dataset, split=config.split, crop_px=config.lr_px)
    rewards: list[Reward] = []
    if chosen & {"shared", "baseline"}:
        rewards = [load_reward(spec.name, **spec.options) for spec in config.rewards]
    backbone = None
    if "conditioning" in chosen:
        torch.manual_seed(derived_seed("made", config.seed))
        backbone = load_backbone(config.backbone, **config.backbone_options)
    crops = crops_of_training(source, seed=config.seed, epochs=config.epochs, groups=config.groups)
    found = makers(rewards, backbone)
    return source, crops, [maker for maker in found if maker.kind.partition("-")[0] in chosen]


def parts_of(crops: Sequence[Crop]) -> Iterator[Sequence[Crop]]:
    """What is written as one part each."""
    for start in range(0, len(crops), PART_CROPS):
        yield crops[start : start + PART_CROPS]
