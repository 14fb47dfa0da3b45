"""How the policy that makes the rollouts follows the one that is trained, and the average kept for evaluation.

After every epoch: old <- decay old + (1 - decay) current, with `decay(step, schedule)` of the number of optimiser steps
so far (DiffusionNFT's decay_type 0, 1 and 2, under the names of verl-omni). After every optimiser step the EMA does the
same with `ema_decay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Schedule = Literal["copy", "linear_to_0_5", "delayed_linear_to_0_999"]
"""On-policy; a share that is kept and grows to a half; on-policy for 75 steps, then slower and slower."""


def decay(step: int, schedule: Schedule) -> float:
    """The share of the old policy that is kept after optimiser step `step`.

    copy: 0; linear_to_0_5: min(0.001 step, 0.5); delayed_linear_to_0_999: 0 before step 75, then
    min(0.0075 (step - 75), 0.999).

    Raises:
        ValueError: a negative step or an unknown schedule.
    """
    if step < 0:
        raise ValueError(f"steps count from 0, not {step}.")
    match schedule:
        case "copy":
            return 0.0
        case "linear_to_0_5":
            return min(0.001 * step, 0.5)
        case "delayed_linear_to_0_999":
            return 0.0 if step < 75 else min(0.0075 * (step - 75), 0.999)
        case _:
            raise ValueError(f"there is no decay schedule {schedule!r}.")


def ema_decay(step: int, *, cap: float = 0.9) -> float:
    """The share of the average that is kept after optimiser step `step`: min((1 + step) / (10 + step), cap)."""
    return min((1 + step) / (10 + step), cap)


@torch.no_grad()
def blend_(kept: Mapping[str, Tensor], current: Mapping[str, Tensor], decay: float) -> None:
    """In place: kept <- decay kept + (1 - decay) current, tensor by tensor.

    Raises:
        ValueError: the two do not have the same names.
    """
    if kept.keys() != current.keys():
        raise ValueError(f"not the same tensors: {sorted(kept.keys() ^ current.keys())[:3]}")
    for name, tensor in kept.items():
        now = current[name].detach().to(device=tensor.device, dtype=tensor.dtype)
        tensor.mul_(decay).add_(now, alpha=1 - decay)
