"""Kinds of copies that people make of photographs, for trying the rule for twins: pixels -> the bytes of the copy."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from filters.degradation.synthesis import encode_jpeg, gaussian_blur, gaussian_noise

Photo = NDArray[np.uint8]
JPEG_QUALITY = 95
"""Of a copy whose change is another one."""


def _resized(image: Photo, share: float) -> Photo:
    from PIL import Image

    size = (max(1, round(image.shape[1] * share)), max(1, round(image.shape[0] * share)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _cropped(image: Photo, share: float) -> Photo:
    """This share of each side's length taken off at every edge, half of it each."""
    top, left = (round(side * share / 2) for side in image.shape[:2])
    return np.ascontiguousarray(
        image[top : image.shape[0] - top or None, left : image.shape[1] - left or None]
    )


def _brighter(image: Photo, factor: float) -> Photo:
    return np.clip(image.astype(np.float64) * factor, 0, 255).astype(np.uint8)


def _turned(image: Photo, degrees: float) -> Photo:
    from PIL import Image

    turned = Image.fromarray(image).rotate(degrees, resample=Image.Resampling.BICUBIC)
    # The black corners are cut off, as who straightens a photograph does.
    cut = abs(math.sin(math.radians(degrees)))
    return _cropped(np.asarray(turned), min(0.5, 2 * cut))


def _bordered(image: Photo, share: float) -> Photo:
    wide = round(min(image.shape[:2]) * share)
    return np.pad(image, ((wide, wide), (wide, wide), (0, 0)), constant_values=255)


def _letterboxed(image: Photo) -> Photo:
    high = image.shape[0] // 6
    return np.pad(image, ((high, high), (0, 0), (0, 0)))


def _written_on(image: Photo) -> Photo:
    from PIL import Image, ImageDraw, ImageFont

    page = Image.fromarray(image.copy())
    size = max(12, image.shape[0] // 12)
    font = ImageFont.load_default(size)
    at = (image.shape[1] // 20, image.shape[0] - 2 * size)
    ImageDraw.Draw(page).text(at, "(c) Somebody, 2012", fill=(255, 255, 255), font=font)
    return np.asarray(page)


def _grey(image: Photo) -> Photo:
    luma = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return np.repeat(luma.astype(np.uint8)[:, :, None], 3, axis=2)


def _noisy(image: Photo) -> Photo:
    return gaussian_noise(image, 10.0, np.random.default_rng(0))


def _mirrored(image: Photo) -> Photo:
    return np.ascontiguousarray(image[:, ::-1])


def _tagged(image: Photo, orientation: int) -> bytes:
    """A JPEG whose pixels lie on their side and whose tag says so."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(sink, "JPEG", quality=JPEG_QUALITY, exif=exif)
    return sink.getvalue()


def _wide(image: Photo) -> bytes:
    """A scan of its luma in 16 bits."""
    from PIL import Image

    luma = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    sink = io.BytesIO()
    Image.fromarray((luma * 257).astype(np.uint16)).save(sink, "PNG")
    return sink.getvalue()


def _cut_out(image: Photo) -> bytes:
    """A PNG with a transparent edge of 2 %, in which other pixels are hidden."""
    from PIL import Image

    height, width = image.shape[:2]
    alpha = np.zeros((height, width), dtype=np.uint8)
    edge = (max(1, height // 50), max(1, width // 50))
    alpha[edge[0] : -edge[0], edge[1] : -edge[1]] = 255
    sink = io.BytesIO()
    Image.fromarray(np.dstack([image, alpha])).save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def _stored(
    change: Callable[[Photo], Photo], quality: int = JPEG_QUALITY
) -> Callable[[Photo], bytes]:
    return lambda image: encode_jpeg(np.ascontiguousarray(change(image)), quality)


def _both(*changes: Callable[[Photo], Photo]) -> Callable[[Photo], Photo]:
    def change(image: Photo) -> Photo:
        for step in changes:
            image = step(image)
        return image

    return change


TRANSFORMS: dict[str, Callable[[Photo], bytes]] = {
    "JPEG 30": _stored(lambda image: image, 30),
    "JPEG 10": _stored(lambda image: image, 10),
    "resize 50 %": _stored(lambda image: _resized(image, 0.5)),
    "resize 25 %": _stored(lambda image: _resized(image, 0.25)),
    "brightness +20 %": _stored(lambda image: _brighter(image, 1.2)),
    "brightness -20 %": _stored(lambda image: _brighter(image, 0.8)),
    "crop 3 %": _stored(lambda image: _cropped(image, 0.03)),
    "crop 5 %": _stored(lambda image: _cropped(image, 0.05)),
    "crop 10 %": _stored(lambda image: _cropped(image, 0.10)),
    "crop 20 %": _stored(lambda image: _cropped(image, 0.20)),
    "crop 30 %": _stored(lambda image: _cropped(image, 0.30)),
    "crop 50 %": _stored(lambda image: _cropped(image, 0.50)),
    "mirror": _stored(_mirrored),
    "mirror, resize 50 %, JPEG 50": _stored(_both(lambda i: _resized(i, 0.5), _mirrored), 50),
    "grey": _stored(_grey),
    "blur, sigma 2 px": _stored(lambda image: gaussian_blur(image, 2.0)),
    "noise, sigma 10": _stored(_noisy),
    "text written on it": _stored(_written_on),
    "white border of 5 %": _stored(lambda image: _bordered(image, 0.05)),
    "letterbox": _stored(_letterboxed),
    "rotation by 2 degrees": _stored(lambda image: _turned(image, 2.0)),
    "rotation by 90 degrees": _stored(lambda image: np.rot90(image)),
    "rotation by 180 degrees": _stored(lambda image: np.rot90(image, 2)),
    "turned by its EXIF tag alone": lambda image: _tagged(np.rot90(image), 6),
    "16 bits, grey": lambda image: _wide(image),
    "transparent outside": lambda image: _cut_out(image),
    "+10 %, resize 50 %, crop 3 %, JPEG 50": _stored(
        _both(lambda i: _brighter(i, 1.1), lambda i: _resized(i, 0.5), lambda i: _cropped(i, 0.03)),
        50,
    ),
}
"""Kinds of copies: pixels -> the bytes of the copy."""
