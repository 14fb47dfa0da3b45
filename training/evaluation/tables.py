"""Tables in the paper's form: rows are benchmark and metric, columns methods, best bold, second underlined, deltas.

A column says where its numbers are from, and ranks and deltas are made within one origin: a published number is never
compared with a measured one. Ranks are computed at the printed precision, from the values; ties are stated. Every
measured cell says of how many images it is the mean, [n/N], and only one of all images is ranked: a method that failed
on the hard ones would win by it.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from training.evaluation.published import BENCHMARKS, PublishedValue, published_values
from training.statistics import Interval

Origin = Literal["published", "measured"]
Rank = Literal["best", "second"]
BASE, TUNED = "LucidFlux", "LucidFlux(+LucidNFT)"
"""The pair of published columns whose difference the paper prints."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A method, and where its numbers come from."""

    method: str
    origin: Origin

    @property
    def title(self) -> str:
        """Method and origin, as heads of columns show them."""
        return f"{self.method} ({self.origin})"


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A difference to another column of the same origin."""

    base: str
    value: Decimal
    interval: Interval | None = None
    """Paired bootstrap over images; None for published numbers, of which only means are known."""
    mark: str = ""
    """`*`: resolved (see `training.statistics.holm`); empty: not resolved, or not known."""

    def __str__(self) -> str:
        return f"{self.value:+}{self.mark}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number, rounded to what is printed."""

    value: Decimal
    delta: Delta | None = None
    images: int | None = None
    """Of how many images it is the mean; None: published, not known."""
    of: int | None = None
    """How many there are."""

    @property
    def complete(self) -> bool:
        """Whether all images are in it; published cells count as such."""
        return self.images == self.of

    @property
    def count(self) -> str:
        """n/N; empty for published cells."""
        return "" if self.images is None else f"{self.images}/{self.of}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric on one benchmark."""

    benchmark: str
    metric: str
    lower_better: bool
    cells: Mapping[Column, Cell]
    """What there is; a missing cell prints as a dash."""
    notes: Mapping[Column, str] = field(default_factory=dict[Column, str])
    """Why a cell is missing: `not run: ...`."""

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return "↓" if self.lower_better else "↑"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns in order, rows in order."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def ranks(row: Row, columns: Sequence[Column]) -> dict[Column, Rank]:
    """Best and second of each origin, among cells of all images.

    Equal values share a rank, and second is the next value that differs.
    """
    found: dict[Column, Rank] = {}
    for origin in ("published", "measured"):
        cells = {
            c: row.cells[c].value
            for c in columns
            if c.origin == origin and c in row.cells and row.cells[c].complete
        }
        if len(cells) < 2:
            continue
        values = sorted(set(cells.values()), reverse=not row.lower_better)
        for column, value in cells.items():
            if value == values[0]:
                found[column] = "best"
            elif value == values[1]:
                found[column] = "second"
    return found


def ties(table: Table) -> list[str]:
    """A sentence for every rank that several methods share."""
    found: list[str] = []
    for row in table.rows:
        ranked = ranks(row, table.columns)
        for rank in ("best", "second"):
            for origin in ("published", "measured"):
                tied = [c for c, r in ranked.items() if r == rank and c.origin == origin]
                if len(tied) > 1:
                    names = " and ".join(column.method for column in tied)
                    value = row.cells[tied[0]].value
                    found.append(
                        f"{row.benchmark}, {row.metric}: {names} tie for {rank} at {value} ({origin})."
                    )
    return found


def unranked(table: Table) -> list[str]:
    """A sentence for every cell that is not ranked, because images are missing in it."""
    return [
        f"{row.benchmark}, {row.metric}: {column.method} has {cell.images} of {cell.of} images and is not ranked."
        for row in table.rows
        for column, cell in row.cells.items()
        if not cell.complete
    ]


def tie_lines(table: Table) -> list[str]:
    """The ties, or that there are none."""
    return ties(table) or ["No ties for best or second at the printed precision."]


def published_table(values: Sequence[PublishedValue] | None = None) -> Table:
    """The paper's table: 30 rows by 10 methods, with the deltas of its last column computed from the values."""
    cells = published_values() if values is None else values
    columns = tuple(
        Column(method=method, origin="published")
        for method in dict.fromkeys(cell.method for cell in cells)
    )
    by_key: dict[tuple[str, str], dict[str, PublishedValue]] = {}
    for cell in cells:
        by_key.setdefault((cell.benchmark, cell.metric), {})[cell.method] = cell
    rows: list[Row] = []
    for (benchmark, metric), found in by_key.items():
        made: dict[Column, Cell] = {}
        for column in columns:
            if column.method in found:
                value = found[column.method].value
                delta = None
                if column.method == TUNED and BASE in found:
                    delta = Delta(base=BASE, value=value - found[BASE].value)
                made[column] = Cell(value=value, delta=delta)
        lower = next(iter(found.values())).lower_better
        rows.append(Row(benchmark=benchmark, metric=metric, lower_better=lower, cells=made))
    return Table(columns=columns, rows=tuple(rows))


def beside(published: Table, measured: Table) -> Table:
    """One table of both: published columns first, a row per benchmark and metric that either has."""
    keys = dict.fromkeys((row.benchmark, row.metric) for row in (*measured.rows, *published.rows))
    wanted = {row.benchmark for row in measured.rows}
    by_key = {
        (row.benchmark, row.metric): [row] for row in published.rows if row.benchmark in wanted
    }
    for row in measured.rows:
        by_key.setdefault((row.benchmark, row.metric), []).append(row)
    rows = [
        Row(
            benchmark=key[0],
            metric=key[1],
            lower_better=found[0].lower_better,
            cells={c: cell for row in found for c, cell in row.cells.items()},
            notes={c: note for row in found for c, note in row.notes.items()},
        )
        for key in keys
        if (found := by_key.get(key))
    ]
    rows.sort(key=lambda row: _benchmark_order(row.benchmark))
    used = {c for row in rows for c in (*row.cells, *row.notes)}
    columns = tuple(c for c in (*published.columns, *measured.columns) if c in used)
    return Table(columns=columns, rows=tuple(rows))


def _benchmark_order(name: str) -> tuple[int, str]:
    return (BENCHMARKS.index(name), "") if name in BENCHMARKS else (len(BENCHMARKS), name)


def markdown(table: Table) -> str:
    """GitHub's Markdown; best **bold**, second <u>underlined</u>."""
    lines = [
        "| Benchmark | Metric | " + " | ".join(_md(c.title) for c in table.columns) + " |",
        "|---|---|" + "---:|" * len(table.columns),
    ]
    before = None
    for row in table.rows:
        ranked = ranks(row, table.columns)
        cells = [
            _ranked(row, c, ranked.get(c), ("**{}**", "<u>{}</u>", " [{}]"), "–")
            for c in table.columns
        ]
        name = _md(row.benchmark) if row.benchmark != before else ""
        before = row.benchmark
        lines.append(f"| {name} | {_md(row.metric)} {row.arrow} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *tie_lines(table), *unranked(table), ""])


def latex(table: Table) -> str:
    """A tabular for booktabs and multirow; best \\textbf, second \\underline."""
    titles = " & ".join(rf"\shortstack{{{_tex(c.method)}\\({c.origin})}}" for c in table.columns)
    lines = [
        r"% needs \usepackage{booktabs,multirow}",
        rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
        r"\toprule",
        rf"Benchmark & Metric & {titles} \\",
    ]
    before = None
    for row in table.rows:
        name = ""
        if row.benchmark != before:
            count = sum(other.benchmark == row.benchmark for other in table.rows)
            name = rf"\multirow{{{count}}}{{*}}{{{_tex(row.benchmark)}}}"
            lines.append(r"\midrule")
        before = row.benchmark
        ranked = ranks(row, table.columns)
        cells = [_ranked(row, c, ranked.get(c), _TEX_MARKS, "--") for c in table.columns]
        arrow = r"$\downarrow$" if row.lower_better else r"$\uparrow$"
        lines.append(rf"{name} & {_tex(row.metric)} {arrow} & {' & '.join(cells)} \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [*tie_lines(table), *unranked(table)]
    return "\n".join([*lines, *(f"% {line}" for line in notes), ""])


def html_table(table: Table) -> str:
    """A table element (no page); best <strong>, second <u>; a missing cell tells why in its title."""
    head = "".join(
        f'<th scope="col" class="n">{html.escape(c.method)}<br><small>{c.origin}</small></th>'
        for c in table.columns
    )
    body: list[str] = []
    before = None
    for row in table.rows:
        ranked = ranks(row, table.columns)
        cells: list[str] = []
        for column in table.columns:
            text = _ranked(row, column, ranked.get(column), _HTML_MARKS, "–")
            cell = row.cells.get(column)
            note = row.notes.get(column) if cell is None else None
            if cell is not None and not cell.complete:
                note = f"{cell.images} of {cell.of} images: not ranked"
            title = f' title="{html.escape(note)}"' if note else ""
            cells.append(f'<td class="n"{title}>{text}</td>')
        first = ""
        if row.benchmark != before:
            count = sum(other.benchmark == row.benchmark for other in table.rows)
            first = f'<th scope="rowgroup" rowspan="{count}">{html.escape(row.benchmark)}</th>'
        before = row.benchmark
        metric = f'<th scope="row">{html.escape(row.metric)} {row.arrow}</th>'
        body.append(f"<tr>{first}{metric}{''.join(cells)}</tr>")
    return (
        '<table class="results"><thead><tr><th scope="col">Benchmark</th><th scope="col">Metric</th>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    )


def _ranked(
    row: Row, column: Column, rank: Rank | None, marks: tuple[str, str, str], missing: str
) -> str:
    """`marks`: of the best, of the second, and of the count of images."""
    cell = row.cells.get(column)
    if cell is None:
        return missing
    value = str(cell.value)
    if rank is not None:
        value = marks[rank == "second"].format(value)
    delta = "" if cell.delta is None else f" ({cell.delta})"
    return value + delta + (marks[2].format(cell.count) if cell.count else "")


_TEX_MARKS = (r"\textbf{{{}}}", r"\underline{{{}}}", r" {{\scriptsize [{}]}}")
_HTML_MARKS = ("<strong>{}</strong>", "<u>{}</u>", " <small>{}</small>")


def _md(text: str) -> str:
    return text.replace("|", r"\|")


_TEX = {c: "\\" + c for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)
