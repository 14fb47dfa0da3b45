"""One picture, decoded once: all that a label, a twin or a page needs to know of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from filters.metrics import Scoring

if TYPE_CHECKING:
    from filters.picture import Picture

PREVIEW_PX = 144
"""Longest side of the small picture that a page shows."""
MISSING, CORRUPT, NOT_COMPUTED = "missing", "corrupt", "not_computed"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be found out about each picture."""

    measures: tuple[str, ...]
    """Names of filters/measures/*."""
    scores: tuple[str, ...] = ()
    """Names of metrics."""
    scoring: Scoring = field(default_factory=Scoring)
    previews: bool = True
    """Keep a small JPEG of each, for a page."""

    def versions(self) -> list[str]:
        """`name@version` of all that is computed.

        Raises:
            filters.measures.UnknownMeasure, filters.metrics.UnknownMetric, WeightsMissing, DeviceMissing.
        """
        from filters.duplicates.hashing import VERSION
        from pipelines.build.stages import measure_versions, score_versions

        named = [*measure_versions(self.measures), *score_versions(self.scores, self.scoring)]
        return [VERSION, f"previews {self.previews}", *named]


def look_at(data: bytes, wanted: Wanted) -> dict[str, Any]:
    """The facts of one file, a value for each column of `pipelines.photos.facts.schema_of` that does not name the item.

    A file that gives no picture has `object` (a kind, `present` where nothing is wrong) and `error` (a sentence).
    """
    from filters.picture import NotAnImage, decoder_errors, open_picture

    found: dict[str, Any] = {
        "sha1": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        "size_bytes": len(data),
        "object": "present",
    }
    if not data:
        return found | {"object": CORRUPT, "error": "The file is empty: 0 bytes."}
    try:
        with open_picture(data) as picture:
            unreadable = picture.reader_error()
            if unreadable is not None:
                # It has pixels to judge; a build would leave it out all the same.
                found |= {"object": "unreadable", "error": unreadable}
            found |= _seen(picture, wanted)
    except NotAnImage as error:
        found |= {"object": error.kind, "error": str(error)}
    except decoder_errors() as error:
        told = f"This software failed at this picture: {type(error).__name__}: {error}"
        found |= {"object": NOT_COMPUTED, "error": told}
    return found


def look_at_pixels(rgb: Any, wanted: Wanted) -> dict[str, Any]:
    """The facts of uint8 [H, W, 3]; its SHA-1 is one of size and pixels.

    Raises:
        ValueError: not such an array.
    """
    import numpy as np
    from PIL import Image

    from filters.seen import Picture

    if getattr(rgb, "dtype", None) != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(
            "A picture is a path, its bytes, or an array uint8 [H, W, 3] (RGB, 0 to 255), not "
            f"{getattr(rgb, 'dtype', type(rgb).__name__)} {list(getattr(rgb, 'shape', ()))}."
        )
    whole = np.ascontiguousarray(rgb)
    content = f"{list(whole.shape)}".encode() + whole.tobytes()
    picture = Picture(Image.fromarray(whole), "array", upright=True, stripped=None)
    return {
        "sha1": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        "size_bytes": whole.nbytes,
        "object": "present",
        **_seen(picture, wanted),
    }


def _seen(picture: Picture, wanted: Wanted) -> dict[str, Any]:
    from filters.duplicates.hashing import hash_picture
    from filters.formats import MIME_FORMATS
    from filters.measures import load_measure, photo_of, stored
    from filters.metrics import load_metric

    hashes, seen = hash_picture(picture)
    width, height = picture.size
    photo = photo_of(picture)
    kinds = MIME_FORMATS.items()
    return {
        "mime": next((mime for mime, names in kinds if picture.format in names), None),
        "width": width,
        "height": height,
        "camera": picture.camera,
        "phash": hashes.phash,
        "dhash": hashes.dhash,
        "phash_mirror": hashes.phash_mirror,
        "dhash_mirror": hashes.dhash_mirror,
        "spread": seen.spread,
        "seen_phash": list(seen.phash),
        "seen_dhash": list(seen.dhash),
        "thumbnail": seen.thumbnail,
        "preview": preview(photo.rgb) if wanted.previews else None,
        **{f"measure.{name}": load_measure(name).measure(photo) for name in wanted.measures},
        **{
            f"score.{name}": stored(load_metric(name, wanted.scoring).score(photo))
            for name in wanted.scores
        },
    }


def preview(rgb: Any) -> bytes:
    """A JPEG of at most PREVIEW_PX a side of uint8 [H, W, 3]."""
    import io

    from PIL import Image

    from filters.measures import opencv

    cv2 = opencv()
    height, width = rgb.shape[:2]
    share = min(1.0, PREVIEW_PX / max(height, width))
    if share < 1.0:
        size = (max(1, round(width * share)), max(1, round(height * share)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    sink = io.BytesIO()
    Image.fromarray(rgb).save(sink, "JPEG", quality=75)
    return sink.getvalue()


def look_at_items(items: Sequence[Any], wanted: Wanted) -> list[dict[str, Any]]:
    """The facts of crawler.shelves.Items, a row each, in their order. What cannot be read is a row with an error."""
    from crawler.shelves import ItemGone, read_item

    rows: list[dict[str, Any]] = []
    for item in items:
        try:
            found = look_at(read_item(item), wanted)
        except ItemGone as error:
            found = {"object": MISSING, "error": str(error)}
        rows.append({"name": item.name, "size": item.size, "mtime_ns": item.mtime_ns, **found})
    return rows
