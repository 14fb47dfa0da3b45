"""How good a head is, in the form of the paper's table: pairs, mismatched pairs, and the encoder without head.

And what the paper's later version claims and gives no table for: does the score tell a picture from a copy of it in
which a region shows something else? Everything on held-out photographs; intervals come from a bootstrap over
photographs, because cuts of one photograph are no independent witnesses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.consistency.pools import Pools
from training.consistency.replaced import WAYS
from training.statistics import Interval, interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    count: int
    """Similarities behind it."""
    value: Interval


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a head does on held-out photographs."""

    rows: list[Row]
    scores: dict[str, Floats]
    """Similarities by kind: paired, mismatched, patch, inpaint; for plots."""


def judge(pools: Pools, head: nn.Module | None) -> Judged:
    """The table of one head, or of the encoder alone, over all contents of `pools` (give the held-out ones).

    Rows: paired (LR with its HR); mismatched (LR with the HR of another photograph); replaced, own LR (consistent, so
    it should be as high as paired: a head that only smells seams fails here); for each way of replacing the similarity
    of LR with the replaced HR, the drop against the original, and the AUC: the probability that an original scores
    above a replaced one, over all contents (pooled: one threshold for all pictures) and for the same LR (within).
    """
    e = {
        name: _project(getattr(pools, name), head)
        for name in ("hr", "lr", "replaced_hr", "replaced_lr")
    }
    photo = pools.photo.numpy()
    paired = torch.einsum("npd,nd->np", e["lr"], e["hr"])
    rows = [_row("paired", paired, photo)]
    cross = torch.einsum("npd,md->npm", e["lr"], e["hr"])
    different = pools.photo[:, None] != pools.photo[None, :]
    per_lr = (cross * different[:, None]).sum(2) / different.sum(1)[:, None]
    rows.append(_row("mismatched", per_lr, photo))
    own = torch.einsum("nwd,nwd->nw", e["replaced_lr"], e["replaced_hr"])
    rows.append(_row("replaced, own LR", own, photo))
    scores = {
        "paired": _flat(paired),
        "mismatched": _flat(cross[different[:, None].expand_as(cross)]),
    }
    for index, way in enumerate(WAYS):
        wrong = torch.einsum("npd,nd->np", e["lr"], e["replaced_hr"][:, index])
        rows.append(_row(f"{way}: similarity", wrong, photo))
        rows.append(_row(f"{way}: drop", paired - wrong, photo))
        rows.append(
            _row(f"{way}: AUC within", (paired > wrong).float() + 0.5 * (paired == wrong), photo)
        )
        rows.append(
            Row(
                what=f"{way}: AUC pooled",
                count=paired.numel(),
                value=_auc_interval(paired.numpy(), wrong.numpy(), photo),
            )
        )
        scores[way] = _flat(wrong)
    return Judged(rows=rows, scores=scores)


def change(before: Pools, head: nn.Module, other: nn.Module | None = None) -> list[Row]:
    """Paired differences, `head` minus `other` (default: the encoder alone), of paired and of mismatched similarity."""
    photo = before.photo.numpy()
    made: list[list[Tensor]] = []
    for module in (head, other):
        lr, hr = _project(before.lr, module), _project(before.hr, module)
        cross = torch.einsum("npd,md->npm", lr, hr)
        different = before.photo[:, None] != before.photo[None, :]
        made.append(
            [
                torch.einsum("npd,nd->np", lr, hr),
                (cross * different[:, None]).sum(2) / different.sum(1)[:, None],
            ]
        )
    return [
        _row(what, after - first, photo)
        for what, after, first in zip(("paired", "mismatched"), *made, strict=True)
    ]


def auc(positive: Floats, negative: Floats) -> float:
    """Probability that one of `positive` lies above one of `negative`, ties counted half (Mann-Whitney U)."""
    values = np.concatenate([positive.ravel(), negative.ravel()])
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    n, m = positive.size, negative.size
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def _auc_interval(
    positive: Floats, negative: Floats, photo: NDArray[np.int64], draws: int = 500
) -> Interval:
    """Photographs are drawn, all contents and degradations of each come along."""
    _, place = np.unique(photo, return_inverse=True)
    groups = [np.flatnonzero(place == g) for g in range(place.max() + 1)]
    rng = np.random.default_rng(0)
    found: list[float] = []
    for _ in range(draws):
        rows = np.concatenate([groups[g] for g in rng.integers(0, len(groups), len(groups))])
        found.append(auc(positive[rows], negative[rows]))
    low, high = np.percentile(found, (2.5, 97.5))
    return Interval(mean=auc(positive, negative), low=float(low), high=float(high))


def _project(z: Tensor, head: nn.Module | None) -> Tensor:
    with torch.no_grad():
        return functional.normalize(z.float() if head is None else head(z.float()), dim=-1)


def _row(what: str, values: Tensor, photo: NDArray[np.int64]) -> Row:
    flat = _flat(values)
    clusters = np.repeat(photo, values.shape[1])
    return Row(what=what, count=flat.size, value=interval(flat, clusters=clusters))


def _flat(values: Tensor) -> Floats:
    return values.double().numpy().ravel()
