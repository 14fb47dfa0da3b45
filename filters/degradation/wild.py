"""Damage as photographs are found with it: amounts drawn at random, several saves, sizes that changed in between.

examples.py has kinds of damage one by one at four known amounts: to tell how well each is found.
Photographs in the wild differ from those in three ways that matter to what is learnt: they are soft at full size and
clean all the same, they were saved as JPEG of any quality, and their noise went through a camera. So here a picture is
a crop at full size or the whole reduced, clean ones too are stored as PNG or as JPEG of quality 75 to 96, and small
pictures that are merely small are among the clean ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from filters.degradation import synthesis
from filters.degradation.examples import Example, saved, seed_of
from filters.degradation.synthesis import Photo
from filters.measures import opencv

MOST_PX = 512
"""Side of a crop at full size."""
WHOLE_PX = (704, 512)
SMALL_PX = (96, 224)
"""Long side of pictures that are merely small."""


@dataclass(frozen=True, kw_only=True)
class WildKind:
    """A kind of damage with amounts at random."""

    labels: tuple[str, ...]
    unclear: tuple[str, ...] = ()
    """Labels for which it is neither an example nor a counter-example."""
    copies: float
    """Of each photograph, of which half are drawn (wild.py) or all (wide.py)."""


WILD = {
    "clean": WildKind(labels=(), copies=3),
    "small": WildKind(labels=(), unclear=("upscaled",), copies=1),
    "wild_blur": WildKind(labels=("blur",), unclear=("upscaled",), copies=2),
    "wild_motion": WildKind(labels=("blur", "motion_blur"), copies=1),
    "wild_noise": WildKind(labels=("noise",), copies=2),
    "wild_jpeg": WildKind(labels=("jpeg",), copies=2),
    "wild_low_light": WildKind(labels=("low_light",), unclear=("noise",), copies=1),
    "wild_overexposed": WildKind(labels=("overexposed",), copies=1),
    "wild_upscaled": WildKind(labels=("upscaled",), unclear=("blur", "jpeg"), copies=2),
    "wild_mixed": WildKind(
        labels=(), unclear=("blur", "noise", "jpeg", "upscaled", "motion_blur"), copies=1
    ),
    "wild_haze": WildKind(labels=(), unclear=("overexposed", "low_light", "blur"), copies=1),
}
"""`wild_mixed` and `wild_haze` are degraded without being sure of a label."""


def wild_examples(name: str, photo: Photo) -> Iterator[Example]:
    """About 8 pictures of one clean photograph: half of the copies of each kind, which half follows from the name.

    Args:
        name: of the photograph; with the kind it seeds what is random.
    """
    count = 0
    for kind, about in WILD.items():
        for turn in range(int(about.copies)):
            drawn = int(hashlib.md5(f"{name}{count}".encode()).hexdigest()[:4], 16)
            count += 1
            if drawn % 10 < 5:
                continue
            rng = np.random.default_rng(seed_of("wild", name, kind, turn))
            picture = _small(photo, rng) if kind == "small" else _part(photo, rng)
            rgb = picture if kind in ("clean", "small") else _DAMAGE[kind](picture, rng)
            least = 75 if kind in ("clean", "small") else 65
            rgb, table = _stored(rgb, rng, least) if kind != "wild_jpeg" else (rgb, None)
            yield Example(
                photo=name, view="wild", kind=kind, level=2, way="wild", rgb=rgb, quantization=table
            )


def _part(photo: Photo, rng: np.random.Generator) -> Photo:
    """A crop at full size, or the whole reduced by area."""
    height, width = photo.shape[:2]
    if rng.random() < 0.55:
        if rng.random() < 0.35:
            photo = synthesis.downscale(photo, float(rng.uniform(1.1, 1.6)))
            height, width = photo.shape[:2]
        top = int(rng.integers(0, max(1, height - MOST_PX + 1)))
        left = int(rng.integers(0, max(1, width - MOST_PX + 1)))
        return np.ascontiguousarray(photo[top : top + MOST_PX, left : left + MOST_PX])
    least = 2.0 if min(height, width) > 700 else 1.5
    factor = max(least, width / WHOLE_PX[0], height / WHOLE_PX[1])
    return synthesis.downscale(photo, factor)


def _small(photo: Photo, rng: np.random.Generator) -> Photo:
    longest = max(photo.shape[:2])
    return synthesis.downscale(photo, max(1.0, longest / float(rng.integers(*SMALL_PX))))


def _stored(rgb: Photo, rng: np.random.Generator, least: int) -> tuple[Photo, Any]:
    """As PNG in two of five cases, else as a JPEG of quality `least` to 96."""
    return (rgb, None) if rng.random() < 0.4 else saved(rgb, int(rng.integers(least, 97)))


def _blur(p: Photo, rng: np.random.Generator) -> Photo:
    amount = float(rng.choice([1.6, 2.2, 3.0, 4.5, 7.0]))
    p = (
        synthesis.defocus(p, amount)
        if rng.random() < 0.6
        else synthesis.gaussian_blur(p, 0.6 * amount)
    )
    return synthesis.gaussian_noise(p, float(rng.uniform(0.0, 4.0)), rng, correlated=True)


def _motion(p: Photo, rng: np.random.Generator) -> Photo:
    p = synthesis.motion_blur(p, float(rng.uniform(7.0, 30.0)), float(rng.uniform(0.0, 180.0)))
    return synthesis.gaussian_noise(p, float(rng.uniform(0.0, 4.0)), rng, correlated=True)


def _noise(p: Photo, rng: np.random.Generator) -> Photo:
    """Of a sensor: white or correlated, more of it in the dark, then perhaps denoised, sharpened or reduced."""
    cv2 = opencv()
    sigma = float(rng.uniform(9.0, 32.0))
    dark = 1.0 - cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float32)[:, :, None] / 255.0
    grain = rng.standard_normal(p.shape, dtype=np.float32)
    spread = float(rng.choice([0.0, 0.7, 1.2]))
    if spread:
        grain = cv2.GaussianBlur(grain, (0, 0), spread)
        grain /= float(grain.std())
    if rng.random() < 0.3:
        grain = np.repeat(grain[:, :, :1], 3, axis=2)
    level = np.float32(sigma) * (np.float32(0.6) + np.float32(0.6) * dark)
    p = np.clip(np.rint(p + level * grain), 0, 255).astype(np.uint8)
    after = rng.random()
    if after < 0.25:
        p = cv2.bilateralFilter(p, 5, 1.5 * sigma, 1.5)
    elif after < 0.4:
        p = cv2.medianBlur(p, 3)
    elif after < 0.6:
        p = synthesis.downscale(p, float(rng.uniform(1.1, 1.6)))
    return sharpened(p, float(rng.uniform(0.4, 1.0))) if rng.random() < 0.3 else p


def sharpened(p: Photo, by: float, sigma_px: float = 1.2) -> Photo:
    """By an unsharp mask: `by` times what a Gaussian takes away is added."""
    cv2 = opencv()
    values = p.astype(np.float32)
    sharper = values + np.float32(by) * (values - cv2.GaussianBlur(values, (0, 0), sigma_px))
    return np.clip(np.rint(sharper), 0, 255).astype(np.uint8)


def _jpeg(p: Photo, rng: np.random.Generator) -> Photo:
    p = synthesis.jpeg(p, int(rng.integers(8, 38)))
    after = rng.random()
    if after < 0.3:
        return synthesis.jpeg(p, int(rng.integers(80, 97)))
    if after < 0.5:
        top, left = (int(v) for v in rng.integers(1, 8, 2))
        return np.ascontiguousarray(p[top:, left:])
    return _resized(p, float(rng.uniform(0.75, 1.5)), rng) if after < 0.6 else p


def _resized(p: Photo, factor: float, rng: np.random.Generator) -> Photo:
    cv2 = opencv()
    size = (max(32, round(p.shape[1] * factor)), max(32, round(p.shape[0] * factor)))
    ways = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
    way = cv2.INTER_AREA if factor < 1 else ways[int(rng.integers(0, 3))]
    return cv2.resize(p, size, interpolation=way)


def _low_light(p: Photo, rng: np.random.Generator) -> Photo:
    dark = synthesis.low_light(p, -float(rng.uniform(2.2, 5.0)), rng)
    return opencv().bilateralFilter(dark, 5, 20.0, 1.5) if rng.random() < 0.4 else dark


def _overexposed(p: Photo, rng: np.random.Generator) -> Photo:
    return synthesis.overexpose(p, float(rng.uniform(1.2, 3.2)))


def _upscaled(p: Photo, rng: np.random.Generator) -> Photo:
    """Reduced by 2 to 6, perhaps saved, enlarged to the old size, perhaps sharpened."""
    cv2 = opencv()
    height, width = p.shape[:2]
    small = synthesis.downscale(p, float(rng.uniform(2.0, 6.0)))
    if rng.random() < 0.6:
        small = synthesis.jpeg(small, int(rng.integers(40, 92)))
    ways = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_NEAREST)
    way = ways[int(rng.choice(4, p=[0.3, 0.4, 0.22, 0.08]))]
    large: Photo = cv2.resize(small, (width, height), interpolation=way)
    return sharpened(large, 0.8) if rng.random() < 0.3 else large


def _mixed(p: Photo, rng: np.random.Generator) -> Photo:
    """Two or three of blur, noise, enlarging and JPEG, in the order in which they happen."""
    chosen = rng.permutation(4)[: int(rng.integers(2, 4))]
    if 0 in chosen:
        p = synthesis.gaussian_blur(p, float(rng.uniform(1.0, 2.5)))
    if 1 in chosen:
        p = synthesis.gaussian_noise(p, float(rng.uniform(8.0, 20.0)), rng, correlated=True)
    if 2 in chosen:
        p = synthesis.upscale(p, float(rng.uniform(1.6, 3.0)), "cubic")
    return synthesis.jpeg(p, int(rng.integers(20, 50))) if 3 in chosen else p


def _haze(p: Photo, rng: np.random.Generator) -> Photo:
    through, veil = float(rng.uniform(0.3, 0.55)), float(rng.uniform(150.0, 235.0))
    return np.clip(np.rint(p * through + veil * (1 - through)), 0, 255).astype(np.uint8)


_DAMAGE = {
    "wild_blur": _blur,
    "wild_motion": _motion,
    "wild_noise": _noise,
    "wild_jpeg": _jpeg,
    "wild_low_light": _low_light,
    "wild_overexposed": _overexposed,
    "wild_upscaled": _upscaled,
    "wild_mixed": _mixed,
    "wild_haze": _haze,
}
