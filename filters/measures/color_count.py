"""How many different colors there are, log10, of 32,768 and on 16,384 pixels. Less for drawings and screenshots.

Each channel is cut to 5 bits; the sample is evenly spread, so that large and small pictures compare.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo
from filters.measures._inside import inside

SAMPLE = 16_384

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 4.2."""
    pixels = np.concatenate([patch.reshape(-1, 3) for patch in inside(photo).patches])
    if len(pixels) > SAMPLE:
        pixels = pixels[np.linspace(0, len(pixels) - 1, SAMPLE).astype(np.int64)]
    bits = (pixels >> 3).astype(np.int64)
    colors = bits[:, 0] << 10 | bits[:, 1] << 5 | bits[:, 2]
    return float(np.log10(np.count_nonzero(np.bincount(colors, minlength=32_768))))
