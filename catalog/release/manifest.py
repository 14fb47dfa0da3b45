"""The manifest of a released dataset: every shard with its SHA-256, what it was made by, and the check of all that.

It is written last, so a folder that has one is whole. The dataset hash is made of the shards alone; card, credits and
the manifest itself may be worded otherwise without the data becoming another dataset.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from catalog import files
from catalog.errors import Expected
from catalog.looks import Shape, is_a

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 2
"""Of the manifest and of the columns; goes up when a reader has to change. 2: `version` and `previous`."""


class DatasetError(Expected):
    """A folder is not a released dataset, or one that this version cannot read."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One Parquet file of the dataset."""

    path: str
    """Relative to the dataset's folder, with forward slashes."""
    family: str
    split: str
    rows: int
    image_bytes: int
    """Sum of the photographs in it."""
    bytes: int
    """Size of the file."""
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ExtraFile:
    """A file beside the shards: card, credits. Outside the dataset hash."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What manifest.json holds."""

    schema_version: int = SCHEMA_VERSION
    name: str
    version: str
    """Of the release, MAJOR.MINOR.PATCH, for people; outside the dataset hash."""
    previous: str | None
    """Dataset hash of the release that this one follows, where it was given; outside the dataset hash."""
    dataset_hash: str
    recipe_hash: str
    rows: int
    image_bytes: int
    counts: dict[str, dict[str, int]]
    """Rows by `family`, `split`, `license` and `label` (a row counts once for each of its labels)."""
    columns: tuple[str, ...]
    shards: tuple[Shard, ...]
    files: tuple[ExtraFile, ...]
    software: dict[str, str]
    """Versions on which the bytes of the shards depend."""
    recipe: dict[str, Any]


SHAPE: Shape = {
    **dict.fromkeys(("name", "version", "dataset_hash", "recipe_hash"), (str,)),
    "previous": (str, type(None)),
    **dict.fromkeys(("schema_version", "rows", "image_bytes"), (int,)),
    **dict.fromkeys(("counts", "software", "recipe"), (dict,)),
    **dict.fromkeys(("columns", "shards", "files"), (list,)),
}
ENTRY: Shape = {
    **dict.fromkeys(("path", "family", "split", "sha256"), (str,)),
    **dict.fromkeys(("rows", "image_bytes", "bytes"), (int,)),
}
"""What JSON has for the fields of a manifest, a shard, a file."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def dataset_hash(shards: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the (path, SHA-256) pairs of the shards, sorted by path, one `<sha256>  <path>` line each.

    In the dataset's folder, `find data -name '*.parquet' | LC_ALL=C sort | xargs sha256sum | sha256sum` gives the same.
    """
    lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(shards))
    return hashlib.sha256(lines.encode()).hexdigest()


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write manifest.json under a temporary name and rename it: it is there whole or not at all."""
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
    files.put(folder / MANIFEST_NAME, text + "\n")


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a dataset's folder.

    Raises:
        DatasetError: there is none, it cannot be read, or it is of another schema version.
    """
    path = folder / MANIFEST_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetError(
            f"{folder} has no {MANIFEST_NAME}: it is no dataset, or its export was cut off. Export again."
        ) from None
    except (ValueError, OSError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged ({error}). Export again.") from error
    if not isinstance(raw, dict) or raw.get("schema_version") != SCHEMA_VERSION:
        raise DatasetError(
            f"{path} is not of schema version {SCHEMA_VERSION}; read it with the version that wrote it."
        )
    names = {field.name for field in fields(Manifest)}
    if set(raw) != names:
        odd = ", ".join(sorted(set(raw) ^ names))
        raise DatasetError(f"{path} lacks or does not know: {odd}. Export again.")
    wrong = [name for name, kinds in SHAPE.items() if not isinstance(raw[name], kinds)]
    if wrong:
        raise DatasetError(f"{path} is damaged ({', '.join(wrong)}). Export again.")
    try:
        raw["columns"] = tuple(raw["columns"])
        raw["shards"] = tuple(Shard(**shard) for shard in raw["shards"])
        raw["files"] = tuple(ExtraFile(**extra) for extra in raw["files"])
        entries = (*raw["shards"], *raw["files"])
        if not all(is_a(vars(entry), ENTRY) for entry in entries):
            raise TypeError("an entry of its shards or files")
        return Manifest(**raw)
    except TypeError as error:
        raise DatasetError(f"{path} is damaged ({error}). Export again.") from error


def _image_faults(path: Path, row_count: int) -> Iterator[str]:
    """Rows of one shard whose bytes do not have the SHA-1 that they say, read one row group at a time."""
    shard = pq.ParquetFile(path)
    if shard.metadata.num_rows != row_count:
        yield f"holds {shard.metadata.num_rows} rows, the manifest says {row_count}"
    for group in range(shard.num_row_groups):
        table = shard.read_row_group(group, columns=["page_id", "sha1", "image.bytes"])
        images = table.column("image").combine_chunks().field("bytes")
        for page_id, sha1, data in zip(
            table.column("page_id").to_pylist(),
            table.column("sha1").to_pylist(),
            images,
            strict=True,
        ):
            if hashlib.sha1(data.as_buffer()).hexdigest() != sha1:
                yield f"page {page_id}: the image does not have the SHA-1 {sha1}"


def verify_dataset(folder: Path, *, images: bool = True) -> list[str]:
    """Recompute every hash of a dataset; the list says what is wrong, in sentences, and is empty when all is well.

    Checks the presence, size and SHA-256 of each shard and extra file, that nothing unlisted lies under data/, the
    dataset hash, and, with `images`, the SHA-1 of every photograph (reads everything twice).
    """
    try:
        manifest = load_manifest(folder)
    except DatasetError as error:
        return [str(error)]
    wrong: list[str] = []
    found: list[tuple[str, str]] = []
    for entry in (*manifest.shards, *manifest.files):
        path = folder / entry.path
        if not path.is_file():
            wrong.append(f"{entry.path} is missing.")
            continue
        sha256 = sha256_of(path)
        if isinstance(entry, Shard):
            found.append((entry.path, sha256))
        if sha256 != entry.sha256:
            size = path.stat().st_size
            wrong.append(
                f"{entry.path} was changed: SHA-256 {sha256}, {size} bytes; "
                f"the manifest says {entry.sha256}, {entry.bytes} bytes."
            )
        elif images and isinstance(entry, Shard):
            wrong.extend(f"{entry.path}: {fault}." for fault in _image_faults(path, entry.rows))
    listed = {shard.path for shard in manifest.shards}
    present = (
        p.relative_to(folder).as_posix() for p in (folder / "data").rglob("*") if p.is_file()
    )
    wrong.extend(f"{path} is not in the manifest." for path in sorted(set(present) - listed))
    if dataset_hash(found) != manifest.dataset_hash:
        wrong.append(f"The dataset hash is {dataset_hash(found)}, not {manifest.dataset_hash}.")
    if sum(shard.rows for shard in manifest.shards) != manifest.rows:
        wrong.append("The rows of the shards do not add up to the manifest's.")
    return wrong
