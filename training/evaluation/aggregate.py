"""From scores of images to a row per benchmark, method and metric, and to the measured table with its deltas.

A delta is the mean of per-image differences on the images that both methods have, with its paired bootstrap interval
and a mark where it is resolved: Holm's correction over the metrics of one benchmark and one pair of methods, at 5 %,
and at least ten images (or clusters of images) behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from training.evaluation.metrics import SPECS
from training.evaluation.score import Evaluated
from training.evaluation.tables import Cell, Column, Delta, Row, Table
from training.statistics import FEWEST, Interval, Key, holm, paired_bootstrap

AGGREGATE = pa.schema(
    [
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("lower_better", pa.bool_(), nullable=False),
        pa.field("mean", pa.float64()),
        pa.field("std", pa.float64()),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("failed", pa.int64(), nullable=False),
        pa.field("of", pa.int64(), nullable=False),
        pa.field("metric_version", pa.string(), nullable=False),
        pa.field("weights_sha256", pa.string()),
        pa.field("base", pa.string()),
        pa.field("delta", pa.float64()),
        pa.field("delta_low", pa.float64()),
        pa.field("delta_high", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("independent", pa.int64()),
        pa.field("resolved", pa.bool_()),
    ]
)
"""`images` of `of` were scored, `failed` of them without a number; delta columns are null without a base."""


def by_image(scores: pa.Table) -> dict[Key, dict[str, float]]:
    """(benchmark, method, metric) -> image -> value, for those that have one."""
    found: dict[Key, dict[str, float]] = {}
    columns = ("benchmark", "method", "metric", "image", "value")
    for benchmark, method, metric, image, value in zip(
        *(scores.column(name).to_pylist() for name in columns), strict=True
    ):
        if value is not None:
            found.setdefault((benchmark, method, metric), {})[image] = value
    return found


def aggregate(done: Evaluated, deltas: Mapping[str, str]) -> pa.Table:
    """AGGREGATE of what was evaluated; `deltas` maps a method to the one it is compared with."""
    values = by_image(done.scores)
    clusters = {
        (name, case.name): case.cluster for name, cases in done.cases.items() for case in cases
    }
    first: dict[Key, dict[str, Any]] = {}
    failed: dict[Key, int] = {}
    for row in done.scores.to_pylist():
        key = (row["benchmark"], row["method"], row["metric"])
        first.setdefault(key, row)
        failed[key] = failed.get(key, 0) + (row["value"] is None)
    compared = _compared(values, clusters, deltas)
    resolved = _resolved(compared)
    rows: list[dict[str, Any]] = []
    for key, about in first.items():
        benchmark, method, metric = key
        numbers = np.array(list(values.get(key, {}).values()), dtype=np.float64)
        interval = compared.get(key)
        rows.append(
            {
                "benchmark": benchmark,
                "protocol": about["protocol"],
                "method": method,
                "metric": metric,
                "lower_better": about["lower_better"],
                "mean": float(numbers.mean()) if len(numbers) else None,
                "std": float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
                "images": len(numbers),
                "failed": failed[key],
                "of": len(done.cases[benchmark]),
                "metric_version": about["metric_version"],
                "weights_sha256": about["weights_sha256"],
                "base": deltas.get(method) if interval else None,
                "delta": interval.mean if interval else None,
                "delta_low": interval.low if interval else None,
                "delta_high": interval.high if interval else None,
                "p": interval.p if interval else None,
                "independent": interval.count if interval else None,
                "resolved": resolved.get(key) if interval else None,
            }
        )
    return pa.Table.from_pylist(rows, schema=AGGREGATE)


def _compared(
    values: Mapping[Key, Mapping[str, float]],
    clusters: Mapping[tuple[str, str], str],
    deltas: Mapping[str, str],
) -> dict[Key, Interval]:
    found: dict[Key, Interval] = {}
    for (benchmark, method, metric), ours in values.items():
        base = values.get((benchmark, deltas.get(method, ""), metric), {})
        images = sorted(set(ours) & set(base))
        if images:
            differences = np.array([ours[image] - base[image] for image in images])
            groups = [clusters[benchmark, image] for image in images]
            found[benchmark, method, metric] = paired_bootstrap(differences, clusters=groups)
    return found


def _resolved(compared: Mapping[Key, Interval]) -> dict[Key, bool]:
    found: dict[Key, bool] = {}
    for pair in {(benchmark, method) for benchmark, method, _ in compared}:
        keys = [key for key in compared if key[:2] == pair]
        rejected = holm([compared[key].p for key in keys])
        for key, clear in zip(keys, rejected, strict=True):
            found[key] = clear and compared[key].count >= FEWEST
    return found


def measured_table(
    means: pa.Table,
    *,
    methods: Sequence[str],
    metrics: Sequence[str],
    not_run: Mapping[str, str],
    benchmarks: Sequence[str],
) -> Table:
    """Means in the paper's form; metrics that were not run keep their row, with the reason."""
    columns = [Column(method=method, origin="measured") for method in methods]
    by_key = {(r["benchmark"], r["metric"], r["method"]): r for r in means.to_pylist()}
    rows: list[Row] = []
    for benchmark in benchmarks:
        for metric in metrics:
            found = {c: by_key.get((benchmark, metric, c.method)) for c in columns}
            present = [row for row in found.values() if row is not None]
            if not present and metric not in not_run:
                continue
            spec = SPECS.get(metric)
            digits = spec.digits if spec else 4
            lower = present[0]["lower_better"] if present else bool(spec and spec.lower_better)
            cells = {
                column: _cell(row, digits)
                for column, row in found.items()
                if row is not None and row["mean"] is not None
            }
            why = f"not run: {not_run[metric]}" if metric in not_run else "no output was scored"
            notes = {column: why for column in columns if column not in cells}
            rows.append(
                Row(
                    benchmark=benchmark,
                    metric=metric,
                    lower_better=lower,
                    cells=cells,
                    notes=notes,
                )
            )
    return Table(columns=tuple(columns), rows=tuple(rows))


def _cell(row: Mapping[str, Any], digits: int) -> Cell:
    delta = None
    if row["base"] is not None:
        delta = Delta(
            base=row["base"],
            value=_decimal(row["delta"], digits),
            interval=Interval(
                mean=row["delta"],
                low=row["delta_low"],
                high=row["delta_high"],
                p=row["p"],
                count=row["independent"],
            ),
            mark="*" if row["resolved"] else "",
        )
    return Cell(
        value=_decimal(row["mean"], digits), delta=delta, images=row["images"], of=row["of"]
    )


def _decimal(value: float, digits: int) -> Decimal:
    return Decimal(f"{value:.{digits}f}")


def delta_lines(means: pa.Table) -> list[str]:
    """A Markdown table of every delta with its interval; empty where nothing is compared."""
    rows = [row for row in means.to_pylist() if row["base"] is not None]
    if not rows:
        return []
    lines = [
        "| Benchmark | Metric | Method | Against | Delta | 95 % interval | p | Independent | |",
        "|---|---|---|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        better = (row["delta"] < 0) == row["lower_better"]
        verdict = "not resolved"
        if row["independent"] < FEWEST:
            verdict = f"fewer than {FEWEST} independent images: not resolved"
        elif row["resolved"]:
            verdict = "better*" if better else "worse*"
        lines.append(
            f"| {row['benchmark']} | {row['metric']} | {row['method']} | {row['base']} | {row['delta']:+.4f} "
            f"| {row['delta_low']:+.4f} to {row['delta_high']:+.4f} | {row['p']:.4f} | {row['independent']} "
            f"| {verdict} |"
        )
    return lines
