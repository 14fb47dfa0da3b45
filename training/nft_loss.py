"""The loss of DiffusionNFT (forward-process reinforcement, arXiv 2509.16117; code NVlabs/DiffusionNFT, Apache-2.0).

Letters as in the paper. With the image x0 that the old policy made, fresh noise and a time t:

    x_t = (1 - t) x0 + t noise                      v = noise - x0 is what a velocity predicts
    v+ = beta v + (1 - beta) v_old                  the implicit positive policy
    v- = (1 + beta) v_old - beta v                  the implicit negative one
    x+- = x_t - t v+-                               their predictions of x0
    w+- = max(mean |x+- - x0|, 1e-5)                self-normalising weights, no gradient
    L+- = mean (x+- - x0)^2 / w+-
    loss = c mean_i [ r L+ + (1 - r) L- ] / beta  +  kl_beta mean (v - v_ref)^2,   c = adv_clip_max

Since x_t - x0 = t (noise - x0), both residuals come from a = t (noise - x0 - v_old) and b = t beta (v - v_old):
x+ - x0 = a - b and x- - x0 = a + b; no other tensor of the latent's size is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.advantage import AdvantageMode, optimality

SMALLEST_WEIGHT = 1e-5


@dataclass(frozen=True, kw_only=True)
class NFTLoss:
    """The loss and what it is made of; only `loss`, `policy`, `kl` and `each` carry gradients.

    Means are over the rows that count; rows with a NaN advantage are 0 in `each` and False in `valid`.
    """

    loss: Tensor
    """Scalar: policy + kl_beta kl."""
    policy: Tensor
    """Scalar: the policy term alone (the reference's log adds the KL term to it by an oversight)."""
    kl: Tensor
    """Scalar: mean (v - v_ref)^2, before its factor; 0 without a reference."""
    each: Tensor
    """[B] the loss row by row: loss = each.sum() / valid.sum(). For batches that are cut into pieces."""
    r: Tensor
    """[B] in [0,1], NaN where the advantage is."""
    valid: Tensor
    """[B] bool: rows with an advantage."""
    positive: Tensor
    """[B] L+."""
    negative: Tensor
    """[B] L-."""
    positive_weight: Tensor
    """[B] w+."""
    negative_weight: Tensor
    """[B] w-."""
    unweighted: Tensor
    """Scalar: policy / adv_clip_max."""
    old_deviation: Tensor
    """Scalar: mean (v - v_old)^2."""
    old_kl: Tensor
    """Scalar: mean (v_old - v_ref)^2; 0 without a reference."""


def nft_loss(
    *,
    x0: Tensor,
    noise: Tensor,
    t: Tensor,
    v: Tensor,
    v_old: Tensor,
    v_ref: Tensor | None,
    advantages: Tensor,
    beta: float,
    adv_clip_max: float = 5.0,
    kl_beta: float = 1e-4,
    adv_mode: AdvantageMode = "all",
) -> NFTLoss:
    """The loss over B rows: x0, noise, v, v_old, v_ref [B,...]; t in [0,1] and advantages [B].

    Only v may carry gradients. v_ref may be None where kl_beta is 0, which saves the third forward pass. Velocities of
    lower precision (bfloat16) are taken to the precision of x0 first.

    Raises:
        ValueError: beta or adv_clip_max not above 0, shapes that do not fit, or no reference for a KL term.
    """
    if not beta > 0:
        raise ValueError(f"beta is above 0, not {beta}.")
    if v_ref is None and kl_beta:
        raise ValueError("the KL term needs v_ref; or set kl_beta to 0.")
    if not x0.shape == noise.shape == v.shape == v_old.shape or len(t) != len(x0):
        raise ValueError(f"x0 {list(x0.shape)}, noise, v and v_old have one shape, and t [B].")
    dims = tuple(range(1, x0.ndim))
    v, v_old = v.to(x0.dtype), v_old.detach().to(x0.dtype)
    advantages = advantages.to(x0)
    r = optimality(advantages, clip=adv_clip_max, mode=adv_mode)
    valid = ~advantages.isnan()
    count = valid.sum().clamp(min=1)

    time = t.to(x0).reshape(-1, *[1] * len(dims))
    step = v - v_old
    a, b = time * (noise - x0 - v_old), time * beta * step
    to_positive, to_negative = a - b, a + b
    w_positive, w_negative = (
        residual.detach().abs().mean(dims, dtype=torch.float64).clamp(min=SMALLEST_WEIGHT)
        for residual in (to_positive, to_negative)
    )
    positive = to_positive.square().mean(dims) / w_positive.to(x0.dtype)
    negative = to_negative.square().mean(dims) / w_negative.to(x0.dtype)

    weight = torch.where(valid, r, torch.zeros_like(r))
    policy_each = adv_clip_max * (weight * positive + (1 - weight) * negative) / beta
    kl_each = old_kl_each = torch.zeros_like(policy_each)
    if v_ref is not None:
        v_ref = v_ref.detach().to(x0.dtype)
        kl_each = (v - v_ref).square().mean(dims)
        old_kl_each = (v_old - v_ref).square().mean(dims)

    def mean(rows: Tensor) -> Tensor:
        return torch.where(valid, rows, torch.zeros_like(rows)).sum() / count

    policy, kl = mean(policy_each), mean(kl_each)
    each = policy_each + kl_beta * kl_each
    return NFTLoss(
        loss=policy + kl_beta * kl,
        policy=policy,
        kl=kl,
        each=torch.where(valid, each, torch.zeros_like(each)),
        r=r,
        valid=valid,
        positive=positive.detach(),
        negative=negative.detach(),
        positive_weight=w_positive,
        negative_weight=w_negative,
        unweighted=policy.detach() / adv_clip_max,
        old_deviation=mean(step.detach().square().mean(dims)),
        old_kl=mean(old_kl_each),
    )
