"""What five layers of an image network see, and linear heads on it: the measures `layers_*`.

As _early, which looks at one layer alone, at the same three crops of 256 px; but maps after five blocks, at a half, a
quarter, an eighth and twice a sixteenth of the size. Grain and blocks are seen at a half and a quarter, where one layer
at a sixteenth has only what is left of them: that one ranks visible damage of sources never seen by an area of .84, the
five by .87 (docs/LOG.md). Means and standard deviations of each map, their largest and their mean over the crops: 1,088
numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo
from filters.measures._early import crops, head_score, heads_of
from filters.measures._lite0 import maps

VERSION = "2"
"""Of the crops, the features and the heads together: weights/layers-<VERSION>.json."""
BLOCKS = (0, 2, 4, 7, 10)


def layers_score(photo: Photo, head: str) -> float:
    """Log-odds of a head.

    Raises:
        filters.measures._lite0.NoEncoder: the package with the encoder's weights is not installed.
    """
    return head_score(heads_of(f"layers-{VERSION}"), layer_features(photo), head)


def layer_features(photo: Photo) -> NDArray[np.float64]:
    """[1088]: of 272 maps the mean and the standard deviation; the largest over the crops, then their means."""
    return photo.cached("layer features", lambda: _features(photo.rgb))


def _features(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    found = np.stack([_statistics(crop) for crop in crops(rgb)])
    return np.concatenate([found.max(axis=0), found.mean(axis=0)])


def _statistics(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[544]: block by block, means then deviations."""
    found: list[NDArray[np.float64]] = []
    for seen in maps(crop, BLOCKS):
        flat = seen.reshape(len(seen), -1).astype(np.float64)
        found += [flat.mean(axis=1), flat.std(axis=1, ddof=1 if flat.shape[1] > 1 else 0)]
    return np.concatenate(found)
