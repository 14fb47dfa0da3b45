"""May a perceptual reward be used at all? It must rank photographs above restorations, and these above noise.

    python -m training.experiment.validity --photos .photos --reward photo_critic --reward coherent_edges   (a minute)

For patches of held-out photographs, each row of the table is the share of patches on which one version scores higher
than another, with a bootstrap interval over photographs. Half is chance. `usable` asks that the lower end be above one
half for photograph > restoration, restoration > the same with noise, and photograph > the same with noise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from catalog import files
from filters.degradation.synthesis import gaussian_blur
from training.backbones import load_backbone
from training.backbones.tiny import upsample
from training.photographs import make_pairs, photographs
from training.rewards import load_reward
from training.statistics import Interval, interval
from training.train_critic import restore, with_noise

ORDERS = (
    ("HR", "SR"),
    ("SR", "SR + noise"),
    ("HR", "HR + noise"),
    ("SR", "noise"),
    ("HR", "HR blurred"),
    ("HR", "bicubic"),
)
"""Better, worse. The first three decide."""
DECISIVE = 3


@dataclass(frozen=True, kw_only=True)
class Validity:
    """How one scorer ranks."""

    reward: str
    shares: dict[tuple[str, str], Interval]

    @property
    def usable(self) -> bool:
        """All decisive orders hold on more than half of the patches, surely."""
        return all(self.shares[order].low > 0.5 for order in ORDERS[:DECISIVE])


Scorer = Callable[[Tensor, Tensor], Tensor]
"""(image [B,3,H,W], LR) -> [B]."""


def versions_of_held_out(
    *, backbone: Path | None, photos: Path | None, count: int = 384, steps: int = 6, seed: int = 7
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Versions by name, their LR, and the photograph [count] each patch is of; nothing of it was trained on."""
    held_out = [p for p in photographs(photos) if p.held_out]
    pairs = make_pairs(held_out, count=count, seed=seed, per_view=4)
    lr, hr = pairs.floats()
    sr = restore(load_backbone("tiny", weights=backbone), lr, steps=steps, seed=seed)
    rng = np.random.default_rng(seed)
    sigma = np.full(count, 0.05)
    blurred = [gaussian_blur(h.permute(1, 2, 0).numpy(), 1.2) for h in pairs.hr]
    found = {
        "HR": hr,
        "SR": sr,
        "SR + noise": with_noise(sr, sigma, rng),
        "HR + noise": with_noise(hr, sigma, rng),
        "noise": torch.from_numpy(rng.random(hr.shape, dtype=np.float32)),
        "HR blurred": torch.from_numpy(np.stack(blurred)).permute(0, 3, 1, 2).float() / 255,
        "bicubic": upsample(lr),
    }
    return found, lr, pairs.photo


def validity(
    name: str, score: Scorer, versions: dict[str, Tensor], lr: Tensor, photo: Tensor
) -> Validity:
    """The shares for one scorer; ties count half."""
    scores = {version: score(images, lr) for version, images in versions.items()}
    shares: dict[tuple[str, str], Interval] = {}
    for better, worse in ORDERS:
        gap = scores[better] - scores[worse]
        right = (gap > 0).double() + 0.5 * (gap == 0).double()
        shares[better, worse] = interval(right.numpy(), clusters=photo.numpy())
    return Validity(reward=name, shares=shares)


def table(found: Sequence[Validity]) -> str:
    """Markdown, a row per scorer."""
    head = "| reward | " + " | ".join(f"{b} > {w}" for b, w in ORDERS) + " | usable |"
    lines = [head, "|---" * (len(ORDERS) + 2) + "|"]
    for one in found:
        cells = [f"{i.mean:.2f} [{i.low:.2f}, {i.high:.2f}]" for i in one.shares.values()]
        lines.append(f"| {one.reward} | {' | '.join(cells)} | {'yes' if one.usable else 'no'} |")
    return "\n".join(lines)


def scorer_of(name: str, **options: Any) -> Scorer:
    """A reward as a Scorer."""
    reward = load_reward(name, **options)
    return lambda image, lr: reward.score(image, lr, reward.prepare(lr))


def main(arguments: list[str] | None = None) -> str:
    """The command line; see the module. Options of a reward follow its name: `coherent_edges:weight=0.5`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--backbone", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--reward", action="append", required=True)
    parser.add_argument("--out", type=Path, default=Path("out/reward_validity.md"))
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    versions, lr, photo = versions_of_held_out(backbone=given.backbone, photos=given.photos)
    found: list[Validity] = []
    for text in given.reward:
        name, *options = text.split(":") if not text.startswith("metric:") else [text]
        pairs = dict(option.split("=", 1) for option in options)
        numbers = {k: float(v) if k == "weight" else v for k, v in pairs.items()}
        found.append(validity(text, scorer_of(name, **numbers), versions, lr, photo))
    files.put(given.out, table(found) + "\n")
    return table(found)


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
