"""Is a sample a benchmark image? Fingerprints of benchmark images, and how near a candidate comes to them.

A fingerprint is what dedupe compares: pHash and dHash of the picture as it is seen. An index of fingerprints is a
small Parquet file that users make from their own copies of RealSR, DRealSR, RealLQ250 and so on (`lucidlr
fingerprint`); it holds no pixels and may be passed on. Images and their scaled or re-encoded copies are found by
hashes; crops beyond a few per cent by points, where the index has them (docs/duplicates.md has the recalls).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog.errors import Expected, Missing
from filters.duplicates.hashing import VERSION, hash_seen
from filters.duplicates.partial import fit_of
from filters.duplicates.points import VERSION as POINTS_VERSION
from filters.duplicates.points import points_of, unpacked
from filters.duplicates.voting import candidates_of

Hashes = NDArray[np.uint64]
INDEX = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("phash", pa.uint64(), nullable=False),
        pa.field("dhash", pa.uint64(), nullable=False),
        pa.field("spread", pa.float64(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("points", pa.binary()),
    ]
)
"""Columns of an index; `version` is that of the hashes, and of the points where there are any (points.py)."""
FAR = 64
"""Distance of a candidate without hashes worth comparing."""


class FingerprintError(Expected, ValueError):
    """A file that is no index of fingerprints, or one of other hashes; the message says which."""


@dataclass(frozen=True, kw_only=True)
class LeakagePolicy:
    """Which benchmark images to keep away from."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    index: str | None = None
    """Parquet file made by `lucidlr fingerprint`; None: nothing is compared."""
    blank_spread: float = 0.5
    """Images with a smaller spread of grey levels match anything and are not compared."""


def fingerprint(
    benchmark: str,
    images: Iterable[tuple[str, bytes]],
    *,
    failed: Callable[[str, str], None] = lambda name, why: None,
    parts: bool = False,
) -> pa.Table:
    """An index (`INDEX`) of these images (name, bytes); those that do not decode are told to `failed`.

    Args:
        parts: note the points, too, by which crops are found: 7 kB an image.
    """
    from filters.picture import NotAnImage, open_picture

    rows: list[dict[str, Any]] = []
    for name, data in images:
        try:
            with open_picture(data) as picture:
                hashes = hash_seen(picture)
                points = points_of(picture.grey) if parts else None
        except NotAnImage as error:
            failed(name, str(error))
            continue
        rows.append(
            {
                "benchmark": benchmark,
                "name": name,
                "phash": hashes.phash[0],
                "dhash": hashes.dhash[0],
                "spread": hashes.spread,
                "version": _version(points is not None),
                "points": points,
            }
        )
    return pa.Table.from_pylist(rows, schema=INDEX)


def _version(parts: bool) -> str:
    return f"{VERSION}+points-{POINTS_VERSION}" if parts else VERSION


def read_index(path: Path) -> pa.Table:
    """Reads an index.

    Raises:
        catalog.errors.Missing: there is none.
        FingerprintError: not an index, or of hashes of another version.
    """
    if not path.is_file():
        raise Missing(
            f"There is no {path}: make it with `lucidlr fingerprint NAME FOLDER --index {path}`."
        )
    try:
        table = pq.read_table(path)
        if "points" not in table.column_names:
            table = table.append_column("points", pa.nulls(table.num_rows, pa.binary()))
        table = table.select(INDEX.names).cast(INDEX)
    except (pa.ArrowInvalid, KeyError) as error:
        raise FingerprintError(f"{path} is no index of fingerprints: {error}") from error
    versions = set(table.column("version").to_pylist()) - {_version(False), _version(True)}
    if versions:
        raise FingerprintError(
            f"{path} holds hashes of {', '.join(sorted(versions))}, these are {VERSION}: make it again."
        )
    return table


def index_hash(path: Path) -> str:
    """12 hex digits of an index's content, for the recipe's hash: other fingerprints are another decision."""
    table = read_index(path)
    names = [name for name in INDEX.names if table.column(name).null_count < table.num_rows]
    columns = [[b"" if v is None else v for v in table.column(n).to_pylist()] for n in names]
    rows = sorted(zip(*columns, strict=True))
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:12]


def nearest(
    index: pa.Table,
    *,
    phash: Hashes,
    dhash: Hashes,
    phash_mirror: Hashes,
    dhash_mirror: Hashes,
    spread: NDArray[np.float64],
    policy: LeakagePolicy,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[N] distance to the nearest fingerprint, and [N] its row in the index (-1: none).

    The distance is the larger of those of pHash and dHash, the smallest of all looks (`phash_mirror` and `dhash_mirror`
    are [N], or [N, L] of other looks than the mirrored one, too): up to 12 it is what dedupe would look at as a twin.
    Every candidate is compared with every fingerprint.
    """
    count = len(phash)
    best = np.full(count, FAR, dtype=np.int64)
    which = np.full(count, -1, dtype=np.int64)
    comparable = spread >= policy.blank_spread
    all_phash = np.column_stack([phash, phash_mirror])
    all_dhash = np.column_stack([dhash, dhash_mirror])
    columns = [index.column(name).to_numpy() for name in ("phash", "dhash", "spread")]
    for row, (p, d, wide) in enumerate(zip(*columns, strict=True)):
        if wide < policy.blank_spread:
            continue
        bits = np.maximum(np.bitwise_count(all_phash ^ p), np.bitwise_count(all_dhash ^ d))
        distance = bits.min(axis=1).astype(np.int64)
        closer = comparable & (distance < best)
        best[closer], which[closer] = distance[closer], row
    return best, which


LEAST_SHARED, LEAST_SHARE, LEAST_COVERED = 12, 0.2, 0.3
"""Points that have to agree, their share in the common part, and the share of its cells that they lie in: stricter than
for twins, as an index has no thumbnails to compare."""


def most_shared(
    index: pa.Table, points: Sequence[bytes | None], most_candidates: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[N] how many points each picture shares with the benchmark image that it shares most with, 0 where with none; and
    [N] that image's row in the index (-1: none).

    Args:
        points: [N] as filters.duplicates.points.points_of packs them; None: not compared.
    """
    shared = np.zeros(len(points), dtype=np.int64)
    which = np.full(len(points), -1, dtype=np.int64)
    theirs = index.column("points").to_pylist()
    rows = [row for row, one in enumerate(points) if one]
    index_rows = [row for row, one in enumerate(theirs) if one]
    plain = [unpacked(points[row] or b"") for row in rows]
    plain += [unpacked(theirs[row]) for row in index_rows]
    for i, j, flipped in candidates_of(plain, most_candidates, first=len(rows)).tolist():
        fit = fit_of(plain[i], plain[j].mirrored() if flipped else plain[j])
        if (
            fit is None
            or fit.share < LEAST_SHARE
            or min(fit.agreeing / LEAST_SHARED, fit.covered / LEAST_COVERED) < 1
        ):
            continue
        row = rows[i]
        if fit.agreeing > shared[row]:
            shared[row], which[row] = fit.agreeing, index_rows[j - len(rows)]
    return shared, which
