"""Values that the formulas of the references gave (tests/golden/nft.json), as tensors."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FILE = Path(__file__).parents[1] / "golden" / "nft.json"


@functools.cache
def golden() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def f64(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
