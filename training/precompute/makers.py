"""What can be worked out per crop: a Maker each, with the key that its results are kept under."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn import functional

from training.backbones import Backbone, Configured
from training.rewards import Reward

VERSION = "1"
BASELINE_SCALE = 4
KINDS = ("conditioning", "shared", "baseline")


@dataclass(frozen=True, kw_only=True)
class Maker:
    """One thing that is worked out per crop."""

    kind: str
    """Folder in the store: conditioning, shared-<reward> or baseline-<reward>."""
    preprocessing: str
    """Hash of name, version and everything else but weights."""
    weights: str
    make: Callable[[Tensor], dict[str, Tensor]] = field(repr=False)
    """From LR [1,3,h,w] tensors with one row; {} where there is nothing to keep."""


def makers(
    rewards: Sequence[Reward], backbone: Backbone | None, *, baselines: bool = True
) -> list[Maker]:
    """All there is to precompute for these."""
    found: list[Maker] = []
    if backbone is not None:
        found.append(
            Maker(
                kind="conditioning",
                preprocessing=key_hash("conditioning", backbone.name, *_configured(backbone)),
                weights=backbone.weights_sha256,
                make=backbone.encode,
            )
        )
    for reward in rewards:
        found.append(
            Maker(
                kind=f"shared-{reward.name}",
                preprocessing=key_hash("shared", reward.name, reward.version),
                weights=reward.weights_sha256 or "none",
                make=reward.prepare,
            )
        )
        if baselines:
            found.append(
                Maker(
                    kind=f"baseline-{reward.name}",
                    preprocessing=key_hash("baseline", reward.name, reward.version, BASELINE_SCALE),
                    weights=reward.weights_sha256 or "none",
                    make=_baseline(reward),
                )
            )
    return found


def _baseline(reward: Reward) -> Callable[[Tensor], dict[str, Tensor]]:
    def make(lr: Tensor) -> dict[str, Tensor]:
        up = functional.interpolate(
            lr, scale_factor=float(BASELINE_SCALE), mode="bicubic", align_corners=False
        )
        return {"reward": reward.score(up.clamp(0, 1), lr, reward.prepare(lr))}

    return make


def _configured(backbone: Backbone) -> list[str]:
    return [backbone.configuration] if isinstance(backbone, Configured) else []


def key_hash(*parts: object) -> str:
    """SHA-256 over the texts of all parts."""
    told: Iterable[str] = (str(part) for part in (VERSION, *parts))
    return hashlib.sha256("\x1f".join(told).encode()).hexdigest()
