"""Which of the accepted candidates enter the dataset, and in which split: pure functions of keys and a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class SamplingPolicy:
    """How many, and how they are split."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    max_samples: int | None = None
    """At most this many samples; None takes all that passed."""
    validation_share: float = 0.0
    """Share of near-duplicate clusters that go to the `validation` split, 0 to 1; the rest is `train`."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.validation_share < 1.0:
            raise ValueError("validation_share is a share: at least 0 and below 1.")
        if self.max_samples is not None and self.max_samples < 1:
            raise ValueError("max_samples is at least 1, or left out.")


def _position(seed: int, purpose: str, key: int) -> int:
    """A number in [0, 2**64) that depends on nothing but these three."""
    digest = hashlib.blake2b(f"{purpose}:{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def draw(page_ids: Sequence[int], *, seed: int, policy: SamplingPolicy) -> set[int]:
    """The page ids that are drawn: those with the lowest keyed hash, so that adding candidates changes few."""
    if policy.max_samples is None or len(page_ids) <= policy.max_samples:
        return set(page_ids)
    ranked = sorted(page_ids, key=lambda page_id: (_position(seed, "draw", page_id), page_id))
    return set(ranked[: policy.max_samples])


def split_of(cluster_id: int, *, seed: int, policy: SamplingPolicy) -> str:
    """`train` or `validation`; near-duplicates share a cluster id and therefore a split."""
    share = _position(seed, "split", cluster_id) / 2**64
    return "validation" if share < policy.validation_share else "train"
