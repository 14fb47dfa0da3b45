"""Record types as Arrow schemas and tables: a field is declared once, in catalog/records.py.

Rules for annotations: bool, int (int64), float (float64), str, bytes, `Hash64` (uint64), datetime (UTC, seconds),
tuple[X, ...] (list) and any of them `| None`.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any, NewType, TypeVar

import pyarrow as pa

Hash64 = NewType("Hash64", int)
"""A 64-bit perceptual hash as an unsigned integer, first bit of the hash = highest bit."""

Record = TypeVar("Record")

_SCALARS: dict[Any, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    Hash64: pa.uint64(),
    datetime: pa.timestamp("s", tz="UTC"),
}


def _arrow_type(annotation: Any) -> tuple[pa.DataType, bool]:
    """Arrow type and nullability of one annotation."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        inner = [a for a in typing.get_args(annotation) if a is not types.NoneType]
        if len(inner) != 1:
            raise TypeError(f"A record field may be X or X | None, not {annotation}.")
        return _arrow_type(inner[0])[0], True
    if typing.get_origin(annotation) is tuple:
        item, _ = _arrow_type(typing.get_args(annotation)[0])
        return pa.list_(item), False
    if annotation not in _SCALARS:
        raise TypeError(
            f"No Arrow type for {annotation}; see the rules at the top of catalog/arrow.py."
        )
    return _SCALARS[annotation], False


@functools.cache
def schema(record_type: type) -> pa.Schema:
    """Arrow schema of a record type.

    Raises:
        TypeError: a field's annotation is not one of those listed at the top of this module.
    """
    hints = typing.get_type_hints(record_type)
    columns = []
    for field in fields(record_type):
        arrow, nullable = _arrow_type(hints[field.name])
        columns.append(pa.field(field.name, arrow, nullable=nullable))
    return pa.schema(columns)


def to_table(records: Iterable[Any], record_type: type) -> pa.Table:
    """Records as one Arrow table with the record type's schema; an empty iterable gives an empty table."""
    rows = list(records)
    target = schema(record_type)
    columns = {name: [getattr(row, name) for row in rows] for name in target.names}
    arrays = [pa.array(columns[field.name], type=field.type) for field in target]
    return pa.Table.from_arrays(arrays, schema=target)


def from_table(table: pa.Table, record_type: type[Record]) -> list[Record]:
    """Records back from a table; columns that the record type does not know are left out.

    Raises:
        KeyError: a column of the record type is not in the table.
    """
    target = schema(record_type)
    absent = [name for name in target.names if name not in table.column_names]
    if absent:
        raise KeyError(f"the table lacks {', '.join(absent)} of {record_type.__name__}")
    chosen = table.select(target.names).cast(target)
    lists = {field.name for field in target if pa.types.is_list(field.type)}
    names = target.names
    columns = [chosen.column(name).to_pylist() for name in names]
    for i, name in enumerate(names):
        if name in lists:
            columns[i] = [None if value is None else tuple(value) for value in columns[i]]
    return [record_type(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def fits(found: pa.Schema, wanted: pa.Schema) -> bool:
    """Whether columns of a file can be read as these: those that both have are of the same types, and nothing is
    missing where nothing may be. Times may be finer: Parquet knows no seconds."""
    return found.equals(wanted) or all(
        name not in wanted.names
        or (
            _same(found.field(name).type, wanted.field(name).type)
            and (wanted.field(name).nullable or not found.field(name).nullable)
        )
        for name in found.names
    )


def _same(one: pa.DataType, other: pa.DataType) -> bool:
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other):
        return one.tz == other.tz
    return one == other


CODES = pa.dictionary(pa.int32(), pa.string())
"""A column of few distinct texts: four bytes a row, whatever they say."""


def decoded(column: pa.Array | pa.ChunkedArray) -> Any:
    """The column itself, or its texts where it holds codes of them."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
