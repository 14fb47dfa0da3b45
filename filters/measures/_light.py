"""Light of the picture without its bars: shared counts and tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo, percentile_of_counts, tiles
from filters.measures._inside import inside

TILE_PX = 32


def share_above(photo: Photo, level: int) -> float:
    """Share of pixels with a luma of at least `level`, 0 to 1."""
    counts = inside(photo).luma_counts
    return int(counts[level:].sum()) / int(counts.sum())


def luma_percentile(photo: Photo, percent: float) -> float:
    """Grey levels."""
    return percentile_of_counts(inside(photo).luma_counts, percent)


def tile_light(photo: Photo, percent: float) -> float | None:
    """Percentile of the mean luma of tiles of 32 px; None where there is no such tile."""
    means: NDArray[np.float32] = photo.cached("tile light", lambda: _means(inside(photo)))
    return float(np.percentile(means, percent)) if len(means) else None


def _means(photo: Photo) -> NDArray[np.float32]:
    return tiles(photo.lumas, TILE_PX).mean(axis=(1, 2))
