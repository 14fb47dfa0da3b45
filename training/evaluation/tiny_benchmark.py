"""A benchmark in the box: crops of photographs that installed packages ship, degraded by known amounts.

For tests, the demo and a first try, with no download. Only photographs that pretraining holds out are used, so that the
tiny backbone has not seen them. Sixteen crops of three photographs are three independent images, not sixteen: the crops
of a photograph share a cluster, and no difference is called resolved on three.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from catalog import files
from training.evaluation.benchmarks import TINY, Benchmark, BenchmarkSpec, Item, Layout
from training.evaluation.inputs import png_bytes
from training.photographs import PACKAGED_HELD_OUT, degrade, photographs

VERSION = "1"
HR_PX, SCALE = 128, 4
CROPS = 4
"""Per photograph, in a grid of 2 x 2."""
SPEC = BenchmarkSpec(
    name=TINY,
    paired=True,
    images=CROPS * len(PACKAGED_HELD_OUT),
    scale=SCALE,
    layouts=(Layout(lr=("lr/*",), hr=("hr/*",)),),
    where="this package makes it",
    usage="Tests",
    type="Synthetic",
)


def tiny_benchmark(out: Path, *, crops: int = CROPS, hr_px: int = HR_PX) -> Benchmark:
    """Writes lr/ and hr/ below `out`, where they are not there yet, and returns the benchmark.

    Crops are the liveliest of a grid: those with the largest standard deviation.
    """
    items: list[Item] = []
    for photo in photographs():
        if photo.name not in PACKAGED_HELD_OUT:
            continue
        for index, sharp in enumerate(_crops(photo.pixels, hr_px)[:crops]):
            name = f"{photo.name}_{index}"
            seed = int.from_bytes(hashlib.sha256(f"{VERSION} {name}".encode()).digest()[:4], "big")
            low = degrade(sharp, np.random.default_rng(seed))
            for side, pixels in (("lr", low), ("hr", sharp)):
                path, content = out / side / f"{name}.png", png_bytes(pixels)
                if not path.is_file() or path.read_bytes() != content:
                    files.put(path, content)
            lr, hr = out / "lr" / f"{name}.png", out / "hr" / f"{name}.png"
            items.append(Item(name=name, lr=lr, hr=hr, cluster=photo.name))
    return Benchmark(spec=SPEC, folder=out, protocol="full", items=tuple(items))


def _crops(pixels: np.ndarray, side: int) -> list[np.ndarray]:
    """Disjoint squares, the ones with the most contrast first."""
    height, width = pixels.shape[:2]
    found = [
        np.ascontiguousarray(pixels[top : top + side, left : left + side])
        for top in range(0, height - side + 1, side)
        for left in range(0, width - side + 1, side)
    ]
    return sorted(found, key=lambda crop: -float(crop.std()))
