"""How much a store will take, and how several processes fill one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from catalog.errors import Expected
from training.data import Crop, LRSource
from training.precompute import Made, makers_and_crops, parts_of, precompute
from training.precompute.makers import Maker
from training.precompute.store import Kind
from training.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a store will take, from one crop of each kind."""

    kind: str
    crops: int
    """That are missing."""
    bytes_each: int

    @property
    def bytes(self) -> int:
        """Of all of them."""
        return self.crops * self.bytes_each


class StoreTooLarge(Expected, RuntimeError):
    """What would be written is over the limit; the message has the sizes and the ways out."""


def estimate(
    folder: Path,
    source: LRSource,
    crops: Sequence[Crop],
    wanted: Sequence[Maker],
    *,
    device: str = "cpu",
) -> list[Estimate]:
    """Makes one crop of each kind, without keeping it, and counts what is missing."""
    found: list[Estimate] = []
    for maker in wanted:
        places = Kind(folder, maker).places
        missing = [crop for crop in crops if crop not in places]
        size = 0
        if missing:
            with torch.no_grad():
                made = maker.make(source.read(missing[0])[None].to(device))
            size = sum(value.numel() * value.element_size() for value in made.values())
        found.append(Estimate(kind=maker.kind, crops=len(missing), bytes_each=size))
    return found


def check_size(estimates: Sequence[Estimate], *, most_gb: float) -> None:
    """Refuses what would write more than `most_gb`.

    Raises:
        StoreTooLarge: see above.
    """
    total = sum(one.bytes for one in estimates)
    if total > most_gb * 1e9:
        told = "; ".join(
            f"{one.kind} {one.bytes / 2**30:.1f} GiB ({one.crops:,} crops)"
            for one in estimates
            if one.bytes
        )
        raise StoreTooLarge(
            f"{total / 2**30:.1f} GiB would be written: {told}. Choose kinds with --kind (shared and baselines are "
            "small; training works conditioning out by itself), or allow it with "
            f"--most-gb {total / 1e9 + 1:.0f}."
        )


def precompute_over(
    processes: int,
    config: TrainConfig,
    folder: Path,
    *,
    kinds: Sequence[str] = (),
    device: str = "cpu",
) -> list[Made]:
    """The same by several processes, each with its own scorers and every n-th part of the crops.

    Parts are named after what is in them, so processes do not meet. On a GPU they take the devices in turns.

    Raises:
        as makers_and_crops and precompute.
    """
    context = multiprocessing.get_context("spawn")
    jobs = [
        (config, folder, tuple(kinds), device, number, processes) for number in range(processes)
    ]
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        reports = list(pool.map(_one_share, jobs))
    return [
        Made(
            kind=same[0].kind,
            there=sum(one.there for one in same),
            made=sum(one.made for one in same),
            nothing=all(one.nothing for one in same),
        )
        for same in zip(*reports, strict=True)
    ]


def _one_share(job: tuple[TrainConfig, Path, tuple[str, ...], str, int, int]) -> list[Made]:
    config, folder, kinds, device, number, processes = job
    if device.startswith("cuda"):
        torch.cuda.set_device(number % torch.cuda.device_count())
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    source, crops, wanted = makers_and_crops(config, kinds=kinds)
    parts = list(parts_of(crops))[number::processes]
    return precompute(
        folder, source, [crop for part in parts for crop in part], wanted, device=device
    )
