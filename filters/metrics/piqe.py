"""PIQE, the perception-based image quality evaluator: 0 to 100, lower is better. No weights, no torch; NumPy alone.

N. Venkatanath et al., "Blind image quality evaluation using perception based features", NCC 2015. Luma is normalised
by its local mean and deviation (Gaussian of 7 x 7, sigma 7/6). Of its blocks of 16 x 16 those with a variance above
0.1 are active. An active block is distorted noticeably where a run of 6 pixels of its border varies by less than 0.1,
and noisy where its deviation is more than twice the contrast of its two middle columns with the rest. A noticeable
block counts 1 - variance, a noisy one its variance; the score is 100 (sum + 1) / (active blocks + 1).

As in the authors' code, luma is stretched so that its largest value is 255, and the second middle column is taken out
of the rest after the first is gone. Every step is one IEEE operation per pixel in float64 and the score is rounded to
4 decimals, so that it does not depend on the processor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo
from filters.metrics import ON_CPU, Scoring

Reals = NDArray[np.float64]

BLOCK_PX = 16
RUN_PX = 6
ACTIVE = 0.1
"""Variance of a normalised block from which it is active."""
SMOOTH = 0.1
"""Deviation of a normalised run below which the border shows."""
SMALLEST_PX = 32
BAND_PX = 32 * BLOCK_PX
"""Rows that are worked on at a time."""
HALO_PX = 3
"""How far the smoothing looks."""
MIDDLE = BLOCK_PX // 2 - 1
"""First of the two middle columns."""


@dataclass(frozen=True, kw_only=True)
class Piqe:
    """The metric; see the module."""

    name: str = "piqe"
    version: str = "1"
    lower_better: bool = True
    license: str = "Apache-2.0"
    weights_sha256: str | None = None
    scoring: Scoring = ON_CPU

    def score(self, photo: Photo) -> float | None:
        """Of RGB uint8 [H,W,3]; None below 32 px and for an image without luma (all black)."""
        if min(photo.rgb.shape[:2]) < SMALLEST_PX:
            return None
        luma = stretched_luma(photo.rgb)
        return None if luma is None else round(piqe(luma), 4)


def load(scoring: Scoring = ON_CPU) -> Piqe:
    """Ready at once: there is nothing to load. It computes on the CPU in float64 whatever `scoring` asks for."""
    del scoring
    return Piqe()


def stretched_luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """[H,W], its largest value 255; None of an image that is all black."""

    def luma(rows: NDArray[np.uint8]) -> Reals:
        red, green, blue = (rows[..., i].astype(np.float64) for i in range(3))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    bands = [slice(top, top + BAND_PX) for top in range(0, len(rgb), BAND_PX)]
    most = max(luma(rgb[band]).max() for band in bands)
    if not most > 0:
        return None
    return np.concatenate([np.round(255 * (luma(rgb[b]) / most)).astype(np.uint8) for b in bands])


def piqe(luma: NDArray[np.uint8]) -> float:
    """The score of luma [H,W], 0 to 255. A band of rows at a time: 24 megapixels in float64 would be a gigabyte."""
    total, count = 0.0, 0
    for top in range(0, len(luma), BAND_PX):
        first, last = max(0, top - HALO_PX), top + BAND_PX + HALO_PX
        plane = normalised(luma[first:last].astype(np.float64))[top - first :][:BAND_PX]
        blocks = _blocks(plane)
        variance = blocks.var(axis=(1, 2), ddof=1)
        active = variance > ACTIVE
        blocks, variance = blocks[active], variance[active]
        distortion = _noticeable(blocks) * (1 - variance) + _noisy(blocks, variance) * variance
        total, count = total + float(distortion.sum()), count + len(blocks)
    return 100 * (total + 1) / (count + 1)


def normalised(luma: Reals) -> Reals:
    """[H,W]: (luma - local mean) / (local deviation + 1)."""
    mean = _smoothed(luma)
    spread = np.sqrt(np.abs(_smoothed(luma * luma) - mean * mean))
    return (luma - mean) / (spread + 1)


def _smoothed(plane: Reals) -> Reals:
    """By a Gaussian of 7 x 7 and sigma 7/6, edges repeated."""
    at = np.arange(-3, 4)
    weights = np.exp(-(at**2) / (2 * (7 / 6) ** 2))
    weights /= weights.sum()
    for axis in (0, 1):
        lines = np.moveaxis(plane, axis, 0)
        padded = np.concatenate(
            [lines[:1], lines[:1], lines[:1], lines, lines[-1:], lines[-1:], lines[-1:]]
        )
        summed = weights[0] * padded[: len(lines)]
        for i, weight in enumerate(weights[1:], start=1):
            summed += weight * padded[i : i + len(lines)]
        plane = np.moveaxis(summed, 0, axis)
    return plane


def _blocks(plane: Reals) -> Reals:
    """[N,16,16]: the plane cut up, mirrored at the right and below to whole blocks."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % BLOCK_PX), (0, -width % BLOCK_PX)), mode="symmetric")
    rows, columns = (side // BLOCK_PX for side in padded.shape)
    cut = padded.reshape(rows, BLOCK_PX, columns, BLOCK_PX).swapaxes(1, 2)
    return cut.reshape(-1, BLOCK_PX, BLOCK_PX)


def _noticeable(blocks: Reals) -> NDArray[np.bool_]:
    """[N]: whether a run on the border of the block is smooth."""
    borders = np.stack(
        [blocks[:, 0], blocks[:, -1], blocks[:, :, 0], blocks[:, :, -1]], axis=1
    )  # [N,4,16]
    runs = np.lib.stride_tricks.sliding_window_view(borders, RUN_PX, axis=2)
    return (runs.std(axis=3, ddof=1) < SMOOTH).any(axis=(1, 2))


def _noisy(blocks: Reals, variance: Reals) -> NDArray[np.bool_]:
    """[N]: whether the block's deviation exceeds twice its contrast of middle and rest."""
    deviation = np.sqrt(variance)
    middle = blocks[:, :, [MIDDLE, MIDDLE + 1]].std(axis=(1, 2), ddof=1)
    rest = np.delete(np.delete(blocks, MIDDLE, axis=2), MIDDLE + 1, axis=2).std(axis=(1, 2), ddof=1)
    ratio = np.divide(middle, rest, out=np.zeros_like(rest), where=rest > 0)
    return deviation > 2 * np.abs(deviation - ratio) / np.maximum(deviation, ratio)
