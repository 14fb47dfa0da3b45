"""More damage as photographs are found with it: through a camera, small, old, over-sharpened; and more kinds of clean.

What wild.py lacks. Noise happens before the picture is made of it: on a sensor behind colour filters, in linear light,
then demosaicing, denoising, sharpening, reduction and JPEG; how much of it is left is measured against the same camera
without noise, and where little is left there is no example. Damaged pictures are as small as published ones are (from
144 px), since among small ones that are all clean small means clean. JPEG of quality 10 to 49, with colour at full and
at half resolution, saved again, resized, cropped. Camera shake bends. Clean ones pass cameras, tone curves, a little
sharpening and softness. Parts of it by the second-order model (second_order.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from filters.degradation import synthesis
from filters.degradation.aging import aged, over_sharpened
from filters.degradation.examples import Example, seed_of
from filters.degradation.second_order import second_order
from filters.degradation.sensor import NOISY, QUIET, curved_motion, through_sensor
from filters.degradation.synthesis import Photo, Plane, coded, linear
from filters.degradation.wild import WildKind, sharpened
from filters.measures import opencv
from filters.picture import open_picture

SIDES_PX = (144, 192, 256, 384, 512)
"""Of crops."""
LEAST_NOISE = 3.5
"""Grey levels that are left of a sensor's noise below which nobody would call the picture noisy."""
_UNSURE = ("blur", "noise", "jpeg", "upscaled")

Table = tuple[int, ...] | None
Made = tuple[Photo, int]
"""A picture, and the least JPEG quality that it may be stored with; 0: it stays as it is."""

WIDE = {
    "wide_clean": WildKind(labels=(), copies=3),
    "wide_noise": WildKind(labels=("noise",), copies=2),
    "wide_jpeg": WildKind(labels=("jpeg",), unclear=("blur", "upscaled"), copies=2),
    "wide_blur": WildKind(labels=("blur",), unclear=("upscaled",), copies=2),
    "wide_motion": WildKind(labels=("blur", "motion_blur"), copies=1),
    "wide_up": WildKind(labels=("upscaled",), unclear=("blur", "jpeg"), copies=1.5),
    "wide_mixed": WildKind(labels=(), unclear=(*_UNSURE, "motion_blur"), copies=1.5),
    "wide_sharp": WildKind(labels=(), unclear=(*_UNSURE, "graphics"), copies=0.7),
    "wide_old": WildKind(labels=(), unclear=(*_UNSURE, "overexposed", "low_light"), copies=0.6),
    "wide_over": WildKind(labels=("overexposed",), copies=0.6),
    "wide_low": WildKind(labels=("low_light",), unclear=("noise",), copies=0.6),
    "wide_haze": WildKind(labels=(), unclear=("overexposed", "low_light", "blur"), copies=0.3),
    "wide_moved": WildKind(labels=("blur", "motion_blur"), unclear=("upscaled",), copies=2),
}
"""Part of a copy is its probability. mixed, sharp, old and haze are degraded without being sure of a label."""


def wide_examples(name: str, photo: Photo) -> Iterator[Example]:
    """About 17 pictures of one clean photograph.

    Args:
        name: of the photograph; with the kind it seeds what is random.
    """
    for kind, about in WIDE.items():
        for turn in range(int(np.ceil(about.copies))):
            way, short = kind.split("_", 1)
            rng = np.random.default_rng(seed_of(way, name, short, turn))
            if rng.random() >= about.copies - turn:
                continue
            made = _MAKE[kind](_part(photo, rng), rng)
            if made is None:
                continue
            rgb, least = made
            table: Table = None
            if least and rng.random() >= 0.45:
                rgb, table = _saved(np.ascontiguousarray(rgb), int(rng.integers(least, 97)), rng)
            yield Example(
                photo=name,
                view="wild",
                kind=kind,
                level=2,
                way="wild",
                rgb=np.ascontiguousarray(rgb),
                quantization=table,
            )


def _part(photo: Photo, rng: np.random.Generator) -> Photo:
    """A crop at or near full size, or the whole at 160 to 640 px."""
    way = rng.random()
    if way < 0.45:
        if rng.random() < 0.5:
            photo = synthesis.downscale(photo, float(rng.uniform(1.05, 1.8)))
        side = int(rng.choice(SIDES_PX))
        high, wide = (min(side, length) for length in photo.shape[:2])
        top = int(rng.integers(0, photo.shape[0] - high + 1))
        left = int(rng.integers(0, photo.shape[1] - wide + 1))
        return np.ascontiguousarray(photo[top : top + high, left : left + wide])
    least, most = (160, 400) if way < 0.75 else (400, 640)
    longest = max(photo.shape[:2])
    return synthesis.downscale(photo, max(1.0, longest / float(rng.integers(least, most))))


def _saved(rgb: Photo, quality: int, rng: np.random.Generator) -> tuple[Photo, Table]:
    """As a JPEG with colour at half resolution in two of three cases, and its luminance table."""
    subsampling = str(rng.choice(["4:4:4", "4:2:0", "4:2:0"]))
    content = synthesis.encode_jpeg(rgb, quality, subsampling=subsampling)
    with open_picture(content) as decoded:
        return decoded.rgb, decoded.quantization


def _resized(rgb: Photo, factor: float, rng: np.random.Generator) -> Photo:
    cv2 = opencv()
    size = (max(32, round(rgb.shape[1] * factor)), max(32, round(rgb.shape[0] * factor)))
    if factor < 1 and rng.random() < 0.6:
        return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    ways = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
    return cv2.resize(rgb, size, interpolation=ways[int(rng.integers(0, 3))])


def _toned(rgb: Photo, rng: np.random.Generator) -> Photo:
    """Another tone curve, a cast, now and then a little less contrast: nothing that a person calls damage."""
    light = (rgb.astype(np.float32) / 255) ** float(rng.uniform(0.75, 1.3))
    light = light * rng.uniform(0.9, 1.05, 3).astype(np.float32)
    if rng.random() < 0.25:
        light = light * np.float32(rng.uniform(0.75, 1.0)) + np.float32(rng.uniform(0.0, 0.08))
    return np.clip(np.rint(light * 255), 0, 255).astype(np.uint8)


def _clean(p: Photo, rng: np.random.Generator) -> Made:
    if rng.random() < 0.5:
        p = _toned(p, rng)
    way = rng.random()
    if way < 0.3:
        p, _ = through_sensor(p, rng, QUIET)
    elif way < 0.5:
        p = synthesis.gaussian_blur(p, float(rng.uniform(0.3, 0.7)))
    elif way < 0.65:
        p = sharpened(p, float(rng.uniform(0.2, 0.5)), 1.0)
    return p, 78


def _noise(p: Photo, rng: np.random.Generator) -> Made | None:
    p, left = through_sensor(p, rng, NOISY)
    return None if left < LEAST_NOISE else (p, 72)


def _jpeg(p: Photo, rng: np.random.Generator) -> Made | None:
    if rng.random() < 0.3:
        p = _toned(p, rng)
    quality, after = int(rng.integers(10, 50)), rng.random()
    if after < 0.2:
        p = synthesis.gaussian_blur(p, float(rng.uniform(0.4, 0.8)))
    p, _ = _saved(p, quality, rng)
    if after > 0.7:
        return _saved(p, int(rng.integers(70, 96)), rng)[0], 0
    if after > 0.55:
        if quality > 38:
            return None
        p = _resized(p, float(rng.uniform(0.7, 1.6)), rng)
        return _saved(p, int(rng.integers(75, 96)), rng)[0], 0
    if after > 0.45:
        top, left = (int(v) for v in rng.integers(1, 8, 2))
        p = np.ascontiguousarray(p[top:, left:])
    return p, 0


def _blur(p: Photo, rng: np.random.Generator) -> Made:
    amount = float(rng.choice([1.5, 2.0, 2.6, 3.5, 5.0, 7.0]))
    light = linear(p)
    if rng.random() < 0.6:
        light = opencv().filter2D(light, -1, _disk(amount))
    else:
        light = opencv().GaussianBlur(light, (0, 0), 0.6 * amount)
    p, _ = through_sensor(coded(light), rng, QUIET)
    if rng.random() < 0.25 and amount > 2:
        p = sharpened(p, float(rng.uniform(0.3, 1.0)), 1.2)
    return p, 65


def _disk(radius_px: float) -> Plane:
    reach = int(np.ceil(radius_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk: Any = np.clip(radius_px + 0.5 - np.hypot(x, y), 0.0, 1.0).astype(np.float32)
    return disk / disk.sum()


def _motion(p: Photo, rng: np.random.Generator) -> Made:
    length = float(rng.uniform(6.0, 28.0))
    light = opencv().filter2D(linear(p), -1, curved_motion(length, rng))
    return through_sensor(coded(light), rng, QUIET)[0], 65


def _moved(p: Photo, rng: np.random.Generator) -> Made:
    """Far and straight, as from a car, in enough light for a picture without any grain."""
    length, angle = float(rng.uniform(9.0, 32.0)), float(rng.uniform(0.0, 180.0))
    return synthesis.motion_blur(p, length, angle), 80


def _upscaled(p: Photo, rng: np.random.Generator) -> Made:
    cv2 = opencv()
    factor = float(rng.uniform(1.8, 6.0))
    small = _resized(p, 1 / factor, rng)
    if rng.random() < 0.6:
        small, _ = _saved(small, int(rng.integers(40, 92)), rng)
    if rng.random() < 0.15:
        small = _resized(small, 1.4, rng)
    ways = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_NEAREST)
    way = ways[int(rng.choice(4, p=[0.3, 0.4, 0.22, 0.08]))]
    large: Photo = cv2.resize(small, (p.shape[1], p.shape[0]), interpolation=way)
    if rng.random() < 0.35:
        large = sharpened(large, float(rng.uniform(0.4, 1.2)), float(rng.uniform(1.0, 2.0)))
    return large, 60


def _mixed(p: Photo, rng: np.random.Generator) -> Made | None:
    scale = float(rng.choice([1.0, 1.0, 1.5, 2.0]))
    p = second_order(p, scale=scale, seed=int(rng.integers(1 << 31)))
    return None if min(p.shape[:2]) < 64 else (p, 0)


def _overexposed(p: Photo, rng: np.random.Generator) -> Made:
    p = synthesis.overexpose(_toned(p, rng), float(rng.uniform(1.1, 3.2)))
    if rng.random() < 0.4:
        # Faded by an editor: what was blown is not quite white.
        faded = p.astype(np.float32) * float(rng.uniform(0.9, 1.0))
        p = np.clip(np.rint(faded), 0, 255).astype(np.uint8)
    return p, 70


def _low_light(p: Photo, rng: np.random.Generator) -> Made:
    ev = -float(rng.uniform(2.2, 5.0))
    gain = 2 ** float(rng.uniform(0.0, max(0.0, -ev - 2.2)))
    return through_sensor(p, rng, QUIET, ev=ev, gain=gain)[0], 70


def _haze(p: Photo, rng: np.random.Generator) -> Made:
    through = float(rng.uniform(0.3, 0.55))
    veil = rng.uniform(0.6, 0.92) * np.array([1.0, 1.0, rng.uniform(0.95, 1.08)], np.float32)
    light = (linear(p) * through + veil * (1 - through)).astype(np.float32)
    return coded(light), 70


_MAKE: dict[str, Callable[[Photo, np.random.Generator], Made | None]] = {
    "wide_clean": _clean,
    "wide_noise": _noise,
    "wide_jpeg": _jpeg,
    "wide_blur": _blur,
    "wide_motion": _motion,
    "wide_up": _upscaled,
    "wide_mixed": _mixed,
    "wide_sharp": lambda p, rng: (over_sharpened(p, rng), 60),
    "wide_old": lambda p, rng: (aged(p, rng), 70),
    "wide_over": _overexposed,
    "wide_low": _low_light,
    "wide_haze": _haze,
    "wide_moved": _moved,
}
