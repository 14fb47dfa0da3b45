"""What all rollouts of one LR share, worked out once and kept: embeddings, conditioning, the LR's own scores.

    lucidlr precompute CONFIG.yaml          (the configuration of the training)

A crop is a pure function of seed, SHA-1 and pass over the data, so the crops of a training are known beforehand. For
each of them the store holds, in Parquet, one row per tensor: what `Reward.prepare` and `Backbone.encode` gave, and each
reward of the LR itself, enlarged by bicubic interpolation, which is what a restoration that does nothing would get. The
key is (SHA-1, crop box, preprocessing hash, weights hash): with another version or other weights, nothing is found.

A part is written under a temporary name and renamed; after a kill, the same command does what is missing. Crops are
worked out one at a time: on a CPU batch mates change the last bits of a convolution, and what is kept shall be what
training would have got by itself. For the same reason, use as many threads of torch as in training.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn import functional

from catalog import files
from training.backbones import Backbone, Conditioning, Configured, load_backbone
from training.data import Crop, LRDataset, LRSource, group_schedule
from training.rewards import Reward, Shared, load_reward
from training.train_config import ConfigError, TrainConfig

VERSION = "1"
PART_CROPS = 32
ROW_GROUP_BYTES = 1_000_000
ROW_GROUPS_IN_MEMORY = 16
BASELINE_SCALE = 4
SCHEMA = pa.schema(
    [
        ("sha1", pa.string()),
        ("left", pa.int32()),
        ("top", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("preprocessing", pa.string()),
        ("weights", pa.string()),
        ("tensor", pa.string()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int64())),
        ("data", pa.binary()),
    ]
)
_KEYS = ["sha1", "left", "top", "width", "height", "preprocessing", "weights"]


@dataclass(frozen=True, kw_only=True)
class Maker:
    """One thing that is worked out per crop."""

    kind: str
    """Folder in the store: conditioning, shared-<reward> or baseline-<reward>."""
    preprocessing: str
    """Hash of name, version and everything else but weights."""
    weights: str
    make: Callable[[Tensor], dict[str, Tensor]] = field(repr=False)
    """From LR [1,3,h,w] tensors with one row; {} where there is nothing to keep."""


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


def makers(
    rewards: Sequence[Reward], backbone: Backbone | None, *, baselines: bool = True
) -> list[Maker]:
    """All there is to precompute for these."""
    found: list[Maker] = []
    if backbone is not None:
        found.append(
            Maker(
                kind="conditioning",
                preprocessing=_hash("conditioning", backbone.name, *_configured(backbone)),
                weights=backbone.weights_sha256,
                make=backbone.encode,
            )
        )
    for reward in rewards:
        found.append(
            Maker(
                kind=f"shared-{reward.name}",
                preprocessing=_hash("shared", reward.name, reward.version),
                weights=reward.weights_sha256 or "none",
                make=reward.prepare,
            )
        )
        if baselines:
            found.append(
                Maker(
                    kind=f"baseline-{reward.name}",
                    preprocessing=_hash("baseline", reward.name, reward.version, BASELINE_SCALE),
                    weights=reward.weights_sha256 or "none",
                    make=_baseline(reward),
                )
            )
    return found


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
    for maker in wanted:
        store = _Kind(folder, maker)
        missing = [crop for crop in crops if crop not in store.places]
        advance(len(crops) - len(missing))
        nothing = False
        for part in _parts(missing):
            tensors: list[tuple[Crop, dict[str, Tensor]]] = []
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


def makers_and_crops(config: TrainConfig) -> tuple[LRDataset, list[Crop], list[Maker]]:
    """Source, crops and makers of a training.

    Raises:
        ConfigError: the configuration names no dataset.
        DataError, UnknownBackbone, UnknownReward, RewardError: see there.
    """
    if config.dataset is None:
        raise ConfigError("precompute needs `dataset` in the configuration, a release on disk.")
    source = LRDataset(config.dataset, split=config.split, crop_px=config.lr_px)
    rewards = [load_reward(spec.name, **spec.options) for spec in config.rewards]
    backbone = load_backbone(config.backbone, **config.backbone_options)
    crops = crops_of_training(source, seed=config.seed, epochs=config.epochs, groups=config.groups)
    return source, crops, makers(rewards, backbone)


class Store:
    """Reads what `precompute` kept, for exactly these rewards and this backbone; see training.rollout.Precomputed."""

    def __init__(
        self, folder: Path, *, rewards: Sequence[Reward], backbone: Backbone | None
    ) -> None:
        """Looks at the keys; tensors are read when asked for. An empty or missing folder is an empty store."""
        self._kinds = {maker.kind: _Kind(folder, maker) for maker in makers(rewards, backbone)}
        self.found: dict[str, int] = dict.fromkeys(self._kinds, 0)
        """Kind -> crops that were asked for and there."""
        self.missed: dict[str, int] = dict.fromkeys(self._kinds, 0)
        """Kind -> crops that were asked for and not there."""

    def places(self) -> int:
        """How many crops there are, over all kinds."""
        return sum(len(kind.places) for kind in self._kinds.values())

    def conditioning(self, crops: Sequence[Crop]) -> Conditioning | None:
        """What `Backbone.encode` gave, batch first; None where a crop is missing."""
        return self._read("conditioning", crops)

    def shared(self, reward: str, crops: Sequence[Crop]) -> Shared | None:
        """What `Reward.prepare` of that name gave, batch first; None where a crop is missing."""
        return self._read(f"shared-{reward}", crops)

    def baseline(self, reward: str, crops: Sequence[Crop]) -> Tensor | None:
        """[B]: that reward of the enlarged LR themselves; None where a crop is missing."""
        found = self._read(f"baseline-{reward}", crops)
        return None if found is None else found["reward"]

    def _read(self, kind: str, crops: Sequence[Crop]) -> dict[str, Tensor] | None:
        store = self._kinds.get(kind)
        if store is None:
            return None
        if not crops or any(crop not in store.places for crop in crops):
            self.missed[kind] += len(crops)
            return None
        self.found[kind] += len(crops)
        rows = [store.read(crop) for crop in crops]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


class _Kind:
    """One folder of parts, and in it the rows of one maker."""

    def __init__(self, folder: Path, maker: Maker) -> None:
        self.maker = maker
        self.folder = folder / maker.kind.replace(":", "_").replace("/", "_")
        self.places: dict[Crop, tuple[Path, int]] = {}
        self._group = functools.lru_cache(maxsize=ROW_GROUPS_IN_MEMORY)(_rows_by_crop)
        for file in sorted(self.folder.glob("part-*.parquet")):
            self._index(file)

    def _index(self, file: Path) -> None:
        opened = pq.ParquetFile(file)
        for group in range(opened.num_row_groups):
            for row in opened.read_row_group(group, columns=_KEYS).to_pylist():
                ours = (self.maker.preprocessing, self.maker.weights)
                if (row.pop("preprocessing"), row.pop("weights")) == ours:
                    self.places[Crop(**row)] = (file, group)

    def read(self, crop: Crop) -> dict[str, Tensor]:
        """The tensors of a crop, one row each; the latest row groups stay in memory."""
        return {row["tensor"]: _tensor(row) for row in self._group(*self.places[crop])[crop]}

    def write(self, made: Sequence[tuple[Crop, dict[str, Tensor]]]) -> None:
        """A part: named after what is in it, put in place by a rename; crops in row groups of about a megabyte."""
        name = _hash(self.maker.preprocessing, self.maker.weights, *(crop for crop, _ in made))
        file = self.folder / f"part-{name[:24]}.parquet"
        with files.writing(file) as temporary, pq.ParquetWriter(temporary, SCHEMA) as writer:
            rows: list[dict[str, Any]] = []
            for crop, tensors in made:
                rows += [self._row(crop, key, tensor) for key, tensor in sorted(tensors.items())]
                if sum(len(row["data"]) for row in rows) >= ROW_GROUP_BYTES:
                    writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                    rows = []
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
        self._index(file)

    def _row(self, crop: Crop, name: str, tensor: Tensor) -> dict[str, Any]:
        kept = tensor.detach().cpu().contiguous()
        return {
            "sha1": crop.sha1,
            "left": crop.left,
            "top": crop.top,
            "width": crop.width,
            "height": crop.height,
            "preprocessing": self.maker.preprocessing,
            "weights": self.maker.weights,
            "tensor": name,
            "dtype": str(kept.dtype).removeprefix("torch."),
            "shape": list(kept.shape),
            "data": kept.reshape(-1).view(torch.uint8).numpy().tobytes(),
        }


def _rows_by_crop(file: Path, group: int) -> dict[Crop, list[dict[str, Any]]]:
    found: dict[Crop, list[dict[str, Any]]] = {}
    for row in pq.ParquetFile(file).read_row_group(group).to_pylist():
        found.setdefault(Crop(**{name: row[name] for name in _KEYS[:5]}), []).append(row)
    return found


def _tensor(row: dict[str, Any]) -> Tensor:
    dtype: torch.dtype = getattr(torch, row["dtype"])
    if not row["data"]:
        return torch.empty(row["shape"], dtype=dtype)
    return torch.frombuffer(bytearray(row["data"]), dtype=dtype).reshape(row["shape"])


def _baseline(reward: Reward) -> Callable[[Tensor], dict[str, Tensor]]:
    def make(lr: Tensor) -> dict[str, Tensor]:
        up = functional.interpolate(
            lr, scale_factor=float(BASELINE_SCALE), mode="bicubic", align_corners=False
        )
        return {"reward": reward.score(up.clamp(0, 1), lr, reward.prepare(lr))}

    return make


def _parts(crops: Sequence[Crop]) -> Iterator[Sequence[Crop]]:
    for start in range(0, len(crops), PART_CROPS):
        yield crops[start : start + PART_CROPS]


def _configured(backbone: Backbone) -> list[str]:
    return [backbone.configuration] if isinstance(backbone, Configured) else []


def _hash(*parts: object) -> str:
    told: Iterable[str] = (str(part) for part in (VERSION, *parts))
    return hashlib.sha256("\x1f".join(told).encode()).hexdigest()
