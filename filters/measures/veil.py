"""Median of the darkest channel of each neighbourhood, grey levels, bars left out. More is hazier or over-exposed.

The dark channel of He, Sun and Tang, Single image haze removal using dark channel prior (2009): without haze nearly
every neighbourhood has something dark in some channel. On means of 4 x 4 px, neighbourhoods of 5 of these each way.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo, opencv
from filters.measures._inside import inside

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 255."""
    cv2 = opencv()
    found = []
    for patch in inside(photo).patches:
        size = (max(1, patch.shape[1] // 4), max(1, patch.shape[0] // 4))
        darkest = cv2.resize(patch, size, interpolation=cv2.INTER_AREA).min(axis=2)
        found.append(cv2.erode(darkest, np.ones((5, 5), np.uint8)).ravel())
    return float(np.median(np.concatenate(found)))
