"""Short runs for `python -m torch.distributed.run`: the main process writes curve and weights."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from tests.training.small import Agreement, Contrast, parts, photographs, small_config
from training.data import LRTensors
from training.one_state import ProcessesDiffer
from training.train_nft import TrainResult, main


def write(out: Path, result: TrainResult) -> None:
    """Only the main process has rows."""
    if result.rows:
        weights = {name: value.flatten().tolist() for name, value in result.ema.items()}
        (out / "result.json").write_text(json.dumps({"rows": result.rows, "weights": weights}))


def plain(out: Path) -> None:
    """Two convolutions in float64, weights replicated."""
    config = small_config(
        out, precision="fp64", epochs=4, groups=4, eval_every=2, eval_lrs=3, checkpoint_every=2
    )
    given = parts(dtype=torch.float64)
    write(out, main(config, **given, eval_lrs=photographs(3, offset=6)))


def sharded(out: Path) -> None:
    """A transformer with LoRA, all of it sharded; cut after two of four epochs and gone on with."""
    from tests.training.test_lora_training import SmallTransformer

    for epochs in (2, 4):
        config = small_config(
            out,
            epochs=epochs,
            groups=4,
            eval_every=2,
            eval_lrs=2,
            checkpoint_every=2,
            learning_rate=1e-2,
            train_batch=4,
            shard=True,
        )
        backbone = SmallTransformer()
        result = main(
            config,
            backbone=backbone,
            rewards=[Agreement(), Contrast()],
            lrs=photographs(),
            eval_lrs=photographs(2, offset=6),
        )
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    for module in backbone.trainable_modules().values():
        assert all(isinstance(p, DTensor) == together for p in module.parameters())
    write(out, result)


def lora(out: Path, *, shard: bool = False, epochs: tuple[int, ...] = (1, 2)) -> None:
    """A tiny LucidFlux whose adapters are drawn, on each process after something else was; cut and resumed."""
    from tests.training.backbones.lucidflux_tiny import tiny, tiny_weights

    rank = int(os.environ.get("RANK", "0"))
    weights = tiny_weights(out.parent / f"weights-{out.name}-{rank}")
    # As large as the results: no reward needs another scale.
    pixels = torch.rand(4, 3, 32, 64, generator=torch.Generator().manual_seed(5))
    for until in epochs:
        torch.manual_seed(100 + rank)
        config = small_config(
            out,
            backbone="lucidflux",
            epochs=until,
            groups=2,
            group_size=2,
            rollout_steps=2,
            rollout_batch=1,
            train_batch=1,
            train_times=1,
            updates=1,
            eval_every=2,
            eval_lrs=2,
            checkpoint_every=1,
            learning_rate=1e-3,
            shard=shard,
            precision="fp64",
        )
        result = main(
            config,
            backbone=tiny(weights, lora_rank=2, lora_alpha=4, dtype="float64"),
            rewards=[Agreement(), Contrast()],
            lrs=LRTensors(pixels[:2]),
            eval_lrs=LRTensors(pixels[2:]),
        )
    write(out, result)


def lora_sharded(out: Path) -> None:
    """The same with base weights, adapters and optimiser spread over the processes."""
    lora(out, shard=True, epochs=(2,))


def differing(out: Path) -> None:
    """Process 1 loses a weight of its own in the middle of a training: the next comparison has to see it."""
    rank = int(os.environ.get("RANK", "0"))
    given = parts()
    spoiled = given["backbone"].adapter_parameters("old")

    class Spoils(Agreement):
        def score(self, sr, lr, shared):
            if rank == 1:
                with torch.no_grad():
                    next(iter(spoiled.values())).add_(1e-7)
            return super().score(sr, lr, shared)

    given["rewards"][0] = Spoils()
    try:
        main(small_config(out, epochs=1, groups=4), **given)
    except ProcessesDiffer as error:
        (out / f"told-by-{rank}.txt").write_text(str(error))
        raise


KINDS = {kind.__name__: kind for kind in (plain, sharded, lora, lora_sharded, differing)}

if __name__ == "__main__":
    KINDS[sys.argv[1]](Path(sys.argv[2]))
