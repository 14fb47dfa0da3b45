"""One photograph -> many images whose damage is known: what the classifier learns from and is judged by.

Photographs are reduced by area first, which takes most of what their own camera and JPEG left. Every kind of damage
comes at four amounts and by two ways: `lab`, the damage alone, and `camera`, where the picture also passes a camera
(correlated noise, JPEG of quality 88 to 92): after the damage if that happens before the sensor (blur, light), before
it if it happens later (another save, enlarging). Clean pictures go both ways, too, so that neither a spotless reference
nor a camera's own traces can be mistaken for the absence or presence of a damage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from filters.degradation import synthesis
from filters.degradation.kinds import KINDS, Kind
from filters.degradation.synthesis import Photo
from filters.measures import opencv
from filters.picture import open_picture

WAYS = ("lab", "camera")
VIEWS = ("whole", "sharp", "flat", "small", "tiny")
"""whole: at most 704 x 512 px; sharp and flat: the crop of 512 px with most and with least gradient; small: the crop of
128 px with most gradient; tiny: one of 96 px anywhere, so that what little a small image shows is known, too."""
_WHOLE_PX = (704, 512)
_CROP_PX = 512
_SMALL_PX = 128
_TINY_PX = 96


@dataclass(frozen=True, kw_only=True)
class Example:
    """One image and the truth about it."""

    photo: str
    """Which photograph it comes from: examples of one photograph stand or fall together."""
    view: str
    kind: str
    level: int
    """0 clean, 1 to 4 for LEVELS."""
    way: str
    rgb: Photo
    quantization: tuple[int, ...] | None = None
    """Of the file's last save, if that was a JPEG."""
    number: int = 0
    """Among the photograph's own."""


def views(photo: Photo) -> dict[str, Photo]:
    """The views of a photograph by name; those for which it is too small are left out."""
    height, width = photo.shape[:2]
    factor = max(
        2.0 if min(height, width) > 700 else 1.5, width / _WHOLE_PX[0], height / _WHOLE_PX[1]
    )
    whole = synthesis.downscale(photo, factor)
    found = {"whole": whole}
    half = synthesis.downscale(photo, 2.0)
    if min(half.shape[:2]) >= _CROP_PX:
        found["sharp"], found["flat"] = _extremes(half, _CROP_PX)
    if min(whole.shape[:2]) >= _SMALL_PX:
        found["small"] = _extremes(whole, _SMALL_PX)[0]
        rng = np.random.default_rng(whole.shape[0] * whole.shape[1] + int(whole[0, 0].sum()))
        tops = rng.integers(0, [side - _TINY_PX + 1 for side in whole.shape[:2]], (4, 2))
        crops = [whole[top : top + _TINY_PX, left : left + _TINY_PX] for top, left in tops]
        # Anywhere but where there is nothing to see.
        found["tiny"] = np.ascontiguousarray(max(crops, key=lambda crop: float(crop.std())))
    return found


def photo_examples(
    name: str,
    photo: Photo,
    *,
    chosen: Callable[[int, str, int], bool] | None = None,
) -> Iterator[Example]:
    """All examples of one photograph, about 130 for each view; the flat view comes clean only.

    Args:
        name: of the photograph; with the kind and the amount it seeds what is random.
        chosen: of an example's number, view and level, whether it is made; default: all.
    """
    count = -1
    for view, picture in views(photo).items():
        for way in WAYS:
            for turn in range(2):
                count += 1
                if chosen is not None and not chosen(count, view, 0):
                    continue
                rgb, table = _clean(picture, way, turn, seed_of(name, view, way, turn))
                yield Example(
                    photo=name,
                    view=view,
                    kind="clean",
                    level=0,
                    way=way,
                    rgb=rgb,
                    quantization=table,
                    number=count,
                )
            if view == "flat":
                continue
            for kind in KINDS:
                for level, amount in enumerate(kind.amounts, start=1):
                    count += 1
                    if chosen is not None and not chosen(count, view, level):
                        continue
                    rng = np.random.default_rng(seed_of(name, view, way, kind.name, level))
                    rgb, table = _damaged(picture, kind, amount, way, rng)
                    yield Example(
                        photo=name,
                        view=view,
                        kind=kind.name,
                        level=level,
                        way=way,
                        rgb=rgb,
                        quantization=table,
                        number=count,
                    )


def graphics_examples(name: str, picture: Photo) -> Iterator[Example]:
    """A screenshot or drawing as it is, saved as JPEG of quality 75, and reduced by a third and saved at 85."""
    small = synthesis.downscale(picture, 1.5)
    for level, (image, quality) in enumerate(
        [(picture, None), (picture, 75), (small, 85)], start=1
    ):
        rgb, table = (image, None) if quality is None else saved(image, quality)
        yield Example(
            photo=name,
            view="whole",
            kind="graphics",
            level=level,
            way="lab",
            rgb=rgb,
            quantization=table,
        )


def _extremes(image: Photo, side: int) -> tuple[Photo, Photo]:
    """The crops with most and with least gradient."""
    cv2 = opencv()
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    energy = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    total = cv2.integral(energy)
    tops = range(0, image.shape[0] - side + 1, 8)
    lefts = range(0, image.shape[1] - side + 1, 8)
    sums = {
        (t, x): total[t + side, x + side] - total[t, x + side] - total[t + side, x] + total[t, x]
        for t in tops
        for x in lefts
    }

    def cut(at: tuple[int, int]) -> Photo:
        return np.ascontiguousarray(image[at[0] : at[0] + side, at[1] : at[1] + side])

    return cut(max(sums, key=lambda k: sums[k])), cut(min(sums, key=lambda k: sums[k]))


def _clean(picture: Photo, way: str, turn: int, seed: int) -> tuple[Photo, tuple[int, ...] | None]:
    rng = np.random.default_rng(seed)
    if way == "camera":
        return _camera(picture, rng)
    return (picture, None) if turn == 0 else saved(picture, 92)


def _camera(picture: Photo, rng: np.random.Generator) -> tuple[Photo, tuple[int, ...] | None]:
    sigma = float(rng.uniform(2.0, 4.0))
    noisy = synthesis.gaussian_noise(picture, sigma, rng, correlated=True)
    return saved(noisy, int(rng.integers(88, 93)))


def saved(picture: Photo, quality: int) -> tuple[Photo, tuple[int, ...] | None]:
    """As a JPEG, decoded again, and its luminance quantisation table."""
    with open_picture(synthesis.encode_jpeg(picture, quality)) as decoded:
        return decoded.rgb, decoded.quantization


def _damaged(
    picture: Photo, kind: Kind, amount: float, way: str, rng: np.random.Generator
) -> tuple[Photo, tuple[int, ...] | None]:
    if kind.before_sensor:
        hurt = _OPTICAL[kind.name](picture, amount, rng)
        if way == "camera":
            return _camera(hurt, rng)
        return (hurt, None) if rng.random() < 0.5 else saved(hurt, 92)
    if way == "camera":
        picture, _ = _camera(picture, rng)
    return _LATER[kind.name](picture, amount, rng)


def _lamps(picture: Photo, ev: float, rng: np.random.Generator) -> Photo:
    """Darkened, then sixteen white discs of about 2 % of the area in all."""
    dark = synthesis.low_light(picture, ev, rng).copy()
    height, width = dark.shape[:2]
    radius = max(1, round((0.02 * height * width / 16 / np.pi) ** 0.5))
    for _ in range(16):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        opencv().circle(dark, centre, radius, (255, 250, 240), -1)
    return dark


_OPTICAL: dict[str, Callable[[Photo, float, np.random.Generator], Photo]] = {
    "gaussian_blur": lambda p, a, rng: synthesis.gaussian_blur(p, a),
    "defocus": lambda p, a, rng: synthesis.defocus(p, a),
    "motion_blur": lambda p, a, rng: synthesis.motion_blur(p, a, float(rng.uniform(0.0, 180.0))),
    "low_light": synthesis.low_light,
    "low_light_lamps": _lamps,
    "overexposed": lambda p, a, rng: synthesis.overexpose(p, a),
}


def _white_noise(p: Photo, a: float, rng: np.random.Generator) -> Any:
    return synthesis.gaussian_noise(p, a, rng), None


def _noise_jpeg(p: Photo, a: float, rng: np.random.Generator) -> Any:
    return saved(synthesis.gaussian_noise(p, a, rng), 85)


def _defocus_jpeg(p: Photo, a: float, rng: np.random.Generator) -> Any:
    return saved(synthesis.defocus(p, a), int(rng.integers(40, 81)))


def _motion_jpeg(p: Photo, a: float, rng: np.random.Generator) -> Any:
    moved = synthesis.motion_blur(p, a, float(rng.uniform(0.0, 180.0)))
    return saved(moved, int(rng.integers(40, 81)))


def _sensor_noise(p: Photo, a: float, rng: np.random.Generator) -> Any:
    return saved(synthesis.gaussian_noise(p, a, rng, correlated=True), 90)


def _noise_denoised(p: Photo, a: float, rng: np.random.Generator) -> Any:
    noisy = synthesis.gaussian_noise(p, a, rng)
    return saved(opencv().bilateralFilter(noisy, 5, 2.0 * a, 2.0), 92)


def _jpeg(p: Photo, a: float, rng: np.random.Generator) -> Any:
    return saved(p, round(a))


def _jpeg_again(p: Photo, a: float, rng: np.random.Generator) -> Any:
    return saved(saved(p, round(a))[0], 92)


def _jpeg_cropped(p: Photo, a: float, rng: np.random.Generator) -> Any:
    top, left = (int(v) for v in rng.integers(1, 8, 2))
    return np.ascontiguousarray(saved(p, round(a))[0][top:, left:]), None


def _resized(p: Photo, factor: float, interpolation: int) -> Photo:
    size = (round(p.shape[1] * factor), round(p.shape[0] * factor))
    return opencv().resize(p, size, interpolation=interpolation)


def _jpeg_resized(p: Photo, a: float, rng: np.random.Generator) -> Any:
    return _resized(saved(p, round(a))[0], 1.5, opencv().INTER_CUBIC), None


def _upscaled(p: Photo, a: float, rng: np.random.Generator) -> Any:
    method = ("linear", "cubic", "lanczos")[int(rng.integers(0, 3))]
    return synthesis.upscale(p, a, method), None


def _upscaled_jpeg(p: Photo, a: float, rng: np.random.Generator) -> Any:
    return saved(_upscaled(p, a, rng)[0], 90)


_LATER: dict[str, Callable[[Photo, float, np.random.Generator], Any]] = {
    "defocus_jpeg": _defocus_jpeg,
    "motion_jpeg": _motion_jpeg,
    "white_noise": _white_noise,
    "noise_jpeg": _noise_jpeg,
    "sensor_noise": _sensor_noise,
    "noise_denoised": _noise_denoised,
    "jpeg": _jpeg,
    "jpeg_again": _jpeg_again,
    "jpeg_cropped": _jpeg_cropped,
    "jpeg_resized": _jpeg_resized,
    "upscaled": _upscaled,
    "upscaled_jpeg": _upscaled_jpeg,
}


def seed_of(*parts: object) -> int:
    """64 bits from whatever names a thing."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
