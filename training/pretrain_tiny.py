"""Pretrains the tiny backbone by flow matching on photographs.

    python -m training.pretrain_tiny --photos .photos --out out/pretrain_tiny      (about five minutes of one core)

x_t = (1 - t) x0 + t noise, and the network learns noise - x0 in mean squares; what is kept is the moving average of
its weights. Batches are a function of seed and step, and a checkpoint holds everything else: a run that was killed and
one that was not end with the same bytes. The file of weights comes last.
"""

from __future__ import annotations

import argparse
import copy
import csv
import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from catalog import files
from catalog.errors import Expected
from training.backbones.tiny import RESIDUAL_STD, TinyNet, upsample
from training.photographs import Pairs, fingerprint, make_pairs, photographs


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """What decides the weights."""

    photos: Path | None = None
    """A folder of photographs, or an exported dataset; those of the packages come on top."""
    out: Path = Path("out/pretrain_tiny")
    seed: int = 0
    width: int = 32
    """Channels at half the resolution."""
    lr_px: int = 8
    """Side of an LR patch; SR is four times that."""
    pairs: int = 24_000
    batch: int = 32
    steps: int = 4_000
    learning_rate: float = 1.2e-3
    """At its height; 100 steps of warm-up, then a cosine down to a fiftieth."""
    ema: float = 0.998
    """Of the weights, per step, at most; (1 + step) / (10 + step) before."""
    save_every: int = 250


class OtherRun(Expected, ValueError):
    """The folder holds a run with other settings."""


def pretrain(config: PretrainConfig) -> Path:
    """Runs, or goes on with, a pretraining; returns the file of weights (out/tiny.safetensors).

    Raises:
        NoPhotographs: see training.photographs.
        OtherRun: `out` holds a run with another config.
    """
    weights, checkpoint = config.out / "tiny.safetensors", config.out / "checkpoint.pt"
    photos = photographs(config.photos)
    named = {
        k: str(v) for k, v in asdict(config).items() if k not in ("photos", "out", "save_every")
    }
    settings = {**named, "photographs": str(len(photos)), "photographs_sha256": fingerprint(photos)}
    _claim(config.out, settings)
    if weights.is_file():
        return weights
    torch.set_num_threads(1)
    train = make_pairs(
        [p for p in photos if not p.held_out],
        count=config.pairs,
        seed=config.seed,
        lr_px=config.lr_px,
    )
    test = make_pairs(
        [p for p in photos if p.held_out], count=512, seed=config.seed + 1, lr_px=config.lr_px
    )
    torch.manual_seed(config.seed)
    net = TinyNet(config.width)
    ema = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=1e-4)
    step, cpu_s, log = 0, 0.0, []
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        ema.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        step, cpu_s, log = state["step"], state["cpu_s"], state["log"]
    began, running = time.process_time(), 0.0
    while step < config.steps:
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _height(step, config.steps)
        loss = _loss(net, train, config, step)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(config.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(ema.parameters(), net.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        running += loss.item()
        if step % config.save_every == 0 or step == config.steps:
            since = (step - 1) % config.save_every + 1
            log.append([step, running / since, held_out_loss(ema, test), 0.0])
            running = 0.0
            log[-1][3] = round(cpu_s + time.process_time() - began, 1)
            _save(
                checkpoint,
                {
                    "net": net.state_dict(),
                    "ema": ema.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "cpu_s": cpu_s + time.process_time() - began,
                    "log": log,
                },
            )
    with files.text(config.out / "log.csv", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "train_loss", "held_out_loss", "cpu_s"])
        rows.writerows([[s, f"{a:.5f}", f"{b:.5f}", c] for s, a, b, c in log])
    # One entry: the library writes several in an order that changes from run to run, and with it the file's hash.
    told = json.dumps({"step": step, **settings}, sort_keys=True)
    with files.writing(weights) as temporary:
        save_file(ema.state_dict(), temporary, metadata={"settings": told})
    return weights


def held_out_loss(net: TinyNet, pairs: Pairs) -> float:
    """Flow-matching loss on pairs, with the same noise and times at every call."""
    total = 0.0
    with torch.no_grad():
        for first in range(0, len(pairs.lr), 64):
            lr, hr = pairs.floats(slice(first, first + 64))
            generator = torch.Generator().manual_seed(first)
            total += _flow_matching(net, lr, hr, generator).item() * len(lr)
    return total / len(pairs.lr)


def _loss(net: TinyNet, pairs: Pairs, config: PretrainConfig, step: int) -> Tensor:
    """On the batch of a step: rows, turns, times and noise all come from (seed, step)."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    rows = torch.randint(len(pairs.lr), (config.batch,), generator=generator)
    lr, hr = pairs.floats(rows)
    if torch.rand((), generator=generator) < 0.5:
        lr, hr = lr.flip(-1), hr.flip(-1)
    return _flow_matching(net, lr, hr, generator)


def _flow_matching(net: TinyNet, lr: Tensor, hr: Tensor, generator: torch.Generator) -> Tensor:
    up = upsample(lr)
    x0 = (hr - up) / RESIDUAL_STD
    noise = torch.randn(x0.shape, generator=generator)
    # Times lie one in each of `batch` equal parts of [0,1]: the mean over a batch varies less.
    t = (torch.arange(len(x0)) + torch.rand(len(x0), generator=generator)) / len(x0)
    at = t[:, None, None, None]
    return F.mse_loss(net((1 - at) * x0 + at * noise, t, up), noise - x0)


def _height(step: int, steps: int) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / 100) * (0.02 + 0.98 * cosine)


def _claim(out: Path, settings: dict[str, str]) -> None:
    """Notes the settings in an empty folder; in another one they must be the same."""
    mark = hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()
    file = out / "settings.sha256"
    if file.is_file() and file.read_text() != mark:
        raise OtherRun(f"{out} holds a pretraining with other settings; choose another folder.")
    files.put(file, mark)


def _save(path: Path, state: dict[str, Any]) -> None:
    with files.writing(path) as temporary:
        torch.save(state, temporary)


def main(arguments: list[str] | None = None) -> Path:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = PretrainConfig()
    parser.add_argument("--photos", type=Path, default=default.photos)
    parser.add_argument("--out", type=Path, default=default.out)
    for name in ("seed", "width", "lr_px", "pairs", "batch", "steps"):
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, default=getattr(default, name))
    return pretrain(replace(default, **vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
