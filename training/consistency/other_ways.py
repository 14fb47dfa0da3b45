"""Ways of replacing a region that nothing is trained on: what heads and maps are judged by.

Training replaces ellipses by a soft-edged patch of another photograph or by Telea's inpainting (replaced.py). Here
regions are blobs of noise with ragged borders, and what fills them comes in three other ways:

    clone    another photograph, blended by Poisson's equation (Perez et al. 2003): no seam, the colours of the place
    smooth   inpainting by Navier-Stokes (Bertalmio et al. 2001): content taken away
    moved    another part of the same picture
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from filters.degradation.synthesis import Photo

WAYS = ("clone", "smooth", "moved")
_SHARE = (0.05, 0.2)


def blob(height: int, width: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """[H,W]: a region of about that share of the area, with a border of smoothed noise; two pixels from every edge."""
    noise = cv2.GaussianBlur(
        rng.standard_normal((height, width)).astype(np.float32), (0, 0), max(height, width) / 10
    )
    noise /= float(noise.std()) + 1e-9
    radius = math.sqrt(share * height * width / math.pi)
    y0 = rng.uniform(radius, height - radius) if height > 2 * radius else height / 2
    x0 = rng.uniform(radius, width - radius) if width > 2 * radius else width / 2
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - y0, x - x0) / radius
    field = np.where(distance > 1.6, -9.0, 1 - distance + 0.35 * noise)
    mask = field > np.quantile(field, 1 - share)
    mask[:2] = mask[-2:] = False
    mask[:, :2] = mask[:, -2:] = False
    return mask


def replaced_otherwise(
    image: Photo, other: Photo, rng: np.random.Generator
) -> dict[str, tuple[Photo, NDArray[np.bool_]]]:
    """Way -> (picture, region); a way that OpenCV refuses for this region is left out."""
    height, width = image.shape[:2]
    masks = [blob(height, width, float(rng.uniform(*_SHARE)), rng) for _ in WAYS]
    found: dict[str, tuple[Photo, NDArray[np.bool_]]] = {}
    rows, columns = np.where(masks[0])
    middle = (int(columns.min() + columns.max()) // 2, int(rows.min() + rows.max()) // 2)
    cut = _as_large(other, height, width, rng)
    try:
        cloned = cv2.seamlessClone(
            cut, image, masks[0].astype(np.uint8) * 255, middle, cv2.NORMAL_CLONE
        )
        found["clone"] = (np.asarray(cloned, dtype=np.uint8), masks[0])
    except cv2.error:
        pass  # a region whose box does not fit around its middle
    smooth = cv2.inpaint(image, masks[1].astype(np.uint8), 5, cv2.INPAINT_NS)
    found["smooth"] = (np.asarray(smooth, dtype=np.uint8), masks[1])
    by = (
        int(rng.integers(height // 4, 3 * height // 4)),
        int(rng.integers(width // 4, 3 * width // 4)),
    )
    soft = cv2.GaussianBlur(masks[2].astype(np.float32), (0, 0), 2)[..., None]
    moved = image + soft * (np.roll(image, by, (0, 1)).astype(np.float32) - image)
    found["moved"] = (np.clip(np.rint(moved), 0, 255).astype(np.uint8), masks[2])
    return found


def _as_large(other: Photo, height: int, width: int, rng: np.random.Generator) -> Photo:
    grow = max(1.0, height / other.shape[0], width / other.shape[1])
    if grow > 1:
        size = (math.ceil(other.shape[1] * grow), math.ceil(other.shape[0] * grow))
        other = np.asarray(cv2.resize(other, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    top = int(rng.integers(0, other.shape[0] - height + 1))
    left = int(rng.integers(0, other.shape[1] - width + 1))
    return np.ascontiguousarray(other[top : top + height, left : left + width])
