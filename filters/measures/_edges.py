"""Widths of the edges of an image, from its gradients at two scales."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.measures import Floats, Photo
from filters.measures._smooth import scharr, scharr_at, smoothed

WIDEST_PX = 8.0
FEWEST = 20
"""Edge pixels from which a percentile means something."""
WAYS = 8
SAMPLE = 4
"""Every so many pixels each way are enough for a percentile of all."""


def lower_quarter(widths: NDArray[np.float64]) -> float | None:
    """25th percentile: a bokeh background does not make a sharp portrait blurred. None where there are too few."""
    return None if len(widths) < FEWEST else float(np.percentile(widths, 25))


def by_direction(widths: NDArray[np.float64], angles: NDArray[np.float64]) -> list[float]:
    """Lower quarter of the widths of the edges whose gradient points one way, for each of 8 ways with enough edges.

    Args:
        angles: 0 to pi.
    """
    found: list[float] = []
    for way in range(WAYS):
        off = np.abs(_half_turn(angles - way * np.pi / WAYS + np.pi / 2) - np.pi / 2)
        near = widths[off < np.pi / WAYS]
        if len(near) >= FEWEST:
            found.append(float(np.percentile(near, 25)))
    return found


def _half_turn(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Modulo pi, of angles from -pi to less than 2 pi: the bits of the operator, in a tenth of its time."""
    found = np.where(angles >= np.pi, angles - np.pi, angles)
    return np.where(angles < 0, angles + np.pi, found)


def edge_widths(
    photo: Photo, *, fine_px: float, coarse_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[n], [n]: width of the edge at each ridge of the coarse gradient, and the direction of the gradient there.

    The width is the standard deviation of a Gaussian edge, px, 0 to WIDEST_PX; the direction in radians, 0 to pi.

    The ridge has to stand out: above 1.5 grey levels per px, above the 85th percentile, above the noise's gradients.
    """
    return photo.cached(f"edges {fine_px}", lambda: _edge_widths(photo, fine_px, coarse_px))


def _edge_widths(
    photo: Photo, fine_px: float, coarse_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    found: list[NDArray[np.float64]] = []
    angles: list[NDArray[np.float64]] = []
    gradients = [gradient_of(photo, coarse_px, i) for i in range(len(photo.lumas))]
    coarse_levels = [np.sqrt(dx * dx + dy * dy) for dx, dy in gradients]
    sampled = np.concatenate([c[::SAMPLE, ::SAMPLE].ravel() for c in coarse_levels])
    # Noise of this strength leaves gradients of about half of it at the coarse scale.
    noise_floor = 0.8 * _noise(photo) / coarse_px
    floor = max(1.5, float(np.percentile(sampled, 85)), noise_floor)
    for i, ((dx, dy), coarse) in enumerate(zip(gradients, coarse_levels, strict=True)):
        if min(coarse.shape) < 16:
            continue
        width = coarse.shape[1]
        steep = coarse > floor
        steep[[0, -1]] = False
        steep[:, [0, -1]] = False
        # From here on only the few pixels above the floor, by their place in the flattened patch.
        place = np.flatnonzero(steep)
        coarse, dx, dy = coarse.ravel(), dx.ravel(), dy.ravel()
        at = coarse[place]
        step = np.where(np.abs(dx[place]) >= np.abs(dy[place]), 1, width)
        ridge = (at >= coarse[place - step]) & (at > coarse[place + step])
        place, at = place[ridge], at[ridge].astype(np.float64)
        x, y = (d.astype(np.float64) for d in _gradient_at(photo, fine_px, i, place))
        ratio = (x * x + y * y) / (at * at)
        squared = (coarse_px**2 - ratio * fine_px**2) / np.maximum(ratio - 1.0, 1e-6)
        sigma = np.sqrt(np.clip(squared, 0.0, WIDEST_PX**2))
        found.append(np.where(ratio <= 1.0, WIDEST_PX, sigma))
        ways = np.arctan2(dy[place].astype(np.float64), dx[place].astype(np.float64))
        angles.append(_half_turn(ways))
    if not found:
        return np.empty(0), np.empty(0)
    return np.concatenate(found), np.concatenate(angles)


def _noise(photo: Photo) -> float:
    """Grey levels, from the median second difference of every fourth pixel each way."""

    def of_sample() -> float:
        sampled = [d[::SAMPLE, ::SAMPLE].ravel() for d in photo.second_differences]
        return float(np.median(np.concatenate(sampled))) * np.sqrt(np.pi / 2) / 6

    return photo.cached("edges noise", of_sample)


def gradient_of(photo: Photo, sigma_px: float, patch: int) -> tuple[Floats, Floats]:
    """Components of the gradient of the luma of a patch smoothed by `sigma_px` (0: not), in grey levels per px."""
    return photo.cached(
        f"gradient {sigma_px} {patch}", lambda: _gradient(photo.lumas[patch], sigma_px)
    )


def _gradient_at(
    photo: Photo, sigma_px: float, patch: int, place: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """gradient_of at a few places of the flattened patch, none on its rim."""
    if photo.has(f"gradient {sigma_px} {patch}"):
        dx, dy = gradient_of(photo, sigma_px, patch)
        return dx.ravel()[place], dy.ravel()[place]
    return scharr_at(smoothed(photo.lumas[patch], sigma_px), place)


def _gradient(luma: Floats, sigma_px: float) -> tuple[Floats, Floats]:
    return scharr(smoothed(luma, sigma_px) if sigma_px else luma)
