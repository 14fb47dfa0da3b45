"""How well the rule for twins works on given photographs: copies of known kinds are injected and looked for.

Recall is counted per kind of copy: the pair (photograph, its copy) must be a confirmed edge. Every edge between two
different photographs, copies included, is a false match, unless the photographs were alike to begin with; these are
listed, for eyes to judge.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.degradation.synthesis import encode_jpeg, gaussian_blur, gaussian_noise
from filters.duplicates.dedupe import DedupePolicy, Seen, confirmed_edges, once, seen_edges
from filters.duplicates.embedding import Embed, fit, look
from filters.duplicates.hashing import THUMB_PX, SeenHashes, hash_seen

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
    "mirror": _stored(_mirrored),
    "mirror, resize 50 %, JPEG 50": _stored(_both(lambda i: _resized(i, 0.5), _mirrored), 50),
    "grey": _stored(_grey),
    "blur, sigma 2 px": _stored(lambda image: gaussian_blur(image, 2.0)),
    "noise, sigma 10": _stored(_noisy),
    "text written on it": _stored(_written_on),
    "white border of 5 %": _stored(lambda image: _bordered(image, 0.05)),
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


@dataclass(frozen=True, kw_only=True)
class Recall:
    """One kind of copy."""

    transform: str
    injected: int
    found: int

    @property
    def recall(self) -> float:
        """Share that was found."""
        return self.found / self.injected if self.injected else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the recall."""
        n, z = self.injected, 1.96
        if not n:
            return float("nan"), float("nan")
        p = self.recall
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, kw_only=True)
class DedupQuality:
    """What became of the injected copies."""

    photographs: int
    recalls: tuple[Recall, ...]
    compared: int
    """Pairs of different photographs, originals and copies."""
    false: int
    """Of these, confirmed edges."""
    alike: tuple[tuple[str, str, int, int], ...]
    """Pairs of photographs that matched as originals: names, pHash distance, dHash distance."""

    @property
    def precision(self) -> float:
        """Share of true ones among the edges, pairs of photographs that are alike left out."""
        true = sum(r.found for r in self.recalls)
        return true / (true + self.false) if true + self.false else float("nan")


def dedup_quality(
    photos: Iterable[tuple[str, Photo]],
    policy: DedupePolicy,
    *,
    embed: Embed | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> DedupQuality:
    """Injects every kind of copy of every photograph and looks for them.

    Args:
        photos: (name, uint8 [H, W, 3]); each is asked for once and let go.
        embed: the policy's encoder, where it has one.
        advance: called with 1 after each photograph.
    """
    from filters.picture import open_picture

    hashes: list[SeenHashes] = []
    vectors: list[bytes | None] = []
    thumbnails: list[bytes | None] = []

    def note(content: bytes) -> None:
        with open_picture(content) as picture:
            hashes.append(hash_seen(picture))
            if embed is not None:
                seen = look(picture.rgb, embed)
                vectors.append(seen.vector)
                thumbnails.append(seen.thumbnail)

    title: list[str] = []
    owner: list[int] = []
    kind: list[str] = []
    for number, (name_of_photo, photo) in enumerate(photos):
        title.append(name_of_photo)
        # Without loss: it stands for the file that the photograph came from.
        note(_png(photo))
        owner.append(number)
        kind.append("")
        for name, make in TRANSFORMS.items():
            note(make(photo))
            owner.append(number)
            kind.append(name)
        advance(1)
    edges = _edges(hashes, policy, (vectors, thumbnails) if embed is not None else None)
    photo_of, names = np.array(owner), np.array(kind)
    alike = _alike(edges, photo_of, names, hashes)
    known = _together(alike, len(title))
    found = dict.fromkeys(TRANSFORMS, 0)
    false = 0
    for i, j in edges[:, :2].tolist():
        if photo_of[i] == photo_of[j]:
            # Of two copies of one photograph neither is the original: no recall is counted for them.
            one, other = names[i], names[j]
            if not one or not other:
                found[str(one or other)] += 1
        elif known[int(photo_of[i])] != known[int(photo_of[j])]:
            false += 1
    each = len(TRANSFORMS) + 1
    count = len(title)
    return DedupQuality(
        photographs=count,
        recalls=tuple(
            Recall(transform=name, injected=count, found=found[name]) for name in TRANSFORMS
        ),
        compared=count * (count - 1) // 2 * each * each,
        false=false,
        alike=tuple((title[a], title[b], p, d) for a, b, p, d in alike),
    )


def _png(photo: Photo) -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(photo).save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def _edges(
    hashes: Sequence[SeenHashes], policy: DedupePolicy, seen: Seen | None
) -> NDArray[np.int64]:
    phash = np.array([h.phash for h in hashes], dtype=np.uint64)
    dhash = np.array([h.dhash for h in hashes], dtype=np.uint64)
    looks = (phash[:, 0], dhash[:, 0], phash[:, 1:], dhash[:, 1:])
    spread = np.array([h.spread for h in hashes], dtype=np.float64)
    edges = confirmed_edges(
        *looks, spread, policy, lambda rows: [hashes[row].thumbnail for row in rows.tolist()]
    )
    if seen is not None and policy.embedding is not None:
        more = seen_edges(seen, *looks, spread, policy, edges)
        edges = once(np.concatenate([edges, more]))
    return edges


def _alike(
    edges: NDArray[np.int64],
    photo_of: NDArray[Any],
    names: NDArray[Any],
    hashes: Sequence[SeenHashes],
) -> list[tuple[int, int, int, int]]:
    """(photograph, photograph, pHash distance, dHash distance) of those that are alike to begin with: their originals
    match, or one is a part of the other and copies of them match. These are copies that the folder had already."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    original = {int(photo): row for row, photo in enumerate(photo_of) if not names[row]}
    for i, j, p, d, _ in edges.tolist():
        a, b = sorted((int(photo_of[i]), int(photo_of[j])))
        if a == b or (a, b) in found:
            continue
        thumbnails = (hashes[original[one]].thumbnail for one in (a, b))
        lumas = [
            np.frombuffer(one, np.uint8, THUMB_PX * THUMB_PX).reshape(THUMB_PX, THUMB_PX)
            for one in thumbnails
        ]
        if (not names[i] and not names[j]) or fit(lumas[0], lumas[1]) >= A_PART:
            found[a, b] = (p, d)
    return [(a, b, p, d) for (a, b), (p, d) in sorted(found.items())]


A_PART = 0.9
"""Correlation of aligned thumbnails from which one photograph is a part of another (docs/adr/0012)."""


def _together(alike: Sequence[tuple[int, int, int, int]], count: int) -> list[int]:
    """The group of each photograph: those that are alike, over any chain, have one."""
    group = list(range(count))
    for a, b, _, _ in alike:
        old, new = group[b], group[a]
        group = [new if one == old else one for one in group]
    return group
