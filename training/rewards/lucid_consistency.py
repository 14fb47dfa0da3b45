"""LucidConsistency as a reward: does the SR show what the LR shows? (training/consistency/; LucidNFT, arXiv 2603.05947)

    reward = cos(head(encoder(SR)), head(encoder(LR)))        in [-1, 1]

The LR's embedding is shared by all of its rollouts, so it is precomputed (training/precompute/). The offline encoder
has a head that ships; without one the reward is the encoder's own cosine, the paper's baseline, which rewards not
restoring. Spreads within a group are small (hundredths): mind the eps of the advantage, and see docs/rewards.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.consistency import ConsistencyError, UnknownEncoder
from training.consistency.head import Head
from training.consistency.scoring import LucidConsistency, load_consistency
from training.rewards import RewardError, Shared

LR = "lr_embedding"


class LucidConsistencyReward:
    """The Reward; see training/rewards/__init__.py."""

    name = "lucid_consistency"
    range = (-1.0, 1.0)

    def __init__(self, scorer: LucidConsistency) -> None:
        self.scorer = scorer

    @property
    def version(self) -> str:
        """Of the encoder's preprocessing, and whether there is a head."""
        encoder = self.scorer.encoder
        head = "no head" if self.scorer.head is None else "paired head"
        if isinstance(self.scorer.head, Head):
            head = "head"
        return f"1, {encoder.name} {encoder.version}, {head}"

    @property
    def weights_sha256(self) -> str | None:
        """Of the encoder, and of the head behind a plus sign."""
        return self.scorer.weights_sha256

    def to(self, device: str | torch.device) -> None:
        """Moves encoder and head; see training.rollout.Movable."""
        self.scorer.to(device)

    def prepare(self, lr: Tensor) -> Shared:
        """`lr_embedding` [B,D] float32 of length 1."""
        return {LR: self.scorer.embed(lr, "lr")}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        """[B]; NaN where an SR is not finite."""
        known = shared[LR] if LR in shared else self.prepare(lr)[LR]
        fine = torch.isfinite(sr).flatten(1).all(1).cpu()
        rewards = torch.full((len(sr),), torch.nan)
        if bool(fine.any()):
            rows = fine.nonzero()[:, 0]
            ours = self.scorer.embed(sr[rows.to(sr.device)].clamp(0, 1), "sr")
            rewards[rows] = (ours * known.cpu()[rows]).sum(-1)
        return rewards


def load(
    *, encoder: str = "efficientnet_lite0", head: Path | str | None = None, **options: Any
) -> LucidConsistencyReward:
    """`head`: file of a trained head (`lucidlr consistency-train`, or the official proj_head.pt), `none` for none, None
    for the one that ships; `options` go to the encoder, e.g. `size_px`, `model`, `device`.

    Raises:
        RewardError: encoder or head can't be used.
    """
    try:
        return LucidConsistencyReward(load_consistency(encoder, head, **options))
    except (ConsistencyError, UnknownEncoder) as error:
        raise RewardError(str(error)) from error
