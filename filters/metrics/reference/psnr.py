"""Peak signal-to-noise ratio in dB, higher is better: 10 log10(255^2 / mean squared difference), on Y of YCbCr.

As BasicSR's `calculate_psnr(test_y_channel=True)`, scikit-image's `peak_signal_noise_ratio(data_range=255)` on the same
Y, and pyiqa's `psnr` with `test_y_channel=True, color_space='ycbcr'` (which adds 1e-8 to the mean: .0001 dB at 34 dB).
Two equal images get 100 dB, so that a mean stays finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from filters.measures import Photo
from filters.metrics.reference.luma import Space, check_options, planes, same_size

MOST_DB = 100.0


@dataclass(frozen=True, kw_only=True)
class PSNR:
    """The ReferenceMetric; see filters/metrics/__init__.py."""

    space: Space
    border: int
    rounded: bool
    eps: float
    name: str = "psnr"
    lower_better: bool = False
    license: str = "Apache-2.0"
    weights_sha256: str | None = None

    @property
    def version(self) -> str:
        """With every option in it."""
        rounding = "rounded" if self.rounded else "not rounded"
        more = f", eps {self.eps:g}" if self.eps else ""
        return f"1, {self.space}, border {self.border}, {rounding}{more}"

    def compare(self, photo: Photo, reference: Photo) -> float | None:
        """dB, at most 100.

        Raises:
            ValueError: the sizes differ, or the border leaves nothing.
        """
        same_size(photo, reference)
        ours, theirs = (
            planes(one, space=self.space, border=self.border, rounded=self.rounded)
            for one in (photo, reference)
        )
        error = float(np.square(ours - theirs).mean()) + self.eps * 255**2
        return MOST_DB if error == 0 else min(MOST_DB, float(10 * np.log10(255**2 / error)))


def load(*, space: Space = "y", border: int = 0, rounded: bool = False, eps: float = 0.0) -> PSNR:
    """`space`: y or rgb. `border`: pixels left out on each side. `rounded`: Y on whole numbers. `eps`: added to the
    mean squared difference of values in [0,1]; pyiqa's is 1e-8.

    Raises:
        ValueError: an option out of range.
    """
    check_options(space, border)
    if eps < 0:
        raise ValueError(f"eps is not negative, got {eps}")
    return PSNR(space=space, border=border, rounded=rounded, eps=eps)
