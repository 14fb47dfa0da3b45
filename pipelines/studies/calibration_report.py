"""The results of a calibration as tables in Markdown and as plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog import files
from filters.degradation import (
    LABELS,
    SHARPNESS,
    DegradationPolicy,
    judged,
    probability,
)
from filters.degradation.arrays import Examples, truth
from filters.degradation.classifier import Classifier
from filters.degradation.judge import (
    FalseRate,
    Monotony,
    Separation,
    false_rates,
    monotony,
    separations,
)
from filters.degradation.kinds import KINDS, LEVELS

Floats = NDArray[np.float64]
MILDLY = 0.15
"""Probability from which a label that is not borne is told all the same."""


@dataclass(frozen=True, kw_only=True)
class Natural:
    """A photograph that is degraded by nature, and what is said of it."""

    photo: str
    ails: str
    """What a person sees."""
    severity: Mapping[str, float | None]
    """By label; None where it cannot be told."""
    borne: tuple[str, ...] = ()
    """Labels that it bears."""
    overall: float | None = None
    """Severity of any damage."""


def write_results(
    out: Path,
    classifier: Classifier,
    held_out: Examples,
    *,
    content: Mapping[str, str],
    natural: Sequence[Natural],
) -> None:
    """`results.md`, `severity.png` and `reliability.png` about photographs that the classifier has not seen.

    Args:
        content: what each photograph shows.
        natural: those that took no part, because they are degraded by nature.
    """
    said = _said(classifier, held_out)
    # How severity follows the amount takes all amounts.
    whole = set(range(1, len(LEVELS) + 1)) <= set(held_out.level.tolist())
    lines = [
        _head(classifier, held_out),
        "",
        *_separation_lines(separations(held_out, said.scores, said.borne)),
        "",
        *_clean_lines(held_out, said, content),
        "",
        *(_monotony_lines(monotony(held_out, said.severity)) if whole else ()),
        "",
        *_natural_lines(natural),
    ]
    files.put(out / "results.md", "\n".join(lines) + "\n")
    if whole:
        _plot_severity(out / "severity.png", held_out, said.severity)
    _plot_reliability(out / "reliability.png", held_out, said.scores)


def write_clean(
    out: Path,
    classifier: Classifier,
    clean: Examples,
    *,
    content: Mapping[str, str],
    natural: Sequence[Natural],
) -> Path:
    """`clean.md`: those tables of `results.md` that need clean photographs only."""
    lines = [
        _head(classifier, clean),
        "",
        *_clean_lines(clean, _said(classifier, clean), content),
        "",
        *_natural_lines(natural),
    ]
    file = out / "clean.md"
    files.put(file, "\n".join(lines) + "\n")
    return file


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What a classifier says of examples."""

    scores: Mapping[str, Floats]
    severity: Mapping[str, Floats]
    borne: Mapping[str, NDArray[np.bool_]]
    undecided: NDArray[np.bool_]


def _said(classifier: Classifier, examples: Examples) -> _Said:
    scores = classifier.scores({name: examples.measures[name] for name in classifier.measures})
    said = judged(
        examples.measures, DegradationPolicy(classifier=None), len(examples.photo), classifier
    )
    return _Said(
        scores=scores,
        severity=dict(zip(LABELS, said.severities, strict=True)),
        borne=dict(zip(LABELS, said.borne, strict=True)),
        undecided=said.undecided,
    )


def _head(classifier: Classifier, examples: Examples) -> str:
    return (
        f"Weights: `{classifier.name}`, SHA-256 `{classifier.sha256[:16]}`. Held out: "
        f"{len(set(examples.photo.tolist()))} pictures, {len(examples.photo)} images."
    )


def _clean_lines(examples: Examples, said: _Said, content: Mapping[str, str]) -> list[str]:
    by_view = false_rates(examples, said.borne, said.undecided)
    by_content = false_rates(examples, said.borne, said.undecided, content)
    return [
        "### Labels that clean photographs bear",
        "",
        *_false_lines("view", by_view),
        "",
        "By what they show, whole and busiest views:",
        "",
        *_false_lines("content", by_content),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _separation_lines(found: Sequence[Separation]) -> list[str]:
    head = (
        "label",
        "damage",
        "way",
        "amount",
        "images",
        "AUC against clean",
        "AUC against other damage",
        "labelled",
    )
    rows = [
        (
            s.label,
            s.kind,
            s.way,
            s.level,
            str(s.images),
            str(s.clean),
            str(s.others),
            f"{s.found:.2f}",
        )
        for s in found
    ]
    return ["### Separation", "", *_table(head, rows)]


def _false_lines(what: str, found: Sequence[FalseRate]) -> list[str]:
    head = (what, "way", "photographs", "images", "any label", "undecided", *LABELS)
    rows = [
        (
            f.group,
            f.way,
            str(f.photographs),
            str(f.images),
            f"{f.any_label:.3f}",
            f"{f.undecided:.3f}",
            *(f"{f.by_label[label]:.3f}" for label in LABELS),
        )
        for f in found
    ]
    return _table(head, rows)


def _monotony_lines(found: Sequence[Monotony]) -> list[str]:
    head = (
        "label",
        "damage",
        "median rank correlation with the amount",
        "photographs without a step down",
    )
    rows = [(m.label, m.kind, f"{m.rank:.2f}", f"{m.rising:.2f}") for m in found]
    return ["### Severity against the known amount", "", *_table(head, rows)]


def _natural_lines(found: Sequence[Natural]) -> list[str]:
    """Labels with their severity, strongest first; then what comes nearest to one."""
    rows: list[tuple[str, str, str, str, str]] = []
    for photo in found:
        known = {name: value for name, value in photo.severity.items() if value is not None}
        ranked = sorted(known, key=lambda name: -known[name])
        borne = [name for name in ranked if name in photo.borne]
        below = [name for name in ranked if name not in borne and known[name] >= MILDLY]
        said = [
            ", ".join(f"{name} {known[name]:.2f}" for name in names) for names in (borne, below)
        ]
        flat = all(photo.severity[name] is None for name in SHARPNESS)
        nothing = "undecided: too flat to tell" if flat else "none"
        overall = "–" if photo.overall is None else f"{photo.overall:.2f}"
        rows.append((photo.photo, photo.ails, overall, said[0] or nothing, said[1]))
    head = ("photograph", "what ails it", "severity", "labels", "below a label")
    return ["### Degraded by nature", "", *_table(head, rows)]


def _plot_severity(file: Path, examples: Examples, severity: Mapping[str, Floats]) -> None:
    """Severity of each kind's own label by level: median and quarters over the held-out photographs."""
    figure, axes = _figure(3, 6, (17, 8))
    usable = np.isin(examples.view, ["whole", "sharp"])
    for axis, kind in zip(axes, KINDS, strict=True):
        for way, colour in (("lab", "#1f6f8b"), ("camera", "#c2571a")):
            own = severity[kind.labels[-1]]
            groups = [own[usable & (examples.way == way) & (examples.kind == "clean")]]
            groups += [
                own[
                    usable
                    & (examples.way == way)
                    & (examples.kind == kind.name)
                    & (examples.level == n)
                ]
                for n in range(1, 5)
            ]
            low, middle, high = (
                np.array([np.quantile(g, q) for g in groups]) for q in (0.25, 0.5, 0.75)
            )
            at = np.arange(5)
            axis.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.plot(at, middle, color=colour, marker="o", markersize=3, label=way)
        axis.set_xticks(range(5), ["clean", *(f"{a:g}" for a in kind.amounts)], fontsize=7)
        axis.set_ylim(-0.02, 1.02)
        axis.set_title(f"{kind.name} ({kind.unit})", fontsize=8)
        axis.tick_params(axis="y", labelsize=7)
    axes[0].legend(fontsize=7, frameon=False)
    figure.suptitle(
        "Severity of the label by known amount, held-out photographs: median and quarters"
    )
    _save(figure, file)


def _plot_reliability(file: Path, examples: Examples, scores: Mapping[str, Floats]) -> None:
    """Share of truly damaged images by the probability that the score stands for."""
    figure, axes = _figure(2, 4, (11, 5.6))
    for axis, label in zip(axes, LABELS, strict=True):
        wanted = truth(examples, label)
        rows = (wanted == 0) | (wanted == 1)
        positive = wanted[rows] == 1
        said = probability(scores[label][rows])
        weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
        step = np.minimum((said * 10).astype(int), 9)
        total = np.bincount(step, weight, minlength=10)
        hits = np.bincount(step, weight * positive, minlength=10)
        means = np.bincount(step, weight * said, minlength=10)
        known = total > 0
        axis.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, linestyle=":")
        axis.plot(
            means[known] / total[known],
            hits[known] / total[known],
            color="#1f6f8b",
            marker="o",
            markersize=4,
        )
        axis.set_title(label, fontsize=9)
        axis.tick_params(labelsize=7)
    for axis in axes[4:]:
        axis.set_xlabel("predicted", fontsize=8)
    for axis in (axes[0], axes[4]):
        axis.set_ylabel("observed", fontsize=8)
    figure.suptitle("Reliability on held-out photographs (as many damaged as undamaged)")
    _save(figure, file)


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    plots: Any = pyplot
    figure, axes = plots.subplots(rows, columns, figsize=size, layout="constrained")
    return figure, list(axes.ravel())


def _save(figure: Any, file: Path) -> None:
    from matplotlib import pyplot

    with files.stream(file) as sink:
        figure.savefig(sink, format="png", dpi=110)
    pyplot.close(figure)
