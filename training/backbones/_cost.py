"""What a backbone says of its cost, per sample: a module `<name>/cost.py` with `cost(*, lr_px, **options) -> Cost`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one backbone costs, per sample at one size. FLOP count a multiplication and an addition as two."""

    parameters: Mapping[str, int]
    """Part -> parameters."""
    weights_bytes: Mapping[str, int]
    """Part -> bytes on the accelerator."""
    trained: int
    """Parameters that are trained, of one adapter."""
    copies: int
    """How often these are kept: default, old, average, gradient and Adam's two; 7 with a whole reference."""
    trained_bytes: int
    """Of one of these numbers."""
    velocity_flop: float
    encode_flop: float
    decode_flop: float
    saved_bytes: int
    """What the backward pass of one sample needs, without gradient checkpointing."""
    checkpointed_bytes: int | None
    """The same with it; None: the backbone offers none."""
    passing_bytes: int
    """What a forward pass without gradients needs on top of the weights."""
    decode_bytes: int
    conditioning_bytes: int
    """Of one LR, as `lucidlr precompute` keeps it."""
    latent_bytes: int
    half: bool
    """Whether velocities are in half precision by default."""
