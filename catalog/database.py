"""Connections to DuckDB, and texts of ours as texts of SQL. Loads nothing else: a question is answered at once."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import duckdb

from catalog.files import refusal

STORAGE = "v1.2.0"
"""Oldest DuckDB that reads lucidlr.duckdb: what people have installed is often not the newest."""


def text_literal(value: str) -> str:
    """As a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def column_name(value: str) -> str:
    """As an identifier of SQL."""
    return '"' + value.replace('"', '""') + '"'


def unreadable(database: Path) -> str | None:
    """What DuckDB says when every value of every table is read; None where all can be."""
    try:
        connection = connect(str(database), read_only=True)
    except duckdb.Error as error:
        return str(error)
    try:
        tables = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
        ).fetchall()
        for (name,) in tables:
            connection.execute(f"SELECT bit_xor(hash(t)) FROM {column_name(name)} t").fetchall()
    except duckdb.Error as error:
        return str(error)
    finally:
        connection.close()
    return None


@contextlib.contextmanager
def disk_told(database: Path) -> Generator[None]:
    """Turns what DuckDB says of a disk that refuses into our errors; it keeps no error number.

    Raises:
        catalog.files.DiskFull, ReadOnly, DiskBroken: while `database` was written.
    """
    try:
        yield
    except duckdb.IOException as error:
        for number in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EFBIG,
            errno.EROFS,
            errno.EACCES,
            errno.EIO,
        ):
            told = refusal(OSError(number, os.strerror(number)), database)
            if told is not None and os.strerror(number) in str(error):
                raise told from error
        raise


def connect(
    database: str, *, read_only: bool = False, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection that shows times in UTC, wherever it runs; a new file opens with every DuckDB from STORAGE on."""
    options: dict[str, Any] = {} if threads is None else {"threads": threads}
    if not read_only:
        options["storage_compatibility_version"] = STORAGE
    connection = duckdb.connect(database, read_only=read_only, config=options)
    connection.execute("SET TimeZone = 'UTC'")
    return connection
