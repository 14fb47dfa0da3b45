"""Trains the head on embedded pools: seconds on a CPU, the same head for the same seed.

    lucidlr consistency-train .photos --out out/consistency

Two objectives: `pairs`, symmetric InfoNCE over LR-HR pairs (the paper's first version), and `pools`, in which several
degradations of a content are positives and copies with a replaced region are hard negatives (its later version).
A batch holds one content of each of its photographs: two cuts of one photograph may overlap and are no negatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.consistency import ConsistencyError
from training.consistency.head import new_head
from training.consistency.losses import info_nce, pool_info_nce
from training.consistency.pools import Pools

Objective = Literal["pairs", "pools"]


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Everything that a head depends on besides its examples."""

    objective: Objective = "pools"
    """pairs or pools; see the module."""
    steps: int = 150
    """Optimiser steps."""
    batch: int = 48
    """Photographs in a batch; all, where there are fewer."""
    lr: float = 1e-3
    """Of AdamW, with a cosine to 0."""
    weight_decay: float = 0.3
    temperature: float = 0.5
    """Of the softmax."""
    noise: float = 0.2
    """Standard deviation of noise on each value of an embedding, in units of their root mean square."""
    seed: int = 0


def train_head(pools: Pools, config: HeadConfig) -> tuple[nn.Sequential, list[float]]:
    """A head for the encoder that made `pools`, and the loss of each step. Held-out contents are not looked at.

    Raises:
        ConsistencyError: fewer than two photographs to train on.
    """
    pools = pools.rows(~pools.held_out)
    contents = [torch.where(pools.photo == index)[0] for index in pools.photo.unique()]
    if len(contents) < 2:
        raise ConsistencyError(
            f"{len(contents)} photographs to train on; InfoNCE needs at least two, and some dozens to be of use."
        )
    chance = torch.Generator().manual_seed(config.seed)
    size = float(pools.hr.norm(dim=-1).mean())
    head = start_head(pools.hr.shape[1], chance, size=size)
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    losses: list[float] = []
    for _ in range(config.steps):
        order = torch.randperm(len(contents), generator=chance)[: config.batch]
        chosen = torch.stack([_one_of(contents[int(index)], chance) for index in order])
        loss = _loss(head, pools.rows(chosen), config, chance)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return head.eval().requires_grad_(False), losses


def start_head(dim: int, generator: torch.Generator, *, size: float) -> nn.Sequential:
    """A head that begins as almost the identity: embeddings that start good only have to be bent.

    GELU(x) is x for large x. The first layer brings embeddings of the length `size` to about one per value and adds 3,
    the second takes the 3 off again; both have a hundredth of the usual random weights on top.
    """
    head = new_head(dim, generator)
    with torch.no_grad():
        for index, factor, shift in ((0, dim**0.5 / size, 3.0), (2, 1.0, -3.0)):
            layer = cast("nn.Linear", head[index])
            layer.weight.mul_(0.01).add_(torch.eye(dim)).mul_(factor)
            layer.bias.fill_(shift)
    return head


def _loss(head: nn.Sequential, pools: Pools, config: HeadConfig, chance: torch.Generator) -> Tensor:
    def project(z: Tensor) -> Tensor:
        flat = z.reshape(-1, z.shape[-1])
        size = flat.norm(dim=-1, keepdim=True) * flat.shape[-1] ** -0.5
        noise = torch.randn(flat.shape, generator=chance) * size * config.noise
        return functional.normalize(head(flat + noise), dim=-1)

    count, degradations = pools.lr.shape[:2]
    if config.objective == "pairs":
        pick = torch.randint(degradations, (count,), generator=chance)
        return info_nce(
            project(pools.hr),
            project(pools.lr[torch.arange(count), pick]),
            temperature=config.temperature,
        )
    ways = pools.replaced_hr.shape[1]
    content = torch.arange(count)
    replaced = count + torch.arange(count * ways)
    e = project(
        torch.cat(
            [
                pools.hr,
                *(
                    z.reshape(-1, z.shape[-1])
                    for z in (pools.lr, pools.replaced_hr, pools.replaced_lr)
                ),
            ]
        )
    )
    labels = torch.cat([content, content.repeat_interleave(degradations), replaced, replaced])
    return pool_info_nce(e, labels, temperature=config.temperature)


def _one_of(rows: Tensor, chance: torch.Generator) -> Tensor:
    return rows[int(torch.randint(len(rows), (1,), generator=chance))]
