"""The steepest fall of the spectrum, log10 of power. More is blurrier: natural detail fades evenly, optics cut it off.

Of w(f) = log10(P(f) f^2), which is level for natural images, the largest difference between the mean over four bins
below and over four bins above a frequency. P is the radial mean power of the tiles with most gradient.

None: smaller than one tile, or without any gradient.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo
from filters.measures._spectrum import busy_spectrum, by_radius

VERSION = "1"
BINS = 4


def measure(photo: Photo) -> float | None:
    """log10 of a ratio of powers, about 0 to 3."""
    power = busy_spectrum(photo)
    if power is None:
        return None
    frequency, mean = by_radius(power)
    level = np.log10(mean + 1e-6) + 2 * np.log10(frequency)
    means = np.convolve(level, np.ones(BINS) / BINS, mode="valid")
    return float((means[:-BINS] - means[BINS:]).max())
