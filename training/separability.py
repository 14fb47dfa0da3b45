"""How well advantages tell rollouts apart: LucidNFT's analysis, for any backbone, LR and number of rollouts.

    lucidlr separability --out out/separability

The paper draws M rollouts of each LR and compares decoupled advantages with DiffusionNFT's (scalarised, one standard
deviation over all rollouts). It shows the mean number of distinct advantages in a group, and the gap between the two
rollouts of a "top-1" pair. Neither is defined in what is public; from the figure, distinct means after rounding to
0.25, and the gap is that of one pair a group. Which pair is not known, so both readings are reported, and all pairs:

- `by sum`: the rollouts with the highest and lowest sum of raw rewards;
- `by vector`: the two whose raw rewards are farthest apart (Euclidean);
- `all pairs`: the mean over all of them, with no choice of a pair.

A third column, scalarised with the standard deviation of the *group*, separates two changes that the paper makes at
once: normalising each objective, and normalising within the group. Rewards are drawn once for the largest M; smaller M
are its first rollouts.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from catalog import files
from training.advantage import decoupled, scalarized
from training.backbones import Backbone
from training.flow_matching import solve
from training.rewards import Reward
from training.statistics import Interval, interval

ROLLOUTS = (2, 3, 4, 5, 6, 8, 10, 12, 14, 16)
GRID = 0.25
METHODS = ("decoupled", "scalarized, global std", "scalarized, group std")
MEASURES = ("distinct", "top-1 by sum", "top-1 by vector", "all pairs")
PUBLISHED = {
    ("decoupled", "distinct"): {2: 1.61, 5: 4.48, 8: 6.51, 12: 8.47, 16: 9.92},
    ("scalarized, global std", "distinct"): {3: 2.24, 8: 3.60, 12: 3.97, 16: 4.31},
    ("decoupled", "top-1"): {2: 1.53, 4: 1.98, 8: 2.59, 12: 2.81, 16: 2.85},
    ("scalarized, global std", "top-1"): {2: 0.29, 4: 0.54, 8: 0.71, 12: 0.80, 16: 0.86},
}
"""Read off the paper's figure, for its base model with LucidConsistency and UniPercept on RealLQ250."""


@dataclass(frozen=True, kw_only=True)
class Separability:
    """One number of the analysis, over groups."""

    rollouts: int
    method: str
    measure: str
    value: Interval


def reward_table(
    backbone: Backbone,
    rewards: Sequence[Reward],
    lrs: Tensor,
    *,
    rollouts: int = 16,
    steps: int = 6,
    seed: int = 0,
) -> Tensor:
    """Raw rewards [G,M,R] of M rollouts for each LR [G,3,h,w], under the adapter in use."""
    shape = backbone.latent_shape((lrs.shape[-2], lrs.shape[-1]))
    times = backbone.schedule(steps, shape)
    found: list[Tensor] = []
    for index, lr in enumerate(lrs):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
        noise = torch.randn((rollouts, *shape), generator=generator)
        one = lr[None].expand(rollouts, *lr.shape)
        with torch.no_grad():
            cond = {
                k: v.expand(rollouts, *v.shape[1:]) for k, v in backbone.encode(one[:1]).items()
            }
            z = solve(lambda z, t, c=cond: backbone.velocity(z, t, c), noise, times)
            sr = backbone.decode(z, cond)
            found.append(torch.stack([r.score(sr, one, r.prepare(one)) for r in rewards], dim=1))
    return torch.stack(found)


def separability(
    rewards: Tensor, weights: Sequence[float], *, counts: Sequence[int] = ROLLOUTS
) -> list[Separability]:
    """All measures for raw rewards [G,M,R], with bootstrap intervals over groups.

    Raises:
        ValueError: fewer rollouts than the largest of `counts`.
    """
    if max(counts) > rewards.shape[1]:
        raise ValueError(f"{max(counts)} rollouts asked for, the table has {rewards.shape[1]}.")
    found: list[Separability] = []
    for count in counts:
        raw = rewards[:, :count].double()
        for method in METHODS:
            advantages = _ADVANTAGES[method](raw, weights)
            for measure, values in _measured(raw, advantages, weights).items():
                found.append(
                    Separability(
                        rollouts=count,
                        method=method,
                        measure=measure,
                        value=interval(values.numpy()),
                    )
                )
    return found


def within_group_correlation(rewards: Tensor) -> Interval:
    """Of the first two objectives of [G,M,R], Pearson within each group; groups without spread are left out."""
    first, second = (rewards[:, :, k] - rewards[:, :, k].mean(1, keepdim=True) for k in (0, 1))
    product = first.norm(dim=1) * second.norm(dim=1)
    return interval(((first * second).sum(1) / product).double().numpy())


def _rows(raw: Tensor) -> tuple[Tensor, Tensor]:
    groups = torch.arange(len(raw)).repeat_interleave(raw.shape[1])
    return raw.flatten(0, 1), groups


def _decoupled(raw: Tensor, weights: Sequence[float]) -> Tensor:
    rows, groups = _rows(raw)
    return decoupled(rows, groups, weights).view(raw.shape[:2])


def _global(raw: Tensor, weights: Sequence[float]) -> Tensor:
    rows, groups = _rows(raw)
    return scalarized(rows, groups, weights, std="global").view(raw.shape[:2])


def _group(raw: Tensor, weights: Sequence[float]) -> Tensor:
    rows, groups = _rows(raw)
    return scalarized(rows, groups, weights, std="group").view(raw.shape[:2])


_ADVANTAGES: dict[str, Callable[[Tensor, Sequence[float]], Tensor]] = dict(
    zip(METHODS, (_decoupled, _global, _group), strict=True)
)


def _measured(raw: Tensor, advantages: Tensor, weights: Sequence[float]) -> dict[str, Tensor]:
    """Each measure for each group, [G]."""
    count = raw.shape[1]
    groups = torch.arange(len(raw))
    distinct = torch.tensor([len(set(row)) for row in (advantages / GRID).round().long().tolist()])
    summed = raw @ torch.as_tensor(weights, dtype=raw.dtype)
    top = (advantages[groups, summed.argmax(1)] - advantages[groups, summed.argmin(1)]).abs()
    apart = torch.cdist(raw, raw).flatten(1).argmax(1)
    far = (advantages[groups, apart // count] - advantages[groups, apart % count]).abs()
    gaps = (advantages[:, :, None] - advantages[:, None, :]).abs()
    pairs = gaps.sum((1, 2)) / (count * (count - 1))
    return dict(zip(MEASURES, (distinct.double(), top, far, pairs), strict=True))


def markdown(found: Sequence[Separability], counts: Sequence[int] = (2, 4, 8, 12, 16)) -> str:
    """A table per measure, a row per method, the published values below."""
    lines: list[str] = []
    for measure in MEASURES:
        lines += [f"**{measure}**", "", "| | " + " | ".join(f"M = {c}" for c in counts) + " |"]
        lines += ["|---" * (len(counts) + 1) + "|"]
        for method in METHODS:
            at = {s.rollouts: s.value for s in found if (s.method, s.measure) == (method, measure)}
            cells = [f"{at[c].mean:.2f} [{at[c].low:.2f}, {at[c].high:.2f}]" for c in counts]
            lines.append(f"| {method} | {' | '.join(cells)} |")
        for method in METHODS[:2]:
            known = PUBLISHED.get((method, measure.split(" by ")[0]), {})
            if known:
                cells = [f"{known[c]:.2f}" if c in known else "" for c in counts]
                lines.append(f"| published: {method} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def share_of_group_std(found: Sequence[Separability], measure: str, rollouts: int) -> float:
    """How much of the gap between decoupled and scalarised-global is there with the group's deviation alone.

    1: all of it, decoupling adds nothing; 0: none; above 1: decoupling takes away.
    """
    value = {
        s.method: s.value.mean for s in found if (s.measure, s.rollouts) == (measure, rollouts)
    }
    new, base, group = (value[m] for m in METHODS)
    return (group - base) / (new - base)


def write(found: Sequence[Separability], rewards: Tensor, out: Path) -> None:
    """separability.csv, .md and .png in `out`."""
    with files.text(out / "separability.csv", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["rollouts", "method", "measure", "mean", "low", "high"])
        for s in found:
            i = s.value
            numbers = [f"{v:.4f}" for v in (i.mean, i.low, i.high)]
            rows.writerow([s.rollouts, s.method, s.measure, *numbers])
    shown = [m for m in (2, 4, 8, 12, 16) if m in {s.rollouts for s in found}]
    files.put(out / "separability.md", markdown(found, shown))
    plot(found, rewards, out / "separability.png")


def plot(found: Sequence[Separability], rewards: Tensor, file: Path) -> None:
    """The paper's three panels, and all pairs: lines with intervals, published values as crosses, boxes at M = 12."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4), layout="constrained")
    axes = figure.subplots(1, 4)
    colors = dict(zip(METHODS, ("tab:red", "tab:blue", "tab:green"), strict=True))
    panels = ("distinct", "top-1 by sum", "all pairs")
    for axis, measure in zip(axes, panels, strict=False):
        for method in METHODS:
            of = [s for s in found if (s.method, s.measure) == (method, measure)]
            x = [s.rollouts for s in of]
            axis.plot(x, [s.value.mean for s in of], color=colors[method], label=method)
            axis.fill_between(
                x,
                [s.value.low for s in of],
                [s.value.high for s in of],
                color=colors[method],
                alpha=0.2,
            )
            known = PUBLISHED.get((method, measure.split(" by ")[0]), {})
            if known:
                axis.scatter(list(known), list(known.values()), color=colors[method], marker="x")
        axis.set(xlabel="rollouts per LR", title=measure)
    axes[0].legend(fontsize=8)
    raw = rewards[:, : min(12, rewards.shape[1])].double()
    weights = [1.0] * rewards.shape[2]
    boxes = [
        _measured(raw, _ADVANTAGES[m](raw, weights), weights)["top-1 by sum"].numpy()
        for m in METHODS
    ]
    axes[3].boxplot(boxes, showmeans=True)
    axes[3].set_xticklabels(["decoupled", "scal. global", "scal. group"])
    axes[3].set(title=f"top-1 by sum, M = {raw.shape[1]}, over groups")
    figure.suptitle("Crosses: read off the paper's figure (its base model, RealLQ250)", fontsize=9)
    with files.stream(file) as sink:
        figure.savefig(sink, format="png", dpi=90)
