"""Structural similarity (Wang et al. 2004), 0 to 1, higher is better: 11 x 11 Gaussian window of 1.5, on Y of YCbCr.

    SSIM = (2 m_x m_y + C1) / (m_x^2 + m_y^2 + C1) * (2 s_xy + C2) / (s_x^2 + s_y^2 + C2)
    C1 = (.01 255)^2, C2 = (.03 255)^2

averaged over the windows that lie wholly inside. By default Y is rounded and the second factor is not let below 0, as
in pyiqa's `ssim` with `color_space='ycbcr'`. `clipped=False` is the paper's formula, which scikit-image has
(`gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255`); the two differ only where structures
are opposed. `rounded=False` is BasicSR's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from filters.measures import Photo
from filters.metrics.reference.luma import Planes, Space, check_options, planes, same_size

_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


@dataclass(frozen=True, kw_only=True)
class SSIM:
    """The ReferenceMetric; see filters/metrics/__init__.py."""

    space: Space
    border: int
    rounded: bool
    clipped: bool
    name: str = "ssim"
    lower_better: bool = False
    license: str = "Apache-2.0"
    weights_sha256: str | None = None

    @property
    def version(self) -> str:
        """With every option in it."""
        rounding = "rounded" if self.rounded else "not rounded"
        clipping = "clipped" if self.clipped else "not clipped"
        return f"1, {self.space}, border {self.border}, {rounding}, {clipping}"

    def compare(self, photo: Photo, reference: Photo) -> float | None:
        """Mean over windows and channels; None where no window fits in.

        Raises:
            ValueError: the sizes differ, or the border leaves nothing.
        """
        same_size(photo, reference)
        ours, theirs = (
            planes(one, space=self.space, border=self.border, rounded=self.rounded)
            for one in (photo, reference)
        )
        if min(ours.shape[:2]) <= 2 * _RADIUS:
            return None
        return float(np.mean(self._map(ours, theirs)))

    def _map(self, x: Planes, y: Planes) -> Planes:
        mean_x, mean_y = _smoothed(x), _smoothed(y)
        var_x = _smoothed(x * x) - mean_x**2
        var_y = _smoothed(y * y) - mean_y**2
        cov = _smoothed(x * y) - mean_x * mean_y
        structure = (2 * cov + _C2) / (var_x + var_y + _C2)
        if self.clipped:
            structure = np.maximum(structure, 0.0)
        return (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1) * structure


def _smoothed(x: Planes) -> Planes:
    from scipy.ndimage import correlate1d

    places = np.arange(-_RADIUS, _RADIUS + 1)
    window = np.exp(-(places**2) / (2 * _SIGMA**2))
    window /= window.sum()
    found = correlate1d(correlate1d(x, window, axis=0), window, axis=1)
    return found[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]


def load(
    *, space: Space = "y", border: int = 0, rounded: bool = True, clipped: bool = True
) -> SSIM:
    """See psnr.load; `clipped`: structures that are opposed count as 0.

    Raises:
        ValueError: an option out of range.
    """
    check_options(space, border)
    return SSIM(space=space, border=border, rounded=rounded, clipped=clipped)
