"""One state on all processes: process 0's before the first step, compared by hash after every epoch.

Gradients are summed, weights are not: processes that begin with other weights (adapters are drawn at random), or that
read other checkpoints, would train models of their own in silence, and only one of them is saved. So everything that a
backbone holds is sent out by process 0 before training, and what training changes is compared by SHA-256: at the start,
after a resume and after every epoch. Sharded tensors have one owner for each piece and are not compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from catalog.errors import Expected
from training.checkpoint import TrainState
from training.world import World

_DEEPEST = 6


class ProcessesDiffer(Expected, RuntimeError):
    """The processes of one training do not hold the same thing; the message says which and what to do."""


def share_state(world: World, backbone: object) -> None:
    """Every parameter, buffer and tensor of a backbone becomes what process 0 has, in place.

    Call it before sharding. Weights from files are sent as well: it costs one pass over them, and nobody has to know
    which parts of a backbone were drawn at random.

    Raises:
        ProcessesDiffer: the backbones do not have the same tensors, so they were made with other options.
    """
    if world.size == 1:
        return
    tensors = dict(tensors_of(backbone))
    told = [f"{name} {list(value.shape)} {value.dtype}" for name, value in sorted(tensors.items())]
    agree(world, {"the backbone's tensors (names, shapes, types)": "\n".join(told)})
    world.broadcast(tensors[name] for name in sorted(tensors))


def agree(world: World, told: Mapping[str, str]) -> None:
    """Compares texts over the processes, each under what it is called.

    Raises:
        ProcessesDiffer: some process has another text.
    """
    if world.size == 1:
        return
    names = sorted(told)
    _compare(world, names, [hashlib.sha256(told[name].encode()).digest() for name in names])


def check_state(world: World, state: TrainState, *, when: str) -> None:
    """Compares default, old, average and optimiser over the processes.

    Raises:
        ProcessesDiffer: they are not the same bit for bit; `when` says since when.
    """
    if world.size == 1:
        return
    parts = state_hashes(state)
    _compare(world, list(parts), list(parts.values()), when=when)


def state_hashes(state: TrainState) -> dict[str, bytes]:
    """SHA-256 of each part of what training changes, over names and bytes in the order of the parameters."""
    slots = state.optimizer.state_dict()["state"]
    optimiser = {
        f"{name}/{slot}": torch.as_tensor(value)
        for number, name in enumerate(state.parameters)
        for slot, value in slots.get(number, {}).items()
    }
    parts = {
        "default": state.parameters,
        "old": state.old,
        "average": state.ema,
        "optimiser": optimiser,
    }
    progress = f"{state.epoch} {state.step} {state.stopped}"
    return {name: _hash(values) for name, values in parts.items()} | {
        "epoch and step": hashlib.sha256(progress.encode()).digest()
    }


def tensors_of(thing: object) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that an object holds, once, by where it was found: modules, containers, plain objects."""
    seen: set[int] = set()
    yield from _walk(thing, "", seen, 0)


def _walk(thing: object, path: str, seen: set[int], depth: int) -> Iterator[tuple[str, Tensor]]:
    if depth > _DEEPEST or id(thing) in seen:
        return
    if isinstance(thing, Tensor):
        seen.add(id(thing))
        yield path, thing
        return
    if isinstance(thing, nn.Module):
        seen.add(id(thing))
        for kind in (thing.named_parameters(), thing.named_buffers()):
            for name, value in kind:
                if id(value) not in seen:
                    seen.add(id(value))
                    yield f"{path}.{name}", value
        return
    inner: Mapping[str, Any]
    if isinstance(thing, Mapping):
        inner = {str(key): value for key, value in thing.items()}
    elif isinstance(thing, list | tuple):
        inner = {str(number): value for number, value in enumerate(thing)}
    elif isinstance(thing, type | FunctionType | MethodType) or not hasattr(thing, "__dict__"):
        return
    else:
        inner = vars(thing)
    seen.add(id(thing))
    for key, value in inner.items():
        yield from _walk(value, f"{path}.{key}", seen, depth + 1)


def _hash(values: Mapping[str, Tensor]) -> bytes:
    digest = hashlib.sha256()
    for name, value in values.items():
        if isinstance(value, DTensor):
            continue
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def _compare(world: World, names: list[str], digests: list[bytes], *, when: str = "") -> None:
    mine = torch.stack([torch.frombuffer(bytearray(one), dtype=torch.uint8) for one in digests])
    everyone = world.everyones(mine.to(world.device)).cpu()
    for rank in range(1, world.size):
        other = [
            n for n, a, b in zip(names, everyone[0], everyone[rank], strict=True) if a.ne(b).any()
        ]
        if other:
            since = f" {when}" if when else ""
            raise ProcessesDiffer(
                f"process {rank} does not hold what process 0 holds{since}: {', '.join(other)}. Processes of one "
                "training need the same configuration, data, weights and checkpoint folder (on several machines a "
                "shared one)."
            )
