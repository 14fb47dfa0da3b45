"""From measured pictures to the weights of degradation-4, with and without the encoder; and how they do on the unseen.

Two kinds of heads are fitted and mixed: additive ones over the measures and linear ones over an encoder's early
features. What a head says of the pictures of groups that it was not fitted on calibrates it. `nested` goes one step
further, for judging: nothing that touches a group's score, calibration included, has seen the group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from filters.degradation import LABELS, NOT_DEGRADED
from filters.degradation.classifier import Term
from filters.degradation.heads import (
    EARLY_STRENGTH,
    HEADS,
    OVERALL,
    PREVALENCE,
    STRENGTH,
    Head,
    Pictures,
    Standard,
    calibration_of,
    fit_head,
    hats,
    knots_of,
    standard_of,
    standing_of,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

NEVER = (
    "jpeg_quality",
    *("edge_run_ratio", "narrow_edges", "edge_sigma_coarse", "reblur"),
)
"""How the file was stored: no evidence of anything that a person sees. Four others cost 80 ms a megapixel and say
nothing beside the grain and the spectrum (docs/LOG.md)."""
ONLY_FOR = {"jpeg_qscale": ("jpeg",)}
"""A save that is traced in the pixels tells of that damage only."""
NOT_FOR = {"noise", "jpeg", "motion_blur"}
"""Heads that do not look at measures of LIGHT: nights have more of these, but that is no sign of them."""
LIGHT = (
    *("blown_luma", "blown_area", "bright_share", "dark_share", "clipped_share", "clipped_white"),
    *("inner_luma_p5", "inner_luma_p25", "inner_luma_p75", "inner_luma_p99", "luma_p50"),
    *("luma_p95", "tile_luma_p10", "tile_luma_p90", "veil", "saturation", "highlight_spike"),
    *("contrast", "colorfulness"),
)
MOST_FALSE = {"graphics": 0.05, "upscaled": 0.03}
MOST_FALSE_OF_OTHERS = 0.02
"""Shares of clean real pictures that may reach a label's threshold, set on those that the heads had not seen. More for
what a recipe throws away: a drawing or an enlarged picture that stays costs more than a photograph that goes."""
MOST_KEPT = 0.09
"""The same for any visible damage: how many clean ones a recipe keeps; a little more of sources never seen, and no more
than a tenth of those."""
BEGINS = (0.1, 0.5)
"""Probabilities between which a label begins."""
REACH = 40.0
"""Log-odds up to which an early score is passed on."""
PLAIN, FULL = "plain", "full"
"""Heads on the measures alone; mixed with those on early features."""


@dataclass(kw_only=True)
class Design:
    """Pictures as columns, and the heads fitted so far."""

    pictures: Pictures
    folds: NDArray[np.int64]
    """[n]: see heads.folds_of."""
    knots: dict[str, Floats] = field(init=False)
    columns: Floats = field(init=False)
    """[n, c]: hat functions of all measures, side by side."""
    _owner: NDArray[np.object_] = field(init=False)
    """[c]: measure of each column."""
    _fitted: dict[tuple[str, str, frozenset[int]], tuple[Head, Standard | None] | None] = field(
        init=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        names = [name for name in sorted(self.pictures.measures) if name not in NEVER]
        self.knots = {name: knots_of(self.pictures.measures[name]) for name in names}
        blocks = [hats(self.pictures.measures[name], self.knots[name]) for name in names]
        self.columns = np.concatenate(blocks, axis=1)
        self._owner = np.repeat(np.array(names, dtype=object), [block.shape[1] for block in blocks])

    def usable(self, head: str) -> Flags:
        """[c]: columns that a head may look at."""
        light = head in NOT_FOR
        return np.array(
            [
                head in ONLY_FOR.get(str(owner), HEADS) and not (light and owner in LIGHT)
                for owner in self._owner
            ]
        )

    def head(self, way: str, head: str, without: frozenset[int]) -> Head | None:
        """Fitted on all folds but some; over all columns (additive) or standardized features (early)."""
        found = self._fit(way, head, without)
        return None if found is None else found[0]

    def _fit(
        self, way: str, head: str, without: frozenset[int]
    ) -> tuple[Head, Standard | None] | None:
        key = (way, head, without)
        if key not in self._fitted:
            rows = ~np.isin(self.folds, list(without))
            if way == "early":
                standard = standard_of(self.pictures.early[rows])
                features = standard.apply(self.pictures.early)
                fitted = fit_head(self.pictures, features, head, rows, EARLY_STRENGTH)
                self._fitted[key] = None if fitted is None else (fitted, standard)
            else:
                usable = self.usable(head)
                fitted = fit_head(self.pictures, self.columns[:, usable], head, rows, STRENGTH)
                if fitted is not None:
                    weights = np.zeros(len(usable))
                    weights[usable] = fitted.weights
                    fitted = Head(weights=weights, bias=fitted.bias)
                self._fitted[key] = None if fitted is None else (fitted, None)
        return self._fitted[key]

    def scores(self, way: str, head: str, without: frozenset[int], rows: Flags) -> Floats:
        """[rows]: log-odds, not calibrated; NaN where nothing could be fitted."""
        found = self._fit(way, head, without)
        if found is None:
            return np.full(int(rows.sum()), np.nan)
        fitted, standard = found
        if standard is None:
            return fitted.score(self.columns[rows])
        return fitted.score(standard.apply(self.pictures.early[rows]))

    def terms_of(
        self, weights: Mapping[str, Floats]
    ) -> list[tuple[str, Floats, dict[str, Floats]]]:
        """(measure, knots, weights by head with that of null last) for each measure."""
        return [
            (name, knots, {head: w[self._owner == name] for head, w in weights.items()})
            for name, knots in self.knots.items()
        ]


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Score = sum over ways of factor * score, plus offset."""

    factors: Mapping[str, float]
    offset: float

    def apply(self, scores: Mapping[str, Floats]) -> Floats:
        """Calibrated log-odds."""
        parts = [factor * scores[way] for way, factor in self.factors.items()]
        total: Floats = np.sum(parts, axis=0) + self.offset
        return total


def mix_of(design: Design, kind: str, head: str, without: frozenset[int]) -> tuple[Mix, Floats]:
    """How the ways are weighted and calibrated, from what heads say of folds that they were not fitted on.

    Returns:
        The mix; [n] those log-odds, calibrated, of pictures of the folds that are not left out.
    """
    ways = ("additive",) if kind == PLAIN else ("additive", "early")
    pictures = design.pictures
    unseen = {way: np.full(len(pictures), np.nan) for way in ways}
    for fold in sorted(set(design.folds.tolist()) - without - {-1}):
        rows = design.folds == fold
        for way in ways:
            unseen[way][rows] = design.scores(way, head, without | {fold}, rows)
    judged = calibrating(pictures, head) & np.isfinite(unseen["additive"])
    factors: dict[str, float] = {}
    middle = 0.0
    for way in ways:
        mean, spread = standing_of(unseen[way][judged], pictures.groups[judged])
        factors[way] = 1.0 / len(ways) / spread
        middle += factors[way] * mean
    even = Mix(factors=factors, offset=-middle)
    wanted = pictures.truth[judged, HEADS.index(head)]
    scores = even.apply({way: unseen[way][judged] for way in ways})
    slope, offset = calibration_of(scores, wanted, pictures.groups[judged], PREVALENCE[head])
    mix = Mix(
        factors={way: slope * factor for way, factor in factors.items()},
        offset=offset - slope * middle,
    )
    return mix, mix.apply(unseen)


def calibrating(pictures: Pictures, head: str) -> Flags:
    """[n]: real pictures as published on which a head's probabilities are to hold."""
    among = ("clean", "lq", "graphics") if head == "graphics" else ("clean", "lq")
    wanted = pictures.truth[:, HEADS.index(head)]
    plain = pictures.counts == 1.0
    return pictures.real & np.isin(pictures.kinds, among) & np.isfinite(wanted) & plain


def begins_of(pictures: Pictures, head: str, unseen: Floats) -> float:
    """Probability from which a label is borne, by what is said of clean pictures whose group was not seen."""
    clean = pictures.real & (pictures.kinds == "clean") & np.isfinite(unseen)
    said = 1.0 / (1.0 + np.exp(-unseen[clean]))
    if head == OVERALL:
        return float(np.quantile(said, 1.0 - MOST_KEPT))
    most = MOST_FALSE.get(head, MOST_FALSE_OF_OTHERS)
    return float(np.clip(np.quantile(said, 1.0 - most), *BEGINS))


def covering(log_odds: Mapping[str, Floats]) -> Floats:
    """[n]: of any damage, no less than of the likeliest label: who sees a blur sees damage. As `judged` has it."""
    return np.fmax.reduce([log_odds[head] for head in HEADS if head not in NOT_DEGRADED], axis=0)


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """What is said of real pictures by heads, calibration and thresholds that have not seen their group."""

    log_odds: dict[str, Floats]
    """[n] by head, of real pictures and those saved again; NaN for others."""
    borne: dict[str, Flags]
    """[n] by head, at each fold's own threshold; labels as filters.degradation.judged gives them."""
    begins: dict[str, list[float]]
    """Each fold's threshold, a probability."""


def nested(design: Design, kind: str, *, advance: Callable[[int], None] = lambda n: None) -> Unseen:
    """Every fold in turn is judged; the others are all that is learnt from."""
    pictures = design.pictures
    log_odds = {head: np.full(len(pictures), np.nan) for head in HEADS}
    borne = {head: np.zeros(len(pictures), dtype=bool) for head in HEADS}
    begins: dict[str, list[float]] = {head: [] for head in HEADS}
    for fold in sorted(set(design.folds.tolist()) - {-1}):
        rows = (pictures.real | pictures.stored) & (design.folds == fold)
        inner: dict[str, Floats] = {}
        for head in HEADS:
            mix, inner[head] = mix_of(design, kind, head, frozenset({fold}))
            ways = {w: design.scores(w, head, frozenset({fold}), rows) for w in mix.factors}
            log_odds[head][rows] = mix.apply(ways)
        inner[OVERALL] = covering(inner)
        log_odds[OVERALL][rows] = covering({head: log_odds[head][rows] for head in HEADS})
        for head in HEADS:
            threshold = begins_of(pictures, head, inner[head])
            begins[head].append(threshold)
            borne[head][rows] = log_odds[head][rows] >= np.log(threshold / (1.0 - threshold))
        advance(1)
    for head in LABELS:
        if head not in NOT_DEGRADED:
            borne[head] &= borne[OVERALL]
    borne["graphics"] &= ~(log_odds["low_light"] > log_odds["graphics"])
    return Unseen(log_odds=log_odds, borne=borne, begins=begins)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Weights of one kind of classifier."""

    bias: dict[str, float]
    terms: tuple[Term, ...]
    begins: dict[str, float]
    """Probability from which each is borne."""


def learn(design: Design, kind: str, versions: Mapping[str, str]) -> Learned:
    """On everything.

    Args:
        versions: `name@version` of each measure by its name.
    """
    mixes: dict[str, Mix] = {}
    begins: dict[str, float] = {}
    weights: dict[str, Floats] = {}
    bias: dict[str, float] = {}
    unseen: dict[str, Floats] = {}
    for head in HEADS:
        mixes[head], unseen[head] = mix_of(design, kind, head, frozenset())
        begins[head] = begins_of(design.pictures, head, unseen[head])
        fitted = design.head("additive", head, frozenset())
        if fitted is None:
            raise ValueError(f"There is nothing to learn {head} from.")
        scaled = fitted.scaled(mixes[head].factors["additive"], mixes[head].offset)
        weights[head], bias[head] = scaled.weights, scaled.bias
    begins[OVERALL] = begins_of(design.pictures, OVERALL, covering(unseen))
    terms = [
        Term(
            measure=versions[name],
            knots=tuple(knots.tolist()),
            scores={head: tuple(w[:-1].tolist()) for head, w in by_head.items()},
            missing={head: float(w[-1]) for head, w in by_head.items()},
        )
        for name, knots, by_head in design.terms_of(weights)
    ]
    if kind == FULL:
        for head in HEADS:
            top = REACH * mixes[head].factors["early"]
            terms.append(
                Term(
                    measure=versions[f"layers_{head}"],
                    knots=(-REACH, REACH),
                    scores={h: (-top, top) if h == head else (0.0, 0.0) for h in HEADS},
                    missing=dict.fromkeys(HEADS, 0.0),
                )
            )
    return Learned(bias=bias, terms=tuple(terms), begins=begins)


def layer_weights(design: Design) -> dict[str, object]:
    """What filters/measures/weights/layers-<version>.json holds."""
    standard = standard_of(design.pictures.early)
    heads: dict[str, object] = {}
    for head in HEADS:
        fitted = design.head("early", head, frozenset())
        assert fitted is not None
        heads[head] = {
            "weights": [float(f"{w:.6g}") for w in fitted.weights],
            "bias": float(f"{fitted.bias:.6g}"),
        }
    return {
        "mean": [float(f"{v:.6g}") for v in standard.mean],
        "deviation": [float(f"{v:.6g}") for v in standard.deviation],
        "heads": heads,
    }
