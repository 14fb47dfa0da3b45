"""What a photograph of a recipe costs: CPU seconds, tried on this machine, and bytes in the catalog.

For `lucidlr plan`. The stages are run on a packaged photograph in two sizes, so that what depends on the pixels and
what does not are told apart; nothing is stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.recipe import Recipe

SIDES_PX = (512, 1024)
"""Of the square photographs that are tried."""
LISTED_BYTES, MEASURED_BYTES, SHOWN_BYTES = 2_600, 3_000, 1_000
"""In the catalog, for a file: listed and judged, measured, and in evidence and database. Of the demo's parts, rounded
up; a few thousand bytes beside an original of a million."""


@dataclass(frozen=True, kw_only=True)
class FileCost:
    """CPU seconds of a file: `base_s` + `per_megapixel_s` * megapixels."""

    base_s: float
    per_megapixel_s: float

    def of(self, megapixels: float) -> float:
        """CPU seconds of one file."""
        return self.base_s + self.per_megapixel_s * megapixels


def cost_of(recipe: Recipe, clock: Callable[[], float] = time.process_time) -> FileCost:
    """Tries hash, measures, scores and embeddings of a recipe.

    Raises:
        What loading a measure or metric raises: the build would stop there, too.
    """
    from filters.duplicates.hashing import VERSION
    from pipelines.build import stages

    versions = {
        "hash": [VERSION],
        "measure": stages.measure_versions(recipe.measures),
        "score": stages.score_versions(recipe.scores, recipe.scoring),
    }
    workers = [stages.COMPUTE[stage][0](tuple(held)) for stage, held in versions.items() if held]
    for held in (stages.embed_versions(recipe.dedupe), stages.point_versions(recipe.dedupe)):
        workers += [stages.COMPUTE["embed"][0](tuple(held))] if held else []
    seconds: list[float] = []
    for number, side in enumerate((SIDES_PX[0], *SIDES_PX)):
        data = _photograph(side)
        began = clock()
        for work in workers:
            work("0" * 40, data)
        # The first time also loads and compiles.
        seconds += [clock() - began] if number else []
    small, large = (side * side / 1e6 for side in SIDES_PX)
    slope = max(0.0, (seconds[1] - seconds[0]) / (large - small))
    return FileCost(base_s=max(0.0, seconds[0] - slope * small), per_megapixel_s=slope)


def _photograph(side: int) -> bytes:
    import cv2
    from skimage import data

    from filters.degradation.synthesis import encode_jpeg

    return encode_jpeg(
        cv2.resize(data.astronaut(), (side, side), interpolation=cv2.INTER_CUBIC), quality=85
    )
