"""Which pictures show one scene, as far as an encoder can tell: for caps, so that no scene is the whole dataset.

Leaders: in the order of page ids a picture joins the nearest scene whose first picture is near enough, or begins one of
its own. So the answer is a function of the vectors and the order of keys, and no number of scenes has to be guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from filters.duplicates.embedding import vectors_of

Ints = NDArray[np.int64]


def scenes(
    page_ids: Ints, vectors: Sequence[bytes | None], least_cosine: float
) -> list[int | None]:
    """[N] page id of the first picture of each one's scene; None where an encoder has not seen it.

    Args:
        page_ids: [N], in any order.
        vectors: as filters.duplicates.embedding keeps them.
        least_cosine: from which two pictures show one scene.
    """
    found: list[int | None] = [None] * len(page_ids)
    seen = [row for row in np.argsort(page_ids, kind="stable").tolist() if vectors[row] is not None]
    if not seen:
        return found
    matrix = vectors_of([vectors[row] or b"" for row in seen]).astype(np.float32)
    leaders = np.empty_like(matrix)
    names: list[int] = []
    for row, vector in zip(seen, matrix, strict=True):
        near = leaders[: len(names)] @ vector
        best = int(near.argmax()) if len(names) else -1
        if best < 0 or near[best] < least_cosine:
            leaders[len(names)] = vector
            best = len(names)
            names.append(int(page_ids[row]))
        found[row] = names[best]
    return found
