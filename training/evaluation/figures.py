"""Small figures as SVG for pages: a scatter with its Pareto front, a matrix of correlations, curves.

No script and no colours of their own: classes take the page's colours, light or dark. Every figure has a title for
those who do not see it, and its numbers are in the tables.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.statistics import pareto_front

WIDTH, HEIGHT = 560, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 44


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of the page."""

    title: str
    note: str
    svg: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """One method in a scatter."""

    name: str
    x: float
    y: float
    published: bool


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    raw: bool = False
    """Drawn faint behind the others."""


def scatter(
    points: Sequence[Point],
    *,
    x_name: str,
    y_name: str,
    x_lower: bool = False,
    y_lower: bool = False,
) -> str:
    """Axes are turned where lower is better, so that up and right is better on both."""
    xs, ys = [p.x for p in points], [p.y for p in points]
    x_at = _axis(xs, LEFT, WIDTH - RIGHT, turned=x_lower)
    y_at = _axis(ys, HEIGHT - BOTTOM, TOP, turned=y_lower)
    parts = [_frame(x_name, y_name, xs, ys, x_at, y_at)]
    for published in (False, True):
        group = [p for p in points if p.published == published]
        signed = [(-p.x if x_lower else p.x, -p.y if y_lower else p.y) for p in group]
        front = sorted((group[i] for i in pareto_front(signed)), key=lambda p: x_at(p.x))
        if len(front) > 1:
            line = " ".join(f"{x_at(p.x):.1f},{y_at(p.y):.1f}" for p in front)
            parts.append(f'<polyline class="front" points="{line}"/>')
    boxes: list[tuple[float, float, float]] = []
    for p in sorted(points, key=lambda p: -p.y):
        x, y = x_at(p.x), y_at(p.y)
        kind = "published" if p.published else "measured"
        parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{_text(p)}</title></circle>'
        )
        parts.append(_label(p.name, x, y, boxes))
    return _svg("".join(parts), f"{y_name} against {x_name} of {', '.join(p.name for p in points)}")


def curves(series: Sequence[Series], *, x_name: str, y_name: str) -> str:
    """Curves over one x axis; the first is the main colour, the second another."""
    xs = [x for s in series for x in s.x]
    ys = [y for s in series for y in s.y if math.isfinite(y)]
    x_at, y_at = _axis(xs, LEFT, WIDTH - RIGHT), _axis(ys, HEIGHT - BOTTOM, TOP)
    parts = [_frame(x_name, y_name, xs, ys, x_at, y_at)]
    names = list(dict.fromkeys(s.name for s in series))
    for s in series:
        kind = "line" + (" second" if names.index(s.name) == 1 else "") + (" raw" if s.raw else "")
        line = " ".join(
            f"{x_at(x):.1f},{y_at(y):.1f}"
            for x, y in zip(s.x, s.y, strict=True)
            if math.isfinite(y)
        )
        parts.append(
            f'<polyline class="{kind}" points="{line}"><title>{html.escape(s.name)}</title></polyline>'
        )
    if len(names) > 1:
        for place, name in enumerate(names):
            x, y = LEFT + 12 + 170 * place, TOP + 8
            kind = "line second" if place == 1 else "line"
            parts.append(f'<polyline class="{kind}" points="{x},{y} {x + 22},{y}"/>')
            parts.append(f'<text class="name" x="{x + 28}" y="{y + 4}">{html.escape(name)}</text>')
    return _svg("".join(parts), f"{y_name} over {x_name}: {', '.join(names)}")


def matrix(names: Sequence[str], rho: NDArray[np.float64]) -> str:
    """Correlations: a square per pair, its area the size, its colour the sign, its number written in it."""
    size = len(names)
    cell = min(46.0, (WIDTH - 190) / max(1, size))
    height = 20 + cell * size + 100
    parts: list[str] = []
    for i, name in enumerate(names):
        y = 10 + cell * (i + 0.5)
        parts.append(
            f'<text class="name" x="176" y="{y + 4:.1f}" text-anchor="end">{html.escape(_short(name))}</text>'
        )
        x = 186 + cell * (i + 0.5)
        top = 18 + cell * size
        parts.append(
            f'<text class="name" transform="translate({x + 4:.1f} {top:.1f}) rotate(-50)" text-anchor="end">'
            f"{html.escape(_short(name, 16))}</text>"
        )
        for j in range(size):
            value = float(rho[i, j])
            if not math.isfinite(value):
                continue
            side = cell * 0.92 * math.sqrt(abs(value))
            cx, cy = 186 + cell * (j + 0.5), 10 + cell * (i + 0.5)
            kind = "up" if value > 0 else "down"
            about = html.escape(f"{names[i]}, {names[j]}: {value:+.2f}")
            parts.append(
                f'<rect class="{kind}" opacity="{0.25 + 0.6 * abs(value):.2f}" x="{cx - side / 2:.1f}" '
                f'y="{cy - side / 2:.1f}" width="{side:.1f}" height="{side:.1f}" rx="3"><title>{about}</title></rect>'
            )
            parts.append(
                f'<text class="name" x="{cx:.1f}" y="{cy + 4:.1f}" text-anchor="middle">{value:+.1f}</text>'
            )
    about = "Spearman's rank correlation between " + ", ".join(names)
    return _svg("".join(parts), about, height=height)


def _svg(content: str, about: str, *, height: float = HEIGHT) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{html.escape(about)}">{content}</svg>'
    )


class _Axis:
    """From values to pixels, with room at both ends."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        low, high = min(self.low, self.high), max(self.low, self.high)
        raw = (high - low) / 4
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw * 0.999)
        first = math.ceil(low / step - 1e-9)
        return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _axis(values: Sequence[float], start: float, stop: float, *, turned: bool = False) -> _Axis:
    low, high = min(values, default=0.0), max(values, default=1.0)
    spread = (high - low) or abs(high) * 0.1 or 1.0
    low, high = low - 0.08 * spread, high + 0.08 * spread
    return _Axis(high, low, start, stop) if turned else _Axis(low, high, start, stop)


def _frame(
    x_name: str, y_name: str, xs: Sequence[float], ys: Sequence[float], x_at: _Axis, y_at: _Axis
) -> str:
    del xs, ys
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts: list[str] = []
    for tick in y_at.ticks():
        y = y_at(tick)
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    for tick in x_at.ticks():
        x = x_at(tick)
        parts.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:.4g}</text>')
    parts.append(
        f'<text class="name" x="{right}" y="{HEIGHT - 8}" text-anchor="end">{html.escape(x_name)}</text>'
    )
    parts.append(f'<text class="name" x="{LEFT + 6}" y="{TOP + 2}">{html.escape(y_name)}</text>')
    return "".join(parts)


def _label(name: str, x: float, y: float, taken: list[tuple[float, float, float]]) -> str:
    """Beside its mark, on the side with room, moved down until it covers no other."""
    width = 6.4 * len(name)
    left = x + 9 + width > WIDTH - 4
    start = x - 9 - width if left else x + 9
    line = y + 4
    for _ in range(12):
        if not any(
            abs(line - other) < 13 and start < stop and begin < start + width
            for begin, stop, other in taken
        ):
            break
        line += 7
    taken.append((start, start + width, line))
    anchor = ' text-anchor="end"' if left else ""
    return f'<text class="name" x="{x - 9 if left else x + 9:.1f}" y="{line:.1f}"{anchor}>{html.escape(name)}</text>'


def _text(p: Point) -> str:
    origin = "published" if p.published else "measured"
    return html.escape(f"{p.name} ({origin}): {p.x:.4g}, {p.y:.4g}")


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def smoothed(values: Sequence[float], weight: float = 0.6) -> list[float]:
    """Exponential moving average without bias at its start, as training logs are usually shown."""
    found: list[float] = []
    total = share = 0.0
    for value in values:
        total, share = weight * total + (1 - weight) * value, weight * share + (1 - weight)
        found.append(total / share)
    return found
