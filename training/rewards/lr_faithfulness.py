"""Does an SR, reduced again, say what the LR says? The cheapest faithfulness reward; needs no weights.

    score = -10 mean |down4(SR) - LR|        down4: mean over blocks of 4 x 4 pixels

0 is perfect, -10 is white for black; 0.1 of it is 2.6 grey levels a pixel. It asks for agreement with the LR as it is,
noise and blocks included, so a restoration that removes them pays a little: the trade that the method is about.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from training.rewards import RewardError, Shared

_PER_UNIT = 10.0


class LRFaithfulness:
    """The Reward; see training/rewards/__init__.py."""

    name = "lr_faithfulness"
    version = "1"
    weights_sha256: str | None = None
    range = (-_PER_UNIT, 0.0)

    def prepare(self, lr: Tensor) -> Shared:
        """Nothing is shared."""
        del lr
        return {}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        """[B]; SR may be any whole multiple of the LR's size."""
        del shared
        factor = sr.shape[-1] // lr.shape[-1]
        if sr.shape[-2:] != (factor * lr.shape[-2], factor * lr.shape[-1]):
            raise RewardError(
                f"lr_faithfulness needs SR of a whole multiple of the LR's size, got {list(sr.shape)} "
                f"for {list(lr.shape)}."
            )
        return -_PER_UNIT * (F.avg_pool2d(sr, factor) - lr).abs().mean((1, 2, 3))


def load() -> LRFaithfulness:
    """Needs nothing."""
    return LRFaithfulness()
