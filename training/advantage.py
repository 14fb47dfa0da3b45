"""Rewards to advantages to the optimality weight r: what one rollout was worth among its siblings.

Two ways to fuse several objectives. `decoupled` (LucidNFT) normalises each objective within each rollout group and adds
up afterwards, so that an objective with small values still has a say; `scalarized` (DiffusionNFT, Flow-GRPO) adds up
first and normalises the sum. `optimality` maps either to r in [0, 1] (DiffusionNFT, section 3).

A rollout with a NaN among its rewards (of weight other than 0) takes no part in any statistic, and its advantage is
NaN: `nft_loss` leaves such rows out. 0 would not do, since r = 1/2 has a gradient away from the old policy.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

Std = Literal["group", "global"]
"""Divide by the standard deviation of the rollout group, or of all rows given (DiffusionNFT's default)."""
AdvantageMode = Literal["all", "positive_only", "negative_only", "one_only", "binary"]

_ROUNDING = 8 * torch.finfo(torch.float64).eps
"""A spread below this share of the largest value is what adding up leaves behind, not a difference."""


def decoupled(
    rewards: Tensor | Any,
    groups: Tensor | Iterable[Hashable],
    weights: Tensor | Sequence[float],
    *,
    eps: float = 1e-4,
    std: Std = "group",
    ddof: int = 0,
    std_floor: float = 0.0,
    whiten: bool = False,
) -> Tensor:
    """A [N] from rewards [N,R], group labels [N] and weights [R]: normalise per group and objective, then add up.

        z[i,k] = (R[i,k] - mean_g R[:,k]) / (max(std_g R[:,k], std_floor) + eps),   A[i] = sum_k w_k z[i,k]

    A group of one rollout, and an objective that does not vary within its group, give 0 (never NaN). `whiten`
    normalises A over all rows once more, as GDPO does; `ddof` counts for both. Worked out in float64, returned in the
    dtype of `rewards`.

    Raises:
        ValueError: shapes that do not fit, an unknown `std`, or an infinite reward.
    """
    table, labels, weighing, dtype = _checked(rewards, groups, weights, std)
    valid, table, weighing = _rollouts_with_all_rewards(table, weighing)
    z = _normalised(table[valid], labels[valid], std, eps=eps, ddof=ddof, std_floor=std_floor)
    fused = z @ weighing
    if whiten:
        everyone = torch.zeros(len(fused), dtype=torch.long, device=fused.device)
        fused = _normalised(fused[:, None], everyone, "group", eps=eps, ddof=ddof, std_floor=0.0)
        fused = fused[:, 0]
    return _scattered(fused, valid, dtype)


def scalarized(
    rewards: Tensor | Any,
    groups: Tensor | Iterable[Hashable],
    weights: Tensor | Sequence[float],
    *,
    eps: float = 1e-4,
    std: Std = "global",
    ddof: int = 0,
) -> Tensor:
    """A [N] from rewards [N,R], group labels [N] and weights [R]: add up, then normalise the sum.

        s[i] = sum_k w_k R[i,k],   A[i] = (s[i] - mean_g s) / (std s + eps)

    As DiffusionNFT does with several rewards: mean per group, and by default one standard deviation over all rows.

    Raises:
        ValueError: as for `decoupled`.
    """
    table, labels, weighing, dtype = _checked(rewards, groups, weights, std)
    valid, table, weighing = _rollouts_with_all_rewards(table, weighing)
    total = (table[valid] @ weighing)[:, None]
    return _scattered(
        _normalised(total, labels[valid], std, eps=eps, ddof=ddof, std_floor=0.0)[:, 0],
        valid,
        dtype,
    )


def optimality(
    advantages: Tensor | Any, *, clip: float = 5.0, mode: AdvantageMode = "all"
) -> Tensor:
    """r [N] in [0,1] from A [N]: r = clamp(clamp(A, -c, c) / (2c) + 1/2, 0, 1); NaN stays NaN.

    `mode` changes A first, as DiffusionNFT's adv_mode: positive_only and negative_only cut at 0, one_only makes it
    1 where A > 0 and else 0, binary its sign. With c = 5 the last two give r in {.5, .6} and {.4, .5, .6}.

    Raises:
        ValueError: an unknown mode, or a clip that is not above 0.
    """
    if not clip > 0:
        raise ValueError(f"the clip of advantages is above 0, not {clip}.")
    a = torch.as_tensor(advantages)
    match mode:
        case "all":
            a = a.clamp(-clip, clip)
        case "positive_only":
            a = a.clamp(0.0, clip)
        case "negative_only":
            a = a.clamp(-clip, 0.0)
        case "one_only":
            a = torch.where(a.isnan(), a, (a > 0).to(a.dtype))
        case "binary":
            a = torch.where(a.isnan(), a, a.sign())
        case _:
            raise ValueError(f"there is no advantage mode {mode!r}.")
    return (a / clip / 2 + 0.5).clamp(0.0, 1.0)


def group_index(groups: Tensor | Iterable[Hashable]) -> Tensor:
    """Labels of any kind -> int64 [N], 0 for the first label met, 1 for the next, ..."""
    labels = groups.tolist() if isinstance(groups, Tensor) else list(groups)
    place: dict[Hashable, int] = {}
    return torch.tensor([place.setdefault(label, len(place)) for label in labels]).long()


def group_moments(values: Tensor, labels: Tensor, *, ddof: int = 0) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of values [N,R] per label [N] (0 to G-1), each [G,R].

    Exactly 0 where a group is too small for `ddof` or differs by rounding only.
    """
    count = int(labels.max()) + 1 if len(labels) else 0
    of_row = labels[:, None].expand_as(values)
    shape = (count, values.shape[1])
    sizes = torch.bincount(labels, minlength=count).to(values.dtype)[:, None]
    mean = values.new_zeros(shape).index_add(0, labels, values) / sizes.clamp(min=1)
    squares = values.new_zeros(shape).index_add(0, labels, (values - mean[labels]).square())
    std = (squares / (sizes - ddof).clamp(min=1)).sqrt()
    low = values.new_full(shape, torch.inf).scatter_reduce(0, of_row, values, "amin")
    high = values.new_full(shape, -torch.inf).scatter_reduce(0, of_row, values, "amax")
    same = (high - low) <= _ROUNDING * torch.maximum(high.abs(), low.abs())
    return mean, torch.where(same | (sizes - ddof < 1), torch.zeros_like(std), std)


def _normalised(
    values: Tensor, labels: Tensor, std: Std, *, eps: float, ddof: int, std_floor: float
) -> Tensor:
    """z [N,R]: minus the group's mean, over the chosen standard deviation."""
    labels = torch.unique(labels, return_inverse=True)[1]
    mean, spread = group_moments(values, labels, ddof=ddof)
    varies = spread[labels] > 0
    if std == "global":
        spread = group_moments(values, torch.zeros_like(labels), ddof=ddof)[1].expand_as(mean)
        # One rollout per group differs from nothing; with two or more, 0 comes out by itself.
    scale = spread.clamp(min=std_floor)[labels] + eps
    z = (values - mean[labels]) / torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.where(varies, z, torch.zeros_like(z))


def _checked(
    rewards: Tensor | Any,
    groups: Tensor | Iterable[Hashable],
    weights: Tensor | Sequence[float],
    std: str,
) -> tuple[Tensor, Tensor, Tensor, torch.dtype]:
    table = torch.as_tensor(rewards)
    dtype = table.dtype if table.is_floating_point() else torch.get_default_dtype()
    if not isinstance(rewards, Tensor):
        table, dtype = torch.as_tensor(rewards, dtype=torch.float64), torch.float64
    if table.ndim != 2:
        raise ValueError(f"rewards are [N,R], not {list(table.shape)}.")
    labels = group_index(groups).to(table.device)
    weighing = torch.as_tensor(weights, dtype=torch.float64, device=table.device)
    if len(labels) != len(table) or weighing.shape != table.shape[1:]:
        raise ValueError(
            f"rewards {list(table.shape)} need as many groups (not {len(labels)}) as rows "
            f"and as many weights (not {weighing.numel()}) as columns."
        )
    if std not in ("group", "global"):
        raise ValueError(f"std is 'group' or 'global', not {std!r}.")
    if table.isinf().any():
        raise ValueError("an infinite reward has no place among others; failed ones are NaN.")
    return table.double(), labels, weighing, dtype


def _rollouts_with_all_rewards(table: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which rows count [N] bool, and the columns that have a weight."""
    used = weights != 0
    table = table[:, used]
    return ~table.isnan().any(dim=1), table, weights[used]


def _scattered(values: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
    out = torch.full(valid.shape, torch.nan, dtype=torch.float64, device=valid.device)
    out[valid] = values
    return out.to(dtype)
