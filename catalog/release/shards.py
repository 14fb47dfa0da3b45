"""Rows and their photographs into Parquet shards of bounded size, one row group at a time.

The door between the object store and the released files: every photograph's SHA-1 is checked on its way through, its
bytes are stored as they are, and memory holds one row group whatever the size of the dataset.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files
from catalog.errors import Expected
from catalog.release.columns import IMAGE_TYPE, leaves
from catalog.release.manifest import Shard, sha256_of
from catalog.release.reuse import NOTHING, OldShards

_EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/tiff": "tiff",
    "image/gif": "gif",
}
# Texts whose smallest and largest value help a query to skip row groups; for descriptions they would only take room.
_STATISTICS = {"license", "family", "split", "mime", "sha1"}


class ExportError(Expected):
    """The table of samples, or a photograph behind it, is not fit to be released."""


class MissingObjectError(ExportError):
    """The bytes of a chosen photograph are not in the object store."""


class Sha1MismatchError(ExportError):
    """The bytes of a chosen photograph are not those that Commons has."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much goes into a shard and into a row group."""

    shard_bytes: int
    group_rows: int
    group_bytes: int


def _image_reader(rows: pa.Table, read_bytes: Callable[[str], bytes]) -> Callable[[int], bytes]:
    """Row number -> the photograph's bytes, their SHA-1 checked."""
    hashes = rows.column("sha1").to_pylist()
    titles = rows.column("title").to_pylist()

    def read(row: int) -> bytes:
        sha1, title = hashes[row], titles[row]
        try:
            data = read_bytes(sha1)
        except (FileNotFoundError, KeyError) as error:
            raise MissingObjectError(
                f"The bytes of {title!r} (SHA-1 {sha1}) are not in the object store, or damaged. Run "
                "`lucidlr build` with its recipe again: it fetches them."
            ) from error
        found = hashlib.sha1(data).hexdigest()
        if found != sha1:
            raise Sha1MismatchError(
                f"The stored bytes of {title!r} have SHA-1 {found}, Commons says {sha1}. Run "
                "`lucidlr build` with its recipe again: it fetches them."
            )
        return data

    return read


def _names(rows: pa.Table) -> list[str]:
    """`<sha1>.<extension>` for each row; the extension follows the MIME type, else the title."""
    names: list[str] = []
    columns = (rows.column(name).to_pylist() for name in ("sha1", "mime", "title"))
    for sha1, mime, title in zip(*columns, strict=True):
        suffix = Path(title).suffix.lstrip(".").lower()
        fallback = suffix if re.fullmatch(r"[a-z0-9]{1,5}", suffix) else "bin"
        names.append(f"{sha1}.{_EXTENSIONS.get(mime, fallback)}")
    return names


class _ShardWriter:
    """One shard being written, a row group at a time; knows how large the file will be at most."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        paths = leaves(schema)
        light = [
            p
            for p, arrow in paths.items()
            if p in _STATISTICS or not (pa.types.is_string(arrow) or pa.types.is_binary(arrow))
        ]
        self.path = path
        self.rows = 0
        self.image_bytes = 0
        self._schema = schema
        self._open = files.stream(path)
        self._sink = self._open.__enter__()
        # Photographs are compressed already. Chunks whose borders follow the content let a later release, with some
        # rows taken down, share most of its bytes with this one on a hub that deduplicates.
        options: dict[str, Any] = {
            "compression": {p: "NONE" if p == "image.bytes" else "ZSTD" for p in paths},
            "use_dictionary": [p for p in paths if p != "image.bytes"],
            "write_statistics": light,
            "write_page_index": True,
            "use_content_defined_chunking": True,
        }
        self._writer = pq.ParquetWriter(self._sink, schema, **options)
        self._footer_bytes = 8192 + 2 * len(schema.serialize())
        self._group_bytes = 640 * len(paths)

    def bound(self, added_bytes: int) -> int:
        """Upper bound of the file's size if a row group of `added_bytes` is written and the file is closed."""
        return self._sink.tell() + added_bytes + self._group_bytes + self._footer_bytes

    def write(self, rows: pa.Table, names: list[str], images: list[bytes]) -> None:
        image = pa.StructArray.from_arrays(
            [pa.array(images, pa.binary()), pa.array(names, pa.string())],
            fields=[IMAGE_TYPE.field(0), IMAGE_TYPE.field(1)],
        )
        columns = [image, *(rows.column(name) for name in self._schema.names[1:])]
        table = pa.Table.from_arrays(columns, schema=self._schema)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        # Every row group leaves metadata that is written at the end only.
        self._footer_bytes += self._group_bytes
        self.rows += table.num_rows
        self.image_bytes += sum(map(len, images))

    def close(self) -> None:
        self._writer.close()
        self._open.__exit__(None, None, None)


@dataclass(frozen=True)
class _Written:
    """A shard under its first name; how many it is one of is not known yet."""

    path: Path
    rows: int
    image_bytes: int
    sha256: str | None = None
    """Where it is known already: of a shard that was there."""


def _write_split(
    rows: pa.Table,
    stem: Path,
    schema: pa.Schema,
    read: Callable[[int], bytes],
    limits: Limits,
    old: OldShards,
) -> Iterator[_Written]:
    """Write the rows of one family and split to `<stem>-<number>.parquet`; yields each shard, closed."""
    names = _names(rows)
    number = begin = 0
    while begin < rows.num_rows:
        path = Path(f"{stem}-{number:05d}.parquet")
        held = old.take(rows, begin, names, path)
        if held is not None:
            yield _Written(path, held.rows, held.image_bytes, held.sha256)
        else:
            shard = _write_shard(rows, begin, names, path, schema, read, limits)
            yield _Written(path, shard.rows, shard.image_bytes)
            held = shard
        begin += held.rows
        number += 1


def _write_shard(
    rows: pa.Table,
    first: int,
    names: list[str],
    path: Path,
    schema: pa.Schema,
    read: Callable[[int], bytes],
    limits: Limits,
) -> _ShardWriter:
    """One shard with the rows from `first` on, as many as fit; closed."""
    shard = _ShardWriter(path, schema)
    begin, waiting = first, 0
    images: list[bytes] = []
    try:
        for row in range(first, rows.num_rows):
            data = read(row)
            cost = len(data) + rows.slice(row, 1).nbytes + 128
            full = shard.bound(waiting + cost) > limits.shard_bytes and (images or shard.rows)
            if images and (
                full or len(images) == limits.group_rows or waiting + cost > limits.group_bytes
            ):
                shard.write(rows.slice(begin, len(images)), names[begin:row], images)
                begin, waiting, images = row, 0, []
            if full:
                return shard
            images.append(data)
            waiting += cost
        shard.write(rows.slice(begin), names[begin:], images)
    finally:
        shard.close()
    return shard


def write_shards(
    rows: pa.Table,
    folder: Path,
    schema: pa.Schema,
    read_bytes: Callable[[str], bytes],
    limits: Limits,
    old: OldShards = NOTHING,
) -> list[Shard]:
    """Write all shards under `folder`/data, or take those of the `old` release that would be the same; how many a split
    has is known at its end, so names are given then."""
    shards: list[Shard] = []
    groups = Counter(
        zip(rows.column("family").to_pylist(), rows.column("split").to_pylist(), strict=True)
    )
    begin = 0
    for (family, split), count in groups.items():
        part = rows.slice(begin, count)
        begin += count
        home = folder / "data" / family
        reader = _image_reader(part, read_bytes)
        written = list(_write_split(part, home / split, schema, reader, limits, old))
        for number, writer in enumerate(written):
            path = home / f"{split}-{number:05d}-of-{len(written):05d}.parquet"
            files.adopt(writer.path, path)
            shards.append(
                Shard(
                    path=path.relative_to(folder).as_posix(),
                    family=family,
                    split=split,
                    rows=writer.rows,
                    image_bytes=writer.image_bytes,
                    bytes=path.stat().st_size,
                    sha256=writer.sha256 or sha256_of(path),
                )
            )
    return sorted(shards, key=lambda shard: shard.path)
