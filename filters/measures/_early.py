"""What the early layers of an image network see, and linear heads on it: the measures `early_*`.

Early layers of a network trained to name things respond to texture: grain, blocks, soft edges. Three crops of 256 px at
full size (the busiest, one of middling detail, the quietest that is neither black nor white), the maps of the last
block at a sixteenth of the size (_lite0), their means and standard deviations, the largest over the crops: 160 numbers
for a picture of any size. A linear head on these, with a strong penalty, was the best single lever of the trial behind
docs/calibration.md. What is stored is what the heads say (log-odds), not the 160 numbers: so new heads are a new
version of these measures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo, opencv
from filters.measures._lite0 import features

WEIGHTS = Path(__file__).parent / "weights"
VERSION = "1"
"""Of the crops, the features and the heads together: weights/early-<VERSION>.json."""
CROP_PX = 256
STEP_PX = 32
CUT_OFF = 4.0
"""Standard deviations beyond which a feature counts no more."""


@dataclass(frozen=True, kw_only=True)
class EarlyHeads:
    """Weights over standardized features."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    weights: dict[str, NDArray[np.float64]]
    bias: dict[str, float]


@cache
def heads_of(name: str) -> EarlyHeads:
    """Reads weights/<name>.json."""
    raw: dict[str, Any] = json.loads((WEIGHTS / f"{name}.json").read_text("utf-8"))
    return EarlyHeads(
        mean=np.array(raw["mean"]),
        deviation=np.array(raw["deviation"]),
        weights={name: np.array(head["weights"]) for name, head in raw["heads"].items()},
        bias={name: float(head["bias"]) for name, head in raw["heads"].items()},
    )


def head_score(heads: EarlyHeads, features: NDArray[np.float64], head: str) -> float:
    """Log-odds: standardized features, cut off, weighted."""
    scaled = (features - heads.mean) / heads.deviation
    return float(np.clip(scaled, -CUT_OFF, CUT_OFF) @ heads.weights[head] + heads.bias[head])


def early_score(photo: Photo, head: str) -> float:
    """Log-odds of a head.

    Raises:
        filters.measures._lite0.NoEncoder: the package with the encoder's weights is not installed.
    """
    return head_score(heads_of(f"early-{VERSION}"), early_features(photo), head)


def early_features(photo: Photo) -> NDArray[np.float64]:
    """[160]: of each of 80 maps the mean and the standard deviation, the largest over the crops."""
    return photo.cached("early features", lambda: _features(photo.rgb))


def _features(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    found = []
    for crop in crops(rgb):
        maps = features(crop).reshape(80, -1).astype(np.float64)
        # The network's own statistics divide by n - 1, as torch does.
        deviation = maps.std(axis=1, ddof=1 if maps.shape[1] > 1 else 0)
        found.append(np.concatenate([maps.mean(axis=1), deviation]))
    return np.max(found, axis=0)


def crops(rgb: NDArray[np.uint8], *, most: int = 3) -> list[NDArray[np.uint8]]:
    """Up to three crops, uint8 [h, w, 3] with sides that are multiples of 32: 256 px, or what there is."""
    height, width = min(rgb.shape[0], CROP_PX), min(rgb.shape[1], CROP_PX)
    places = [
        (top, left)
        for top in _starts(rgb.shape[0], height)
        for left in _starts(rgb.shape[1], width)
    ]
    detail, usable = _detail(rgb, places, height, width)
    by_detail = np.argsort(-np.where(usable > 0.5, detail, detail * 0.2), kind="stable")
    middling = np.argsort(np.abs(np.arange(len(places)) - len(places) // 2), kind="stable")
    chosen = [int(by_detail[0])]
    for order in (by_detail[middling], [k for k in by_detail[::-1] if usable[k] > 0.5]):
        apart = (
            int(k)
            for k in order
            if all(
                abs(places[k][0] - places[c][0]) >= 0.6 * height
                or abs(places[k][1] - places[c][1]) >= 0.6 * width
                for c in chosen
            )
        )
        found = next(apart, None)
        if found is not None:
            chosen.append(found)
    cut = [rgb[t : t + height, x : x + width] for t, x in (places[k] for k in chosen[:most])]
    return [_whole_cells(crop) for crop in cut]


def _starts(length: int, side: int) -> list[int]:
    return sorted({*range(0, length - side + 1, STEP_PX), length - side})


def _detail(
    rgb: NDArray[np.uint8], places: list[tuple[int, int]], height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each crop: the sum of its gradients, and the share of pixels neither black nor white."""
    rows = sorted({row for top, _ in places for row in (top, top + height)})
    columns = sorted({column for _, left in places for column in (left, left + width)})
    # [rows, columns]: sums of what lies above and left of there, in whole numbers, so that every machine chooses the
    # same crops. A band at a time: of the whole picture they would take thirty bytes a pixel.
    sums, counts = (np.zeros((len(rows), len(columns)), dtype=np.int64) for _ in range(2))
    for number, (top, bottom) in enumerate(pairwise(rows), start=1):
        steps, usable = _steps(rgb, top, bottom)
        for table, values in ((sums, steps), (counts, usable)):
            along = np.concatenate([[0], np.cumsum(values)])
            table[number] = table[number - 1] + along[columns]
    row_of = {row: number for number, row in enumerate(rows)}
    column_of = {column: number for number, column in enumerate(columns)}
    tops, bottoms = (np.array([row_of[t + more] for t, _ in places]) for more in (0, height))
    lefts, rights = (np.array([column_of[x + more] for _, x in places]) for more in (0, width))

    def inside(table: NDArray[np.int64]) -> NDArray[np.float64]:
        found = table[bottoms, rights] - table[tops, rights] - table[bottoms, lefts]
        return (found + table[tops, lefts]).astype(np.float64)

    return inside(sums), inside(counts) / (height * width)


def _steps(
    rgb: NDArray[np.uint8], top: int, bottom: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[W] each, of rows `top` to `bottom`: sums of the gradients, numbers of pixels neither black nor white."""
    cv2 = opencv()
    # A row more on either side, where there is one: the filter looks so far.
    first, last = max(0, top - 1), min(len(rgb), bottom + 1)
    grey = cv2.cvtColor(np.ascontiguousarray(rgb[first:last]), cv2.COLOR_RGB2GRAY)
    ours = slice(top - first, bottom - first)
    both = sum(
        np.abs(cv2.Sobel(grey, cv2.CV_16S, *way)[ours].astype(np.int32)) for way in ((1, 0), (0, 1))
    )
    usable = (grey[ours] > 8) & (grey[ours] < 247)
    return np.asarray(both).sum(axis=0, dtype=np.int64), usable.sum(axis=0, dtype=np.int64)


def _whole_cells(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut to multiples of 32 px; what is smaller is mirrored at its lower and right rim."""
    height, width = crop.shape[:2]
    down, right = max(0, STEP_PX - height), max(0, STEP_PX - width)
    if down or right:
        crop = np.pad(crop, ((0, down), (0, right), (0, 0)), mode="symmetric")
        height, width = crop.shape[:2]
    return np.ascontiguousarray(crop[: height // 32 * 32, : width // 32 * 32])
