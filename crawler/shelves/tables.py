"""Parquet files with images in them, as `datasets` writes them: a struct of bytes and path, or plain bytes."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

PLAIN = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "content", "image_bytes")
"""Names under which a column of plain bytes is one of images."""


def image_column(path: Path) -> str | None:
    """The first column of images of a table, or None.

    Raises:
        OSError, ValueError: no Parquet file.
    """
    for field in pq.read_schema(path):
        if _is_struct_of_bytes(field.type):
            return field.name
        if _is_bytes(field.type) and field.name.lower() in PLAIN:
            return field.name
    return None


def table_rows(path: Path) -> Generator[tuple[int, int]]:
    """(row group, row in it) of every row; raises as `image_column`."""
    found = pq.read_metadata(path)
    for group in range(found.num_row_groups):
        for row in range(found.row_group(group).num_rows):
            yield group, row


def table_bytes(path: Path, group: int, row: int) -> bytes:
    """The image in one row.

    Raises:
        OSError, ValueError: the table cannot be read, or the row has no bytes.
    """
    told = path.stat()
    found = _group(path, group, told.st_mtime_ns, told.st_size)[row].as_py()
    content = found["bytes"] if isinstance(found, dict) else found
    if content is None:
        raise ValueError("the row has no bytes; files that a table only names are not looked up")
    return content


@lru_cache(maxsize=1)
def _group(path: Path, group: int, mtime_ns: int, size: int) -> Any:
    """One row group's images, kept until the next; the last two tell a file that was replaced."""
    del mtime_ns, size
    name = image_column(path)
    if name is None:
        raise ValueError("it has no column of images")
    with pq.ParquetFile(path) as source:
        return source.read_row_group(group, columns=[name], use_threads=False).column(name)


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_struct_of_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(
        kind.field(i).name == "bytes" and _is_bytes(kind.field(i).type)
        for i in range(kind.num_fields)
    )
