"""The store on disk: Parquet parts of one row per crop and tensor, and how they are read back."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from catalog import files
from training.backbones import Backbone, Conditioning
from training.data import Crop
from training.precompute.makers import Maker, key_hash, makers
from training.rewards import Reward, Shared

ROW_GROUP_BYTES = 1_000_000
ROW_GROUPS_IN_MEMORY = 16
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


class Store:
    """Reads what `precompute` kept, for exactly these rewards and this backbone; see training.rollout.Precomputed."""

    def __init__(
        self, folder: Path, *, rewards: Sequence[Reward], backbone: Backbone | None
    ) -> None:
        """Looks at the keys; tensors are read when asked for. An empty or missing folder is an empty store."""
        self._kinds = {maker.kind: Kind(folder, maker) for maker in makers(rewards, backbone)}
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


class Kind:
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
        name = key_hash(self.maker.preprocessing, self.maker.weights, *(crop for crop, _ in made))
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
