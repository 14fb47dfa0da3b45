"""Figures of a build for a paper or a talk: one style, as PDF, SVG or PNG, the same bytes for the same build.

funnel, degradations, severity, licenses, years, resolution, duplicates, and contact_sheet with the credits that its
photographs ask for. Colors are told apart in gray and by the color-blind (Okabe and Ito).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from catalog import files
from catalog.errors import Expected, NoBuild
from catalog.explain import database_of
from catalog.page.galleries import spread
from catalog.page.thumbnails import Decode
from catalog.release.credits import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("pdf", "svg", "png")
WIDTH_IN = 5.5
"""Of the text of common paper templates."""
KEPT, DROPPED, THIRD = "#0072B2", "#B8B8B8", "#D55E00"
SHEET = 24
"""Photographs of the contact sheet."""
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "lucidlr",
    "savefig.dpi": 300,
}


class UnknownFormat(Expected, ValueError):
    """A format that figures are not written in."""


def draw_figures(
    out: Path, to: Path, formats: Sequence[str], *, read: Callable[[str], bytes | None], decode: Decode
) -> list[Path]:  # fmt: skip
    """Writes every figure in every format; those without anything to show are left out.

    Args:
        out: a build's folder.
        read: SHA-1 -> bytes of the original.

    Raises:
        UnknownFormat, catalog.errors.NoBuild, catalog.files.DiskFull.
    """
    wrong = [name for name in formats if name not in FORMATS]
    if wrong or not formats:
        raise UnknownFormat(
            f"No format {', '.join(wrong) or 'given'}; there are {', '.join(FORMATS)}."
        )
    return draw(facts_of_build(out), to, formats, read=read, decode=decode)


def draw(
    facts: Mapping[str, Any],
    to: Path,
    formats: Sequence[str],
    *,
    read: Callable[[str], bytes | None],
    decode: Decode,
    style: Mapping[str, Any] | None = None,
    credits: bool = True,
) -> list[Path]:
    """Writes every figure that `facts` (as `facts_of_build` gives them) tell of, in every format.

    Args:
        style: of matplotlib, over STYLE.
        credits: write them into the contact sheet; False: whoever shows it has to show them.

    Raises:
        catalog.files.DiskFull: there was no room.
    """
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    written: list[Path] = []
    rules: dict[Any, Any] = {**STYLE, **dict(style or {})}
    with mpl.rc_context(rules):
        mpl.use("Agg", force=True)
        drawn: dict[str, Figure | None] = {
            "funnel": _funnel(facts["funnel"]),
            "degradations": _bars(facts["labels"], "photographs"),
            "severity": _severity(facts["severities"]),
            "licenses": _bars(facts["licenses"], "photographs"),
            "years": _years(facts["years"]),
            "resolution": _resolution(facts["sides"]),
            "duplicates": _bars(facts["clusters"], "clusters"),
            "contact_sheet": _contact_sheet(facts["samples"], read, decode, credits=credits),
        }
        for name, figure in drawn.items():
            if figure is None:
                continue
            for ending in formats:
                path = to / f"{name}.{ending}"
                # Without the time of day, so that the same build gives the same file.
                dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(ending)
                with files.stream(path) as sink:
                    figure.savefig(sink, format=ending, metadata=dated, bbox_inches="tight")
                written.append(path)
            plt.close(figure)
    return written


def facts_of_build(out: Path) -> dict[str, Any]:
    """What the figures show of a build's last run: funnel [(step, left)], labels, licenses, clusters [(name, count)],
    severities [(label, levels)], years [(year, kept, dropped)], sides [shorter side, px], samples [(SHA-1, credit)].

    Raises:
        catalog.errors.NoBuild: there is none.
    """
    import json

    with database_of(out) as connection:

        def ask(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query).fetchall()

        runs = ask("SELECT funnel FROM runs ORDER BY started_at DESC LIMIT 1")
        if not runs:
            raise NoBuild(f"{out} holds no finished build.")
        severities = ask(
            "SELECT name, list(level ORDER BY level) FROM (SELECT unnest(labels) AS name, severities FROM samples), "
            "LATERAL (SELECT json_extract(to_json(severities), '$.' || name)::DOUBLE AS level) "
            "WHERE level IS NOT NULL GROUP BY name ORDER BY count(*) DESC, name"
        )
        return {
            "funnel": [(str(step), int(count)) for step, count in json.loads(runs[0][0])],
            "labels": ask(
                "SELECT coalesce(name, 'none'), count(*) FROM samples LEFT JOIN LATERAL "
                "(SELECT unnest(labels) AS name) ON true GROUP BY 1 ORDER BY 2 DESC, 1"
            ),
            "severities": severities,
            "licenses": ask("SELECT license, count(*) FROM samples GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 16"),
            "years": ask(
                "SELECT year(f.uploaded_at), count(*) FILTER (keep), count(*) FILTER (NOT keep) FROM decisions d "
                "JOIN files f ON f.page_id = d.page_id AND f.sha1 = d.sha1 WHERE f.uploaded_at IS NOT NULL "
                "GROUP BY 1 ORDER BY 1"
            ),
            "sides": [side for (side,) in ask("SELECT least(width, height) FROM samples ORDER BY 1")],
            "clusters": ask(
                "SELECT copies || ' copies', count(*) FROM (SELECT count(*) AS copies FROM decisions "
                "WHERE cluster_id IS NOT NULL GROUP BY cluster_id) WHERE copies > 1 GROUP BY copies ORDER BY copies"
            ),
            "samples": ask("SELECT sha1, attribution_line FROM samples ORDER BY severity, page_id")
            if ask("SELECT 1 FROM duckdb_columns() WHERE table_name = 'samples' AND column_name = 'attribution_line'")
            else [],
        }  # fmt: skip


def _axes(height_in: float) -> tuple[Figure, Any]:
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(WIDTH_IN, height_in))


def _bars(rows: Sequence[tuple[Any, ...]], what: str) -> Figure | None:
    if not rows:
        return None
    figure, axes = _axes(0.5 + 0.2 * len(rows))
    names = [plain(str(row[0]), markup=False) for row in rows]
    drawn = axes.barh(range(len(rows)), [row[1] for row in rows], color=KEPT, height=0.7)
    axes.bar_label(drawn, labels=[f"{row[1]:,}" for row in rows], padding=3)
    # Dollars would begin a formula.
    axes.set_yticks(range(len(rows)), [name.replace("$", r"\$") for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(what)
    axes.margins(x=0.12)
    return figure


def _funnel(steps: Sequence[tuple[str, int]]) -> Figure | None:
    return _bars(steps, "files left")


def _severity(rows: Sequence[tuple[str, list[float]]]) -> Figure | None:
    if not rows:
        return None
    figure, axes = _axes(0.6 + 0.25 * len(rows))
    axes.boxplot(
        [levels for _, levels in rows],
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        medianprops={"color": THIRD},
    )
    axes.set_yticks(range(1, len(rows) + 1), [f"{name} ({len(levels):,})" for name, levels in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("severity: median, quartiles, 5 and 95 %")
    return figure


def _years(rows: Sequence[tuple[int, int, int]]) -> Figure | None:
    if not rows:
        return None
    figure, axes = _axes(2.0)
    years, kept, dropped = (list(column) for column in zip(*rows, strict=True))
    axes.bar(years, kept, color=KEPT, label="kept")
    if any(dropped):
        axes.bar(
            years, dropped, bottom=kept, color=DROPPED, label="dropped", hatch="///", linewidth=0
        )
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    # Half years and half files would be drawn else.
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("year of upload")
    axes.set_ylabel("files")
    return figure


def _resolution(sides: Sequence[int]) -> Figure | None:
    if not sides:
        return None
    figure, axes = _axes(2.0)
    low, high = min(sides), max(sides)
    wide = high > 8 * low > 0
    edges = np.geomspace(low, high, 31) if wide else np.linspace(low, max(high + 1, low + 30), 31)
    axes.hist(sides, bins=edges.tolist(), color=KEPT)
    if wide:
        axes.set_xscale("log")
    axes.set_xlabel("shorter side in pixels")
    axes.set_ylabel("photographs")
    return figure


def _contact_sheet(
    samples: Sequence[tuple[str, str]],
    read: Callable[[str], bytes | None],
    decode: Decode,
    *,
    credits: bool,
) -> Figure | None:
    from matplotlib import pyplot as plt

    shown: list[tuple[Any, str]] = []
    for sha1, credit in spread(samples, SHEET):
        content = read(sha1)
        image = None if content is None else decode(content, 400)
        if image is not None:
            image.thumbnail((400, 400))
            shown.append((np.asarray(image), credit))
    if not shown:
        return None
    rows = -(-len(shown) // 6)
    lines = [
        line
        for i, (_, credit) in enumerate(shown, start=1)
        for line in textwrap.wrap(f"{i}  {plain(credit, markup=False)}", 150, subsequent_indent="    ")
        if credits
    ]  # fmt: skip
    figure = plt.figure(figsize=(WIDTH_IN, rows * 1.0 + 0.075 * len(lines)))
    ratios = [*[1.0] * rows, *([0.075 * len(lines)] if lines else [])]
    grid = figure.add_gridspec(len(ratios), 6, height_ratios=ratios, hspace=0.12, wspace=0.05)
    for i, (pixels, _) in enumerate(shown):
        axes = figure.add_subplot(grid[i // 6, i % 6])
        axes.imshow(pixels)
        axes.set_title(str(i + 1), fontsize=5, pad=1.5)
        axes.axis("off")
    if not lines:
        return figure
    below = figure.add_subplot(grid[rows, :])
    below.axis("off")
    text = "\n".join(lines).replace("$", r"\$")
    below.text(0, 1, text, fontsize=3.6, va="top", ha="left", transform=below.transAxes)
    return figure
