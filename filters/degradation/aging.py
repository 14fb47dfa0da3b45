"""Old photographs and over-sharpened ones: damage that a person sees and that has no label of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from filters.degradation.second_order import ringing
from filters.degradation.synthesis import Photo
from filters.degradation.wild import sharpened
from filters.measures import opencv


def aged(photo: Photo, rng: np.random.Generator) -> Photo:
    """Soft, faded, brown now and then, grainy; scratches and spots."""
    cv2 = opencv()
    values: Any = cv2.GaussianBlur(photo, (0, 0), float(rng.uniform(0.5, 2.0))).astype(np.float32)
    grey = cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)[:, :, None]
    share = float(rng.uniform(0.5, 1.0))
    values = values * (1 - share) + grey * share
    black, white = rng.uniform(20, 80), rng.uniform(170, 240)
    values = black + values * (white - black) / 255
    if rng.random() < 0.6:
        values = values * np.array([1.05, 0.97, 0.82], np.float32)
    grain = rng.standard_normal(values.shape[:2], dtype=np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.6, 1.5)))
    grain /= grain.std()
    values = values + grain[:, :, None] * float(rng.uniform(3, 16))
    _scratch(values, rng)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _scratch(values: Any, rng: np.random.Generator) -> None:
    """Lines from top to bottom, and specks."""
    cv2 = opencv()
    height, width = values.shape[:2]
    for _ in range(int(rng.integers(3, 25))):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        length, angle = rng.uniform(0.05, 0.6) * height, rng.normal(np.pi / 2, 0.4)
        grey = float(rng.choice([20, 245]))
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        thick = int(rng.integers(1, 3))
        cv2.line(values, (x, y), end, (grey, grey, grey * 0.95), thick, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 60))):
        place = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.integers(1, 4))
        grey = 235 if rng.random() < 0.6 else 30
        cv2.circle(values, place, radius, (grey, grey, grey), -1, cv2.LINE_AA)


def over_sharpened(photo: Photo, rng: np.random.Generator) -> Photo:
    """Halos of an unsharp mask, ringing, or 16 to 64 colors dithered."""
    way = rng.random()
    if way < 0.6:
        return sharpened(photo, float(rng.uniform(1.5, 4.0)), float(rng.uniform(0.6, 1.6)))
    if way < 0.8:
        return ringing(photo, float(rng.uniform(1.2, 2.2)))
    colors = int(rng.choice([16, 32, 64]))
    dithered = Image.fromarray(photo).quantize(colors, dither=Image.Dither.FLOYDSTEINBERG)
    return np.array(dithered.convert("RGB"))
