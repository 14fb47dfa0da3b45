"""LR crops from the exported dataset: which photograph, which part of it, and its pixels.

Reads data/<family>/<split>-*.parquet of a release, never the catalog. Everything random is a pure function: a crop of
(seed, SHA-1, epoch), the photographs of a batch of rollout groups of (seed, epoch, batch index). So a resumed run, a
prefetching one and one on more processes see the same crops, and what depends on a crop alone can be precomputed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.errors import Expected

CACHE_BYTES = 256_000_000
"""Decoded photographs that are kept, together."""
_COLUMNS = ["sha1", "width", "height"]


class DataError(Expected, ValueError):
    """The dataset cannot be trained on as it is; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A part of one photograph, in its pixels after EXIF orientation."""

    sha1: str
    left: int
    top: int
    width: int
    height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """left, top, right, bottom, as Pillow counts them."""
        return (self.left, self.top, self.left + self.width, self.top + self.height)


class LRSource(Protocol):
    """Where training gets its LR from."""

    @property
    def keys(self) -> Sequence[str]:
        """One per photograph, sorted: the SHA-1."""
        ...

    def crop(self, key: str, *, seed: int, epoch: int) -> Crop:
        """Which part of it is seen in that pass over the data: a pure function."""
        ...

    def read(self, crop: Crop) -> Tensor:
        """[3,h,w] float32 RGB in [0,1]."""
        ...


def derived_seed(*parts: int | str) -> int:
    """A 63-bit seed for one purpose: a keyed hash of what it is for, so that no two streams overlap."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def crop_box(
    sha1: str, size: tuple[int, int], crop_px: int, *, seed: int, epoch: int
) -> tuple[int, int]:
    """Left and top of a square of `crop_px` within (width, height), every position equally likely."""
    number = derived_seed("crop", seed, sha1, epoch)
    across, down = size[0] - crop_px + 1, size[1] - crop_px + 1
    if across < 1 or down < 1:
        raise DataError(f"{sha1} ({size[0]} x {size[1]} px) holds no crop of {crop_px} px.")
    return number % across, number // across % down


def group_schedule(
    photographs: int, *, seed: int, epoch: int, batch: int = 0, groups: int, batches: int = 1
) -> list[tuple[int, int]]:
    """The LR of `groups` rollout groups: (pass over the data, index of the photograph) each.

    A pure function of seed, epoch and batch index (`batches` of them make an epoch): no loader keeps a position that
    prefetching, a resumed run or another number of processes could put out of step. Every pass has its own order and
    meets every photograph once; a batch may reach from one pass into the next.
    """
    if photographs < 1:
        raise DataError("there is no photograph to make groups of.")
    first = (epoch * batches + batch) * groups
    orders: dict[int, NDArray[np.int64]] = {}
    places: list[tuple[int, int]] = []
    for number in range(first, first + groups):
        lap, place = divmod(number, photographs)
        if lap not in orders:
            chance = np.random.default_rng(derived_seed("order", seed, lap))
            orders[lap] = chance.permutation(photographs)
        places.append((lap, int(orders[lap][place])))
    return places


class LRDataset:
    """The photographs of one split of a release that are large enough for a crop."""

    def __init__(self, folder: Path, *, split: str, crop_px: int) -> None:
        """Reads the index (SHA-1, width, height) of all shards; pixels come later.

        Raises:
            DataError: no such release or split, or no photograph in it is large enough.
        """
        files = sorted((folder / "data").glob(f"*/{split}-*.parquet"))
        if not files:
            raise DataError(
                f"{folder} holds no split {split!r} (data/<family>/{split}-*.parquet); "
                "`lucidlr demo` and `lucidlr build` make a dataset."
            )
        self.crop_px = crop_px
        self.too_small = 0
        self._place: dict[str, tuple[Path, int, int]] = {}
        self._size: dict[str, tuple[int, int]] = {}
        for file in files:
            self._index(file)
        if not self._place:
            raise DataError(
                f"None of the {self.too_small} photographs of {split!r} in {folder} is as large as {crop_px} x "
                f"{crop_px} px; ask for smaller crops."
            )
        self.keys: list[str] = sorted(self._place)
        self._pixels: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()
        self._cached_bytes = 0

    def _index(self, file: Path) -> None:
        shard = pq.ParquetFile(file)
        missing = set(_COLUMNS) - set(shard.schema_arrow.names)
        if missing:
            raise DataError(f"{file} has no column {', '.join(sorted(missing))}; is it a release?")
        for group in range(shard.num_row_groups):
            rows = shard.read_row_group(group, columns=_COLUMNS).to_pylist()
            for number, row in enumerate(rows):
                if min(row["width"], row["height"]) < self.crop_px:
                    self.too_small += 1
                    continue
                self._place[row["sha1"]] = (file, group, number)
                self._size[row["sha1"]] = (row["width"], row["height"])

    def crop(self, key: str, *, seed: int, epoch: int) -> Crop:
        """See `crop_box`."""
        left, top = crop_box(key, self._size[key], self.crop_px, seed=seed, epoch=epoch)
        return Crop(sha1=key, left=left, top=top, width=self.crop_px, height=self.crop_px)

    def read(self, crop: Crop) -> Tensor:
        """[3,h,w] float32 RGB in [0,1], EXIF orientation applied.

        Raises:
            DataError: the bytes do not decode, or the photograph is not as large as its row says.
        """
        pixels = self._decoded(crop.sha1)
        left, top, right, bottom = crop.box
        if right > pixels.shape[1] or bottom > pixels.shape[0]:
            raise DataError(
                f"{crop.sha1} is {pixels.shape[1]} x {pixels.shape[0]} px, its row says otherwise; build the dataset "
                "again, or leave the photograph out."
            )
        part = np.ascontiguousarray(pixels[top:bottom, left:right].transpose(2, 0, 1))
        return torch.from_numpy(part).float() / 255

    def stream(
        self, *, seed: int, epoch: int, buffer_rows: int = 256, part: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """(SHA-1, uint8 [H,W,3]) of every photograph once, shuffled: row groups in random order, each read once, and a
        buffer from which the next one is drawn. A pure function of its arguments.

        Args:
            buffer_rows: photographs, still encoded, that wait; 1: row groups are shuffled, rows are not.
            part: (number, of how many) readers that share the row groups between them.

        Raises:
            DataError: the bytes of a photograph do not decode.
        """
        chance = np.random.default_rng(derived_seed("stream", seed, epoch))
        groups = sorted({place[:2] for place in self._place.values()})
        order = chance.permutation(len(groups))[part[0] :: part[1]]
        # What is drawn differs between readers, too.
        chance = np.random.default_rng(derived_seed("stream", seed, epoch, part[0]))
        waiting: list[tuple[str, Path, bytes]] = []
        opened: OrderedDict[Path, pq.ParquetFile] = OrderedDict()
        try:
            for number in order.tolist():
                file, group = groups[number]
                for sha1, content in _images(_opened(opened, file), group):
                    if self._place.get(sha1, ())[:2] != (file, group):
                        continue
                    waiting.append((sha1, file, content))
                    if len(waiting) >= buffer_rows:
                        yield self._drawn(waiting, chance)
            while waiting:
                yield self._drawn(waiting, chance)
        finally:
            for shard in opened.values():
                shard.close()

    @staticmethod
    def _drawn(
        waiting: list[tuple[str, Path, bytes]], chance: np.random.Generator
    ) -> tuple[str, NDArray[np.uint8]]:
        """Takes one out of the buffer and decodes it."""
        at = int(chance.integers(len(waiting)))
        waiting[at], waiting[-1] = waiting[-1], waiting[at]
        sha1, file, content = waiting.pop()
        return sha1, _pixels(sha1, file, content)

    def _decoded(self, sha1: str) -> NDArray[np.uint8]:
        if sha1 in self._pixels:
            self._pixels.move_to_end(sha1)
            return self._pixels[sha1]
        file, group, number = self._place[sha1]
        column = pq.ParquetFile(file).read_row_group(group, columns=["image"]).column("image")
        row = pa.table({"image": column}).slice(number, 1).to_pylist()[0]
        pixels = _pixels(sha1, file, row["image"]["bytes"])
        self._pixels[sha1] = pixels
        self._cached_bytes += pixels.nbytes
        while self._cached_bytes > CACHE_BYTES and len(self._pixels) > 1:
            self._cached_bytes -= self._pixels.popitem(last=False)[1].nbytes
        return pixels


KEPT_OPEN = 16
"""Shards, while a stream goes back and forth between them."""


def _opened(opened: OrderedDict[Path, pq.ParquetFile], file: Path) -> pq.ParquetFile:
    if file not in opened:
        opened[file] = pq.ParquetFile(file, memory_map=True)
        if len(opened) > KEPT_OPEN:
            opened.popitem(last=False)[1].close()
    opened.move_to_end(file)
    return opened[file]


def _images(shard: pq.ParquetFile, group: int) -> Iterator[tuple[str, bytes]]:
    """(SHA-1, bytes) of one row group."""
    table = shard.read_row_group(group, columns=["sha1", "image.bytes"], use_threads=False)
    contents = table.column("image").combine_chunks().field("bytes")
    for sha1, content in zip(table.column("sha1").to_pylist(), contents, strict=True):
        yield sha1, content.as_py()


def _pixels(sha1: str, file: Path, content: bytes) -> NDArray[np.uint8]:
    from filters.picture import NotAnImage, open_picture

    try:
        with open_picture(content) as picture:
            return picture.rgb
    except NotAnImage as error:
        raise DataError(f"{sha1} in {file} does not decode: {error}") from error


class LRTensors:
    """LR that are in memory already: [N,3,h,w] float32 RGB in [0,1]; each is its own only crop."""

    def __init__(self, images: Tensor) -> None:
        """Keys are SHA-1s of the pixels.

        Raises:
            DataError: not [N,3,h,w], or none.
        """
        if images.ndim != 4 or images.shape[1] != 3 or not len(images):
            raise DataError(f"LR are [N,3,h,w], not {list(images.shape)}.")
        by_key = {
            hashlib.sha1(image.cpu().numpy().tobytes()).hexdigest(): image for image in images
        }
        self._images = dict(sorted(by_key.items()))
        self.keys: list[str] = list(self._images)

    def crop(self, key: str, *, seed: int, epoch: int) -> Crop:
        """All of it."""
        del seed, epoch
        height, width = self._images[key].shape[1:]
        return Crop(sha1=key, left=0, top=0, width=width, height=height)

    def read(self, crop: Crop) -> Tensor:
        """The pixels."""
        return self._images[crop.sha1]


def to_bytes(image: Tensor) -> Tensor:
    """[3,H,W] in [0,1] to uint8 [H,W,3]: 255 x + 0.5, cut off."""
    return (255 * image.float() + 0.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu()
