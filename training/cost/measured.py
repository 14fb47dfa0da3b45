"""The cost of a backbone that is small enough to be tried: a sample or two, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from training.backbones import Backbone, Conditioning
from training.backbones._cost import Cost
from training.cost.live import LiveBytes


def cost_of(backbone: Backbone, lr_px: int) -> Cost:
    """From velocities with and without gradients, a decoding and an encoding of a grey LR of `lr_px` px."""
    lr = torch.full((1, 3, lr_px, lr_px), 0.5)
    encode_flop, cond = _counted(lambda: backbone.encode(lr))
    shape = backbone.latent_shape((lr_px, lr_px))
    first = next(iter(backbone.adapter_parameters("default").values()))
    z = torch.zeros(1, *shape, dtype=torch.float32, device=first.device)
    t = torch.full((1,), 0.5, device=first.device)
    with backbone.use("default"):
        velocity_flop, _ = _counted(lambda: backbone.velocity(z, t, cond))
    ways = {"saved": _trained, "passing": _passed, "decoded": _decoded}
    # Of two samples less that of one: what does not grow with the batch (gradients) is counted elsewhere.
    needed = {
        name: _needed(way, backbone, z, cond, 2) - _needed(way, backbone, z, cond, 1)
        for name, way in ways.items()
    }
    decode_flop, _ = _counted(lambda: backbone.decode(z, cond))
    trained = sum(p.numel() for p in backbone.adapter_parameters("default").values())
    modules = backbone.trainable_modules()
    counts = {name: sum(p.numel() for p in m.parameters()) for name, m in modules.items()}
    # Without LoRA all is trained, and the reference is a copy of its own.
    whole = trained >= sum(counts.values())
    return Cost(
        parameters=counts,
        weights_bytes={
            name: sum(p.numel() * p.element_size() for p in m.parameters())
            for name, m in modules.items()
        },
        trained=trained,
        copies=7 if whole else 6,
        trained_bytes=first.element_size(),
        velocity_flop=velocity_flop,
        encode_flop=encode_flop,
        decode_flop=decode_flop,
        saved_bytes=needed["saved"],
        checkpointed_bytes=None,
        passing_bytes=needed["passing"],
        decode_bytes=needed["decoded"],
        conditioning_bytes=sum(value.numel() * value.element_size() for value in cond.values()),
        latent_bytes=z.numel() * 4,
        half=first.dtype in (torch.bfloat16, torch.float16),
    )


def _counted(run: Any) -> tuple[float, Any]:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        found = run()
    return float(counter.get_total_flops()), found


def _trained(backbone: Backbone, z: Tensor, t: Tensor, cond: Conditioning) -> None:
    with backbone.use("default"):
        backbone.velocity(z, t, cond).square().mean().backward()
    for parameter in backbone.adapter_parameters("default").values():
        parameter.grad = None


@torch.no_grad()
def _passed(backbone: Backbone, z: Tensor, t: Tensor, cond: Conditioning) -> None:
    backbone.velocity(z, t, cond)


@torch.no_grad()
def _decoded(backbone: Backbone, z: Tensor, t: Tensor, cond: Conditioning) -> None:
    del t
    backbone.decode(z, cond)


def _needed(
    way: Callable[[Backbone, Tensor, Tensor, Conditioning], None],
    backbone: Backbone,
    z: Tensor,
    cond: Conditioning,
    count: int,
) -> int:
    """Bytes of `count` samples at the worst moment, on top of weights and what is handed over."""
    many = {name: value.repeat_interleave(count, 0) for name, value in cond.items()}
    z = z.repeat_interleave(count, 0)
    t = torch.full((count,), 0.5, device=z.device)
    there = [z, t, *many.values()]
    for module in backbone.trainable_modules().values():
        there += [*module.parameters(), *module.buffers()]
    for adapter in ("default", "old"):
        there += backbone.adapter_parameters(adapter).values()
    with LiveBytes(beside=there) as live:
        way(backbone, z, t, many)
    return live.peak
