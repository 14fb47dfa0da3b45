"""Quality of the last JPEG save, 1 to 100, from the file's luminance quantisation table. Less is worse.

The quality whose standard table (ITU-T T.81 annex K, scaled as libjpeg does) is nearest in the mean. It says what the
last save did: an image saved at 30 and then at 92 reads 92; see jpeg_qscale for its history.

None: not a JPEG.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo
from filters.measures.jpeg_qscale import standard_table

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """1 to 100."""
    if photo.quantization is None or len(photo.quantization) != 64:
        return None
    mean = float(np.mean(photo.quantization))
    return float(1 + int(np.argmin(np.abs(_means() - mean))))


@cache
def _means() -> NDArray[np.float64]:
    """[100]: of the standard table at each quality."""
    return np.array([float(standard_table(quality).mean()) for quality in range(1, 101)])
