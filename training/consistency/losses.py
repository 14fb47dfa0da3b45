"""Contrastive losses of the head; pure functions of embeddings of length 1.

The paper's formula is not known to us; its figures show that pairs rise while mismatched pairs fall, which a loss
without a repulsive term does not do. Symmetric InfoNCE (van den Oord et al. 2018; Radford et al. 2021) is the natural
reading of the first version, its form with several positives (Khosla et al. 2020) that of the later one with
degradation pools and hard negatives.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(a: Tensor, b: Tensor, *, temperature: float) -> Tensor:
    """Symmetric InfoNCE of pairs, scalar; row i of `a` and `b` [B,D] belong together, all others are negatives.

    loss = (CE(a b^T / temperature, i) + CE(b a^T / temperature, i)) / 2
    """
    logits = a @ b.T / temperature
    right = torch.arange(len(a), device=a.device)
    return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2


def pool_info_nce(e: Tensor, content: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE with several positives, scalar; rows of `e` [M,D] with the same `content` [M] belong together.

    For each ordered pair (i, p) of one content

        loss_ip = -log( exp(s_ip) / (exp(s_ip) + sum over n of other content of exp(s_in)) ),  s = e e^T / temperature

    averaged over the positives of each row, then over the rows that have one. Positives do not push each other away:
    with only two rows per content this is exactly the symmetric InfoNCE over all rows. A copy with a replaced region is
    a content of its own, so it is a negative of the original, and the positive of its own degradations.
    """
    s = e @ e.T / temperature
    same = content[:, None] == content[None, :]
    positive = same & ~torch.eye(len(e), dtype=torch.bool, device=e.device)
    negatives = torch.logsumexp(s.masked_fill(same, -torch.inf), dim=1, keepdim=True)
    losses = functional.softplus(negatives - s)  # -log(exp s / (exp s + exp negatives))
    counts = positive.sum(1)
    has_one = counts > 0
    per_row = (losses * positive).sum(1)[has_one] / counts[has_one]
    return per_row.mean()
