"""Charts of the report as Plotly figures in plain JSON: what is counted is counted here, the page only draws.

Colours are roles (`var:kept`), which the page replaces by the colours of its light or dark theme. All text is escaped,
because Plotly reads a few HTML tags in labels: the name of a license must not become a link.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 36
Figure = dict[str, Any]
Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


def _text(value: Any, limit: int = 48) -> str:
    text = " ".join(str(value).split())
    return html.escape(text if len(text) <= limit else text[: limit - 1] + "…", quote=False)


def bars(
    rows: Sequence[tuple[str, float]],
    *,
    role: str | Sequence[str] = "kept",
    notes: Sequence[str] | None = None,
) -> Figure:
    """Horizontal bars, the first row on top. `role`: colour role, one for all or one per bar; `notes`: beside each."""
    labels = [_text(label) for label, _ in rows]
    roles = [role] * len(rows) if isinstance(role, str) else list(role)
    texts = (
        [f"{value:,.0f}" for _, value in rows] if notes is None else [_text(note) for note in notes]
    )
    # Two labels that look the same after shortening must stay two bars: places are numbers, labels their ticks.
    places = list(range(len(rows)))
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": places,
        "x": [value for _, value in rows],
        "text": texts,
        "textposition": "outside",
        "cliponaxis": False,
        "hovertext": [
            f"{label}: {value:,.0f}" for label, (_, value) in zip(labels, rows, strict=True)
        ],
        "hoverinfo": "text",
        "marker": {"color": [f"var:{name}" for name in roles]},
    }
    most = max((value for _, value in rows), default=1) or 1
    return {
        "traces": [trace],
        "height": 40 + 30 * max(1, len(rows)),
        "layout": {
            "yaxis": {
                "tickvals": places,
                "ticktext": labels,
                "autorange": "reversed",
                "showgrid": False,
                "automargin": True,
            },
            # Room on the right for the number outside of the longest bar.
            "xaxis": {"visible": False, "range": [0, 1.35 * most]},
            "bargap": 0.35,
            "margin": {"t": 4, "b": 4, "l": 8, "r": 8},
        },
    }


def funnel(steps: Sequence[tuple[str, int]]) -> Figure:
    """What each step left, with its share of the first and what it lost."""
    first = steps[0][1] if steps else 0
    notes: list[str] = []
    for i, (_, count) in enumerate(steps):
        share = f" · {100 * count / first:.0f} %" if first else ""
        lost = f" · −{steps[i - 1][1] - count:,}" if i and steps[i - 1][1] > count else ""
        notes.append(f"{count:,}{share}{lost}")
    return bars(steps, notes=notes)


def mix(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Share of each degradation label among the samples (rows of catalog.release.card.label_mix).

    With targets the bars are shares as the main degradation, which is what targets are about, and these are marks.
    """
    aims = [(place, row["target"]) for place, row in enumerate(rows) if row["target"] is not None]
    if not aims:
        return bars(
            [(row["label"], 100 * row["share"]) for row in rows],
            notes=[f"{row['count']:,} · {100 * row['share']:.0f} %" for row in rows],
        )
    figure = bars([(row["label"], 100 * row["main"]) for row in rows])
    widest = max(100 * max(row["main"], row["target"] or 0.0) for row in rows)
    figure["traces"][0] |= {"name": "main degradation", "showlegend": True, "textposition": "none"}
    figure["traces"] += [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "target",
            "x": [100 * target for _, target in aims],
            "y": [place for place, _ in aims],
            "marker": {
                "symbol": "line-ns",
                "size": 20,
                "line": {"width": 3, "color": "var:threshold"},
            },
            "hovertemplate": "target %{x:.0f} %<extra></extra>",
        },
        # In a column of their own, where no mark runs through them.
        {
            "type": "scatter",
            "mode": "text",
            "showlegend": False,
            "x": [1.03 * widest] * len(rows),
            "y": list(range(len(rows))),
            "text": [
                f"{100 * row['main']:.0f} % (in all {100 * row['share']:.0f} %)" for row in rows
            ],
            "textposition": "middle right",
            "hoverinfo": "skip",
        },
    ]
    figure["layout"] |= {"showlegend": True, "margin": {"t": 30, "b": 4, "l": 8, "r": 8}}
    figure["layout"]["xaxis"]["range"][1] = 1.5 * widest
    figure["height"] += 26
    return figure


def _edges(known: Reals, bounds: Sequence[float]) -> tuple[Reals, bool]:
    """Edges of the bins, from the 0.5 % to the 99.5 % quantile and over the thresholds; True for a log axis."""
    low, middle, high = (float(q) for q in np.quantile(known, [0.005, 0.5, 0.995]))
    low, high = min([low, *bounds]), max([high, *bounds])
    if low == high:
        low, high = low - 0.5, high + 0.5
    # What spans orders of magnitude shows nothing on a linear axis but one tall bar.
    if low > 0 and high > 30 * middle:
        return np.geomspace(low, high, BINS + 1), True
    return np.linspace(low, high, BINS + 1), False


def histogram(values: Reals, kept: Flags, bounds: Sequence[float] = ()) -> Figure | None:
    """Kept and dropped candidates stacked over one measure, thresholds as dashed lines; None without a value.

    The outermost bars hold what lies beyond them too.
    """
    finite = np.isfinite(values)
    known = values[finite]
    if known.size == 0:
        return None
    edges, log = _edges(known, bounds)
    inside = np.clip(known, edges[0], edges[-1])
    centres, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": np.round(centres, 6).tolist() if not log else centres.tolist(),
            "y": np.histogram(inside[chosen], edges)[0].tolist(),
            "width": widths.tolist(),
            "marker": {"color": f"var:{name}", "line": {"width": 0}},
            "hovertemplate": f"%{{x:.4g}}: %{{y}} {name}<extra></extra>",
        }
        for name, chosen in (("kept", kept[finite]), ("dropped", ~kept[finite]))
    ]
    shapes = [
        {
            "type": "line",
            "x0": bound,
            "x1": bound,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": "var:threshold", "width": 2, "dash": "dash"},
            "label": {
                "text": f"{bound:g}",
                "textposition": "end",
                "textangle": 0,
                "yanchor": "bottom",
                "font": {"color": "var:threshold", "size": 11},
            },
        }
        for bound in bounds
    ]
    axis: dict[str, Any] = {"type": "log" if log else "linear", "showgrid": False}
    if not log:
        # Room for the label of a threshold that is the largest value.
        span = float(edges[-1] - edges[0])
        room = 0.07 if bounds and max(bounds) >= edges[-1] else 0.01
        axis["range"] = [float(edges[0]) - 0.01 * span, float(edges[-1]) + room * span]
    return {
        "traces": traces,
        "height": 190,
        "layout": {
            "barmode": "stack",
            "bargap": 0,
            "shapes": shapes,
            "xaxis": axis,
            "yaxis": {"nticks": 4, "rangemode": "tozero"},
            "margin": {"t": 20, "b": 28, "l": 40, "r": 10},
        },
    }


def years(when: Ints, kept: Flags) -> Figure | None:
    """Kept and dropped candidates per year of upload (0: not known); None where no year is known."""
    counts: dict[str, Counter[int]] = {}
    for name, chosen in (("kept", kept), ("dropped", ~kept)):
        found_years, numbers = np.unique(when[chosen & (when != 0)], return_counts=True)
        counts[name] = Counter(dict(zip(found_years.tolist(), numbers.tolist(), strict=True)))
    found = set(counts["kept"]) | set(counts["dropped"])
    if not found:
        return None
    span = list(range(min(found), max(found) + 1))
    return {
        "traces": [
            {
                "type": "bar",
                "name": name,
                "x": span,
                "y": [counter[year] for year in span],
                "marker": {"color": f"var:{name}"},
                "hovertemplate": f"%{{x}}: %{{y}} {name}<extra></extra>",
            }
            for name, counter in counts.items()
        ],
        "height": 220,
        "layout": {
            "barmode": "stack",
            "bargap": 0.2,
            "xaxis": {"tickformat": "d", "showgrid": False, "dtick": max(1, len(span) // 8)},
            "yaxis": {"nticks": 4, "rangemode": "tozero"},
            "margin": {"t": 8, "b": 28, "l": 40, "r": 10},
        },
    }


def year_map(
    years_of: Sequence[int | None], labels: Sequence[Sequence[str] | None]
) -> Figure | None:
    """Samples per year of upload and degradation label, as a map: the darker, the more. None where no year is known."""
    counted = Counter(
        (label, year)
        for year, names in zip(years_of, labels, strict=True)
        for label in set(names or ("(none)",))
        if year
    )
    found = [year for _, year in counted]
    if not found:
        return None
    span = list(range(min(found), max(found) + 1))
    axis = {"tickformat": "d", "showgrid": False, "dtick": max(1, len(span) // 10)}
    return _map(counted, span, axis)


def severity_map(
    severities: Sequence[Mapping[str, float | None] | None],
    labels: Sequence[Sequence[str] | None],
    steps: int = 10,
) -> Figure | None:
    """Samples per label and tenth of its severity, as a map; None without a label."""
    counted = Counter(
        (label, min(steps - 1, int(((levels or {}).get(label) or 0.0) * steps)))
        for levels, names in zip(severities, labels, strict=True)
        for label in names or ()
        if (levels or {}).get(label) is not None
    )
    if not counted:
        return None
    texts = [f"{step / steps:.1f}" for step in range(steps)]
    axis = {"tickvals": list(range(steps)), "ticktext": texts, "showgrid": False}
    return _map(counted, list(range(steps)), axis)


def _map(counted: Counter[tuple[str, int]], span: list[int], axis: dict[str, Any]) -> Figure:
    """Rows of labels, the most frequent first, over columns of `span`."""
    totals = Counter[str]()
    for (label, _), count in counted.items():
        totals[label] += count
    rows = [label for label, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0]))]
    cells = [[counted[label, column] for column in span] for label in rows]
    named = dict(zip(axis.get("tickvals", span), axis.get("ticktext", span), strict=True))
    return {
        "traces": [
            {
                "type": "heatmap",
                "x": span,
                "y": list(range(len(rows))),
                "z": cells,
                "text": [[str(count or "") for count in line] for line in cells],
                "texttemplate": "%{text}",
                "hovertext": [
                    [
                        f"{_text(label)}, {named[column]}: {count:,}"
                        for column, count in zip(span, line, strict=True)
                    ]
                    for label, line in zip(rows, cells, strict=True)
                ],
                "hoverinfo": "text",
                "textfont": {"color": "var:ink"},
                "colorscale": [[0, "var:card"], [1, "var:heat"]],
                "showscale": False,
                "xgap": 2,
                "ygap": 2,
            }
        ],
        "height": 60 + 26 * len(rows),
        "layout": {
            "yaxis": {
                "tickvals": list(range(len(rows))),
                "ticktext": [_text(label) for label in rows],
                "autorange": "reversed",
                "showgrid": False,
                "automargin": True,
            },
            "xaxis": axis,
            "margin": {"t": 8, "b": 28, "l": 8, "r": 10},
        },
    }
