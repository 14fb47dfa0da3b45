"""How strongly a block grid of another period than 8 shows: a JPEG that was resized afterwards. More is worse.

The share of large steps by column (see blockiness), less its running mean, against sines of period 5 to 34 px and half
of it: the best of min(F(1/p), F(2/p)) over p, multiples of 8 left out, averaged over both directions.

None: smaller than 96 px.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo
from filters.measures.blockiness import jumps

VERSION = "1"
_PERIODS = np.arange(5.0, 34.0, 0.05)
_MULTIPLES = np.array([8.0, 16.0, 24.0, 32.0])
KEPT = 2048
"""Length in px up to which sines are kept; all but the longest strips are shorter."""
PERIODS = _PERIODS[(np.abs(_PERIODS[:, None] / _MULTIPLES - 1.0) > 0.12).all(axis=1)]


def measure(photo: Photo) -> float | None:
    """Amplitude as a share of pixels, 0 to about 0.1."""
    if min(photo.rgb.shape[:2]) < 96:
        return None
    strengths = [
        np.mean([_strength(patch[axis]) for patch in jumps(photo)], axis=0) for axis in (0, 1)
    ]
    return float((strengths[0].max() + strengths[1].max()) / 2)


def _strength(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """[periods]: amplitude of the weaker of the first two harmonics."""
    kernel = np.ones(9) / 9
    edges = np.pad(share, 4, mode="edge")
    high = share - np.convolve(edges, kernel, mode="valid")
    first, second = (np.abs(waves @ high) * (2 / len(high)) for waves in _waves(len(high)))
    return np.minimum(first, second)


def _waves(length: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """[periods, length] each: complex sines of the periods and of half the periods."""
    if length > KEPT:
        return _made(length)
    first, second = _kept()
    return first[:, :length], second[:, :length]


@cache
def _kept() -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """15 MB, of which shorter ones are the beginning: ones for each length would fill the memory."""
    return _made(KEPT)


def _made(length: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    x = np.arange(length)
    return (
        np.exp(-2j * np.pi * x / PERIODS[:, None]),
        np.exp(-4j * np.pi * x / PERIODS[:, None]),
    )
