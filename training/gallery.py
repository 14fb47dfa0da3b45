"""The gallery of an evaluation: a static page with pictures beside it, to be looked at before the numbers are read.

    lucidlr gallery out/evaluation          writes out/evaluation/gallery/index.html and images/

It opens from a disk and works as it is in a static Space: script, style and data are in the page, pictures are files
with relative addresses that are loaded when they come into view, and a content security policy forbids everything
else. Names come from files of strangers: they are escaped by Jinja2, by the script (text nodes only) and in the JSON.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.aggregate import by_image
from training.benchmark_inputs import write_bytes
from training.figures import Figure, Point, Series, curves, matrix, scatter, smoothed
from training.methods import slug
from training.metrics import FAITHFULNESS, PERCEPTION, SPECS
from training.published import published_values
from training.result_files import LEGEND, NoEvaluation
from training.statistics import FEWEST, rank_correlation

TEMPLATES = Path(__file__).parent / "templates"
LOSSLESS_PIXELS = 512 * 512
"""Pictures up to this size are copied without loss, larger ones as WebP of quality 95: 250 PNGs of 1024 px by four
methods would be a gigabyte."""
_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class GalleryOptions:
    """What stands on the page beside the evaluation itself."""

    title: str | None = None
    """Default: the evaluation's name."""
    style: str = ""
    """CSS that is shared with the build report: colours, bars, cards, tables."""
    training_log: Path | None = None
    """log.csv of a training run."""
    separability: Path | None = None
    """CSV with the columns rollouts, measure and one per kind of advantage."""
    datasets: str = ""
    """The table of datasets as HTML."""


def write_gallery(
    out: Path,
    options: GalleryOptions,
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> Path:
    """Writes gallery/ below `out`, the folder of an evaluation; pictures that are there already stay.

    Raises:
        NoEvaluation: `out` holds none.
    """
    if not (out / "summary.json").is_file():
        raise NoEvaluation(
            f"{out} holds no evaluation (no summary.json); run `lucidlr evaluate --out {out}`."
        )
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    files = json.loads((out / "files.json").read_text(encoding="utf-8"))
    scores, means = pq.read_table(out / "scores.parquet"), pq.read_table(out / "aggregate.parquet")
    folder = out / "gallery"
    items = []
    for entry in files:
        items.append(_item(entry, out, folder))
        advance(1)
    data = _data(items, scores, summary)
    content = _page(data, summary, means, scores, options, table=_table(out))
    write_bytes(folder / "index.html", content.encode())
    return folder / "index.html"


def _table(out: Path) -> str:
    return (out / "tables" / "results.html").read_text(encoding="utf-8")


def _item(entry: Mapping[str, Any], out: Path, folder: Path) -> dict[str, Any]:
    """Copies the pictures of one image and names them by where they will be found from the page."""
    sources = {"LR": entry["lr"], **entry["outputs"], "HR": entry["hr"]}
    found: dict[str, str] = {}
    for column, name in sources.items():
        if name is not None:
            found[column] = _picture(out / name, folder, entry["benchmark"], column, entry["image"])
    return {
        "benchmark": entry["benchmark"],
        "name": entry["image"],
        "width": entry["size"][0],
        "height": entry["size"][1],
        "labels": entry["labels"],
        "files": found,
        "scores": {},
    }


def _picture(source: Path, folder: Path, benchmark: str, column: str, name: str) -> str:
    from PIL import Image

    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    with Image.open(source) as image:
        lossless = image.width * image.height <= LOSSLESS_PIXELS
        relative = f"images/{slug(benchmark)}/{slug(column)}/{slug(name)}-{digest}.webp"
        if not (folder / relative).is_file():
            sink = io.BytesIO()
            image.convert("RGB").save(sink, "WEBP", lossless=lossless, quality=_QUALITY, method=4)
            write_bytes(folder / relative, sink.getvalue())
    return relative


def _data(
    items: list[dict[str, Any]], scores: pa.Table, summary: Mapping[str, Any]
) -> dict[str, Any]:
    lower: dict[str, bool] = {}
    by_place = {(item["benchmark"], item["name"]): item for item in items}
    for row in scores.to_pylist():
        lower.setdefault(row["metric"], row["lower_better"])
        item = by_place.get((row["benchmark"], row["image"]))
        if item is not None and row["value"] is not None:
            item["scores"].setdefault(row["method"], {})[row["metric"]] = round(row["value"], 5)
    shown = [item for item in items if len(item["files"]) > 1]
    return {
        "items": shown,
        "methods": summary["methods"],
        "metrics": [{"name": name, "lower_better": flag} for name, flag in lower.items()],
        "bases": summary["deltas"],
        "first": shown[0]["benchmark"] if shown else "",
    }


def _page(
    data: dict[str, Any],
    summary: Mapping[str, Any],
    means: pa.Table,
    scores: pa.Table,
    options: GalleryOptions,
    *,
    table: str,
) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "gallery.js").read_text(encoding="utf-8")
    style = options.style + (TEMPLATES / "gallery.css").read_text(encoding="utf-8")
    return environment.get_template("gallery.html.j2").render(
        title=options.title or summary["name"],
        policy=_policy(script),
        style=style,
        script=script,
        data=_script_json(data),
        items=data["items"],
        legend=LEGEND,
        table=table,
        ties=summary["ties"],
        not_run=summary["not_run"],
        metric_count=len(summary["metrics"]),
        problems=summary["problems"],
        deltas=_deltas(means),
        charts=_charts(means, scores),
        curves=[*_training(options.training_log), *_separability(options.separability)],
        datasets=options.datasets,
        how=_how(scores),
    )


def _script_json(value: Any) -> str:
    """JSON that may stand in a script element: no character of it can end the element or begin a tag."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'sha256-{digest}'",
            "style-src 'unsafe-inline'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _deltas(means: pa.Table) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for row in means.to_pylist():
        if row["base"] is None:
            continue
        better = (row["delta"] < 0) == row["lower_better"]
        kind = ("better" if better else "worse") if row["resolved"] else ""
        verdict = kind or (
            f"fewer than {FEWEST} independent images"
            if row["independent"] < FEWEST
            else "not resolved"
        )
        rows.append(
            {
                "benchmark": row["benchmark"],
                "metric": row["metric"],
                "method": row["method"],
                "base": row["base"],
                "delta": f"{row['delta']:+.4f}",
                "interval": f"{row['delta_low']:+.4f} to {row['delta_high']:+.4f}",
                "independent": str(row["independent"]),
                "kind": kind,
                "verdict": verdict,
            }
        )
    return rows


def _charts(means: pa.Table, scores: pa.Table) -> list[Figure]:
    found: list[Figure] = []
    rows = means.to_pylist()
    values = by_image(scores)
    for benchmark in dict.fromkeys(row["benchmark"] for row in rows):
        here = [row for row in rows if row["benchmark"] == benchmark and row["mean"] is not None]
        chart = _trade_off(benchmark, here)
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


def _training(log: Path | None) -> list[Figure]:
    """Each reward over the epochs of a run: what training saw, and on held-out LR."""
    if log is None:
        return []
    import csv

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


def _separability(file: Path | None) -> list[Figure]:
    """Measures of how far apart advantages are, over the number of rollouts."""
    if file is None:
        return []
    import csv

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


def _how(scores: pa.Table) -> list[str]:
    """A line per metric: version, weights, preprocessing."""
    lines = ["Scored were the saved files, one image at a time."]
    seen: set[str] = set()
    for row in scores.to_pylist():
        if row["metric"] in seen:
            continue
        seen.add(row["metric"])
        weights = f", weights {row['weights_sha256'][:12]}" if row["weights_sha256"] else ""
        known = SPECS.get(row["metric"])
        what = known.preprocessing if known else row["preprocessing"]
        lines.append(f"{row['metric']}: {what}; {row['metric_version']}{weights}")
    lines.append(
        f"Pictures of more than {LOSSLESS_PIXELS} pixels are shown as WebP of quality {_QUALITY}, "
        "smaller ones as they are."
    )
    return lines
