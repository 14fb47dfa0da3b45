"""What a head is trained and judged on: contents, each with a pool of degradations and with replaced regions.

A content is a cut of a sharp photograph. Its pool are several second-order degradations (second_order.py):
whatever was done to them, they show the same. Beside it stand copies in which a region shows something else, sharp and
degraded. The encoder is frozen, so everything is embedded once and kept in a file; a head then trains in seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from catalog import files
from filters.degradation.second_order import second_order
from filters.degradation.synthesis import Photo, downscale
from training.consistency import Encoder, encoder_fingerprint
from training.consistency.replaced import WAYS, replace_region
from training.photographs import Photograph, fingerprint

VERSION = "1"
LEAST_PX = 192
SCALES = (2.0, 3.0, 4.0)


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """How many of what; a pool is a pure function of it, of the photographs and of the encoder."""

    contents: int = 12
    """Cuts of each photograph that trains."""
    held_out_contents: int = 4
    """Cuts of each held-out photograph."""
    degradations: int = 4
    """In each pool."""
    share: tuple[float, float] = (0.05, 0.2)
    """Of the area that is replaced."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Pools:
    """Embeddings of N contents, P degradations each, and one replaced copy per way (W of them)."""

    hr: Tensor
    """[N,D]"""
    lr: Tensor
    """[N,P,D]: degradations of the content."""
    replaced_hr: Tensor
    """[N,W,D]: the content with a region replaced."""
    replaced_lr: Tensor
    """[N,W,D]: the same, degraded."""
    share: Tensor
    """[N,W]: of the area, that was replaced."""
    photo: Tensor
    """[N] int64: index into the photographs."""
    held_out: Tensor
    """[N] bool"""

    def rows(self, chosen: Tensor) -> Pools:
        """Those contents alone, by mask or index."""
        return Pools(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


def cached_pools(
    photos: Sequence[Photograph],
    encoder: Encoder,
    config: PoolConfig,
    *,
    kept: Path,
    advance: Callable[[int], None] = lambda _: None,
) -> Pools:
    """The pools from the file `kept` if they were made of the same; otherwise made and kept there."""
    stamp = _stamp(photos, encoder, config)
    try:
        with safe_open(kept, "pt") as opened:
            if (opened.metadata() or {}).get("stamp") == stamp:
                return Pools(**{f.name: opened.get_tensor(f.name) for f in fields(Pools)})
    except (FileNotFoundError, SafetensorError):
        pass  # not there, or cut: made anew
    pools = make_pools(photos, encoder, config, advance=advance)
    tensors = {f.name: getattr(pools, f.name).contiguous() for f in fields(Pools)}
    with files.writing(kept) as temporary:
        save_file(tensors, temporary, {"stamp": stamp})
    return pools


def count_images(photos: Sequence[Photograph], config: PoolConfig) -> int:
    """How many images `make_pools` embeds."""
    held = sum(photo.held_out for photo in photos)
    contents = held * config.held_out_contents + (len(photos) - held) * config.contents
    return contents * (1 + config.degradations + 2 * len(WAYS))


def make_pools(
    photos: Sequence[Photograph],
    encoder: Encoder,
    config: PoolConfig,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> Pools:
    """Cuts, degrades, replaces and embeds.

    Regions come only from photographs of the same side (training or held out), so that nothing leaks across.
    """
    found: dict[str, list[Tensor]] = {f.name: [] for f in fields(Pools)}
    sides = {held: [p.pixels for p in photos if p.held_out == held] for held in (True, False)}
    for index, photo in enumerate(photos):
        count = config.held_out_contents if photo.held_out else config.contents
        for k in range(count):
            rng = np.random.default_rng((config.seed, index, k))
            images, shares = _content(photo, sides[photo.held_out], config, rng)
            z = encoder.embed([_tensor(image) for image in images])
            p, w = config.degradations, len(WAYS)
            found["hr"].append(z[0])
            found["lr"].append(z[1 : 1 + p])
            found["replaced_hr"].append(z[1 + p : 1 + p + w])
            found["replaced_lr"].append(z[1 + p + w :])
            found["share"].append(torch.tensor(shares))
            found["photo"].append(torch.tensor(index))
            found["held_out"].append(torch.tensor(photo.held_out))
            advance(len(images))
    return Pools(**{name: torch.stack(rows) for name, rows in found.items()})


def _content(
    photo: Photograph, others: Sequence[Photo], config: PoolConfig, rng: np.random.Generator
) -> tuple[list[Photo], list[float]]:
    """HR, P degradations, W replaced, W replaced and degraded; and the shares replaced."""
    short = min(photo.pixels.shape[:2])
    side = int(rng.integers(min(LEAST_PX, short), short + 1))
    top = int(rng.integers(0, photo.pixels.shape[0] - side + 1))
    left = int(rng.integers(0, photo.pixels.shape[1] - side + 1))
    hr = np.ascontiguousarray(photo.pixels[top : top + side, left : left + side])
    if rng.random() < 0.5:
        hr = np.ascontiguousarray(hr[:, ::-1])
    pool = [_degraded(hr, rng) for _ in range(config.degradations)]
    replaced: list[Photo] = []
    shares: list[float] = []
    for way in WAYS:
        other = _another(photo, others, rng)
        made = replace_region(hr, other, way=way, seed=_seed(rng), share=config.share)
        replaced.append(made.pixels)
        shares.append(made.share)
    return [hr, *pool, *replaced, *(_degraded(image, rng) for image in replaced)], shares


def _another(photo: Photograph, others: Sequence[Photo], rng: np.random.Generator) -> Photo:
    """Another photograph at about the size of this one's cut, never the same."""
    usable = [pixels for pixels in others if pixels is not photo.pixels] or list(others)
    chosen = usable[int(rng.integers(0, len(usable)))]
    return downscale(chosen, float(rng.uniform(1.0, 1.5)))


def _degraded(image: Photo, rng: np.random.Generator) -> Photo:
    scale = SCALES[int(rng.integers(0, len(SCALES)))]
    return second_order(image, scale=scale, seed=_seed(rng))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**31))


def _tensor(image: Photo) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255


def _stamp(photos: Sequence[Photograph], encoder: Encoder, config: PoolConfig) -> str:
    told = {
        "version": VERSION,
        "photographs": fingerprint(photos),
        "encoder": encoder_fingerprint(encoder),
        "config": asdict(config),
        "ways": WAYS,
        "scales": SCALES,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
