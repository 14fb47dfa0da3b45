"""What an evaluation leaves behind: Parquet per image and in aggregate, tables for people and papers, what was not run.

scores.parquet       a row per benchmark, method, image and metric (training.evaluation.score.PER_IMAGE)
aggregate.parquet    means, deltas, intervals (training.evaluation.aggregate.AGGREGATE)
tables/results.md    also .tex and .html: measured beside published
tables/deltas.md     every delta with its interval
summary.json         counts, problems, what was not run and why; written last
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files
from catalog.errors import Missing
from training.evaluation.aggregate import aggregate, delta_lines, measured_table
from training.evaluation.benchmarks import SPECS, BenchmarkSpec
from training.evaluation.lr_labels import Labelled
from training.evaluation.published import BENCHMARKS
from training.evaluation.score import Evaluated
from training.evaluation.tables import (
    Table,
    beside,
    html_table,
    latex,
    markdown,
    published_table,
    tie_lines,
)

LEGEND = (
    "Best bold, second underlined, of each origin for itself, and only among means of all images ([n/N] says of how "
    "many a mean is). In brackets the difference to the method's base; "
    "* resolved: paired bootstrap over images, 5 % with Holm's correction over the metrics. Published numbers are the "
    "authors' and were not measured here."
)


class NoEvaluation(Missing):
    """The folder holds no finished evaluation; the message says how to make one."""


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
    name: str,
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
    for file, content in (("scores.parquet", done.scores), ("aggregate.parquet", means)):
        files.put(out / file, parquet_bytes(content))
    notes = [f"Not run: {metric}: {why}" for metric, why in done.not_run.items()]
    text = "\n\n".join([markdown(table), LEGEND, *notes]) + "\n"
    files.put(out / "tables" / "results.md", text.encode())
    files.put(out / "tables" / "results.tex", latex(table).encode())
    files.put(out / "tables" / "results.html", html_table(table).encode())
    lines = delta_lines(means) or ["No method has a base to be compared with."]
    files.put(out / "tables" / "deltas.md", ("\n".join(lines) + "\n").encode())
    summary = {
        "name": name,
        "computed": dict(done.computed),
        "reused": done.reused,
        "outputs_made": done.made,
        "not_run": dict(done.not_run),
        "not_run_short": dict(done.short),
        "problems": [str(problem) for problem in done.problems],
        "benchmarks": {
            name: {
                "images": len(done.cases[name]),
                "protocol": benchmark.protocol,
                "paired": benchmark.paired,
                "usage": benchmark.spec.usage,
                "type": benchmark.spec.type,
            }
            for name, benchmark in done.benchmarks.items()
        },
        "ties": tie_lines(table),
        "methods": list(methods),
        "metrics": list(metrics),
        "deltas": dict(deltas),
    }
    files.put(out / "files.json", json.dumps(_files(done, out), ensure_ascii=False).encode())
    content = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
    files.put(out / "summary.json", content.encode())
    return Results(folder=out, scores=done.scores, means=means, table=table)


def _files(done: Evaluated, out: Path) -> list[dict[str, Any]]:
    """Per image its LR, HR and outputs, as paths below `out` where they lie there."""

    def told(path: Path | None) -> str | None:
        if path is None:
            return None
        whole, folder = path.resolve(), out.resolve()
        return str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)

    return [
        {
            "benchmark": name,
            "image": case.name,
            "size": list(case.size),
            **asdict(done.labels[name][case.name]),
            "lr": told(case.lr),
            "hr": told(case.hr),
            "outputs": {
                method: told(files[case.name])
                for (benchmark, method), files in done.outputs.items()
                if benchmark == name and case.name in files
            },
        }
        for name, cases in done.cases.items()
        for case in cases
    ]


def load_labels(out: Path) -> dict[str, tuple[BenchmarkSpec, dict[str, Labelled]]]:
    """Benchmark -> what it is, and what ails each of its LR, as an evaluation wrote it.

    Raises:
        NoEvaluation: `out` holds none.
    """
    if not (out / "summary.json").is_file():
        raise NoEvaluation(
            f"{out} holds no evaluation (no summary.json); run `lucidlr evaluate --out {out}`."
        )
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    found: dict[str, tuple[BenchmarkSpec, dict[str, Labelled]]] = {}
    for name, about in summary["benchmarks"].items():
        spec = BenchmarkSpec(
            name=name,
            paired=about["paired"],
            images=about["images"],
            layouts=(),
            where="",
            usage=about["usage"],
            type=about["type"],
        )
        found[name] = (SPECS.get(name, spec), {})
    for entry in json.loads((out / "files.json").read_text(encoding="utf-8")):
        found[entry["benchmark"]][1][entry["image"]] = Labelled(
            labels=tuple(entry["labels"]),
            severity=entry["severity"],
            width=entry["width"],
            height=entry["height"],
        )
    return found


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
