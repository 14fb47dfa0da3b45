"""The checks that need processes of their own: adapters on all ranks, sharding, the sum of gradients, kill and resume.

    python -m torch.distributed.run --nproc_per_node N -m training.gpu_check.several KIND SPEC.json

Each run writes what it found beside its SPEC; `ranks`, `shard`, `reduce` and `resume` are what the checks call.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from catalog import files
from training.gpu_check import Context, Skip


def ranks(context: Context) -> tuple[str, bool]:
    """1: adapters are the same bit for bit on all processes before and after a step."""
    found = _launched(context, "ranks", context.processes)
    worst = max(found["before"], found["after"])
    return (
        f"largest difference {found['before']:g} before, {found['after']:g} after a step",
        worst == 0,
    )


def shard(context: Context) -> tuple[str, bool]:
    """11: the same loss with everything sharded, and less memory."""
    whole = _launched(context, "whole", context.processes)
    parts = _launched(context, "sharded", context.processes)
    off = abs(parts["loss"] - whole["loss"]) / max(abs(whole["loss"]), 1e-9)
    saved = whole["peak_gib"] - parts["peak_gib"]
    found = f"loss differs by {off:.1e}, peak falls by {saved:.1f} GiB"
    expected = 25 * (context.processes - 1) / context.processes
    small = not context.full_size or not context.on_gpu or abs(saved - expected) < 0.3 * expected
    return found, off <= 1e-3 and small


def reduce(context: Context) -> tuple[str, bool]:
    """13: the sum of 58.6 M gradients over all processes."""
    found = _launched(context, "reduce", context.processes)
    told = f"{1000 * found['seconds']:.1f} ms for .234 GB ({found['backend']})"
    return told, not context.on_gpu or found["seconds"] < 0.01


def resume(context: Context) -> tuple[str, bool]:
    """15: a run that is killed by SIGKILL at a random moment, and run again, has the losses of one that was not."""
    undisturbed = _launched(context, "undisturbed", 1)
    out = context.out / "killed"
    process = subprocess.Popen(
        _words(context, "killed", 1), env=_environment(), stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 1800
    while process.poll() is None and time.monotonic() < deadline:
        if (out / "log.csv").is_file():
            time.sleep(random.uniform(0.0, 2.0))
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = _launched(context, "killed", 1)
    same = again["losses"] == undisturbed["losses"]
    return (
        f"losses {'equal' if same else 'differ'}: {undisturbed['losses'][-1]:.6g}, {again['losses'][-1]:.6g}",
        same,
    )


def _words(context: Context, kind: str, processes: int) -> list[str]:
    options = {k: str(v) if isinstance(v, Path) else v for k, v in context.options().items()}
    if context.on_gpu:
        # Each process takes a device of its own.
        options.pop("device")
    spec = {"options": options, "out": str(context.out / kind), "on_gpu": context.on_gpu}
    file = context.out / f"{kind}.json"
    files.put(file, json.dumps(spec))
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    module = ["-m", "training.gpu_check.several", kind, str(file)]
    return [sys.executable, *(launcher if processes > 1 else []), *module]


def _environment() -> dict[str, str]:
    return {"OMP_NUM_THREADS": "1", **os.environ}


def _launched(context: Context, kind: str, processes: int) -> dict[str, Any]:
    alone = kind in ("undisturbed", "killed")
    if not alone and processes < 2:
        raise Skip("needs --processes 2 or more")
    if context.on_gpu and processes > torch.cuda.device_count():
        raise Skip(
            f"{processes} processes need as many GPUs; there are {torch.cuda.device_count()}"
        )
    done = subprocess.run(
        _words(context, kind, processes),
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
    )
    if done.returncode:
        raise RuntimeError(f"{kind} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return json.loads((context.out / kind / "found.json").read_text(encoding="utf-8"))


def main(kind: str, file: Path) -> None:
    """One of the runs, in this process."""
    from training.world import World

    spec = json.loads(file.read_text(encoding="utf-8"))
    out = Path(spec["out"])
    world = World("bf16" if spec["on_gpu"] else "fp32")
    if kind == "reduce":
        found: dict[str, Any] = _reduced(world)
    elif kind == "ranks":
        found = _one_step(spec, world)
    else:
        found = _trained(spec, out, sharded=kind == "sharded")
    if world.main:
        files.put(out / "found.json", json.dumps(found))


def _reduced(world: Any) -> dict[str, Any]:
    gradients = torch.ones(58_600_000, device=world.device)
    world.summed(gradients)
    world.wait()
    start = time.perf_counter()
    world.summed(gradients)
    if world.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "backend": torch.distributed.get_backend()}


def _one_step(spec: dict[str, Any], world: Any) -> dict[str, float]:
    from training.backbones.lucidflux import load
    from training.gpu_check.single import forward_and_backward
    from training.one_state import share_state

    torch.manual_seed(world.rank)
    model = load(**spec["options"])
    share_state(world, model)
    parameters = list(model.adapter_parameters("default").values())
    before = _spread(world, parameters)
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    forward_and_backward(model)()
    world.sum_gradients(parameters)
    optimizer.step()
    return {"before": before, "after": _spread(world, parameters)}


def _spread(world: Any, parameters: list[Any]) -> float:
    flat = torch.cat([p.detach().float().flatten() for p in parameters])
    everyone = world.everyones(flat)
    return float((everyone - everyone[0]).abs().max())


def _trained(spec: dict[str, Any], out: Path, *, sharded: bool) -> dict[str, Any]:
    from training.data import LRTensors
    from training.train_config import RewardSpec, TrainConfig
    from training.train_nft import main as train

    options = spec["options"]
    height, width = options["height"] // 4, options["width"] // 4
    pixels = torch.rand(4, 3, height, width, generator=torch.Generator().manual_seed(0))
    config = TrainConfig(
        out=out,
        backbone="lucidflux",
        backbone_options=options,
        rewards=(RewardSpec(name="lr_faithfulness"),),
        epochs=2,
        groups=2,
        group_size=4,
        rollout_steps=2,
        rollout_batch=1,
        train_batch=1,
        train_times=1,
        eval_every=0,
        checkpoint_every=1,
        learning_rate=1e-4,
        precision="bf16" if spec["on_gpu"] else "fp32",
        shard=sharded,
        trackers=(),
    )
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    done = train(config, lrs=LRTensors(pixels))
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    losses = [row["total_loss"] for row in done.rows]
    return {"losses": losses, "loss": losses[-1] if losses else 0.0, "peak_gib": peak}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
