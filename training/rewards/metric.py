"""Any no-reference metric of filters/metrics as a reward, `metric:<name>`, e.g. `metric:pyiqa:musiq`.

    reward = sign * score / unit        sign: -1 where less is better; unit: UNITS, a constant, so that rewards are of
                                        about the same size and an eps or a floor of a standard deviation means the same

The score is that of the image saved as 8 bits, one image at a time (batch mates never change it). Metrics of pyiqa run
on the GPU where there is one, which is part of their version; their license (PolyForm-Noncommercial) comes with the
scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from filters.metrics import (
    Device,
    DeviceMissing,
    Metric,
    Scoring,
    UnknownMetric,
    WeightsMissing,
    load_metric,
)
from training.rewards import RewardError, Shared

UNITS: dict[str, tuple[float, float, float]] = {
    "pyiqa:piqe": (100.0, 0.0, 100.0),
    "pyiqa:niqe": (10.0, 0.0, math.inf),
    "pyiqa:brisque": (100.0, -math.inf, math.inf),
    "pyiqa:musiq": (100.0, 0.0, 100.0),
    "pyiqa:maniqa": (1.0, 0.0, 1.0),
    "pyiqa:clipiqa": (1.0, 0.0, 1.0),
    "pyiqa:clipiqa+": (1.0, 0.0, 1.0),
    "pyiqa:topiq_nr": (1.0, 0.0, 1.0),
    "pyiqa:hyperiqa": (1.0, 0.0, 1.0),
    "pyiqa:nima": (10.0, 0.0, 10.0),
    "pyiqa:qalign": (5.0, 1.0, 5.0),
    "pyiqa:liqe": (5.0, 1.0, 5.0),
}
"""Metric -> unit, least and most of its scores. A metric that is not here has unit 1 and no stated bounds."""


@dataclass(frozen=True, kw_only=True)
class MetricReward:
    """The Reward; see training/rewards/__init__.py."""

    metric: Metric = field(repr=False)
    unit: float
    bounds: tuple[float, float]

    @property
    def name(self) -> str:
        """`metric:` and the metric's."""
        return f"metric:{self.metric.name}"

    @property
    def version(self) -> str:
        """The metric's, sign and unit."""
        return f"{self.metric.version}, {self._factor():+g}"

    @property
    def weights_sha256(self) -> str | None:
        """The metric's."""
        return self.metric.weights_sha256

    @property
    def range(self) -> tuple[float, float]:
        """Of the reward, not of the metric."""
        a, b = (bound * self._factor() for bound in self.bounds)
        return min(a, b), max(a, b)

    def prepare(self, lr: Tensor) -> Shared:
        """Nothing is shared."""
        del lr
        return {}

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        """[B]; NaN where the metric has no score: too small, flat, or not finite."""
        del lr, shared
        from filters.measures import Photo

        rewards: list[float] = []
        for image in sr.detach():
            if not torch.isfinite(image).all():
                rewards.append(math.nan)
                continue
            pixels = (image.float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
            score = self.metric.score(Photo(pixels.contiguous().cpu().numpy()))
            rewards.append(math.nan if score is None else score * self._factor())
        return torch.tensor(rewards, dtype=torch.float32)

    def _factor(self) -> float:
        return (-1.0 if self.metric.lower_better else 1.0) / self.unit


def load(
    *, metric: str, unit: float | None = None, device: str | None = None, **options: Any
) -> MetricReward:
    """`metric` as in recipes; `unit` in the place of the one in UNITS; `options` are the metric's.

    `device`: cpu or cuda; default: the GPU if there is one and pyiqa can use it.

    Raises:
        RewardError: no such metric, its weights are not here, or a unit that is not above 0.
    """
    if unit is not None and not 0 < unit < math.inf:
        raise RewardError(f"The unit of {metric} must be above 0, got {unit}.")
    here: Device = "cuda" if torch.cuda.is_available() and metric.startswith("pyiqa:") else "cpu"
    if device not in (None, "cpu", "cuda"):
        raise RewardError(f"The device of {metric} is cpu or cuda, not {device!r}.")
    chosen: Device = here if device is None else "cuda" if device == "cuda" else "cpu"
    try:
        loaded = load_metric(metric, Scoring(device=chosen), **options)
    except (DeviceMissing, UnknownMetric, WeightsMissing) as error:
        raise RewardError(str(error)) from error
    stated, low, high = UNITS.get(metric, (1.0, -math.inf, math.inf))
    return MetricReward(metric=loaded, unit=unit or stated, bounds=(low, high))
