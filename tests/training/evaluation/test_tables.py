"""The paper's table from the published CSV: every cell and delta as on the project page."""

import re
from dataclasses import replace
from decimal import Decimal
from itertools import chain

import pytest

from tests.shared import shared_folder
from training.evaluation.published import published_consistency, published_values
from training.evaluation.tables import (
    Cell,
    Column,
    Delta,
    Row,
    Table,
    beside,
    html_table,
    latex,
    markdown,
    published_table,
    ranks,
    ties,
)
from training.statistics import Interval


@pytest.fixture(scope="module")
def page():
    """(benchmark, metric with arrow) -> the ten cells, read from the page's own table."""
    (file,) = shared_folder("seed").glob("*.txt")
    found, benchmark = {}, None
    for line in file.read_text().splitlines():
        parts = [part.strip() for part in line.strip().strip("|").split("|")]
        if len(parts) >= 12 and re.fullmatch(r"\S.* [↑↓]", parts[1]):
            benchmark, parts = parts[0], parts[1:]
        if benchmark and len(parts) >= 11 and re.fullmatch(r"\S.* [↑↓]", parts[0]):
            found[benchmark, parts[0]] = parts[1:11]
    assert len(found) == 30
    return found


def plain(text):
    return re.sub(r"\*\*|</?u>", "", text)


def test_markdown_prints_the_30_rows_and_10_methods_and_deltas_of_the_project_page(page):
    printed, benchmark = {}, ""
    for line in markdown(published_table()).splitlines()[2:32]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        benchmark = cells[0] or benchmark
        printed[benchmark, cells[1]] = [plain(cell) for cell in cells[2:]]
    assert printed == page
    assert list(printed) == list(page), "the paper's order"


def test_html_and_latex_hold_the_same_cells(page):
    table = published_table()
    cells = re.findall(r'<td class="n">(.*?)</td>', html_table(table))
    assert [re.sub(r"</?(u|strong)>", "", cell) for cell in cells] == list(chain(*page.values()))
    rows = [line for line in latex(table).splitlines() if line.endswith(r"\\")][1:]
    texts = [re.sub(r"\\(textbf|underline)\{(.*?)\}", r"\2", row[:-2]) for row in rows]
    assert [[cell.strip() for cell in text.split("&")][2:] for text in texts] == list(page.values())
    assert latex(table).count(r"\multirow{10}{*}") == 3


def test_best_and_second_follow_from_the_values():
    table = published_table()
    for row in table.rows:
        marked = ranks(row, table.columns)
        ordered = sorted(
            table.columns, key=lambda c: row.cells[c].value, reverse=not row.lower_better
        )
        assert [c for c in ordered if marked.get(c) == "best"] == ordered[:1]
        assert [c for c in ordered if marked.get(c) == "second"] == ordered[1:2]
    # NIQE, RealLQ250: lower is better, 3.2532 before 3.5556 (DiT4SR).
    niqe = next(r for r in table.rows if (r.benchmark, r.metric) == ("RealLQ250", "NIQE"))
    assert {c.method: rank for c, rank in ranks(niqe, table.columns).items()} == {
        "LucidFlux(+LucidNFT)": "best",
        "DiT4SR": "second",
    }
    assert "**3.2532** (-0.4878)" in markdown(table)


def test_the_published_table_has_no_ties_and_says_so():
    assert ties(published_table()) == []
    assert "No ties for best or second" in markdown(published_table())


def test_ties_share_a_rank_and_are_stated():
    values = [
        replace(v, value=Decimal("0.7465")) if v.method == "SeeSR" else v
        for v in published_values()
        if (v.benchmark, v.metric) == ("RealLQ250", "CLIP-IQA+")
    ]
    table = published_table(values)
    marked = {c.method: rank for c, rank in ranks(table.rows[0], table.columns).items()}
    assert marked == {
        "SeeSR": "best",
        "LucidFlux(+LucidNFT)": "best",
        "LucidFlux": "second",
    }
    assert ties(table) == [
        "RealLQ250, CLIP-IQA+: SeeSR and LucidFlux(+LucidNFT) tie for best at 0.7465 (published)."
    ]


def measured(method, text, delta=None):
    column = Column(method=method, origin="measured")
    return column, Cell(value=Decimal(text), delta=delta)


def test_published_and_measured_stand_side_by_side_and_are_ranked_apart():
    interval = Interval(mean=0.02, low=0.01, high=0.03, p=0.001, count=250)
    delta = Delta(base="ours", value=Decimal("0.0200"), interval=interval, mark="*")
    cells = dict([measured("ours", "0.9000"), measured("ours+NFT", "0.9200", delta)])
    row = Row(benchmark="RealSR", metric="MANIQA", lower_better=False, cells=cells)
    own = Row(
        benchmark="RealSR",
        metric="PSNR",
        lower_better=False,
        cells=dict([measured("ours", "27.1000")]),
    )
    both = beside(published_table(), Table(columns=tuple(cells), rows=(row, own)))
    assert {r.benchmark for r in both.rows} == {"RealSR"}, "only benchmarks that were measured"
    maniqa = next(r for r in both.rows if r.metric == "MANIQA")
    marked = {c.title: rank for c, rank in ranks(maniqa, both.columns).items()}
    assert marked == {
        "LucidFlux(+LucidNFT) (published)": "best",
        "SeeSR (published)": "second",
        "ours+NFT (measured)": "best",
        "ours (measured)": "second",
    }
    assert "**0.9200** (+0.0200*)" in markdown(both)


def test_a_missing_cell_is_a_dash_and_tells_why():
    column, cell = measured("a | b", "1.0")
    missing = Column(method="<b>", origin="measured")
    row = Row(
        benchmark="x",
        metric="Q-Align",
        lower_better=False,
        cells={column: cell},
        notes={missing: 'not run: "no weights"'},
    )
    table = Table(columns=(column, missing), rows=(row,))
    assert '<td class="n" title="not run: &quot;no weights&quot;">–</td>' in html_table(table)
    assert "&lt;b&gt;" in html_table(table)
    assert r"a \| b (measured)" in markdown(table)


def test_the_published_consistency_table_has_the_deltas_of_the_page():
    rows = published_consistency()
    assert [f"{row.lucid_consistency - row.baseline:+}" for row in rows] == [
        "+0.131",
        "+0.126",
        "+0.135",
        "-0.044",
        "-0.009",
    ]
