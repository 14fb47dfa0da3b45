"""Nothing that the LR does not show: minus the departure of the cells that depart most, see consistency/departure.py.

    reward = -sigmoid(mean of the highest twentieth of the map's logits)        in [-1, 0]

It sees what happens in one place, which an embedding of the whole picture averages away. Not restoring at all departs
least: use it beside a perceptual reward, or with a weight of 0 to watch hallucination.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.consistency import ConsistencyError
from training.consistency.departure import VERSION, Departure, load_departure
from training.rewards import RewardError, Shared


class DepartureReward:
    """The Reward; see training/rewards/__init__.py."""

    name = "departure"
    version = VERSION
    range = (-1.0, 0.0)

    def __init__(self, departure: Departure) -> None:
        self.departure = departure

    @property
    def weights_sha256(self) -> str | None:
        """Of the regression."""
        return self.departure.weights_sha256

    def prepare(self, lr: Tensor) -> Shared:
        """Nothing is shared."""
        del lr
        return {}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        """[B]; NaN where an SR is not finite.

        Raises:
            RewardError: an LR below 16 px, or an SR smaller than its LR.
        """
        del shared
        found = torch.full((len(sr),), math.nan)
        try:
            for row, (image, low) in enumerate(zip(sr, lr, strict=True)):
                if bool(torch.isfinite(image).all()):
                    found[row] = -self.departure.number(low, image.clamp(0, 1))
        except ConsistencyError as error:
            raise RewardError(f"departure: {error}") from error
        return found


def load() -> DepartureReward:
    """With the regression that ships.

    Raises:
        RewardError: it is not here.
    """
    try:
        return DepartureReward(load_departure())
    except ConsistencyError as error:
        raise RewardError(str(error)) from error
