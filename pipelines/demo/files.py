"""The bytes of each file of the demo corpus, from its tile and what is planned for it."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

from filters.degradation.synthesis import Photo, apply
from filters.picture import open_picture
from pipelines.demo.names import CAMERAS
from pipelines.demo.plan import CorpusError, Entry, resize_range


def file_bytes(entry: Entry) -> bytes:
    """The original bytes of every role but twins."""
    if entry.tile is None:
        return _SVG
    rng = np.random.default_rng(entry.seed)
    extension = entry.extension
    pixels = entry.tile.pixels
    if entry.role == "small":
        pixels = pixels[: int(rng.integers(36, 60)), : int(rng.integers(36, 60))]
    damage = entry.degradation
    exif = _exif(entry, rng) if rng.random() < 0.5 else None
    noisy = damage is not None and damage.kind.endswith("noise")
    quality = 90 if noisy else int(rng.integers(92, 96))
    if damage is not None and damage.kind == "jpeg" and extension == "jpg":
        quality = round(damage.amount)  # the file itself is the degraded one
    elif damage is not None:
        pixels = apply(pixels, damage, seed=entry.seed)
    content = _encode(pixels, extension, quality, exif)
    return _garbled(content, rng) if entry.role == "corrupt" else content


def twin_bytes(entry: Entry, original: bytes) -> tuple[bytes, float | None]:
    """A copy of lower rank (fewer pixels, else fewer bytes) and how far it was changed."""
    assert entry.twin_of is not None and entry.degradation is not None and entry.tile is not None
    rng = np.random.default_rng(entry.seed)
    with open_picture(original) as picture:
        pixels = picture.rgb
    if entry.transform == "resized":
        low, high = resize_range(entry.degradation, entry.tile)
        factor = float(rng.uniform(low, high))
        height, width = pixels.shape[:2]
        size = (round(width * factor), round(height * factor))
        small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        return _encode(small, "jpg", 90, None), round(factor, 3)
    mirrored = entry.transform == "mirrored"
    if mirrored:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    quality = 88 if mirrored else int(rng.integers(30, 51))
    content = _encode(pixels, "jpg", quality, None)
    while len(content) >= len(original) and quality > 12:
        quality -= 2
        content = _encode(pixels, "jpg", quality, None)
    if len(content) >= len(original):
        raise CorpusError(
            f"A copy of {entry.twin_of.item['filename']} came out larger; try another seed."
        )
    return content, float(quality)


def _encode(pixels: Photo, extension: str, quality: int, exif: Image.Exif | None) -> bytes:
    """JPEG 4:2:0, PNG or WebP bytes, with the camera's name where `exif` is given."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    extra: dict[str, Any] = {} if exif is None else {"exif": exif}
    if extension == "jpg":
        image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0", **extra)
    elif extension == "webp":
        image.save(buffer, "WEBP", quality=max(95, quality), **extra)
    elif extension == "gif":
        image.save(buffer, "GIF")
    else:
        image.save(buffer, "PNG", **extra)
    return buffer.getvalue()


def _exif(entry: Entry, rng: np.random.Generator) -> Image.Exif:
    maker, model = CAMERAS[int(rng.integers(len(CAMERAS)))]
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = maker, model
    exif[0x0132] = str(entry.item["date"]).replace("-", ":")
    return exif


def _garbled(content: bytes, rng: np.random.Generator) -> bytes:
    """A JPEG whose header is whole and whose picture data is noise that ends too soon."""
    scan = content.index(b"\xff\xda")
    body = scan + 2 + int.from_bytes(content[scan + 2 : scan + 4], "big")
    garbage = rng.integers(0, 0xF0, 48, dtype=np.uint8).tobytes()
    return content[:body] + garbage


_SVG = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<svg xmlns="http://www.w3.org/2000/svg" width="240" height="160">'
    b'<circle cx="120" cy="80" r="60" fill="#c72"/></svg>\n'
)
