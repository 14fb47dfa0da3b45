"""Short runs for `python -m torch.distributed.run`: the main process writes curve and weights."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from tests.training.small import Agreement, Contrast, parts, photographs, small_config
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


if __name__ == "__main__":
    {"plain": plain, "sharded": sharded}[sys.argv[1]](Path(sys.argv[2]))
