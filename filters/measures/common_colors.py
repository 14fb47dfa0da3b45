"""Share of pixels that have one of the ten commonest colors (of 32,768). Near 1 for drawings and screenshots.

Colors and sample as color_count; those with a luma below 24 do not count, so that night is no drawing.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo
from filters.measures._inside import inside

SAMPLE = 16_384

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    pixels = np.concatenate([patch.reshape(-1, 3) for patch in inside(photo).patches])
    if len(pixels) > SAMPLE:
        pixels = pixels[np.linspace(0, len(pixels) - 1, SAMPLE).astype(np.int64)]
    pixels = pixels[pixels.max(axis=1) >= 24]
    if not len(pixels):
        return 0.0
    bits = (pixels >> 3).astype(np.int64)
    counts = np.bincount(bits[:, 0] << 10 | bits[:, 1] << 5 | bits[:, 2], minlength=32_768)
    return float(np.sort(counts)[-10:].sum() / len(pixels))
