"""Questions of a page over all candidates or samples: filter, search, sort, count, and a read-only `where`.

The rows are a table in memory, without the disk and the network: whatever a person writes into `where` can read these
rows and nothing else, changes nothing, and ends after MOST_S.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from catalog.database import column_name, connect
from catalog.errors import Expected

MOST_S = 5.0
"""What one question may take."""
MOST_FACET = 400
"""Values of a facet that are offered."""
BINS = 48
LISTS = ("labels", "failed", "borderline", "categories")
"""Columns of lists that a filter looks into."""
ONE_OF = ("license", "uploader", "source", "reason", "split", "family", "object", "alone", "year")
"""Columns that a filter compares."""
FACETS = (*LISTS, *ONE_OF)
SAID = pa.schema(
    [
        ("n", pa.int64()),
        ("verdict", pa.string()),
        ("votes_keep", pa.int64()),
        ("votes_drop", pa.int64()),
        ("label_right", pa.list_(pa.string())),
        ("label_wrong", pa.list_(pa.string())),
        ("reviewers", pa.list_(pa.string())),
        ("answered", pa.bool_()),
    ]
)
"""What people said of a row; joined to it in every question."""
SHOWN = (
    *("n", "title", "keep", "reason", "labels", "severity", "license", "artist", "width", "height"),
    *("object", "verdict", "votes_keep", "votes_drop", "label_right", "label_wrong", "answered"),
)
"""What a tile needs."""


class BadQuestion(Expected, ValueError):
    """A filter or a `where` that cannot be answered; the message is DuckDB's, or says what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A stretch of the rows that a question chose."""

    total: int
    rows: list[dict[str, Any]]


class Browser:
    """The rows of a page, in memory. Safe for several threads."""

    def __init__(self, rows: pa.Table) -> None:
        """`rows` have `n` (0, 1, ... in their order), and of the other columns what is known."""
        self.columns: dict[str, pa.DataType] = {f.name: f.type for f in rows.schema}
        self._lock = threading.Lock()
        self._connection = connect(":memory:", threads=2)
        self._connection.register("incoming", rows)
        self._connection.execute("CREATE TABLE facts AS SELECT * FROM incoming")
        self._connection.unregister("incoming")
        self.count: int = rows.num_rows
        self.said(SAID.empty_table())
        for name, value in (
            ("enable_external_access", "false"),
            ("memory_limit", "'1GB'"),
            ("lock_configuration", "true"),
        ):
            self._connection.execute(f"SET {name} = {value}")

    @property
    def numbers(self) -> list[str]:
        """Columns of numbers, in their order."""
        return [
            name
            for name, kind in self.columns.items()
            if (pa.types.is_floating(kind) or pa.types.is_integer(kind))
            and name not in ("n", "page_id", "cluster_id", "duplicate_of")
        ]

    def said(self, table: pa.Table) -> None:
        """Takes the place of what people said before (SAID)."""
        with self._lock:
            self._connection.register("incoming_said", table)
            self._connection.execute("CREATE OR REPLACE TABLE said AS SELECT * FROM incoming_said")
            self._connection.unregister("incoming_said")
            self._connection.execute(
                "CREATE OR REPLACE VIEW rows AS SELECT facts.*, said.* EXCLUDE (n) "
                "FROM facts LEFT JOIN said USING (n)"
            )

    def ask(
        self,
        chosen: Mapping[str, Any],
        *,
        sort: str = "n",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> Answer:
        """The rows of a filter, sorted, and how many there are.

        Raises:
            BadQuestion: as `where_of`, or `sort` is no column.
        """
        where, values = self.where_of(chosen)
        if sort not in self.columns:
            raise BadQuestion(f"There is no column {sort!r} to sort by.")
        order = f"{column_name(sort)} {'DESC' if descending else 'ASC'} NULLS LAST, n"
        known = {*self.columns, *SAID.names}
        shown = ", ".join(column_name(name) for name in SHOWN if name in known)
        rows = self._run(
            f"SELECT {shown} FROM rows WHERE {where} ORDER BY {order} "
            f"LIMIT {int(limit)} OFFSET {int(offset)}",
            values,
        )
        total = self._run(f"SELECT count(*) AS total FROM rows WHERE {where}", values)
        return Answer(total=total[0]["total"], rows=rows)

    def numbers_of(
        self, chosen: Mapping[str, Any], *, sort: str = "n", descending: bool = False
    ) -> list[int]:
        """`n` of every row of a filter, sorted."""
        if sort not in self.columns:
            raise BadQuestion(f"There is no column {sort!r} to sort by.")
        where, values = self.where_of(chosen)
        order = f"{column_name(sort)} {'DESC' if descending else 'ASC'} NULLS LAST, n"
        rows = self._run(f"SELECT n FROM rows WHERE {where} ORDER BY {order}", values)
        return [row["n"] for row in rows]

    def row(self, n: int) -> dict[str, Any] | None:
        """All that is known of a row."""
        found = self._run("SELECT * FROM rows WHERE n = ?", [n])
        return found[0] if found else None

    def facets(self) -> dict[str, list[tuple[Any, int]]]:
        """Column -> (value, rows), the most frequent first."""
        found: dict[str, list[tuple[Any, int]]] = {}
        for name in FACETS:
            if name not in self.columns:
                continue
            column = column_name(name)
            value = f"unnest({column})" if name in LISTS else column
            rows = self._run(
                f"SELECT value, count(*) AS rows FROM (SELECT {value} AS value FROM rows) "
                f"WHERE value IS NOT NULL GROUP BY value ORDER BY rows DESC, value LIMIT {MOST_FACET}",
                [],
            )
            found[name] = [(row["value"], row["rows"]) for row in rows]
        return found

    def places(self, n: int) -> dict[str, tuple[float, float]]:
        """Column of numbers -> the row's value, and the share of the known values that are lower."""
        row = self.row(n) or {}
        known = [name for name in self.numbers if row.get(name) is not None]
        if not known:
            return {}
        shares = ", ".join(
            f"avg(({column_name(name)} < ?)::INT)::DOUBLE AS {column_name(name)}" for name in known
        )
        (found,) = self._run(f"SELECT {shares} FROM facts", [row[name] for name in known])
        return {name: (float(row[name]), float(found[name] or 0.0)) for name in known}

    def histogram(self, name: str) -> dict[str, Any]:
        """low, high, and kept and dropped rows in BINS equal bins between the 0.5 % and the 99.5 % quantile; what lies
        beyond is in the outermost ones.

        Raises:
            BadQuestion: it is no column of numbers.
        """
        if name not in self.numbers:
            raise BadQuestion(f"{name!r} is no column of numbers.")
        column = column_name(name)
        (ends,) = self._run(
            f"SELECT quantile_cont({column}, 0.005)::DOUBLE AS low, quantile_cont({column}, 0.995)::DOUBLE AS high "
            "FROM facts",
            [],
        )
        low, high = ends["low"], ends["high"]
        if low is None:
            return {"low": 0.0, "high": 1.0, "kept": [0] * BINS, "dropped": [0] * BINS}
        if low == high:
            low, high = low - 0.5, high + 0.5
        bins: dict[str, Any] = {"low": low, "high": high, "kept": [0] * BINS, "dropped": [0] * BINS}
        rows = self._run(
            f"SELECT keep, least({BINS - 1}, greatest(0, floor(({column} - ?) / ? * {BINS})))::INT AS bin, "
            f"count(*) AS rows FROM facts WHERE {column} IS NOT NULL GROUP BY ALL",
            [low, high - low],
        )
        for row in rows:
            bins["kept" if row["keep"] else "dropped"][row["bin"]] = row["rows"]
        return bins

    def where_of(self, chosen: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The SQL of a filter and its values.

        Args:
            chosen: text, verdict (kept, dropped), reviewed (yes, no, keep, drop, disputed), cluster, ns (rows), a list
                of values for any of FACETS, low and high (column -> bound), and where (SQL of the person).

        Raises:
            BadQuestion: an unknown key, a value of the wrong kind, or `where` is no condition.
        """
        terms: list[str] = ["true"]
        values: list[Any] = []
        for key, wanted in chosen.items():
            if wanted in (None, "", [], {}):
                continue
            self._term(key, wanted, terms, values)
        return " AND ".join(terms), values

    def _term(self, key: str, wanted: Any, terms: list[str], values: list[Any]) -> None:
        if key == "text":
            # Each word somewhere in the title; a number may be a page id.
            for word in str(wanted).split()[:12]:
                terms.append("(contains(lower(title), lower(?)) OR page_id::VARCHAR = ?)")
                values += [word, word]
        elif key == "verdict" and wanted in ("kept", "dropped"):
            terms.append("keep" if wanted == "kept" else "NOT keep")
        elif key == "reviewed" and wanted in _REVIEWED:
            terms.append(_REVIEWED[wanted])
        elif key == "cluster":
            terms.append("cluster_id = ?")
            values.append(int(wanted))
        elif key == "ns":
            terms.append("list_contains(?::BIGINT[], n)")
            values.append([int(n) for n in wanted])
        elif key in LISTS and key in self.columns:
            terms.append(f"list_has_any({column_name(key)}, ?::VARCHAR[])")
            values.append([str(value) for value in wanted])
        elif key in ONE_OF and key in self.columns:
            terms.append(f"list_contains(?::VARCHAR[], {column_name(key)}::VARCHAR)")
            values.append([str(value) for value in wanted])
        elif key in ("low", "high"):
            for name, bound in dict(wanted).items():
                if name not in self.numbers:
                    raise BadQuestion(f"{name!r} is no column of numbers.")
                terms.append(f"{column_name(name)} {'>=' if key == 'low' else '<='} ?")
                values.append(float(bound))
        elif key == "where":
            terms.append(f"({self._condition(str(wanted))}\n)")
        else:
            raise BadQuestion(f"There is no filter {key!r} with the value {str(wanted)[:60]!r}.")

    def _condition(self, text: str) -> str:
        """What a person wrote, if it stands as one condition over the rows.

        Raises:
            BadQuestion: DuckDB says why not.
        """
        try:
            # Alone it must be one statement, so that no bracket of it closes one of ours.
            with self._lock:
                (statement,) = duckdb.extract_statements(f"SELECT n FROM rows WHERE {text}\n")
                self._connection.execute(f"PREPARE tried AS SELECT n FROM rows WHERE ({text}\n)")
                self._connection.execute("DEALLOCATE tried")
        except ValueError:
            raise BadQuestion("Write one condition, without a semicolon.") from None
        except duckdb.Error as error:
            raise BadQuestion(str(error)) from error
        if statement.type != duckdb.StatementType.SELECT:
            raise BadQuestion("Write a condition, such as: severity > 0.8 AND width < 1000")
        return text

    def _run(self, query: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        with self._lock:
            timer = threading.Timer(MOST_S, self._connection.interrupt)
            timer.start()
            try:
                answer = self._connection.execute(query, list(values))
                names = [column[0] for column in answer.description or ()]
                return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
            except duckdb.InterruptException:
                raise BadQuestion(f"This takes more than {MOST_S:.0f} s: ask for less.") from None
            except duckdb.Error as error:
                raise BadQuestion(str(error)) from error
            finally:
                timer.cancel()


_REVIEWED = {
    "yes": "verdict IS NOT NULL",
    "no": "verdict IS NULL",
    "keep": "verdict = 'keep'",
    "drop": "verdict = 'drop'",
    "disputed": "votes_keep > 0 AND votes_drop > 0",
}
