"""What precomputing saves in LucidConsistency's reward time, beside embedding the LR per rollout and per group.

Counted in embeddings of the encoder: per rollout 2 K, per group K + 1, precomputed K. So precomputing should save half
against the first and 1 / (K + 1) against the second; the rest of a score (head, cosine, Parquet) is small beside it.
CPU time of one thread, EfficientNet-Lite0 at 128 px, interleaved, best of three.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from skimage import data
from torch import Tensor
from torch.nn import functional

from training.data import LRTensors
from training.precompute import Store, makers, precompute
from training.rewards import load_reward

GROUPS = 6


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    reward = load_reward("lucid_consistency", size_px=128)
    photo = torch.from_numpy(data.coffee().copy()).permute(2, 0, 1).float() / 255
    lrs = LRTensors(
        torch.stack([photo[:, 20 * i : 20 * i + 64, 60 * i :][:, :, :64] for i in range(GROUPS)])
    )
    crops = [lrs.crop(key, seed=0, epoch=0) for key in lrs.keys]
    lr = torch.stack([lrs.read(crop) for crop in crops])
    print(f"{'K':>3}{'way':<16}{'ms a rollout':>14}{'saved by precomputing':>24}{'expected':>10}")
    with tempfile.TemporaryDirectory() as folder:
        precompute(Path(folder), lrs, crops, makers([reward], None, baselines=False))
        store = Store(Path(folder), rewards=[reward], backbone=None)
        for group_size in (4, 12):
            sr = functional.interpolate(lr, scale_factor=4.0, mode="bicubic").clamp(0, 1)
            many = sr.repeat_interleave(group_size, 0)
            rows = torch.arange(GROUPS).repeat_interleave(group_size)

            def per_rollout(sr: Tensor = many, rows: Tensor = rows) -> Tensor:
                return reward.score(sr, lr[rows], {})

            def per_group(sr: Tensor = many, rows: Tensor = rows) -> Tensor:
                shared = {name: x[rows] for name, x in reward.prepare(lr).items()}
                return reward.score(sr, lr[rows], shared)

            def precomputed(sr: Tensor = many, rows: Tensor = rows) -> Tensor:
                kept = store.shared("lucid_consistency", crops)
                assert kept is not None
                return reward.score(sr, lr[rows], {name: x[rows] for name, x in kept.items()})

            ways = {"per rollout": per_rollout, "per group": per_group, "precomputed": precomputed}
            assert torch.equal(per_rollout(), precomputed()) and torch.equal(
                per_group(), precomputed()
            )
            best = dict.fromkeys(ways, float("inf"))
            for _ in range(3):
                for name, work in ways.items():
                    best[name] = min(best[name], _cpu_seconds(work))
            expected = {"per rollout": 0.5, "per group": 1 / (group_size + 1), "precomputed": 0.0}
            for name, seconds in best.items():
                saved = 1 - best["precomputed"] / seconds
                print(
                    f"{group_size:>3} {name:<15}{1000 * seconds / len(many):>14.1f}"
                    f"{saved:>24.1%}{expected[name]:>10.1%}"
                )


def _cpu_seconds(work: Callable[[], Tensor]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
