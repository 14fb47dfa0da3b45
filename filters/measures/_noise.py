"""The noise of the smoothest tiles, for the measures that look for it in different planes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from filters.measures import Floats, tiles

TILE_PX = 16


def smoothest(levels: Sequence[Floats], differences: Sequence[Floats]) -> float | None:
    """Noise in grey levels, 10th percentile over the tiles of 16 px whose mean level is between 6 and 249.

    Args:
        levels: the luma, by patch.
        differences: `second_difference` of the plane in question, same shapes.

    Returns:
        None where there is no such tile.
    """
    level = tiles(levels, TILE_PX).mean(axis=(1, 2))
    noise = tiles(differences, TILE_PX).mean(axis=(1, 2))
    usable = (level >= 6) & (level <= 249)
    if not usable.any():
        return None
    return float(np.sqrt(np.pi / 2) / 6 * np.percentile(noise[usable], 10))
