"""Takes removed files out of the catalog: their bytes, and what the parts hold about them.

Parts are immutable, and here that yields: a part with rows of a removed file is written again without them, by rename,
its cursor kept. In listings the row stays in its place, emptied down to the page id, because other parts and cursors
count rows. Doing it twice does no harm, so a purge that was killed is done again.

Tombstones stay (page id, SHA-1, date, reason): without them the file would come back with the next crawl. Frozen plans
forget the keys, so that a file that is restored one day is planned again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from catalog import files, sums
from catalog.errors import Expected
from catalog.plans import write_parquet
from catalog.records import FileRecord
from catalog.removals import PRESENT_VERSIONS, REQUESTED_BYTES, removed
from catalog.store import DAMAGED, Catalog
from catalog.views import opened

pc: Any = compute

PURGED_TITLE = "(purged)"
_BY_SHA1 = ("download", "hash", "measure", "score", "embed")
_BLANK: dict[str, Any] = {"title": PURGED_TITLE, "state": "purged", "raw_json": "{}"}


class StillReleased(Expected, RuntimeError):
    """The dataset that lies beside the catalog still holds files that are to be purged."""


@dataclass(frozen=True, kw_only=True)
class Purged:
    """What a purge did."""

    pages: int
    """Pages with a tombstone."""
    objects: int
    """Originals that were deleted now."""
    parts: int
    """Parts that were written again now."""


def purge(
    catalog: Catalog, *, dataset: Path | None, remove_object: Callable[[str], bool]
) -> Purged:
    """Deletes originals of removed files and rewrites the parts that tell of them. Under the catalog's lock.

    Args:
        dataset: exported dataset that must not hold them any more.
        remove_object: SHA-1 -> deletes the original; whether it was there.

    Raises:
        StillReleased: build first, so that the dataset is without them.
        catalog.files.DiskFull: there was no room for a part; do it again.
    """
    stones = removed(catalog)
    pages = _whole_pages(stones)
    hashes = _dead_hashes(catalog, stones, pages)
    if dataset is not None:
        _check_release(dataset, pages, hashes)
    objects = sum(remove_object(sha1) for sha1 in sorted(hashes))
    page_ids, sha1s = pa.array(sorted(pages), pa.int64()), pa.array(sorted(hashes), pa.string())
    for sha1 in sorted(hashes):
        # What the review page made of it.
        for small in (catalog.root / "thumbnails" / sha1[:2]).glob(f"{sha1}-*"):
            files.delete(small)
    urls = _addresses(catalog, page_ids, sha1s)
    parts = 0
    for stage in (
        "listing",
        *_BY_SHA1,
        "twin",
        "failure",
        "decision",
        "ledger",
        "request",
        "review",
    ):
        for file in catalog.whole_parts(stage):
            parts += _rewrite(stage, file, page_ids, sha1s, urls)
    # Second places of verdicts, and samples that were drawn for them.
    for folder in (catalog.root / "copies" / "review", catalog.root / "samples"):
        for file in sorted(folder.glob("*.parquet")):
            sums.check([file])
            _rewrite("review", file, page_ids, sha1s, urls)
    # What was set aside as damaged may hold anything.
    files.delete(catalog.root / DAMAGED)
    for file in sorted(catalog.plans.glob("*/*/*.parquet")):
        sums.check([file])
        plan = pq.read_table(file)
        dead = pc.is_in(plan.column("key"), value_set=sha1s)
        if pc.any(dead).as_py():
            write_parquet(file, plan.filter(pc.invert(dead)))
    return Purged(pages=len(pages), objects=objects, parts=parts)


def _whole_pages(stones: pa.Table) -> set[int]:
    """Pages that are gone altogether, not only in an old version."""
    whole = pc.not_equal(stones.column("reason"), "overwritten")
    return set(stones.filter(whole).column("page_id").to_pylist())


def _dead_hashes(catalog: Catalog, stones: pa.Table, pages: set[int]) -> set[str]:
    """SHA-1s with a tombstone that no other page has as its present version, and those that a person asked for."""
    held = {sha1 for sha1 in stones.column("sha1").to_pylist() if sha1}
    with opened(catalog, "listing", "tombstones") as connection:
        present = connection.execute(PRESENT_VERSIONS).fetchall()
        asked = {sha1 for (sha1,) in connection.execute(REQUESTED_BYTES).fetchall()}
    return (held - {sha1 for page_id, sha1 in present if page_id not in pages}) | asked


def _check_release(dataset: Path, pages: set[int], hashes: set[str]) -> None:
    found = 0
    for shard in sorted(dataset.glob("data/*/*.parquet")):
        rows = pq.read_table(shard, columns=["page_id", "sha1"])
        dead = pc.or_(
            pc.is_in(rows.column("page_id"), value_set=pa.array(sorted(pages), pa.int64())),
            pc.is_in(rows.column("sha1"), value_set=pa.array(sorted(hashes), pa.string())),
        )
        found += int(pc.sum(dead).as_py() or 0)
    if found:
        raise StillReleased(
            f"{dataset} still holds {found} of the removed files: run `lucidlr build` with the same recipe and --out "
            "first, then purge."
        )


def _addresses(catalog: Catalog, page_ids: pa.Array, sha1s: pa.Array) -> pa.Array:
    """Addresses of the originals that are purged, for the request log."""
    with opened(catalog, "listing") as connection:
        connection.register("pages", pa.table({"page_id": page_ids}))
        connection.register("hashes", pa.table({"sha1": sha1s}))
        found = connection.execute(
            "SELECT DISTINCT url FROM listing WHERE url IS NOT NULL AND "
            "(page_id IN (SELECT page_id FROM pages) OR sha1 IN (SELECT sha1 FROM hashes))"
        ).fetchall()
    return pa.array(sorted(url for (url,) in found), pa.string())


def _rewrite(stage: str, file: Path, pages: pa.Array, hashes: pa.Array, urls: pa.Array) -> bool:
    """Writes one part again where it tells of a removed file; whether it did."""
    names = pq.read_schema(file).names
    keys = [name for name in ("page_id", "sha1", "twin", "key", "url") if name in names]
    dead = _dead_rows(stage, pq.read_table(file, columns=keys), pages, hashes, urls)
    if not dead.any():
        return False
    table = pq.read_table(file)
    if stage == "listing":
        new = _blanked(table, dead, (*FileRecord.__dataclass_fields__, "raw_json", "sdc_json"))
        if new.equals(table):
            return False
    elif stage == "decision":
        new = _blanked(table, dead, ("title", "sha1"))
        if new.equals(table):
            return False
    elif stage == "request":
        new = _blanked(table, dead, ("url",))
    else:
        new = table.filter(pa.array(~dead))
    write_parquet(file, new)
    return True


def _dead_rows(
    stage: str, keys: pa.Table, pages: pa.Array, hashes: pa.Array, urls: pa.Array
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    def among(name: str, values: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return pc.is_in(keys.column(name), value_set=values).to_numpy()

    if stage in _BY_SHA1:
        return among("sha1", hashes)
    if stage == "twin":
        return among("sha1", hashes) | among("twin", hashes)
    if stage == "failure":
        return among("key", hashes)
    if stage == "request":
        return among("url", urls)
    dead = among("page_id", pages)
    # An overwritten version: only rows that speak of the old bytes.
    return dead if stage == "ledger" else dead | among("sha1", hashes)


def _blanked(
    table: pa.Table, dead: np.ndarray[Any, np.dtype[np.bool_]], names: Iterable[str]
) -> pa.Table:
    """These columns emptied in the dead rows; the page id stays, and what may not be null gets a placeholder."""
    here = pa.array(dead)
    for name in names:
        if name == "page_id" or name not in table.column_names:
            continue
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        blank = _BLANK.get(name, PURGED_TITLE if not field.nullable else None)
        emptied = pc.if_else(here, pa.scalar(blank, field.type), table.column(name))
        table = table.set_column(index, field, emptied)
    return table
