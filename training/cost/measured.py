"""The cost of a backbone that is small enough to be tried: one sample forwards, counted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.backbones import Backbone
from training.backbones._cost import Cost


def cost_of(backbone: Backbone, lr_px: int) -> Cost:
    """From one velocity with gradients, one decoding and one encoding of a grey LR of `lr_px` px."""
    lr = torch.full((1, 3, lr_px, lr_px), 0.5)
    encode_flop, cond = _counted(lambda: backbone.encode(lr))
    shape = backbone.latent_shape((lr_px, lr_px))
    first = next(iter(backbone.adapter_parameters("default").values()))
    z = torch.zeros(1, *shape, dtype=torch.float32, device=first.device)
    t = torch.full((1,), 0.5, device=first.device)
    saved: dict[int, int] = {}
    parameters = {p.untyped_storage().data_ptr() for p in _parameters(backbone)}

    def pack(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage()
        if place.data_ptr() not in parameters:
            saved[place.data_ptr()] = place.nbytes()
        return tensor

    with backbone.use("default"), torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        velocity_flop, v = _counted(lambda: backbone.velocity(z, t, cond))
    saved_bytes = sum(saved.values())
    del v
    decode_flop, image = _counted(lambda: backbone.decode(z, cond))
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
        saved_bytes=saved_bytes,
        checkpointed_bytes=None,
        passing_bytes=saved_bytes // 4,
        decode_bytes=2 * image.numel() * 4,
        conditioning_bytes=sum(value.numel() * value.element_size() for value in cond.values()),
        latent_bytes=z.numel() * 4,
        half=first.dtype in (torch.bfloat16, torch.float16),
    )


def _counted(run: Any) -> tuple[float, Any]:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        found = run()
    return float(counter.get_total_flops()), found


def _parameters(backbone: Backbone) -> list[Tensor]:
    found: list[Tensor] = []
    for module in backbone.trainable_modules().values():
        found += [*module.parameters(), *module.buffers()]
    return [*found, *backbone.adapter_parameters("old").values()]
