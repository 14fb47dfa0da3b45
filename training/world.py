"""The processes that train together, through accelerate: who has which rollouts, and how numbers meet.

Work is split by units (rollouts), not by batches, and every sum over units is divided by their global number. So one
process and many compute the same thing. Gradients are summed once per optimiser step: that is data parallelism without
a wrapper around the modules, which a backbone of several adapters does not bear; with LoRA little has to travel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import Tensor


class World:
    """This process among all."""

    def __init__(self, precision: Literal["fp32", "bf16", "fp64"]) -> None:
        """Joins the others if a launcher (accelerate launch, torchrun) started several."""
        from accelerate import Accelerator

        # Precision is set where velocities are worked out: accelerate allows only one per interpreter.
        self.accelerator: Any = Accelerator(cpu=not torch.cuda.is_available())
        self._bf16 = precision == "bf16"
        self.rank: int = self.accelerator.process_index
        self.size: int = self.accelerator.num_processes
        self.device: torch.device = self.accelerator.device
        self.dtype = torch.float64 if precision == "fp64" else torch.float32

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share_of(self, count: int) -> range:
        """The numbers below `count` that are this process's: neighbours, so that it has few groups."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def autocast(self) -> AbstractContextManager[Any]:
        """bf16 where that was asked for."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16)

    def gathered(self, rows: Tensor, where: range, count: int) -> Tensor:
        """[count,...] on every process, from each one's own rows [len(where),...]."""
        everyone = rows.new_zeros((count, *rows.shape[1:]), dtype=torch.float64)
        everyone[where.start : where.stop] = rows.double()
        return self.summed(everyone)

    def summed(self, value: Tensor) -> Tensor:
        """The sum over processes, on each of them."""
        return self.accelerator.reduce(value, "sum") if self.size > 1 else value

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """In place, in one piece; a process without a share in this step contributes nothing."""
        if self.size == 1:
            return
        parameters = list(parameters)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.summed(torch.cat([g.flatten() for g in gradients]))
        for gradient, part in zip(
            gradients, flat.split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def means(self, sums: Mapping[str, Tensor], count: Tensor) -> dict[str, float]:
        """Sums over this process's units -> means over all."""
        if not sums:
            return {}
        names = sorted(sums)
        values = torch.stack([*(sums[name].double() for name in names), count.double()])
        total = self.summed(values).tolist()
        return {n: value / max(total[-1], 1.0) for n, value in zip(names, total[:-1], strict=True)}

    def wait(self) -> None:
        """For all others."""
        self.accelerator.wait_for_everyone()
