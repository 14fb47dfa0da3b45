"""A photograph as a camera of another day would have taken it: noise in linear light, colour filters, and what follows.

The sensor sees one of three colours at a pixel (Bayer), with shot noise (variance = `shot` * light) and read noise;
demosaicing, white balance, one of four denoisers, sharpening, grey now and then, reduction now and then. So its noise
is correlated between pixels and colours, and less in the light than in the dark. The same is done without noise, to
tell how much of it is left to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from filters.degradation.synthesis import Photo, Plane, coded, linear
from filters.degradation.wild import sharpened
from filters.measures import opencv

WHITE = 16000
"""Of a raw value, above BLACK."""
BLACK = 2048


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """Powers of ten between which noise is drawn, of light from 0 to 1."""

    shot: tuple[float, float]
    """Variance for light 1."""
    read: tuple[float, float]
    """Standard deviation without light."""


NOISY = Sensor(shot=(-2.8, -1.6), read=(-2.4, -1.5))
QUIET = Sensor(shot=(-4.5, -3.5), read=(-3.8, -2.9))


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What a camera does with what it saw."""

    gains: Plane
    demosaicing: int
    denoiser: int
    denoise: float
    sharpen: float
    sharpen_px: float


def through_sensor(
    rgb: Photo, rng: np.random.Generator, sensor: Sensor, *, ev: float = 0.0, gain: float = 1.0
) -> tuple[Photo, float]:
    """The picture that the camera makes, and the noise that is left in it, grey levels (a robust deviation).

    Args:
        rgb: [H, W, 3]; an odd last row or column is cut off.
        ev: stops of light that the sensor gets more.
        gain: of the light after the sensor.
    """
    cv2 = opencv()
    light: Any = linear(rgb) * 2.0**ev
    gains = np.array([rng.uniform(1.6, 2.4), 1.0, rng.uniform(1.4, 2.0)], np.float32)
    ways = (cv2.COLOR_BayerBG2RGB, cv2.COLOR_BayerBG2RGB_EA)
    way = ways[int(rng.integers(2))]
    settings = _Settings(
        gains=gains,
        demosaicing=way,
        denoiser=int(rng.integers(4)),
        denoise=float(rng.choice([0.0, 0.0, 0.2, 0.5, 0.9])),
        sharpen=float(rng.choice([0.0, 0.0, 0.4, 0.9])),
        sharpen_px=float(rng.uniform(0.7, 1.5)),
    )
    grey = rng.random() < 0.12
    shot, read = (10 ** rng.uniform(*powers) for powers in (sensor.shot, sensor.read))
    mosaic = _mosaic(light / gains)
    grain = rng.standard_normal(mosaic.shape, dtype=np.float32)
    noisy = mosaic + grain * np.sqrt(np.maximum(mosaic, 0) * shot + read**2)
    pictures = [_developed(values, settings, gain) for values in (noisy, mosaic)]
    if grey:
        pictures = [
            np.repeat(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2) for p in pictures
        ]
    if rng.random() < 0.35:
        factor = rng.uniform(0.55, 0.95)
        height, width = pictures[0].shape[:2]
        size = (max(32, round(width * factor)), max(32, round(height * factor)))
        pictures = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures]
    difference: Any = (pictures[0].astype(np.float32) - pictures[1]).mean(axis=2)
    left = np.median(np.abs(cv2.GaussianBlur(difference, (0, 0), 0.5))) * 1.48
    return pictures[0], float(left)


def _mosaic(light: Plane) -> Plane:
    """[H, W] of [H, W, 3]: red, green, green, blue of each 2 x 2 pixels."""
    height, width = light.shape[0] // 2 * 2, light.shape[1] // 2 * 2
    found = np.empty((height, width), np.float32)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        found[row::2, column::2] = light[row:height:2, column:width:2, channel]
    return found


def _developed(mosaic: Plane, settings: _Settings, gain: float) -> Photo:
    cv2 = opencv()
    raw = np.clip(mosaic * WHITE + BLACK, 0, 65535).astype(np.uint16)
    light = cv2.demosaicing(raw, settings.demosaicing).astype(np.float32)
    picture = coded((light - BLACK) / WHITE * settings.gains * gain)
    if settings.denoise:
        picture = _denoised(picture, settings.denoiser, settings.denoise)
    if settings.sharpen:
        picture = sharpened(picture, settings.sharpen, settings.sharpen_px)
    return picture


def _denoised(picture: Photo, denoiser: int, amount: float) -> Photo:
    """Bilateral; colour blurred and luma bilateral, as telephones do; median; a little blur."""
    cv2 = opencv()
    if denoiser == 0:
        return cv2.bilateralFilter(picture, 5, 12 + 50 * amount, 1.5 + amount)
    if denoiser == 1:
        luma, *colors = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
        colors = [cv2.GaussianBlur(c, (0, 0), 0.6 + 2.5 * amount) for c in colors]
        luma = cv2.bilateralFilter(luma, 5, 10 + 25 * amount, 1.2)
        return cv2.cvtColor(cv2.merge([luma, *colors]), cv2.COLOR_YCrCb2RGB)
    if denoiser == 2:
        return cv2.medianBlur(picture, 3)
    return cv2.GaussianBlur(picture, (0, 0), 0.5 + 0.5 * amount)


def curved_motion(length_px: float, rng: np.random.Generator) -> Plane:
    """Kernel of a hand's shake: nearly straight, bent a little, of uneven speed; it sums to 1."""
    steps = 200
    angle, bend = rng.uniform(0, np.pi), rng.normal(0, 0.7)
    time = np.linspace(-0.5, 0.5, steps)
    time = np.sign(time) * np.abs(time) ** rng.uniform(0.6, 1.5)
    time = time / (time.max() - time.min())
    turned = angle + bend * time
    x, y = length_px * time * np.cos(turned), length_px * time * np.sin(turned)
    reach = int(np.ceil(np.abs([x, y]).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, across = y - top, x - left
    for row, column, weight in (
        (0, 0, (1 - down) * (1 - across)),
        (0, 1, (1 - down) * across),
        (1, 0, down * (1 - across)),
        (1, 1, down * across),
    ):
        np.add.at(kernel, (reach + top + row, reach + left + column), weight.astype(np.float32))
    return kernel / kernel.sum()
