"""A tiny random LucidFlux in the official layout, out of the golden files, for the tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from training.backbones.lucidflux import load
from training.backbones.lucidflux.backbone import LucidFlux
from training.backbones.lucidflux.golden_set import write_weights

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "lucidflux"
LORA = GOLDEN / "i_lora"


def tiny_weights(out: Path) -> Path:
    return write_weights(GOLDEN, out)


def tiny(weights: Path, **options) -> LucidFlux:
    return load(
        weights=weights,
        **{"width": 128, "height": 64, "device": "cpu", "dtype": "float32"} | options,
    )


def copied(weights: Path, to: Path) -> Path:
    return Path(shutil.copytree(weights, to))
