"""The figures of a gallery: trade-off, agreement of metrics, training curves, separability; drawn by figures.py."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from training.evaluation.aggregate import by_image
from training.evaluation.figures import Figure, Point, Series, curves, matrix, scatter, smoothed
from training.evaluation.metrics import FAITHFULNESS, PERCEPTION
from training.evaluation.published import published_values
from training.statistics import rank_correlation


def charts(means: pa.Table, scores: pa.Table) -> list[Figure]:
    """Per benchmark the trade-off, and whether its metrics agree."""
    found: list[Figure] = []
    rows = means.to_pylist()
    values = by_image(scores)
    for benchmark in dict.fromkeys(row["benchmark"] for row in rows):
        here = [row for row in rows if row["benchmark"] == benchmark and row["mean"] is not None]
        # A mean over the images that a method managed stands in no chart beside means over all of them.
        chart = _trade_off(benchmark, [row for row in here if row["images"] == row["of"]])
        if chart is not None:
            found.append(chart)
        lower = {row["metric"]: row["lower_better"] for row in here}
        keys = sorted(
            {(m, image) for (b, m, _), by in values.items() if b == benchmark for image in by}
        )
        columns = {
            metric: np.array(
                [
                    (-1.0 if lower[metric] else 1.0)
                    * values.get((benchmark, method, metric), {}).get(image, np.nan)
                    for method, image in keys
                ]
            )
            for metric in lower
        }
        if len(columns) > 1:
            names, rho, _ = rank_correlation(columns)
            found.append(
                Figure(
                    title=f"{benchmark}: do the metrics agree?",
                    note="Spearman over all outputs, each turned so that more is better",
                    svg=matrix(names, rho),
                )
            )
    return found


def _trade_off(benchmark: str, rows: Sequence[Mapping[str, Any]]) -> Figure | None:
    """The first faithful and the first perceptual metric that were measured; published points only where they are the
    same metrics."""
    measured = {row["metric"] for row in rows}
    x = next((name for name in FAITHFULNESS if name in measured), None)
    y = next((name for name in PERCEPTION if name in measured), None)
    if x is None or y is None:
        return None
    by = {(row["method"], row["metric"]): row["mean"] for row in rows}
    points = [
        Point(name=method, x=by[method, x], y=by[method, y], published=False)
        for method in dict.fromkeys(row["method"] for row in rows)
        if (method, x) in by and (method, y) in by
    ]
    told = {
        (v.method, v.metric): float(v.value) for v in published_values() if v.benchmark == benchmark
    }
    points += [
        Point(name=method, x=told[method, x], y=told[method, y], published=True)
        for method in dict.fromkeys(method for method, _ in told)
        if (method, x) in told and (method, y) in told
    ]
    lower = {row["metric"]: row["lower_better"] for row in rows}
    svg = scatter(points, x_name=x, y_name=y, x_lower=lower[x], y_lower=lower[y])
    return Figure(title=f"{benchmark}: faithful and pleasing", note=f"{y} against {x}", svg=svg)


def training_curves(log: Path | None) -> list[Figure]:
    """Each reward over the epochs of a run: what training saw, and on held-out LR."""
    if log is None:
        return []
    with log.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    found: list[Figure] = []
    for column in rows[0] if rows else ():
        for prefix, about in (("reward_", "training"), ("eval_reward_", "held out")):
            if not column.startswith(prefix):
                continue
            known = [(float(r["epoch"]), float(r[column])) for r in rows if r.get(column)]
            if len(known) < 2:
                continue
            x, y = [k[0] for k in known], [k[1] for k in known]
            name = column.removeprefix(prefix)
            series = [
                Series(name=name, x=x, y=y, raw=True),
                Series(name=name, x=x, y=smoothed(y)),
            ]
            svg = curves(series, x_name="epoch", y_name=name)
            found.append(Figure(title=name, note=f"{about}; the strong line is smoothed", svg=svg))
    return found


def separability(file: Path | None) -> list[Figure]:
    """Measures of how far apart advantages are, over the number of rollouts."""
    if file is None:
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    kinds = [name for name in (rows[0] if rows else ()) if name not in ("rollouts", "measure")]
    found: list[Figure] = []
    for measure in dict.fromkeys(row["measure"] for row in rows):
        series = []
        for kind in kinds:
            known = sorted(
                (float(row["rollouts"]), float(row[kind]))
                for row in rows
                if row["measure"] == measure and row[kind]
            )
            series.append(Series(name=kind, x=[k[0] for k in known], y=[k[1] for k in known]))
        svg = curves(series, x_name="rollouts per LR", y_name=measure)
        found.append(Figure(title=measure, note="separability of advantages", svg=svg))
    return found
