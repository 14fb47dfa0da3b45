"""Share of the edges that are at most 4 px wide. Less is blurrier.

As the share of edges that are too narrow to be seen as blurred in Narvekar and Karam, A no-reference image blur metric
based on the cumulative probability of blur detection (2011); runs as in _reblur.

None: fewer than 20 edge pixels one way.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo
from filters.measures._reblur import run_statistic

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    return run_statistic(photo, lambda x, y: float((np.concatenate([x, y]) <= 4).mean()))
