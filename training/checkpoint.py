"""Checkpoints of a run: everything that is needed to go on as if nothing had happened, in tensors only.

    checkpoints/epoch-000010/state.safetensors    default/..., old/..., ema/..., optimiser/<parameter>/..., rng/...
    checkpoints/epoch-000010/state.json           epoch, optimiser steps, hashes, start values of the evaluation

The folder gets its name when it is complete. Crops, groups, noise and times are functions of (seed, epoch), so the
epoch is the position of every sampler; the generators of torch are kept all the same, for what a backbone draws itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from catalog import files
from catalog.errors import Expected
from training.backbones import Backbone
from training.train_config import decisive, defaults
from training.world import like, whole

_NAME = re.compile(r"epoch-(\d{6,})$")
WEIGHTS, META = "state.safetensors", "state.json"


class CheckpointError(Expected, ValueError):
    """A checkpoint is damaged or belongs to another run; the message says what to do."""


@dataclass(kw_only=True)
class TrainState:
    """What a run has arrived at. The parameters are the live ones: loading writes into them."""

    parameters: Mapping[str, Tensor]
    """Of `default`, by name."""
    old: Mapping[str, Tensor]
    """Of `old`, the same names."""
    ema: dict[str, Tensor]
    """The running average of `default`."""
    optimizer: torch.optim.Optimizer
    """Over `parameters` in their order."""
    epoch: int = 0
    """Epochs that are complete."""
    step: int = 0
    """Optimiser steps that were made."""
    start: dict[str, float] = field(default_factory=dict[str, float])
    """What the evaluation found before training, and its spread: the yardstick of later ones."""
    best: dict[str, float] = field(default_factory=dict[str, float])
    """`epoch` and `gain` of the best evaluation so far."""
    stopped: str = ""
    """Why training stopped before its last epoch."""


def save_checkpoint(
    folder: Path,
    state: TrainState,
    *,
    config: Mapping[str, Any],
    weights_sha256: str,
    keep: int,
    write: bool = True,
) -> Path:
    """Writes checkpoints/epoch-<n> below `folder` and removes old ones, except the `keep` newest and the best.

    Where parameters are sharded all processes have to call it, with `write` on one of them.
    """
    home = folder / "checkpoints"
    tensors = _tensors(state)
    if not write:
        return home / f"epoch-{state.epoch:06d}"
    final = home / f"epoch-{state.epoch:06d}"
    meta = {
        "epoch": state.epoch,
        "step": state.step,
        "start": state.start,
        "best": state.best,
        "stopped": state.stopped,
        "config": dict(config),
        "weights_sha256": weights_sha256,
    }
    with files.folder(final, marker=META) as unfinished:
        with files.writing(unfinished / WEIGHTS) as temporary:
            save_file(tensors, temporary)
        files.put(unfinished / META, json.dumps(meta, indent=1, sort_keys=True))
    stay = set(checkpoints(folder)[-keep:]) | {
        home / f"epoch-{int(state.best.get('epoch', -1)):06d}"
    }
    for path in checkpoints(folder):
        if path not in stay:
            files.delete(path)
    return final


def checkpoints(folder: Path) -> list[Path]:
    """Complete ones, the oldest first."""
    found = (folder / "checkpoints").glob("epoch-*")
    numbered = {int(m[1]): path for path in found if (m := _NAME.match(path.name))}
    return [numbered[number] for number in sorted(numbered)]


def load_checkpoint(
    path: Path, state: TrainState, *, config: Mapping[str, Any], weights_sha256: str
) -> None:
    """Puts a checkpoint into the live parameters, average, optimiser and generators of `state`.

    Raises:
        CheckpointError: damaged, of another configuration (the keys are named), or on top of other base weights.
    """
    try:
        meta = json.loads((path / META).read_text(encoding="utf-8"))
        tensors = load_file(path / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); remove it to go on from the one before."
        ) from error
    # Older checkpoints hold more options and lack fields that came later; both are read as what they meant.
    before, now = (defaults() | decisive(kept) for kept in (meta["config"], _json(config)))
    changed = {k for k in {*before, *now} if before.get(k) != now.get(k)}
    if changed:
        raise CheckpointError(
            f"{path} was made with another {', '.join(sorted(changed))}; train into another folder, or take that back."
        )
    if meta["weights_sha256"] != weights_sha256:
        raise CheckpointError(
            f"{path} was made on top of other base weights; train into another folder."
        )
    wanted = {f"{part}/{name}" for part in ("default", "old", "ema") for name in state.parameters}
    if not wanted <= tensors.keys():
        raise CheckpointError(
            f"{path} lacks {sorted(wanted - tensors.keys())[0]}; the backbone is another."
        )
    with torch.no_grad():
        for name, value in state.parameters.items():
            for part, target in (
                ("default", value),
                ("old", state.old[name]),
                ("ema", state.ema[name]),
            ):
                target.copy_(like(tensors[f"{part}/{name}"], target))
    _load_optimizer(state, tensors)
    _set_generators(tensors)
    state.epoch, state.step = meta["epoch"], meta["step"]
    state.start, state.best, state.stopped = meta["start"], meta["best"], meta["stopped"]


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    """As they come back from a file: tuples are lists."""
    return json.loads(json.dumps(dict(values)))


def _tensors(state: TrainState) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for part, values in (("default", state.parameters), ("old", state.old), ("ema", state.ema)):
        found |= {f"{part}/{name}": value for name, value in values.items()}
    slots = state.optimizer.state_dict()["state"]
    for number, name in enumerate(state.parameters):
        for slot, value in slots.get(number, {}).items():
            found[f"optimiser/{name}/{slot}"] = torch.as_tensor(value)
    found["rng/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        found["rng/cuda"] = torch.cuda.get_rng_state()
    # safetensors refuses tensors that share memory, and wants them whole and on the CPU.
    return {
        name: whole(value.detach()).to("cpu", copy=True).contiguous()
        for name, value in found.items()
    }


def _load_optimizer(state: TrainState, tensors: Mapping[str, Tensor]) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    for number, (name, parameter) in enumerate(state.parameters.items()):
        prefix = f"optimiser/{name}/"
        found = {
            key.removeprefix(prefix): like(value, parameter)
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
        if found:
            slots[number] = found
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": slots})


def _set_generators(tensors: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(tensors["rng/cpu"])
    if torch.cuda.is_available() and "rng/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng/cuda"])


@runtime_checkable
class SavesAdapter(Protocol):
    """A backbone that can write its adapter as others load it (PEFT folders)."""

    def save_adapter(self, folder: Path, values: Mapping[str, Tensor]) -> None:
        """Writes `values`, the trained parameters by name, into `folder`."""
        ...


def write_weights(
    folder: Path, backbone: Backbone, values: Mapping[str, Tensor], *, config_hash: str
) -> Path:
    """What came out of a run, for use: weights.safetensors by parameter name, with what it belongs to in its metadata.

    A backbone that `SavesAdapter` writes adapter/ as well.
    """
    file = folder / "weights.safetensors"
    kept = {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in values.items()
    }
    about = {"backbone": backbone.name, "base": backbone.weights_sha256, "config": config_hash}
    with files.writing(file) as temporary:
        save_file(kept, temporary, metadata={**about, "license": backbone.license})
    if isinstance(backbone, SavesAdapter):
        backbone.save_adapter(folder / "adapter", kept)
    return file


def exported(path: Path, part: str = "ema") -> dict[str, Tensor]:
    """The trained parameters of a checkpoint by name: `ema` (for use), `default` (raw) or `old`.

    Raises:
        CheckpointError: damaged, or without that part.
    """
    try:
        tensors = load_file(path / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}).") from error
    found = {n.removeprefix(f"{part}/"): x for n, x in tensors.items() if n.startswith(f"{part}/")}
    if not found:
        raise CheckpointError(f"{path} holds no {part!r}.")
    return found


def run_of(run: Path, part: str = "ema") -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(config, values of `part`) of the last checkpoint of a training run, or of the checkpoint `run` itself.

    Raises:
        CheckpointError: no checkpoint there, or damaged.
    """
    found = checkpoints(run)
    checkpoint = found[-1] if found else run
    if not (checkpoint / META).is_file():
        raise CheckpointError(f"{run} holds no checkpoint")
    config = json.loads((checkpoint / META).read_text(encoding="utf-8"))["config"]
    return config, exported(checkpoint, part)
