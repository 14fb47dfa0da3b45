"""Two rounds of blur, resize, noise and JPEG, then ringing: what a photograph goes through before it is found.

The order of operations is that of the second-order model of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833, section
3): a first round of blur, resize, noise, JPEG; a second, milder one; then, in either order, a sinc filter (ringing)
with the resize to the final size, and JPEG. Amounts are drawn from ranges of ours, by the operations of
filters/degradation/synthesis.py. Seeded: the same photograph, seed and ranges give the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import j1

from filters.degradation.synthesis import Photo, check_photo, defocus, gaussian_noise, jpeg

Pair = tuple[float, float]
_FILTERS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round; ranges are (least, most), probabilities in [0,1]."""

    blur: float
    """Probability of a blur: Gaussian along two axes (3 in 4) or a disk."""
    sigma_px: Pair
    """Of each axis of the Gaussian; the disk's radius is 1.5 times that."""
    up: float
    """Probability of a resize to something larger."""
    down: float
    """Probability of a resize to something smaller."""
    factor: Pair
    """Of sizes: below 1 for a smaller, above 1 for a larger image."""
    noise_sigma: Pair
    """Standard deviation of Gaussian noise, grey levels."""
    poisson_scale: Pair
    """Shot noise: variance = scale * value, in grey levels; 1 is one photon a level."""
    grey_noise: float
    """Probability that the channels share the noise."""
    quality: tuple[int, int]
    """Of JPEG, IJG."""


@dataclass(frozen=True, kw_only=True)
class SecondOrder:
    """Both rounds and the end. The default is about as hard as photographs found in the wild get."""

    first: Round = field(
        default=Round(
            blur=1.0,
            sigma_px=(0.2, 2.5),
            up=0.2,
            down=0.7,
            factor=(0.3, 1.4),
            noise_sigma=(1.0, 20.0),
            poisson_scale=(0.05, 2.0),
            grey_noise=0.4,
            quality=(35, 95),
        )
    )
    second: Round = field(
        default=Round(
            blur=0.8,
            sigma_px=(0.2, 1.2),
            up=0.3,
            down=0.4,
            factor=(0.5, 1.2),
            noise_sigma=(1.0, 14.0),
            poisson_scale=(0.05, 1.5),
            grey_noise=0.4,
            quality=(35, 95),
        )
    )
    sinc: float = 0.6
    """Probability of the sinc filter at the end."""
    sinc_cutoff: Pair = (math.pi / 3, math.pi)
    """Radians per pixel; pi passes all."""


def second_order(
    image: Photo, *, scale: float, seed: int, ranges: SecondOrder | None = None
) -> Photo:
    """`image` degraded, at 1/scale of its size (rounded, at least 1 px).

    Raises:
        ValueError: scale below 1, or not a uint8 image [H,W,3].
    """
    if scale < 1:
        raise ValueError(f"scale must be at least 1, got {scale}.")
    check_photo(image)
    ranges = ranges or SecondOrder()
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    final = (max(1, round(width / scale)), max(1, round(height / scale)))
    found = _compressed(_round(image, ranges.first, (width, height), rng), ranges.first, rng)
    found = _round(found, ranges.second, final, rng)
    sinc_first = bool(rng.random() < 0.5)
    if not sinc_first:
        found = _compressed(found, ranges.second, rng)
    found = _resized(found, final, rng)
    if rng.random() < ranges.sinc:
        found = ringing(
            found, float(rng.uniform(*ranges.sinc_cutoff)), reach_px=int(rng.integers(3, 11))
        )
    return _compressed(found, ranges.second, rng) if sinc_first else found


def anisotropic_blur(image: Photo, sigmas_px: Pair, angle_deg: float) -> Photo:
    """Convolved with a Gaussian of two sigmas; the first lies along `angle_deg`, counted from x towards the top."""
    reach = max(1, math.ceil(3 * max(sigmas_px)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    turn = math.radians(angle_deg)
    along, across = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
    a, b = (max(sigma, 1e-3) for sigma in sigmas_px)
    return _filtered(image, np.exp(-0.5 * ((along / a) ** 2 + (across / b) ** 2)))


def ringing(image: Photo, cutoff: float, *, reach_px: int = 10) -> Photo:
    """Cut off above `cutoff` radians a pixel by a circular sinc of 2 * reach + 1 px: overshoot along edges.

    kernel(r) = cutoff * J1(cutoff * r) / (2 pi r), and cutoff^2 / (4 pi) at 0, normalised to sum 1.
    """
    y, x = np.mgrid[-reach_px : reach_px + 1, -reach_px : reach_px + 1].astype(np.float64)
    r = np.hypot(x, y)
    r[reach_px, reach_px] = 1.0
    kernel = cutoff * j1(cutoff * r) / (2 * math.pi * r)
    kernel[reach_px, reach_px] = cutoff**2 / (4 * math.pi)
    return _filtered(image, kernel)


def shot_noise(
    image: Photo, scale: float, rng: np.random.Generator, *, grey: bool = False
) -> Photo:
    """Poisson noise with the variance scale * value, in grey levels; `grey`: of the luma, alike in all channels."""
    values = image.astype(np.float64)
    if grey:
        luma = values @ np.array([0.299, 0.587, 0.114])
        noisy = values + (rng.poisson(luma / scale) * scale - luma)[..., None]
    else:
        noisy = rng.poisson(values / scale) * scale
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _round(image: Photo, ranges: Round, size: tuple[int, int], rng: np.random.Generator) -> Photo:
    """Blur, resize, noise. The resize is a factor of `size`, (width, height)."""
    if rng.random() < ranges.blur:
        sigmas = rng.uniform(*ranges.sigma_px, size=2)
        angle, is_disk = float(rng.uniform(0, 180)), bool(rng.random() < 0.25)
        if is_disk:
            image = defocus(image, 1.5 * float(sigmas[0]))
        else:
            image = anisotropic_blur(image, (float(sigmas[0]), float(sigmas[1])), angle)
    way = rng.random()
    factor = 1.0
    if way < ranges.up:
        factor = float(rng.uniform(1.0, ranges.factor[1]))
    elif way < ranges.up + ranges.down:
        factor = float(rng.uniform(ranges.factor[0], 1.0))
    image = _resized(image, (max(1, round(size[0] * factor)), max(1, round(size[1] * factor))), rng)
    return _noisy(image, ranges, rng)


def _noisy(image: Photo, ranges: Round, rng: np.random.Generator) -> Photo:
    grey = bool(rng.random() < ranges.grey_noise)
    if rng.random() < 0.5:
        return shot_noise(image, float(rng.uniform(*ranges.poisson_scale)), rng, grey=grey)
    sigma = float(rng.uniform(*ranges.noise_sigma))
    if not grey:
        return gaussian_noise(image, sigma, rng)
    noise = rng.standard_normal((*image.shape[:2], 1))
    return np.clip(np.rint(image + sigma * noise), 0, 255).astype(np.uint8)


def _compressed(image: Photo, ranges: Round, rng: np.random.Generator) -> Photo:
    return jpeg(image, int(rng.integers(ranges.quality[0], ranges.quality[1] + 1)))


def _resized(image: Photo, size: tuple[int, int], rng: np.random.Generator) -> Photo:
    method = _FILTERS[int(rng.integers(0, len(_FILTERS)))]
    return cv2.resize(image, size, interpolation=method).astype(np.uint8)


def _filtered(image: Photo, kernel: NDArray[np.float64]) -> Photo:
    kernel = kernel / kernel.sum()
    values = image.astype(np.float32)
    found = cv2.filter2D(values, -1, kernel.astype(np.float32), borderType=cv2.BORDER_REFLECT_101)
    return np.clip(np.rint(found), 0, 255).astype(np.uint8)
