"""What a rollout is worth: a file each, raw values, higher is better. Normalising is the business of advantage.py.

Adding one: `training/rewards/<name>.py` with `load(**options) -> Reward`; its file's name is its name in configurations
and logs. Any metric of filters/metrics is a reward already, as `metric:<name>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from catalog.errors import Expected
from catalog.plugins import Plugins

if TYPE_CHECKING:
    # The command line knows the errors below; for them alone nobody waits for torch.
    from torch import Tensor


class UnknownReward(Expected, ValueError):
    """Neither a file in training/rewards/ nor `metric:<name>`."""


REWARDS = Plugins(
    package="training.rewards",
    what="reward",
    error=UnknownReward,
)


class RewardError(Expected, RuntimeError):
    """The scorer can't be had here (weights, a server, a package); the message says what to do."""


Shared: TypeAlias = "dict[str, Tensor]"
"""What all rollouts of one LR share, batch first; {} where there is nothing."""


class Reward(Protocol):
    """A scorer, with what is needed to understand its values later."""

    @property
    def name(self) -> str:
        """As in configurations, logs and Parquet columns."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever a value could."""
        ...

    @property
    def weights_sha256(self) -> str | None:
        """Of its weights; None where there are none."""
        ...

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest possible value; infinities where there is no bound."""
        ...

    def prepare(self, lr: Tensor) -> Shared:
        """From LR [B,3,h,w] float32 RGB in [0,1]: a pure function of its pixels, so that it can be precomputed."""
        ...

    def score(self, sr: Tensor, lr: Tensor, shared: Shared) -> Tensor:
        """[B] float32 for SR [B,3,H,W] made from LR [B,3,h,w] (row by row); NaN where the scorer failed on a row."""
        ...


def reward_names() -> list[str]:
    """The files here; those of metrics come on top."""
    return REWARDS.names()


def load_reward(name: str, /, **options: Any) -> Reward:
    """Makes a reward ready.

    Raises:
        UnknownReward: no such reward; the message names the nearest.
        RewardError: see there.
    """
    stem, _, metric = name.partition(":")
    if stem == "metric" and metric:
        options, stem = {"metric": metric, **options}, "metric"
    return REWARDS.load(stem).load(**options)
