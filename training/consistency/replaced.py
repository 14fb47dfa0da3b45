"""A picture in which one region shows something else: what a hallucinating restoration does, made on purpose.

The hard negatives of head training and the positives of the hallucination test. Two ways that need no generative model:
`patch`, a region of another photograph, its mean colour matched to what it covers and blended in softly; `inpaint`, the
region filled from its border (Telea 2004, OpenCV), which takes content away. The region is an ellipse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from filters.degradation.synthesis import Photo, check_photo

Way = Literal["patch", "inpaint"]
WAYS: tuple[Way, ...] = ("patch", "inpaint")
_TRIES = 12
_LEAST_CHANGE = 12.0
"""Mean absolute difference inside the region, grey levels: sky in the place of sky is no hallucination."""


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """The picture, and what was done to it."""

    pixels: Photo
    way: Way
    share: float
    """Of the area, that was replaced."""
    change: float
    """Mean absolute difference inside the region, grey levels."""
    mask: NDArray[np.bool_]
    """[H,W]: the region."""


def replace_region(
    image: Photo,
    other: Photo,
    *,
    way: Way,
    seed: int,
    share: tuple[float, float] = (0.05, 0.2),
) -> Replaced:
    """`image` with an ellipse of `share` of its area replaced; seeded.

    Places are tried until the change is visible (12 grey levels); where none is, the largest change found is taken.

    Raises:
        ValueError: no uint8 RGB image, or a share that is none.
    """
    check_photo(image)
    check_photo(other)
    if not 0 < share[0] <= share[1] < 0.7:
        raise ValueError(f"share must be a range within 0 and 0.7, got {share}.")
    rng = np.random.default_rng(seed)
    best: Replaced | None = None
    for _ in range(_TRIES):
        found = _replaced(image, other, way, float(rng.uniform(*share)), rng)
        if best is None or found.change > best.change:
            best = found
        if found.change >= _LEAST_CHANGE:
            return found
    assert best is not None
    return best


def _replaced(
    image: Photo, other: Photo, way: Way, share: float, rng: np.random.Generator
) -> Replaced:
    height, width = image.shape[:2]
    mask = _ellipse(height, width, share, rng)
    if way == "inpaint":
        radius = max(2, min(height, width) // 64)
        region = (mask > 0.5).astype(np.uint8)
        filled = cv2.inpaint(image, region, radius, cv2.INPAINT_TELEA).astype(np.float32)
    else:
        filled = _patch(image, other, mask, rng)
    soft = cv2.GaussianBlur(mask, (0, 0), max(1.0, min(height, width) / 100))[..., None]
    pixels = np.clip(np.rint(image + soft * (filled - image)), 0, 255).astype(np.uint8)
    inside = mask > 0.5
    change = np.abs(pixels.astype(np.float32) - image)[inside].mean() if inside.any() else 0.0
    return Replaced(
        pixels=pixels, way=way, share=float(inside.mean()), change=float(change), mask=inside
    )


def _ellipse(
    height: int, width: int, share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """1 inside, 0 outside; wholly within the picture where it fits."""
    aspect = float(rng.uniform(0.6, 1.6))
    # pi a b = share * H W with b = aspect * a, and neither longer than the picture has room for.
    a = math.sqrt(share * height * width / (math.pi * aspect))
    b = min(aspect * a, 0.48 * height)
    a = min(share * height * width / (math.pi * b), 0.48 * width)
    x0, y0 = float(rng.uniform(a, width - a)), float(rng.uniform(b, height - b))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return (((x - x0) / a) ** 2 + ((y - y0) / b) ** 2 <= 1).astype(np.float32)


def _patch(
    image: Photo, other: Photo, mask: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """As large as `image`: a cut of `other`, of the colour that the region has."""
    height, width = image.shape[:2]
    grow = max(1.0, height / other.shape[0], width / other.shape[1])
    if grow > 1:
        size = (math.ceil(other.shape[1] * grow), math.ceil(other.shape[0] * grow))
        other = cv2.resize(other, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    top = int(rng.integers(0, other.shape[0] - height + 1))
    left = int(rng.integers(0, other.shape[1] - width + 1))
    cut = other[top : top + height, left : left + width].astype(np.float32)
    inside = mask > 0.5
    if not inside.any():
        return cut
    return np.clip(cut + image[inside].mean(0) - cut[inside].mean(0), 0, 255).astype(np.float32)
