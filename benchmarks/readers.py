"""How fast a release is read, shuffled and decoded: python -m benchmarks readers FOLDER [ROUNDS]

FOLDER is a release, or pictures of which one is made. Its rows are read by LRDataset.stream, by `datasets` (Parquet, a
random order with decoding, and its streaming with a buffer) and by webdataset (shards of the same bytes, a buffer,
decoding to RGB), one after the other in each round, one process each time, with buffers of 256. webdataset is no
dependency of ours: `pip install --target FOLDER webdataset braceexpand`, and put that folder on PYTHONPATH.
"""

from __future__ import annotations

import importlib
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

BUFFER = 256
ROWS = 1000


def main(folder: str, rounds: str = "3") -> None:
    """Prints images per second, the median of the rounds."""
    import datasets

    from catalog.release.formats import write_format
    from training.data import LRDataset

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:
        release = Path(folder)
        if not (release / "data").is_dir():
            release = _made(release, Path(scratch) / "release")
        shards = sorted(map(str, release.glob("data/*/train-*.parquet")))
        readers: dict[str, Callable[[], Iterator[Any]]] = {}
        data = LRDataset(release, split="train", crop_px=16)
        readers["LRDataset.stream"] = lambda: (
            pixels for _, pixels in data.stream(seed=0, epoch=0, buffer_rows=BUFFER)
        )
        # Its decoder, as a person would write it: an array.
        told = datasets.load_dataset(
            "parquet", data_files=shards, split="train", cache_dir=f"{scratch}/cache"
        ).select_columns(["image"])
        told = told.cast_column("image", datasets.Image())
        mixed: Any = told.shuffle(seed=0)
        readers["datasets, random access"] = lambda: (
            np.asarray(row["image"].convert("RGB")) for row in mixed
        )
        streamed = datasets.load_dataset(
            "parquet", data_files=shards, split="train", streaming=True
        ).select_columns(["image"])
        streamed = streamed.cast_column("image", datasets.Image())
        readers["datasets, streaming"] = lambda: (
            np.asarray(row["image"].convert("RGB"))
            for row in streamed.shuffle(seed=0, buffer_size=BUFFER)
        )
        try:
            wds: Any = importlib.import_module("webdataset")
        except ImportError:
            print("webdataset is not installed: not compared")
        else:
            write_tars(release, Path(scratch) / "tars", write_format)
            tars = sorted(map(str, (Path(scratch) / "tars").glob("train-*.tar")))

            def web() -> Iterator[Any]:
                source = wds.WebDataset(tars, shardshuffle=len(tars), seed=0).shuffle(BUFFER)
                for sample in source.decode("rgb8"):
                    yield next(v for k, v in sample.items() if k in ("jpg", "png", "webp"))

            readers["webdataset"] = web
        rates: dict[str, list[float]] = {name: [] for name in readers}
        counts: dict[str, int] = {}
        for _ in range(int(rounds)):
            for name, read in readers.items():
                started = time.perf_counter()
                counts[name] = sum(pixels.shape[2] == 3 for pixels in read())
                rates[name].append(counts[name] / (time.perf_counter() - started))
        print(f"{'reader':<26} {'images':>7} {'a second':>9}  rounds")
        for name, found in rates.items():
            each = " ".join(f"{rate:.0f}" for rate in found)
            print(f"{name:<26} {counts[name]:>7} {median(found):>9.0f}  {each}")
        if "webdataset" in rates:
            share = median(rates["LRDataset.stream"]) / median(rates["webdataset"])
            print(f"LRDataset.stream / webdataset: {share:.2f}")


def write_tars(release: Path, to: Path, write_format: Callable[..., int]) -> None:
    """The same bytes as WebDataset shards."""
    if (release / "manifest.json").is_file():
        write_format(release, to, "webdataset", shard_bytes=50_000_000)
        return
    import tarfile

    to.mkdir()
    for number, shard in enumerate(sorted(release.glob("data/*/train-*.parquet"))):
        with tarfile.open(to / f"train-{number:06d}.tar", "w") as tar:
            for row in pq.read_table(shard, columns=["sha1", "image"]).to_pylist():
                about = tarfile.TarInfo(f"{row['sha1']}.jpg")
                about.size = len(row["image"]["bytes"])
                tar.addfile(about, io.BytesIO(row["image"]["bytes"]))


def _made(pictures: Path, to: Path) -> Path:
    """1,000 JPEGs of 512 px cut from the pictures of a folder, in row groups of 50, as releases have them."""
    from catalog.image_names import is_image

    (to / "data" / "cc_by").mkdir(parents=True)
    rng = np.random.default_rng(0)
    files = [f for f in sorted(pictures.rglob("*")) if is_image(f)]
    found = []
    for file in files:
        try:
            with Image.open(file) as image:
                if min(image.size) >= 512:
                    found.append(np.asarray(image.convert("RGB")))
        except OSError:
            continue
        if len(found) == 60:
            break
    rows = []
    for number in range(ROWS):
        photo = found[number % len(found)]
        top, left = (int(rng.integers(side - 511)) for side in photo.shape[:2])
        sink = io.BytesIO()
        Image.fromarray(photo[top : top + 512, left : left + 512]).save(sink, "JPEG", quality=90)
        content = sink.getvalue()
        image = {"bytes": content, "path": f"{number}.jpg"}
        rows.append({"sha1": f"{number:040x}", "width": 512, "height": 512, "image": image})
    for part in range(4):
        table = pa.Table.from_pylist(rows[part * 250 : part * 250 + 250])
        place = to / "data" / "cc_by" / f"train-{part:05d}-of-00004.parquet"
        pq.write_table(table, place, row_group_size=50, compression="none")
    return to


if __name__ == "__main__":
    main(*sys.argv[1:])
