"""Width of the sharpest quarter of the edges, in pixels (standard deviation of a Gaussian edge). More is blurrier.

Gradients at two scales: an edge of width s that is smoothed by a and by b has gradient peaks in the ratio
R = ((b^2 + s^2) / (a^2 + s^2))^(1/2), hence s^2 = (b^2 - R^2 a^2) / (R^2 - 1) (after Zhuo and Sim, Defocus map
estimation from a single image, 2011). Taken on the ridges of the gradient, where it stands out from the image's noise;
the 25th percentile, so that a bokeh background does not make a sharp portrait blurred. Noise hardly moves it.
The derivative's own width stays in: a perfect step reads about 0.8 px, one blurred by 1 px about 1.2.

None: fewer than 20 edge pixels (a flat image). Never above 8 px.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Floats, Photo, opencv

VERSION = "1"
FINE_PX, COARSE_PX = 0.7, 1.5
WIDEST_PX = 8.0


def measure(photo: Photo) -> float | None:
    """Edge width in px, 0 to 8."""
    if min(photo.luma.shape) < 16:
        return None
    fine, _, _ = _gradient(photo.luma, FINE_PX)
    coarse, dx, dy = _gradient(photo.luma, COARSE_PX)
    inner = coarse[1:-1, 1:-1]
    across = np.abs(dx[1:-1, 1:-1]) >= np.abs(dy[1:-1, 1:-1])
    horizontal = (inner >= coarse[1:-1, :-2]) & (inner > coarse[1:-1, 2:])
    vertical = (inner >= coarse[:-2, 1:-1]) & (inner > coarse[2:, 1:-1])
    # Noise of this strength leaves gradients of about half of it at the coarse scale.
    noise = float(np.median(photo.second_difference)) * np.sqrt(np.pi / 2) / 6
    floor = max(1.5, float(np.percentile(coarse, 85)), 0.8 * noise / COARSE_PX)
    ridge = np.where(across, horizontal, vertical) & (inner > floor)
    if np.count_nonzero(ridge) < 20:
        return None
    ratio = (fine[1:-1, 1:-1][ridge] / inner[ridge]) ** 2
    squared = (COARSE_PX**2 - ratio * FINE_PX**2) / np.maximum(ratio - 1.0, 1e-6)
    width = np.where(ratio <= 1.0, WIDEST_PX, np.sqrt(np.clip(squared, 0.0, WIDEST_PX**2)))
    return float(np.percentile(width, 25))


def _gradient(luma: Floats, sigma_px: float) -> tuple[Floats, Floats, Floats]:
    """Magnitude and components of the gradient of the smoothed luma, in grey levels per px."""
    cv2 = opencv()
    smooth = cv2.GaussianBlur(luma, (0, 0), sigma_px)
    dx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0) / 32
    dy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1) / 32
    return cv2.magnitude(dx, dy), dx, dy
