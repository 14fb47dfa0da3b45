"""Fine detail in the direction that has least of it, log10. Less is blurrier; finds motion, which blurs one way only.

From the power spectrum P(f) of the tiles with most gradient, less the noise's (see _spectrum), for 18 directions u the
ratio of fourth to second spectral moment, log10(sum P (f.u)^4 / sum P (f.u)^2) over 0.02 to 0.48 cycles per px; the
least of them. A sharp image has fine detail in all directions, a moved one lacks it along the motion, a defocused one
in all.

None: smaller than one tile, or without any gradient.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo
from filters.measures._spectrum import busy_spectrum, frequencies

VERSION = "3"
DIRECTIONS = 18


def measure(photo: Photo) -> float | None:
    """log10 of squared cycles per px, about -3 to -0.9."""
    moments = directional_moments(photo)
    return None if moments is None else float(moments.min())


def directional_moments(photo: Photo) -> NDArray[np.float64] | None:
    """[18]: the ratio for each direction, log10; None where it means nothing."""
    power = busy_spectrum(photo)
    if power is None:
        return None
    second, fourth = _weights(power.shape[0])
    flat = power.ravel()
    return np.log10((fourth @ flat + 1e-9) / (second @ flat + 1e-9))


@cache
def _weights(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(f.u)^2 and (f.u)^4 for each direction over the half spectrum, flattened."""
    vertical, horizontal = frequencies(size)
    radius = np.hypot(vertical, horizontal)
    inside = (radius >= 0.02) & (radius <= 0.48)
    angles = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    along = [
        np.where(inside, horizontal * np.cos(a) + vertical * np.sin(a), 0.0).ravel() for a in angles
    ]
    second = np.array(along) ** 2
    return second, second**2
