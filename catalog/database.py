"""Connections to DuckDB, and texts of ours as texts of SQL. Loads nothing else: a question is answered at once."""

from __future__ import annotations

from typing import Any

import duckdb


def text_literal(value: str) -> str:
    """As a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def column_name(value: str) -> str:
    """As an identifier of SQL."""
    return '"' + value.replace('"', '""') + '"'


def connect(
    database: str, *, read_only: bool = False, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection that shows times in UTC, wherever it runs."""
    options: dict[str, Any] = {} if threads is None else {"threads": threads}
    connection = duckdb.connect(database, read_only=read_only, config=options)
    connection.execute("SET TimeZone = 'UTC'")
    return connection
