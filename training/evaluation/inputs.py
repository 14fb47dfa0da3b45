"""What methods and metrics are given: LR and HR of a benchmark under its protocol, as PNG, prepared once.

A file is written under a temporary name and renamed. An image that changed under the same name is written anew, and
because scores are kept by the SHA-256 of what was scored, so are its scores.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalog import files
from filters.measures import NotAnImage
from training.evaluation.benchmarks import CROP_PX, TARGET_PX, Benchmark, Item, Protocol
from training.image_names import image_stem
from training.pictures import Pixels, read_pixels


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image, ready."""

    name: str
    cluster: str
    lr: Path
    """PNG for methods; under `resize1024` the LR at its own size."""
    lr_sha256: str
    hr: Path | None
    """PNG of exactly the size that outputs must have."""
    hr_sha256: str | None
    size: tuple[int, int]
    """Width and height that an output must have."""
    source: str
    """Stem of the LR file in the benchmark's own folder, by which outputs may be named."""


def prepare(benchmark: Benchmark, out: Path) -> tuple[list[Case], list[str]]:
    """Cases, and a sentence for each image that does not decode."""
    folder = out / "inputs" / f"{benchmark.name}-{benchmark.protocol}"
    cases: list[Case] = []
    problems: list[str] = []
    for item in benchmark.items:
        try:
            cases.append(_case(item, benchmark, folder))
        except (NotAnImage, OSError) as error:
            problems.append(f"{item.name}: {error}")
    return cases, problems


def target_size(lr: tuple[int, int], protocol: Protocol, scale: int) -> tuple[int, int]:
    """(width, height) of outputs for an LR of (width, height) as it is given to methods."""
    if protocol == "resize1024":
        return TARGET_PX, TARGET_PX
    return scale * lr[0], scale * lr[1]


def _case(item: Item, benchmark: Benchmark, folder: Path) -> Case:
    scale, protocol = benchmark.spec.scale, benchmark.protocol
    lr = read_pixels(item.lr)
    top, left = ((side - CROP_PX) // 2 for side in lr.shape[:2])
    if protocol == "crop128":
        lr = lr[top : top + CROP_PX, left : left + CROP_PX]
    size = target_size((lr.shape[1], lr.shape[0]), protocol, scale)
    lr_path, lr_sha256 = _written(folder / "lr", item.name, lr)
    hr_path, hr_sha256 = None, None
    if item.hr is not None:
        hr = read_pixels(item.hr)
        if protocol == "crop128":
            # From the LR's corner, not the HR's own centre: where a side is odd the two differ by pixels.
            top, left, side = scale * top, scale * left, scale * CROP_PX
            hr = hr[top : top + side, left : left + side]
        elif protocol == "resize1024":
            hr = _resized(hr, size)
        hr_path, hr_sha256 = _written(folder / "hr", item.name, hr)
    return Case(
        name=item.name,
        cluster=item.cluster,
        lr=lr_path,
        lr_sha256=lr_sha256,
        hr=hr_path,
        hr_sha256=hr_sha256,
        size=size,
        source=image_stem(item.lr),
    )


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Pillow's bicubic, as the official scripts resize their LR."""
    from PIL import Image

    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _written(folder: Path, name: str, pixels: Pixels) -> tuple[Path, str]:
    content = png_bytes(pixels)
    path = folder / f"{name}.png"
    if not path.is_file() or path.read_bytes() != content:
        files.put(path, content)
    return path, hashlib.sha256(content).hexdigest()


def png_bytes(pixels: Pixels) -> bytes:
    """uint8 RGB [H,W,3] as PNG; the same pixels give the same bytes under one version of Pillow."""
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()
