"""The report of a build: one HTML page that shows in a minute what is in the dataset, and why the rest is not.

Everything is in the page (Plotly's script, pictures as `data:` addresses), and a content security policy forbids it to
ask anything of the network, so it can be opened from a disk, attached to a message, or kept for years. Titles and names
come from strangers: they are escaped by Jinja2, by `charts` and in the JSON, and scripts run only if their hash stands
in the policy.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog import files
from catalog.errors import advice_for
from catalog.page import charts, contents, galleries
from catalog.page.thumbnails import EDGE_PX, Decode, PictureBook
from catalog.release.card import label_mix
from catalog.release.columns import FAMILIES

pc: Any = compute

TEMPLATES = Path(__file__).parent / "templates"
PLOTLY = Path(__file__).parent / "vendor" / "plotly" / "plotly-cartesian.min.js"
"""plotly.js with the charts that need two axes, under MIT: 1.5 MB instead of 4.8."""
MAX_PICTURE_BYTES = 3_600_000
"""Of all pictures as they stand in the page; with Plotly's 1.5 MB and the rest it stays under 6 MB."""
FIRST_EDGE_PX = 320
"""Of the photographs at the top, which are enlarged by a click."""

_NEEDED = ("page_id", "title", "keep", "reason")
# Where half of the pictures goes to what is in the dataset, the other half shows what is not, and the edge between.
_SHARES = {"first": 0.2, "sheets": 0.4, "borderline": 0.13, "rejected": 0.16, "clusters": 0.11}
# These are larger.
_BYTES = {"first": 0.36, "sheets": 0.32, "borderline": 0.1, "rejected": 0.13, "clusters": 0.09}

Mark = tuple[str, str, float]
"""Name, column of the candidates, threshold on it."""
Shortfall = tuple[str, str, int, int]
"""Dimension (mix, severities, ...), its value, wanted, got."""


@dataclass(frozen=True, kw_only=True)
class RuleSummary:
    """One rule of the policy and what it did to the candidates."""

    name: str
    threshold: str
    """As the ledger spells it, e.g. `>= 0.35`."""
    why: str
    passed: int
    failed: int
    failed_alone: int
    """Candidates that this rule alone keeps out: what would come in without it."""
    not_measured: int = 0
    column: str | None = None
    """The measure that it looks at, if it is a column of the candidates."""
    bounds: tuple[float, ...] = ()
    """Its thresholds on that column, drawn into the histogram."""


def _script_json(value: Any) -> str:
    """JSON that may stand in a script element: no character of it can end the element or begin a tag."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(scripts: Sequence[str]) -> str:
    """The page's content security policy: only these scripts, pictures from the page itself, no connection at all."""
    hashes = (
        "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
        for script in scripts
    )
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(hashes)}",
            # Plotly writes its style rules when it starts; style cannot fetch, because nothing else is allowed.
            "style-src 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _is_number(arrow: pa.DataType) -> bool:
    return pa.types.is_integer(arrow) or pa.types.is_floating(arrow)


def _measures(candidates: pa.Table) -> list[str]:
    return sorted(
        field.name
        for field in candidates.schema
        if pa.types.is_floating(field.type) and field.name not in ("severity",)
    )


def _histograms(
    candidates: pa.Table, kept: charts.Flags, edges: Sequence[Mark]
) -> dict[str, charts.Figure]:
    """Histogram per measure; those with a threshold come first, in the order of the thresholds."""
    bounds: dict[str, list[float]] = {}
    for _, column, bound in edges:
        bounds.setdefault(column, []).append(bound)
    names = _measures(candidates)
    numbers = [name for name in bounds if name in candidates.column_names and name not in names]
    numbers = [name for name in numbers if _is_number(candidates.schema.field(name).type)]
    ruled = [name for name in bounds if name in names or name in numbers]
    found: dict[str, charts.Figure] = {}
    for name in dict.fromkeys([*ruled, *names]):
        column = candidates.column(name).cast(pa.float64()).to_numpy()
        figure = charts.histogram(
            np.asarray(column, dtype=np.float64), kept, sorted(set(bounds.get(name, [])))
        )
        if figure is not None:
            found[name] = figure
    return found


def _years(candidates: pa.Table) -> charts.Ints:
    """[N] year of upload; 0 where it is not known."""
    if "year" in candidates.column_names:
        years = candidates.column("year").cast(pa.int64())
    elif "uploaded_at" in candidates.column_names:
        years = pc.year(candidates.column("uploaded_at"))
    else:
        return np.zeros(candidates.num_rows, dtype=np.int64)
    return np.asarray(pc.fill_null(years, 0).to_numpy(), dtype=np.int64)


def _licenses(samples: pa.Table) -> charts.Figure:
    counts = Counter(
        zip(
            samples.column("license").to_pylist(), samples.column("family").to_pylist(), strict=True
        )
    )
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:16]
    roles = [f"family-{family}" if family in FAMILIES else "dropped" for (_, family), _ in ordered]
    return charts.bars([(str(license), count) for (license, _), count in ordered], role=roles)


def _failures(failures: pa.Table) -> list[dict[str, Any]]:
    counted: Counter[str] = Counter()
    for kind, count in zip(
        failures.column("kind").to_pylist(), failures.column("count").to_pylist(), strict=True
    ):
        counted[str(kind)] += int(count or 0)
    return [
        {"kind": kind, "count": count, "advice": advice_for(kind)}
        for kind, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    ]


def _books(
    thumbnails: Callable[[str], bytes | None],
    decode: Decode,
    max_images: int,
    address: Callable[[Mapping[str, Any]], str | None],
) -> dict[str, PictureBook]:
    return {
        name: PictureBook(
            read=thumbnails,
            decode=decode,
            max_images=round(max_images * share),
            max_bytes=round(MAX_PICTURE_BYTES * _BYTES[name]),
            edge_px=FIRST_EDGE_PX if name == "first" else EDGE_PX,
            address=address,
        )
        for name, share in _SHARES.items()
    }


@dataclass(frozen=True)
class ReportPage:
    """A report that is composed: figures, pictures and counts, but no table any more."""

    content: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Writes the page to `path` (temporary file and rename); its folder is made."""
        import jinja2

        plotly = PLOTLY.read_text(encoding="utf-8")
        page_script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            undefined=jinja2.StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["number"] = lambda count: f"{count:,}"
        page = environment.get_template("report.html.j2").render(
            policy=_policy([plotly, page_script]),
            style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
            plotly=plotly,
            page_script=page_script,
            **self.content,
        )
        files.put(path, page)


def compose_report(
    *,
    name: str,
    funnel: Sequence[tuple[str, int]],
    candidates: pa.Table,
    samples: pa.Table,
    rules: Sequence[RuleSummary],
    failures: pa.Table,
    thumbnails: Callable[[str], bytes | None],
    decode: Decode,
    max_images: int = 240,
    target_mix: Mapping[str, float] | None = None,
    facts: Mapping[str, str] | None = None,
    marks: Sequence[Mark] = (),
    shortfalls: Sequence[Shortfall] = (),
    rights: Sequence[Mapping[str, Any]] = (),
    reviews: Mapping[str, Any] | None = None,
    address: Callable[[Mapping[str, Any]], str | None] | None = None,
) -> ReportPage:
    """What the page shows, without the tables that it is made from.

    Args:
        funnel: (step, what it left), first to last.
        candidates: One row per candidate: page_id, title, keep, reason; every column of floats is a measure and gets
            a histogram. Used where present: sha1 (for pictures), file_page_url, cluster_id, uploaded_at or year.
        samples: The chosen rows, as `catalog.release.export.export_dataset` takes them.
        failures: kind, count; several rows of a kind are added up.
        thumbnails: SHA-1 -> bytes of the original (they are scaled down here), or None where they are not kept.
        decode: bytes -> the picture as it is seen.
        max_images: At most so many pictures in the page, in all; `MAX_PICTURE_BYTES` bounds them too.
        target_mix: Share per main degradation that the recipe aims at, 0 to 1; `none` for no degradation.
        facts: Lines for the head of the page, e.g. the recipe's hash and the dataset's.
        marks: Thresholds that are no rules, e.g. where a label begins: (name, column of the candidates, value).
        shortfalls: Quotas that could not be filled.
        rights: Reasons of the license gate: reason, outcome, files, means, and examples as (page id, title).
        reviews: What people said, as `catalog.release.card.render_card` takes it; None: nobody reviewed.
        address: Row of the candidates -> address of its page; None: `file_page_url` of candidates, or samples, says.

    Raises:
        ValueError: `candidates` lacks a column that is needed.
    """
    absent = [column for column in _NEEDED if column not in candidates.column_names]
    if absent:
        raise ValueError(f"The table of candidates has no column {', '.join(absent)}.")
    kept = np.asarray(candidates.column("keep").to_numpy(), dtype=np.bool_)
    reasons = galleries.reason_counts(candidates)
    edges = [
        (rule.name, rule.column, bound)
        for rule in rules
        if rule.column in candidates.column_names and rule.column is not None
        for bound in rule.bounds
    ]
    edges += [mark for mark in marks if mark[1] in candidates.column_names]
    histograms = _histograms(candidates, kept, edges)
    places = [(f"measure-{number}", measure) for number, measure in enumerate(histograms)]
    # Those with a threshold come first.
    ruled = sum(measure in {column for _, column, _ in edges} for measure in histograms)
    figures: dict[str, charts.Figure | None] = {
        "funnel": charts.funnel(funnel) if funnel else None,
        "reasons": charts.bars(reasons[:16], role="dropped") if reasons else None,
        "mix": charts.mix(label_mix(samples, target_mix)) if samples.num_rows else None,
        "licenses": _licenses(samples) if samples.num_rows else None,
        "years": charts.years(_years(candidates), kept),
        "year-map": _year_map(samples),
        "severity": _severity(samples),
        "severities": charts.severity_map(
            samples.column("severities").to_pylist(), samples.column("labels").to_pylist()
        ),
        "resolution": contents.resolution(candidates, kept),
        "cluster-sizes": contents.cluster_sizes(candidates),
        "scene-sizes": contents.scene_sizes(candidates),
        "sources": contents.counted(candidates, "source", kept),
        "uploaders": contents.counted(candidates, "uploader", kept),
        **{f"measure-{number}": figure for number, figure in enumerate(histograms.values())},
    }
    if address is None and "file_page_url" not in candidates.column_names:
        place = pc.index_in(candidates.column("page_id"), value_set=samples.column("page_id"))
        links = samples.column("file_page_url").take(place)
        candidates = candidates.append_column("file_page_url", links)
    books = _books(thumbnails, decode, max_images, address or (lambda row: None))
    drawn = {key: figure for key, figure in figures.items() if figure is not None}
    content: dict[str, Any] = {
        "name": name,
        "charts_json": _script_json(drawn),
        "heights": {key: figure["height"] for key, figure in drawn.items()},
        "ruled": places[:ruled],
        "unruled": places[ruled:],
        "targets": bool(target_mix),
        "shortfalls": list(shortfalls),
        "rights": [dict(row) for row in rights],
        "reviews": reviews,
        "funnel": list(funnel),
        "candidate_count": candidates.num_rows,
        "kept_count": int(kept.sum()),
        "families": Counter(samples.column("family").to_pylist()),
        "failure_count": sum(row["count"] for row in _failures(failures)),
        "reasons": reasons,
        "rules": list(rules),
        "first": galleries.first_look(candidates, samples, books["first"]),
        "sheets": galleries.contact_sheets(samples, books["sheets"]),
        "borderline": galleries.borderline(candidates, edges[:8], books["borderline"]),
        "rejected": galleries.rejected(candidates, books["rejected"]),
        "clusters": galleries.clusters(candidates, books["clusters"]),
        "failures": _failures(failures),
        "facts": dict(facts or {}),
    }
    return ReportPage(content)


def render_report(path: Path, **shown: Any) -> None:
    """Composes a report and writes it; arguments of `compose_report`."""
    compose_report(**shown).write(path)


def _year_map(samples: pa.Table) -> charts.Figure | None:
    return charts.year_map(
        pc.year(samples.column("uploaded_at")).to_pylist(), samples.column("labels").to_pylist()
    )


def _severity(samples: pa.Table) -> charts.Figure | None:
    """How heavily the samples are degraded: their largest severity, 0 to 1."""
    values = np.asarray(samples.column("severity").cast(pa.float64()).to_numpy(), dtype=np.float64)
    figure = charts.histogram(values, np.ones(values.size, dtype=np.bool_))
    if figure is not None:
        figure["layout"]["xaxis"]["range"] = [-0.02, 1.02]
    return figure
