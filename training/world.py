"""The processes that train together, through accelerate: who has which rollouts, and how numbers meet.

Work is split by units (rollouts), not by batches, and every sum over units is divided by their global number. So one
process and many compute the same thing. Gradients are summed once per optimiser step: that is data parallelism without
a wrapper around the modules, which a backbone of several adapters does not bear; with LoRA little has to travel.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from catalog.errors import Expected
from training.train_config import Attention


def _leave() -> None:
    """Ends the connections before the interpreter does: their threads would abort a process that has done its work.
    After an error nothing is waited for, since the others may never come."""
    failed = getattr(sys, "last_value", None) is not None
    if torch.distributed.is_initialized() and not failed:
        torch.distributed.destroy_process_group()


class World:
    """This process among all."""

    def __init__(
        self, precision: Literal["fp32", "bf16", "fp64"], *, attention: Attention = "auto"
    ) -> None:
        """Joins the others if a launcher (accelerate launch, torchrun) started several.

        Raises:
            LaunchError: a launcher was asked for several and started one.
        """
        from accelerate import Accelerator

        # Precision is set where velocities are worked out: accelerate allows only one per interpreter.
        self.accelerator: Any = Accelerator(cpu=not torch.cuda.is_available())
        _refuse_a_launch_that_did_not_happen(self.accelerator.num_processes)
        atexit.unregister(_leave)
        atexit.register(_leave)
        self._bf16 = precision == "bf16"
        self._attention: Attention = attention
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

    @contextmanager
    def autocast(self) -> Generator[None]:
        """Within: bf16 where that was asked for, and the kernel of attention that was."""
        with (
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16),
            _attention(self._attention),
        ):
            yield

    def told(self, answer: bool) -> bool:
        """Process 0's answer, on every process: clocks differ, decisions must not."""
        if self.size == 1:
            return answer
        sent = torch.tensor([int(answer)], device=self.device)
        self.broadcast([sent])
        return bool(sent.item())

    def gathered(self, rows: Tensor, where: range, count: int) -> Tensor:
        """[count,...] on every process, from each one's own rows [len(where),...]."""
        everyone = rows.new_zeros((count, *rows.shape[1:]), dtype=torch.float64)
        everyone[where.start : where.stop] = rows.double()
        return self.summed(everyone)

    def summed(self, value: Tensor) -> Tensor:
        """The sum over processes, on each of them."""
        return self.accelerator.reduce(value, "sum") if self.size > 1 else value

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """In place: what process 0 has, on every process; in the same order on each of them."""
        if self.size == 1:
            return
        with torch.no_grad():
            for tensor in tensors:
                # NCCL takes no tensors of the CPU's memory, and no library takes strides.
                sent = tensor.detach().to(self.device).contiguous()
                torch.distributed.broadcast(sent, src=0)
                if self.rank:
                    tensor.copy_(sent)

    def of_main(self, text: str) -> str:
        """Process 0's text, on every process."""
        if self.size == 1:
            return text
        sent = [text]
        torch.distributed.broadcast_object_list(sent, src=0, device=self.device)
        return sent[0]

    def everyones(self, value: Tensor) -> Tensor:
        """[processes, ...]: the value of each process, on each of them."""
        if self.size == 1:
            return value[None]
        found = [torch.empty_like(value) for _ in range(self.size)]
        torch.distributed.all_gather(found, value.contiguous())
        return torch.stack(found)

    def most(self, number: int) -> int:
        """The largest of all processes' numbers."""
        mine = torch.tensor([number], device=self.device)
        return int(self.accelerator.gather(mine).max()) if self.size > 1 else number

    def shard(self, modules: Iterable[nn.Module]) -> None:
        """FSDP2, in place: blocks (what lies in a ModuleList) and what is left of a module are spread over all.

        Every forward pass is a joint one from now on: all processes have to make the same number of them.
        """
        if self.size == 1:
            return
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard

        mesh = init_device_mesh(self.device.type, (self.size,))
        for module in modules:
            lists = [child for child in module.children() if isinstance(child, nn.ModuleList)]
            for part in [*(block for blocks in lists for block in blocks), module]:
                # Not even the last one stays whole: adapters change between two forward passes.
                fully_shard(part, mesh=mesh, reshard_after_forward=True)
            for part in module.modules():
                if isinstance(part, FSDPModule):
                    # Sums, not means: the loss is divided by a global number already.
                    part.set_gradient_divide_factor(1.0)
                    part.set_force_sum_reduction_for_comms(True)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """In place, in one piece; a process without a share in this step contributes nothing."""
        if self.size == 1:
            return
        # Those of sharded parameters met in the backward pass.
        parameters = [parameter for parameter in parameters if not isinstance(parameter, DTensor)]
        if not parameters:
            return
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


def _attention(name: Attention) -> AbstractContextManager[Any]:
    if name == "auto":
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    kernels = {
        "flash": SDPBackend.FLASH_ATTENTION,
        "efficient": SDPBackend.EFFICIENT_ATTENTION,
        "cudnn": SDPBackend.CUDNN_ATTENTION,
        "math": SDPBackend.MATH,
    }
    return sdpa_kernel(kernels[name])


class LaunchError(Expected, RuntimeError):
    """A launcher did not start what it was asked for; the message says how it does."""


def _refuse_a_launch_that_did_not_happen(started: int) -> None:
    """`accelerate launch --cpu --num_processes 2` starts one process and says nothing.

    It leaves its own variables behind, and the address of a meeting point that only several processes have.
    """
    asked = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    if started == 1 and asked and os.environ.get("WORLD_SIZE", "1") == "1":
        raise LaunchError(
            "accelerate launch was asked for several processes and started one, as it does with --cpu. Use "
            "--config_file pipelines/recipes/nft/accelerate_ddp.yaml (or --multi_gpu; without a GPU its processes "
            "train on the CPU), or torchrun --nproc_per_node N -m pipelines.cli train ..."
        )


def whole(value: Tensor) -> Tensor:
    """A sharded tensor in one piece, on every process (all have to ask); others as they are."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def like(value: Tensor, target: Tensor) -> Tensor:
    """A tensor in one piece, sharded as `target` is."""
    if not isinstance(target, DTensor) or value.shape != target.shape:
        return value
    return distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
