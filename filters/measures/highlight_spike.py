"""Share of the clipped among the bright pixels. Near 1 where highlights were cut off rather than rolled off.

Pixels with a luma of 250 and more over those of 215 and more. A white sky that was exposed well has many shades of
white; one that was not has one.

0: nothing is bright. Never None.
"""

from __future__ import annotations

from filters.measures import Photo

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    bright = int(photo.luma_counts[215:].sum())
    return int(photo.luma_counts[250:].sum()) / bright if bright else 0.0
