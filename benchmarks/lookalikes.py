"""The rule for twins among pictures that look alike to a hash: pages, tables, forms, maps, portraits, fog.

    python -m benchmarks lookalikes [seed=N] [portraits=FOLDER] [photographs=FOLDER]

Papers are drawn (benchmarks/_papers.py): 60 pages, 40 tables, 20 forms and 20 maps of one layout each. `portraits` is a
folder of faces, which are put before one backdrop; `photographs` one of photographs, which are put into fog. Of each
picture copies are made, of some of the kinds of `lucidlr dedup-report`. Counted are pairs of different pictures, copies
included, that agree by hashes alone and that thumbnails confirm, and copies found.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks._papers import DRAWN, Photo, drawn, fogged, portraits
from filters.duplicates.dedupe import DedupePolicy, confirmed_edges
from filters.duplicates.hashing import SeenHashes, hash_seen
from filters.duplicates.kinds import TRANSFORMS
from filters.picture import open_picture

COUNTS = {"text pages": 60, "tables": 40, "forms": 20, "maps": 20}
COPIES = (
    *("JPEG 30", "JPEG 10", "resize 50 %", "blur, sigma 2 px", "noise, sigma 10", "mirror"),
    *("rotation by 90 degrees", "turned by its EXIF tag alone", "16 bits, grey"),
    *("transparent outside", "text written on it", "crop 3 %"),
)
LONGEST_PX = 1000


@dataclass(frozen=True, kw_only=True)
class Found:
    """Of one kind of picture."""

    pictures: int
    pairs: int
    """Of different pictures, originals and copies."""
    by_hashes: int
    """Of these, agreeing by hashes alone."""
    false: int
    """Of these, confirmed."""
    alone: int
    """Pairs of originals that are confirmed."""
    copies: dict[str, int]
    """Kind of copy -> found."""


def main(*arguments: str) -> None:
    """Prints a table."""
    said: dict[str, str] = {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        said[key] = value
    unknown = set(said) - {"seed", "portraits", "photographs"}
    if unknown:
        raise SystemExit(f"no such argument: {', '.join(sorted(unknown))}; see the module")
    seed = int(said.get("seed") or 0)
    sets: dict[str, Callable[[], list[Photo]]] = {
        kind: lambda kind=kind: drawn(kind, COUNTS[kind], seed) for kind in DRAWN
    }
    if "portraits" in said:
        sets["portraits"] = lambda: portraits(list(_photos(said["portraits"])), seed)
    if "photographs" in said:
        sets["fog"] = lambda: [
            fogged(photo, number, seed) for number, photo in enumerate(_photos(said["photographs"]))
        ]
    print(f"{'':<12}{'pictures':>9}{'pairs':>10}{'hashes':>8}{'false':>7}  copies found")
    for name, make in sets.items():
        found = looked_for(make())
        print(
            f"{name:<12}{found.pictures:>9}{found.pairs:>10,}{found.by_hashes:>8}{found.false:>7}  "
            + ", ".join(f"{kind} {count}" for kind, count in found.copies.items()),
            flush=True,
        )


def looked_for(pictures: Sequence[Photo], kinds: Sequence[str] = COPIES) -> Found:
    """What the default rule finds among different pictures and copies of them."""
    hashes: list[SeenHashes] = []
    for picture in pictures:
        for content in (_png(picture), *(TRANSFORMS[kind](picture) for kind in kinds)):
            with open_picture(content) as opened:
                hashes.append(hash_seen(opened))
    each = len(kinds) + 1
    thumbnails = [one.thumbnail for one in hashes]
    edges = _edges(hashes, lambda rows: [thumbnails[row] for row in rows.tolist()])
    i, j = edges[:, 0], edges[:, 1]
    same = i // each == j // each
    whole = (i % each == 0) & (j % each == 0)
    copies = {
        kind: int((same & (i % each == 0) & (j % each == place)).sum())
        for place, kind in enumerate(kinds, start=1)
    }
    plain = _edges(hashes, None)
    count = len(pictures)
    return Found(
        pictures=count,
        pairs=count * (count - 1) // 2 * each * each,
        by_hashes=int((plain[:, 0] // each != plain[:, 1] // each).sum()),
        false=int((~same).sum()),
        alone=int((whole & ~same).sum()),
        copies=copies,
    )


def _edges(hashes: Sequence[SeenHashes], thumbnails: Any) -> Any:
    phash = np.array([one.phash for one in hashes], dtype=np.uint64)
    dhash = np.array([one.dhash for one in hashes], dtype=np.uint64)
    spread = np.array([one.spread for one in hashes], dtype=np.float64)
    looks = (phash[:, 0], dhash[:, 0], phash[:, 1:], dhash[:, 1:])
    return confirmed_edges(*looks, spread, DedupePolicy(), thumbnails)


def _photos(folder: str) -> Iterator[Photo]:
    """Of each picture in a folder, longest side LONGEST_PX at most."""
    for file in sorted(Path(folder).rglob("*")):
        if file.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            continue
        with open_picture(file) as opened:
            image = Image.fromarray(opened.rgb)
        image.thumbnail((LONGEST_PX, LONGEST_PX), Image.Resampling.LANCZOS)
        yield np.asarray(image)


def _png(picture: Photo) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(picture).save(sink, "PNG", compress_level=1)
    return sink.getvalue()
