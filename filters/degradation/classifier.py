"""Many measures -> one score per label, where one measure cannot tell: an additive model of a few kilobytes.

A score is a generalised additive model: for each measure a piecewise-linear function of its value (or a constant where
it is null), and their sum. So it can be read: `contributions` tells which measure said what. It looks at stored
measures only, column by column; no image is opened. Weights are JSON files in weights/ beside this, named
`<name>-<version>.json`; a file never changes once released, and its SHA-256 goes into the recipe's hash.
`lucidlr calibrate` makes them.

Since degradation-3 a score is the log-odds, calibrated on real photographs, that a person sees the label; `overall` is
one more score, for any visible damage, which in degradation-4 is never told to be less likely than a label is.
degradation-1 and -2 have two scores per label instead, one that tells whether
it is borne and one that rises with the amount, and `points` that make a severity of these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog import files
from catalog.errors import Expected

Floats = NDArray[np.float64]

WEIGHTS = Path(__file__).parent / "weights"


class UnknownClassifier(Expected, ValueError):
    """There are no weights of that name."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """What one measure says for each label."""

    measure: str
    """`name@version`: weights for another version of a measure would be wrong."""
    knots: tuple[float, ...]
    """Values of the measure, ascending; beyond the ends the function is level."""
    scores: Mapping[str, tuple[float, ...]]
    """What it adds at the knots, by score: `<label>` and `<label>.amount`."""
    missing: Mapping[str, float]
    """What it adds where the measure is null, by score."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """Where a label begins and what its amounts mean."""

    begins: float
    """Score from which an image bears the label."""
    mild: float
    moderate: float
    severe: float
    """Scores of the amount that photographs so damaged have in the median; ascending."""


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """The weights of one version."""

    name: str
    labels: tuple[str, ...]
    bias: Mapping[str, float]
    terms: tuple[Term, ...]
    points: Mapping[str, Points]
    """By label; empty where the scores are calibrated log-odds."""
    begins: Mapping[str, float]
    """Probability from which a label is borne, by label and for `overall`; empty where `points` say."""
    overall: str | None = None
    """The score that tells whether anything ails an image; None: the largest severity of the labels does."""
    covering: bool = False
    """Whether anything ails an image at least as likely as its likeliest label does: who sees a blur sees damage."""
    sha256: str
    """Of the file."""

    @property
    def calibrated(self) -> bool:
        """Whether scores are log-odds that hold as they are."""
        return not self.points

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures that it needs."""
        return tuple(term.measure.split("@")[0] for term in self.terms)

    def scores(self, measures: Mapping[str, Floats]) -> dict[str, Floats]:
        """Each label's score and its amount, [n] each.

        Args:
            measures: [n] for each of `self.measures`, NaN where it is null.

        Returns:
            By `<label>` (log-odds that it is borne) and `<label>.amount`; NaN for rows of which no measure is known.

        Raises:
            KeyError: a measure is not there.
        """
        rows = len(next(iter(measures.values())))
        total = {score: np.full(rows, bias) for score, bias in self.bias.items()}
        unknown = np.ones(rows, dtype=bool)
        for term in self.terms:
            values = measures[term.measure.split("@")[0]]
            null = np.isnan(values)
            unknown &= null
            # Where a value lies between two knots is looked up once for all scores.
            knots = np.array(term.knots)
            inside = np.clip(np.where(null, knots[0], values), knots[0], knots[-1])
            right = np.clip(np.searchsorted(knots, inside, side="right"), 1, len(knots) - 1)
            share = (inside - knots[right - 1]) / (knots[right] - knots[right - 1])
            for score, sum_so_far in total.items():
                said = np.array(term.scores[score])
                between = said[right - 1] * (1.0 - share) + said[right] * share
                sum_so_far += np.where(null, term.missing[score], between)
        for scores in total.values():
            scores[unknown] = np.nan
        return total

    def contributions(self, measures: Mapping[str, float | None], label: str) -> dict[str, float]:
        """What each measure of one image adds to the log-odds of a label, largest first."""
        found: dict[str, float] = {}
        for term in self.terms:
            value = measures.get(term.measure.split("@")[0])
            said = term.missing[label]
            if value is not None:
                said = float(np.interp(value, term.knots, term.scores[label]))
            found[term.measure.split("@")[0]] = said
        return dict(sorted(found.items(), key=lambda item: -abs(item[1])))


def amount_of(label: str) -> str:
    """Name of the score that tells how much of a label there is."""
    return f"{label}.amount"


@cache
def load_classifier(name: str) -> Classifier:
    """Reads `filters/degradation/weights/<name>.json`.

    Raises:
        UnknownClassifier: there is no such file; the message names those that there are.
    """
    file = WEIGHTS / f"{name}.json"
    if not file.is_file():
        there = ", ".join(sorted(f.stem for f in WEIGHTS.glob("*.json")))
        raise UnknownClassifier(f"There is no classifier {name!r}; there is {there or 'none'}.")
    return read_classifier(file)


def read_classifier(file: Path) -> Classifier:
    """Reads a file that `write_classifier` wrote."""
    content = file.read_bytes()
    raw: dict[str, Any] = json.loads(content)
    terms = tuple(
        Term(
            measure=term["measure"],
            knots=tuple(term["knots"]),
            scores={label: tuple(values) for label, values in term["scores"].items()},
            missing=term["missing"],
        )
        for term in raw["terms"]
    )
    return Classifier(
        name=file.stem,
        labels=tuple(raw["labels"]),
        bias=raw["bias"],
        terms=terms,
        points={label: Points(**points) for label, points in raw.get("points", {}).items()},
        begins=raw.get("begins", {}),
        overall=raw.get("overall"),
        covering=raw.get("covering", False),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def write_classifier(
    file: Path,
    *,
    labels: Sequence[str],
    bias: Mapping[str, float],
    terms: Sequence[Term],
    points: Mapping[str, Points],
    made_from: Mapping[str, Any],
    overall: str | None = None,
    begins: Mapping[str, float] | None = None,
    digits: int = 6,
) -> None:
    """Writes weights, rounded to `digits`, so that the same fit gives the same file.

    Args:
        points: empty for calibrated scores.
        made_from: what the weights were trained on, for people.
    """

    def short(value: float) -> float:
        return float(f"{value:.{digits}g}")

    content: dict[str, Any] = {
        "made_from": dict(made_from),
        "labels": list(labels),
        "bias": {score: short(value) for score, value in bias.items()},
        "points": {
            label: {name: short(value) for name, value in asdict(points[label]).items()}
            for label in points
        },
        "terms": [
            {
                "measure": term.measure,
                "knots": [short(knot) for knot in term.knots],
                "scores": {score: [short(v) for v in vs] for score, vs in term.scores.items()},
                "missing": {score: short(value) for score, value in term.missing.items()},
            }
            for term in terms
        ],
    }
    if overall is not None:
        content["overall"] = overall
        content["covering"] = True
        content["begins"] = {name: short(value) for name, value in (begins or {}).items()}
    if not points:
        del content["points"]
    files.put(file, json.dumps(content, indent=1) + "\n")
