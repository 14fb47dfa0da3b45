"""Chosen rows become the released dataset: Parquet shards with the photographs in them, manifest last, swapped in.

Rows stand in the order of their page ids within `data/<family>/<split>-*.parquet`, so neither the order in which a
crawl saw them nor the order of the table that comes in can change a byte; whoever trains shuffles anyway. A shard is
built row group by row group: memory is bounded by one row group, not by the dataset.

The new dataset grows in a sibling folder and replaces the old one by two renames. Whenever the process is killed, what
lies under the dataset's name (after `recover`, which every export begins with) is the old dataset or the new one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import files
from catalog.release.columns import FAMILIES, RELEASED, released_schema
from catalog.release.credits import attribution_lines, write_credits
from catalog.release.licenses import LICENSES_NAME, licenses_text
from catalog.release.manifest import (
    MANIFEST_NAME,
    ExtraFile,
    Manifest,
    dataset_hash,
    sha256_of,
    verify_dataset,
    write_manifest,
)
from catalog.release.reuse import old_shards, software
from catalog.release.shards import (
    ExportError,
    Limits,
    MissingObjectError,
    Sha1MismatchError,
    write_shards,
)
from catalog.release.tombstones import TombstonedError, refuse_tombstoned, write_tombstones

__all__ = [
    "RELEASED",
    "ExportError",
    "Manifest",
    "MissingObjectError",
    "SampleError",
    "Sha1MismatchError",
    "TombstonedError",
    "VersionError",
    "export_dataset",
    "recover",
    "verify_dataset",
]

CREDITS_NAME = "CREDITS.csv"
FIRST_VERSION = "0.1.0"
_SPLIT = re.compile(r"[a-z][a-z0-9_]*")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_HASH = re.compile(r"[0-9a-f]{64}")


class SampleError(ExportError):
    """The table of samples lacks a column, repeats a page, or holds a value that cannot be released."""


class VersionError(ExportError):
    """A release is named by something that is no version, or follows something that is no dataset hash."""


def _plan(samples: pa.Table) -> pa.Table:
    """The released columns but the image, sorted by family, split and page id.

    Raises:
        SampleError, catalog.release.credits.AttributionError: as `export_dataset` says.
    """
    if samples.num_rows == 0:
        raise SampleError("No sample was chosen, so there is nothing to export; see the funnel.")
    try:
        schema = released_schema(samples.schema)
    except KeyError as error:
        raise SampleError(f"The table of samples has no column {error.args[0]}.") from error
    except TypeError as error:
        raise SampleError(
            f"The table of samples has a column of the wrong type: {error}"
        ) from error
    for name in ("page_id", "sha1", "title", "license", "family", "split"):
        nulls = samples.column(name).null_count
        if nulls:
            raise SampleError(f"{nulls} samples have no {name}; a released row needs one.")
    pages = Counter(samples.column("page_id").to_pylist())
    twice = [page for page, times in pages.items() if times > 1]
    if twice:
        raise SampleError(f"{len(twice)} pages are chosen more than once, page {min(twice)} first.")
    odd = set(samples.column("family").to_pylist()) - set(FAMILIES)
    if odd:
        raise SampleError(f"Unknown license family {sorted(odd)}; known are {', '.join(FAMILIES)}.")
    odd = {split for split in samples.column("split").to_pylist() if not _SPLIT.fullmatch(split)}
    if odd:
        raise SampleError(f"{sorted(odd)} cannot name a split: lower-case letters, digits and _.")
    sources = {column.name: column.source or column.name for column in RELEASED}
    arrays: dict[str, pa.ChunkedArray | pa.Array] = {}
    for field in schema:
        if field.name == "image":
            continue
        if field.name == "attribution_line":
            arrays[field.name] = pa.array(attribution_lines(samples), pa.string())
        elif field.name == "is_modified":
            arrays[field.name] = pa.array([False] * samples.num_rows, pa.bool_())
        else:
            given = samples.column(sources[field.name])
            arrays[field.name] = _conform(given, field)
    table = pa.table(arrays)
    keys = [(name, "ascending") for name in ("family", "split", "page_id")]
    return table.sort_by(keys).combine_chunks()


def _conform(given: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    """A column in the released type; the fields of a struct are taken by name, in the released order."""
    if not pa.types.is_struct(field.type):
        try:
            return given.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SampleError(f"Column {field.name} is not {field.type}: {error}") from error
    whole = given.combine_chunks()
    names = [field.type.field(i).name for i in range(field.type.num_fields)]
    parts = [whole.field(name).cast(pa.float64()) for name in names]
    return pa.StructArray.from_arrays(parts, names=names, mask=whole.is_null())


def recover(out: Path) -> None:
    """Clear up what a killed export left beside `out`: afterwards `out` is a whole dataset or does not exist.

    Killed between the two renames, an export leaves nothing under `out`; the new dataset, whole by then, takes the
    place, or else the old one comes back.
    """
    for number, older in enumerate(("new", "old")):
        # As a version before catalog.files named what it was working on.
        left = out.with_name(f".{out.name}.{older}")
        if left.is_dir():
            files.adopt(left, out.with_name(f".{out.name}.{number:08x}.tmp"))
    files.settle(out, marker=MANIFEST_NAME)


def export_dataset(
    samples: pa.Table,
    *,
    read_bytes: Callable[[str], bytes],
    out: Path,
    recipe: dict[str, Any],
    recipe_hash: str,
    name: str,
    version: str = FIRST_VERSION,
    previous: str | None = None,
    tombstones: pa.Table | None = None,
    max_shard_bytes: int = 300_000_000,
    row_group_rows: int = 50,
    row_group_bytes: int = 64_000_000,
    write_extra: Callable[[Path, Manifest], None] | None = None,
) -> Manifest:
    """Write the dataset of `samples` to the folder `out`, in the place of the one that is there.

    Args:
        samples: One row per chosen photograph, with at least the columns that `catalog.release.columns.RELEASED` reads.
        read_bytes: SHA-1 -> bytes of the original; FileNotFoundError or KeyError where there is no such object.
        recipe: The recipe as JSON-able values, for the manifest.
        version: Of the release, MAJOR.MINOR.PATCH.
        previous: Dataset hash of the release that this one follows.
        tombstones: What may not be released (catalog.release.tombstones.TOMBSTONES); goes into the release as
            tombstones.parquet. None: nothing is known of removals, and there is no such file.
        max_shard_bytes: Upper bound of a shard's size on disk; a larger photograph has a shard for itself.
        row_group_rows, row_group_bytes: A row group ends at whichever comes first; bounds memory here and for readers.
        write_extra: Called with the folder and the manifest before the manifest is written; what it puts there
            (README.md, ...) is hashed into the manifest, outside the dataset hash. CREDITS.csv, LICENSES.md and
            tombstones.parquet are there already.

    Returns:
        The manifest, as written.

    Raises:
        SampleError: no rows, a missing column, a page chosen twice, an unknown family or an odd split name.
        catalog.release.credits.AttributionError: a row that cannot be attributed.
        TombstonedError: a tombstone meets one of the samples.
        VersionError: `version` or `previous` is malformed.
        MissingObjectError, Sha1MismatchError: a photograph is not there or not the one that Commons has.
        In every case the dataset that was there stays as it was.
    """
    _check_version(version, previous)
    rows = _plan(samples)
    if tombstones is not None:
        refuse_tombstoned(samples, tombstones)
    schema = released_schema(samples.schema)
    limits = Limits(
        shard_bytes=max_shard_bytes, group_rows=row_group_rows, group_bytes=row_group_bytes
    )
    recover(out)
    with files.folder(out, marker=MANIFEST_NAME) as new:
        old = old_shards(out, schema=schema, recipe=recipe)
        shards = write_shards(rows, new, schema, read_bytes, limits, old)
        write_credits(samples, new / CREDITS_NAME)
        files.put(new / LICENSES_NAME, licenses_text(samples))
        if tombstones is not None:
            write_tombstones(tombstones, new)
        manifest = Manifest(
            name=name,
            version=version,
            previous=previous,
            dataset_hash=dataset_hash((shard.path, shard.sha256) for shard in shards),
            recipe_hash=recipe_hash,
            rows=rows.num_rows,
            image_bytes=sum(shard.image_bytes for shard in shards),
            counts=_counts(rows),
            columns=tuple(schema.names),
            shards=tuple(shards),
            files=(),
            software=software(),
            recipe=recipe,
        )
        if write_extra is not None:
            write_extra(new, manifest)
        manifest = replace(manifest, files=_extra_files(new))
        write_manifest(manifest, new)
    return manifest


def _check_version(version: str, previous: str | None) -> None:
    if not _VERSION.fullmatch(version):
        raise VersionError(f"{version!r} is no version: write MAJOR.MINOR.PATCH, e.g. 0.2.0.")
    if previous is not None and not _HASH.fullmatch(previous):
        raise VersionError(
            f"{previous!r} is no dataset hash: 64 hex digits, as `lucidlr verify` and manifest.json give it."
        )


def _counts(rows: pa.Table) -> dict[str, dict[str, int]]:
    counted = {key: Counter(rows.column(key).to_pylist()) for key in ("family", "split", "license")}
    counted["label"] = Counter(
        label for labels in rows.column("labels").to_pylist() for label in set(labels or ())
    )
    return {key: dict(sorted(counter.items())) for key, counter in counted.items()}


def _extra_files(folder: Path) -> tuple[ExtraFile, ...]:
    paths = (p for p in folder.rglob("*") if p.is_file() and folder / "data" not in p.parents)
    return tuple(
        ExtraFile(
            path=path.relative_to(folder).as_posix(),
            bytes=path.stat().st_size,
            sha256=sha256_of(path),
        )
        for path in sorted(paths)
    )
