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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files
from training.evaluation.gallery_figures import charts, separability, training_curves
from training.evaluation.metrics import SPECS
from training.evaluation.outputs import slug
from training.evaluation.results import LEGEND, NoEvaluation
from training.statistics import FEWEST
from training.weights import sha256_of

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
    entries = json.loads((out / "files.json").read_text(encoding="utf-8"))
    scores, means = pq.read_table(out / "scores.parquet"), pq.read_table(out / "aggregate.parquet")
    folder = out / "gallery"
    items = []
    for entry in entries:
        items.append(_item(entry, out, folder))
        advance(1)
    data = _data(items, scores, summary)
    content = _page(data, summary, means, scores, options, table=_table(out))
    files.put(folder / "index.html", content.encode())
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
    if entry["lr"] is not None:
        for method, name in entry["outputs"].items():
            made = None if name is None else _map(entry, method, out, folder)
            if made is not None:
                found[map_of(method)] = made
    return {
        "benchmark": entry["benchmark"],
        "name": entry["image"],
        "width": entry["size"][0],
        "height": entry["size"][1],
        "labels": entry["labels"],
        "files": found,
        "scores": {},
    }


def map_of(method: str) -> str:
    """The column of a method's maps."""
    return f"{method}: departures"


def _map(entry: Mapping[str, Any], method: str, out: Path, folder: Path) -> str | None:
    """Where an output departs from its LR, in red; None where the LR is too small for a map."""
    from training.consistency import ConsistencyError
    from training.consistency.anchors import write_map
    from training.consistency.departure import load_departure
    from training.consistency.images import read_image

    lr_file, sr_file = out / entry["lr"], out / entry["outputs"][method]
    departure = load_departure()
    told = "".join((sha256_of(lr_file), sha256_of(sr_file), departure.weights_sha256))
    digest = hashlib.sha256(told.encode()).hexdigest()[:8]
    place = f"images/{slug(entry['benchmark'])}/{slug(map_of(method))}"
    relative = f"{place}/{slug(entry['image'])}-{digest}.png"
    if not (folder / relative).is_file():
        lr, sr = read_image(lr_file), read_image(sr_file)
        try:
            write_map(folder / relative, sr, departure.map(lr, sr))
        except ConsistencyError:
            return None
    return relative


def _picture(source: Path, folder: Path, benchmark: str, column: str, name: str) -> str:
    from PIL import Image

    from filters.picture import open_picture

    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    with open_picture(source) as picture:
        image = Image.fromarray(picture.rgb)
        lossless = image.width * image.height <= LOSSLESS_PIXELS
        relative = f"images/{slug(benchmark)}/{slug(column)}/{slug(name)}-{digest}.webp"
        if not (folder / relative).is_file():
            sink = io.BytesIO()
            image.save(sink, "WEBP", lossless=lossless, quality=_QUALITY, method=4)
            files.put(folder / relative, sink.getvalue())
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
        "maps": [map_of(method) for method in summary["methods"]],
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
        charts=charts(means, scores),
        curves=[*training_curves(options.training_log), *separability(options.separability)],
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
