"""Mean saturation, bars left out: (largest - least channel) / (largest + 1). Less is greyer: haze, fading, night.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo
from filters.measures._inside import inside

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    total = pixels = 0.0
    for patch in inside(photo).patches:
        sampled = patch[::4, ::4].astype(np.float32)
        red, green, blue = sampled[..., 0], sampled[..., 1], sampled[..., 2]
        most = np.maximum(np.maximum(red, green), blue)
        least = np.minimum(np.minimum(red, green), blue)
        total += float(((most - least) / (most + 1)).sum(dtype=np.float64))
        pixels += most.size
    return total / pixels
