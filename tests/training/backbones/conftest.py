from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.backbones.lucidflux_tiny import tiny, tiny_weights
from training.backbones.lucidflux.backbone import LucidFlux


@pytest.fixture(scope="session")
def lucidflux_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder of tiny random networks; copy it before you change it."""
    return tiny_weights(tmp_path_factory.mktemp("lucidflux"))


@pytest.fixture(scope="session")
def lucidflux(lucidflux_weights: Path) -> LucidFlux:
    """A tiny LucidFlux, 128 x 64, float32, without adapters; not to be changed."""
    return tiny(lucidflux_weights)
