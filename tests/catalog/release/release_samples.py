"""A small table of samples made of real photographs (scikit-image's), as the pipeline hands it to the export."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from PIL import Image, ImageFilter
from skimage import data

from catalog.records import FileRecord, to_table

LICENSES = {
    "pd_cc0": ("CC0-1.0", "CC0", "http://creativecommons.org/publicdomain/zero/1.0/deed.en"),
    "cc_by": ("CC-BY-4.0", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0"),
    "cc_by_sa": ("CC-BY-SA-3.0", "CC BY-SA 3.0", "https://creativecommons.org/licenses/by-sa/3.0"),
}
HOSTILE = (
    "File:<script>alert(1)</script> \u202egpj.txt \u05e9\u05dc\u05d5\u05dd | *_`[x](http://x)` "
    + "long " * 30
    + ".jpg"
)


def jpeg_tiles(count: int) -> list[bytes]:
    """`count` disjoint tiles of real photographs, blurred and compressed by different amounts."""
    photos = (
        data.astronaut,
        data.chelsea,
        data.coffee,
        data.rocket,
        data.retina,
        data.hubble_deep_field,
    )
    tiles: list[bytes] = []
    edge = 140
    for photo in photos:
        pixels: np.ndarray = np.asarray(photo())
        for top in range(0, pixels.shape[0] - edge, edge):
            for left in range(0, pixels.shape[1] - edge, edge):
                if len(tiles) == count:
                    return tiles
                n = len(tiles)
                tile = Image.fromarray(pixels[top : top + edge, left : left + edge])
                tile = tile.filter(ImageFilter.GaussianBlur(n % 4))
                sink = io.BytesIO()
                tile.save(sink, "JPEG", quality=30 + 15 * (n % 5))
                tiles.append(sink.getvalue())
    raise ValueError(f"only {len(tiles)} tiles")


def release(count: int = 24) -> tuple[pa.Table, dict[str, bytes]]:
    """Samples and the object store behind them: SHA-1 -> bytes."""
    store: dict[str, bytes] = {}
    records: list[FileRecord] = []
    columns: dict[str, list] = {name: [] for name in _MORE}
    for n, content in enumerate(jpeg_tiles(count)):
        sha1 = hashlib.sha1(content).hexdigest()
        store[sha1] = content
        family = list(LICENSES)[n % 3]
        spdx, short, url = LICENSES[family]
        title = HOSTILE if n == 4 else f"File:Tile {n}.jpg"
        records.append(
            FileRecord(
                page_id=1000 + 7 * n,
                title=title,
                sha1=sha1,
                url=f"https://upload.wikimedia.org/x/{n}.jpg",
                file_page_url=f"https://commons.wikimedia.org/wiki/File:Tile_{n}.jpg",
                width=140,
                height=140,
                size_bytes=len(content),
                mime="image/jpeg",
                uploaded_at=datetime(2006 + n % 12, 5, 1, tzinfo=UTC),
                uploader=f"User{n % 4}",
                revision_id=n,
                categories=("Cats", "Space") if n % 2 else (),
                license_short_name=short,
                license_url=url,
                artist=None if family == "pd_cc0" else f"Jörg <b>{n}</b>\nMüller",
                artist_url=None if n % 2 else "https://example.org/jörg",
                description="A tile of a photograph." * (n % 5),
            )
        )
        blur = (n % 4) / 3
        compression = 1 - (n % 5) / 4
        columns["license"].append(spdx)
        columns["family"].append(family)
        columns["split"].append("test" if n % 8 == 7 else "train")
        severities = {"jpeg": compression, "blur": blur}
        columns["labels"].append([label for label in sorted(severities) if severities[label] > 0.5])
        columns["severities"].append(severities)
        columns["severity"].append(max(blur, compression))
        columns["measures"].append(
            {"laplacian": 100 / (1 + n % 4), "jpeg_quality": 30.0 + 15 * (n % 5)}
        )
        columns["scores"].append({"pyiqa:piqe": None if n == 3 else 20.0 + n})
        columns["phash"].append(2**64 - 1 - n)
        columns["dhash"].append(n)
        columns["cluster_id"].append(1000 + 7 * n)
    table = to_table(records, FileRecord)
    for name, arrow in _MORE.items():
        table = table.append_column(name, pa.array(columns[name], arrow))
    return table, store


_MORE: dict[str, pa.DataType] = {
    "license": pa.string(),
    "family": pa.string(),
    "split": pa.string(),
    "labels": pa.list_(pa.string()),
    "severities": pa.struct([("jpeg", pa.float64()), ("blur", pa.float64())]),
    "severity": pa.float64(),
    "measures": pa.struct([("laplacian", pa.float64()), ("jpeg_quality", pa.float64())]),
    "scores": pa.struct([("pyiqa:piqe", pa.float64())]),
    "phash": pa.uint64(),
    "dhash": pa.uint64(),
    "cluster_id": pa.int64(),
}


def reader(store: dict[str, bytes]) -> Callable[[str], bytes]:
    """The object store as the export reads it."""
    return store.__getitem__
