"""What an evaluation leaves behind: Parquet per image and in aggregate, tables for people and papers, what was not run.

scores.parquet       a row per benchmark, method, image and metric (training.evaluation.PER_IMAGE)
aggregate.parquet    means, deltas, intervals (training.aggregate.AGGREGATE)
tables/results.md    also .tex and .html: measured beside published
tables/deltas.md     every delta with its interval
summary.json         counts, problems, what was not run and why; written last
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from training.aggregate import aggregate, delta_lines, measured_table
from training.benchmark_inputs import write_bytes
from training.evaluation import Evaluated
from training.published import BENCHMARKS
from training.tables import Table, beside, html_table, latex, markdown, published_table

LEGEND = (
    "Best bold, second underlined, of each origin for itself. In brackets the difference to the method's base; "
    "* resolved: paired bootstrap over images, 5 % with Holm's correction over the metrics. Published numbers are the "
    "authors' and were not measured here."
)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was written."""

    folder: Path
    scores: pa.Table
    means: pa.Table
    table: Table


def write_results(
    done: Evaluated,
    out: Path,
    *,
    methods: Sequence[str],
    metrics: Sequence[str],
    deltas: Mapping[str, str],
) -> Results:
    """Writes all of it below `out`; each file is complete or absent."""
    means = aggregate(done, deltas)
    measured = measured_table(
        means,
        methods=methods,
        metrics=metrics,
        not_run=done.not_run,
        benchmarks=list(done.cases),
    )
    known = [name for name in BENCHMARKS if name in done.cases]
    table = beside(published_table(), measured) if known else measured
    for name, content in (("scores.parquet", done.scores), ("aggregate.parquet", means)):
        write_bytes(out / name, parquet_bytes(content))
    notes = [f"Not run: {metric}: {why}" for metric, why in done.not_run.items()]
    text = "\n\n".join([markdown(table), LEGEND, *notes]) + "\n"
    write_bytes(out / "tables" / "results.md", text.encode())
    write_bytes(out / "tables" / "results.tex", latex(table).encode())
    write_bytes(out / "tables" / "results.html", html_table(table).encode())
    lines = delta_lines(means) or ["No method has a base to be compared with."]
    write_bytes(out / "tables" / "deltas.md", ("\n".join(lines) + "\n").encode())
    summary = {
        "computed": dict(done.computed),
        "reused": done.reused,
        "outputs_made": done.made,
        "not_run": dict(done.not_run),
        "problems": [str(problem) for problem in done.problems],
        "images": {name: len(cases) for name, cases in done.cases.items()},
        "methods": list(methods),
        "metrics": list(metrics),
        "deltas": dict(deltas),
    }
    content = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
    write_bytes(out / "summary.json", content.encode())
    return Results(folder=out, scores=done.scores, means=means, table=table)


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
