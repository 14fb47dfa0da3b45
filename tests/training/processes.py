"""A short run in float64, for `python -m torch.distributed.run`: the main process writes curve and weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from tests.training.small import parts, photographs, small_config
from training.train_nft import main


def run(out: Path) -> None:
    config = small_config(
        out, precision="fp64", epochs=4, groups=4, eval_every=2, eval_lrs=3, checkpoint_every=2
    )
    result = main(config, **parts(dtype=torch.float64), eval_lrs=photographs(3, offset=6))
    if result.rows:
        weights = {name: value.flatten().tolist() for name, value in result.ema.items()}
        (out / "result.json").write_text(json.dumps({"rows": result.rows, "weights": weights}))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
