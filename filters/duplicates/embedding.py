"""Crops, borders and overlays that hashes miss: candidates by an image embedding, confirmed by aligned thumbnails.

An embedding alone cannot say that two images are one photograph: heavy damage moves a copy further away than some
other photograph lies. So it only proposes; a pair counts when one thumbnail, stretched and moved, fits into the other.
Both are facts: what an encoder saw of an image is kept as its vector and a grey thumbnail, so that another threshold
needs neither the image nor the encoder. The encoder itself comes in as a callable; nothing here knows torch.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from filters.measures import opencv

Photo = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Embed = Callable[[Photo], Floats]
"""[H, W, 3] uint8 RGB -> [D] float32, of any length."""

VERSION = "1"
"""Raised when a stored vector or thumbnail would change, the encoder apart."""
THUMBNAIL_PX = 64
SHARES = tuple(round(1.0 - 0.05 * step, 2) for step in range(9))
"""Sides of the window of one thumbnail into which the other is fitted, 1 to 0.6 of its width and height."""
MOST_STRETCH = 1.3
"""How much one side of that window may have lost more than the other."""
BLOCK = 2048
"""Rows compared with all others at a time."""
SOFTNESS_PX = 0.8
"""Thumbnails are blurred by so much before they are compared, since a crop seldom falls on whole pixels."""
FLAT = 4.0
"""Standard deviation (0 to 255) below which a window shows too little to fit anything into it."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingPolicy:
    """When an embedding and the thumbnails say that two images are one photograph."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    encoder: str = "efficientnet_lite0"
    """A file of training/consistency/encoders/."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it runs; cuda needs a GPU where the batches run, and is part of the version."""
    least_cosine: float = 0.6
    """Cosine of two embeddings from which a pair is a candidate; for efficientnet_lite0 (docs/duplicates.md)."""
    least_correlation: float = 0.9
    """Correlation of the aligned thumbnails from which a candidate is confirmed."""
    most_neighbors: int = 20
    """Candidates of each image at most, the nearest: bounds the work where many images are alike."""

    def __post_init__(self) -> None:
        if not (0.0 < self.least_cosine <= 1.0 and 0.0 < self.least_correlation <= 1.0):
            raise ValueError("least_cosine and least_correlation are above 0 and at most 1.")
        if self.most_neighbors < 1:
            raise ValueError("most_neighbors is at least 1.")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is kept of one image."""

    vector: bytes
    """Of unit length, float16, little-endian."""
    thumbnail: bytes
    """Luma, uint8 [64, 64] row by row, both sides squeezed to the same length."""


def look(photo: Photo, embed: Embed) -> Seen:
    """What to keep of [H, W, 3] uint8 RGB.

    Raises:
        ValueError: the encoder gave no finite vector.
    """
    cv2 = opencv()
    vector = np.asarray(embed(photo), dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if vector.ndim != 1 or not np.isfinite(length) or length == 0.0:
        raise ValueError("an embedding is a finite vector that is not zero.")
    grey = cv2.cvtColor(np.ascontiguousarray(photo), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return Seen(vector=(vector / length).astype("<f2").tobytes(), thumbnail=small.tobytes())


def vectors_of(stored: list[bytes]) -> Floats:
    """[N, D] float32 of stored vectors.

    Raises:
        ValueError: they differ in length: two encoders under one name.
    """
    if len({len(one) for one in stored}) > 1:
        raise ValueError("embeddings of different lengths: they are not of one encoder.")
    if not stored:
        return np.empty((0, 0), dtype=np.float32)
    return np.frombuffer(b"".join(stored), dtype="<f2").reshape(len(stored), -1).astype(np.float32)


def thumbnails_of(stored: list[bytes]) -> Photo:
    """[N, 64, 64] uint8 of stored thumbnails."""
    joined = np.frombuffer(b"".join(stored), dtype=np.uint8)
    return joined.reshape(len(stored), THUMBNAIL_PX, THUMBNAIL_PX)


def candidate_pairs(vectors: Floats, policy: EmbeddingPolicy) -> Ints:
    """[P, 2] i < j, sorted: pairs whose cosine reaches the policy's and that are among the nearest of either.

    Cosines are rounded to four digits, so that the last bits of a product do not decide.
    """
    found: list[Ints] = []
    for begin in range(0, len(vectors), BLOCK):
        cosines = (vectors[begin : begin + BLOCK] @ vectors.T).round(4)
        rows = np.arange(len(cosines))
        cosines[rows, begin + rows] = -1.0
        i, j = np.nonzero(cosines >= np.float32(policy.least_cosine))
        # The nearest first, then the lower row: of each image only so many.
        order = np.lexsort((j, -cosines[i, j], i))
        i, j = i[order], j[order]
        rank = np.arange(len(i)) - np.searchsorted(i, i, side="left")
        near = rank < policy.most_neighbors
        found.append(np.column_stack([i[near] + begin, j[near]]))
    pairs: Ints = np.concatenate([np.empty((0, 2), dtype=np.int64), *found])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def aligned_edges(
    vectors: Floats,
    thumbnails: Photo,
    policy: EmbeddingPolicy,
    known: Set[tuple[int, int]] = frozenset(),
) -> Ints:
    """[E, 3]: row i < row j of the same photograph, and 1 where only the mirror image fits.

    Args:
        vectors: [N, D] float32 of unit length.
        thumbnails: [N, 64, 64] uint8.
        known: pairs (i < j) that need no look.
    """
    edges: list[tuple[int, int, int]] = []
    for i, j in candidate_pairs(vectors, policy).tolist():
        if (i, j) in known:
            continue
        a, b = thumbnails[i], thumbnails[j]
        for flipped, other in enumerate((b, np.ascontiguousarray(b[:, ::-1]))):
            if fit(a, other) >= policy.least_correlation:
                edges.append((i, j, flipped))
                break
    return np.array(edges, dtype=np.int64).reshape(-1, 3)


def fit(a: Photo, b: Photo) -> float:
    """Best correlation (-1 to 1, three digits) of one thumbnail with a window of the other, either way round."""
    one, other = (opencv().GaussianBlur(x, (0, 0), SOFTNESS_PX).astype(np.float32) for x in (a, b))
    return max(_fit_into(one, other), _fit_into(other, one))


def _fit_into(large: Floats, small: Floats) -> float:
    """Normalised cross-correlation of `small`, shrunk to each size of window, with `large` at its best place."""
    cv2: Any = opencv()
    best = -1.0
    for high in SHARES:
        for wide in SHARES:
            if max(high, wide) > MOST_STRETCH * min(high, wide):
                continue
            size = (round(wide * THUMBNAIL_PX), round(high * THUMBNAIL_PX))
            window = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
            if float(window.std()) < FLAT:
                continue
            found = cv2.matchTemplate(large, window, cv2.TM_CCOEFF_NORMED)
            # A flat place of the larger one divides by nothing.
            found = found[np.isfinite(found) & (np.abs(found) <= 1.001)]
            best = max(best, float(found.max(initial=-1.0)))
    return round(min(best, 1.0), 3)
