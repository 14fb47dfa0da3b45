"""Labels on real pictures that nothing was fitted to: python -m benchmarks labels FOLDER ... [--out DIR]

    python -m benchmarks labels ../shared/real ../shared/real2

A folder has pictures and a manifest.csv that says what a person saw (filters/degradation/real.py). Sources that share
pictures are one group. Groups are dealt into eight folds; for each fold everything is fitted on the others alone:
heads, their mixture, calibration and thresholds, the latter two by folds within. Synthetic pictures that were made of
a judged source's clean ones are left out with it. The same files are asked of degradation-2 and of other tools
(_rivals.py). Intervals are of 400 draws of whole groups, 90 %. Photographs and drawings of `make photos graphics` are
learnt from as well, where `.photos` and `.graphics` are there; the first lines say. What was measured is kept under
--out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks._judging import Bin, Flags, Floats, auc, ranking, recall_at, reliability, within
from benchmarks._plots import plot_reliability
from benchmarks._rivals import NAMES, rival_scores
from filters.degradation import DegradationPolicy, judged, probability
from filters.degradation.classifier import load_classifier
from filters.degradation.heads import HEADS, OVERALL, Pictures, folds_of
from filters.degradation.learn import FULL, PLAIN, Design, Unseen, calibrating, nested
from filters.degradation.real import RealPicture, real_pictures
from pipelines.progress import TerminalProgress
from pipelines.studies.calibrate import learning_files
from pipelines.studies.pictures import learning_jobs, measured_pictures

FITS_LOOKED_AT = 300
"""Sets of heads of which a figure on these development pictures was seen while choosing; about 130 more in the trial
before. So what is told is optimistic by .01 to .02."""
FEWEST, FEWEST_SOURCES = 30, 3
"""Positives and sources below which a label has no goal."""
WAYS = {FULL: "with the encoder", PLAIN: "measures alone"}


def main(*arguments: str) -> None:
    """Prints all tables."""
    out = Path("out/labels")
    folders: list[Path] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--out":
            out = Path(next(rest))
        else:
            folders.append(Path(argument))
    if not folders:
        print("no folders of real pictures given; see the module")
        return
    photographs, drawings = learning_files(Path(".photos"), Path(".graphics"))
    print(
        f"learnt from as well: {len(photographs)} photographs, {len(drawings)} drawings (make photos graphics)"
    )
    progress = TerminalProgress()
    pictures = measured_pictures(
        learning_jobs(folders, photographs, drawings),
        out / "pictures",
        workers=os.cpu_count() or 1,
        progress=progress,
    )
    design = Design(pictures=pictures, folds=folds_of(pictures))
    real = {p.name: p for folder in folders for p in real_pictures(folder)}
    _folds(design)
    found: dict[str, Unseen] = {}
    with progress.stage("folds", 16) as advance:
        for kind in WAYS:
            found[kind] = nested(design, kind, advance=advance)
    report(design, real, found, out)


def report(
    design: Design, real: Mapping[str, RealPicture], found: Mapping[str, Unseen], out: Path
) -> None:
    """All that is printed about scores of pictures that were not fitted to."""
    pictures = design.pictures
    _severity(design, real, found, out)
    for kind, told in WAYS.items():
        print(f"\n### {told}")
        _labels(design, found[kind])
        _special(pictures, found[kind])
        _reliability(pictures, found[kind], out / f"reliability-{kind}.png")
        _storage(pictures, found[kind])
        _worst(design, found[kind])
    _learning_curve(design)
    print(f"\nsets of heads looked at while choosing: about {FITS_LOOKED_AT}, after 130 of a trial")


def _folds(design: Design) -> None:
    pictures = design.pictures
    print("\nfold  clean  degraded  groups")
    for fold in range(int(design.folds.max()) + 1):
        inside = pictures.real & (design.folds == fold)
        names = ", ".join(sorted(set(pictures.groups[inside].tolist())))
        counts = [int((inside & (pictures.kinds == kind)).sum()) for kind in ("clean", "lq")]
        print(f"{fold:>4}  {counts[0]:>5}  {counts[1]:>8}  {names}")


def visible(pictures: Pictures) -> tuple[Flags, Flags]:
    """[n] judged for severity (clean, or visibly degraded), [n] visibly degraded."""
    wanted = pictures.truth[:, HEADS.index(OVERALL)]
    rows = pictures.real & np.isin(pictures.kinds, ["clean", "lq"]) & (pictures.counts == 1.0)
    return rows & np.isfinite(wanted), wanted == 1


def _severity(
    design: Design, real: Mapping[str, RealPicture], found: Mapping[str, Unseen], out: Path
) -> None:
    pictures = design.pictures
    rows, degraded = visible(pictures)
    scores = {told: found[kind].log_odds[OVERALL] for kind, told in WAYS.items()}
    borne = {told: found[kind].borne[OVERALL] for kind, told in WAYS.items()}
    old = judged(
        pictures.measures,
        DegradationPolicy(classifier=None),
        len(pictures),
        load_classifier("degradation-2"),
    )
    scores["degradation-2"], borne["degradation-2"] = old.severity, old.severity >= 0.5
    files = [real[str(name)].file if str(name) in real else None for name in pictures.names]
    asked = [i for i in np.flatnonzero(rows) if files[i] is not None]
    rivals = rival_scores(
        [file for i in asked if (file := files[i]) is not None], out / "rivals.json"
    )
    lacking = [name for name in NAMES if name not in rivals]
    for name, values in rivals.items():
        told = np.full(len(pictures), np.nan)
        told[asked] = [np.nan if value is None else value for value in values]
        scores[name] = told
    hazy = np.array([any("haze" in w for w in _seen(real, str(n))) for n in pictures.names])
    hard = rows | (pictures.real & ((pictures.kinds == "ref") | (pictures.counts < 1.0)))
    print("\n### visible damage against clean")
    print(
        "score | n | clean | area | recall at 10 % | at 18 % | own threshold: found, false | no haze | within folds"
    )
    for name, values in scores.items():
        use = rows & np.isfinite(values)
        of = ranking(degraded[use], values[use], pictures.groups[use])
        own = "–"
        if name in borne:
            own = f"{borne[name][use & degraded].mean():.2f}, {borne[name][use & ~degraded].mean():.2f}"
        clear = use & ~hazy
        print(
            f"{name} | {of.n} | {of.clean} | {of.area} | {of.recall_10} | {of.recall_18} | {own} | "
            f"{auc(degraded[clear], values[clear]):.3f} | "
            f"{within(degraded[use], values[use], design.folds[use]):.3f}"
        )
    for told in WAYS.values():
        use = hard & np.isfinite(scores[told])
        flags = degraded & rows
        print(
            f"{told}, soft references and merely small ones among the clean: recall at 10 % "
            f"{recall_at(flags[use], scores[told][use], 0.1):.2f}"
        )
    if lacking:
        print(f"not installed here: {', '.join(lacking)}")


def _seen(real: Mapping[str, RealPicture], name: str) -> Sequence[str]:
    return real[name].seen if name in real else ()


def _labels(design: Design, unseen: Unseen) -> None:
    pictures = design.pictures
    print(
        "label | n | sources | area against clean | recall at 10 % | within folds | against others | found | false"
    )
    clean = pictures.real & (pictures.kinds == "clean")
    for at, head in enumerate(HEADS[:-1]):
        wanted, scores = pictures.truth[:, at], unseen.log_odds[head]
        among = ("lq", "graphics") if head == "graphics" else ("lq",)
        positive = pictures.real & np.isin(pictures.kinds, among) & (wanted == 1)
        others = pictures.real & (pictures.kinds == "lq") & (wanted == 0)
        sources = len(set(pictures.groups[positive].tolist()))
        rows, versus = positive | clean, positive | others
        of = ranking(positive[rows], scores[rows], pictures.groups[rows])
        goal = "" if of.n >= FEWEST and sources >= FEWEST_SOURCES else " (no goal: too few)"
        print(
            f"{head} | {of.n}{goal} | {sources} | {of.area} | {of.recall_10} | "
            f"{within(positive[rows], scores[rows], design.folds[rows]):.3f} | "
            f"{auc(positive[versus], scores[versus]):.3f} | {unseen.borne[head][positive].mean():.2f} | "
            f"{unseen.borne[head][clean].mean():.3f}"
        )
    anything = np.any([unseen.borne[head][clean] for head in HEADS[:-1]], axis=0)
    print(f"clean with any label: {anything.mean():.3f} of {int(clean.sum())}")


def _special(pictures: Pictures, unseen: Unseen) -> None:
    dark = pictures.real & (pictures.truth[:, HEADS.index("low_light")] == 1)
    drawn = pictures.real & (pictures.kinds == "graphics")
    enlarged = pictures.real & (pictures.truth[:, HEADS.index("upscaled")] == 1)
    graphics = unseen.borne["graphics"]
    print(
        f"enlarged labelled so: {unseen.borne['upscaled'][enlarged].mean():.2f} of {int(enlarged.sum())}; "
        f"graphics on dark photographs {graphics[dark].mean():.3f} of {int(dark.sum())}, "
        f"on drawings and screenshots {graphics[drawn].mean():.2f} of {int(drawn.sum())}"
    )


def _reliability(pictures: Pictures, unseen: Unseen, plot: Path) -> None:
    print("reliability: n, said -> seen [95 %], ! where the interval is more than .10 off")
    found: dict[str, list[Bin]] = {}
    for at, head in enumerate(HEADS):
        wanted = pictures.truth[:, at]
        use = calibrating(pictures, head) & np.isfinite(unseen.log_odds[head])
        bins = found[head] = reliability(wanted[use] == 1, probability(unseen.log_odds[head][use]))
        told = [
            f"{b.n}: {b.said:.2f}->{b.seen:.2f} [{b.low:.2f}, {b.high:.2f}]{'!' if b.off > 0.1 else ''}"
            for b in bins
        ]
        print(f"  {head}: {'; '.join(told)}")
    plot_reliability(plot, found)


def _storage(pictures: Pictures, unseen: Unseen) -> None:
    """The picture as published (what a PNG of it holds) beside the same saved again."""
    at = {str(name): i for i, name in enumerate(pictures.names)}
    clean = {n for n, i in at.items() if pictures.real[i] and pictures.kinds[i] == "clean"}
    for quality in sorted(
        {n.rsplit("#", 1)[1] for n in at if pictures.stored[at[n]]}, reverse=True
    ):
        pairs = [(at[n], at[f"{n}#{quality}"]) for n in sorted(clean) if f"{n}#{quality}" in at]
        first, again = (np.array(rows) for rows in zip(*pairs, strict=True))
        changed = np.any(
            [unseen.borne[h][first] != unseen.borne[h][again] for h in HEADS[:-1]], axis=0
        )
        kept = [float(unseen.borne[OVERALL][rows].mean()) for rows in (first, again)]
        print(
            f"saved again at {quality}: labels of {changed.mean():.3f} of {len(pairs)} clean ones change; "
            f"called degraded {kept[0]:.3f} -> {kept[1]:.3f}"
        )


def _worst(design: Design, unseen: Unseen, *, most: int = 12) -> None:
    pictures = design.pictures
    rows, degraded = visible(pictures)
    scores = unseen.log_odds[OVERALL]
    right = np.where(degraded, unseen.borne[OVERALL], ~unseen.borne[OVERALL])
    by_group = [
        (
            float(right[rows & (pictures.groups == g)].mean()),
            int((rows & (pictures.groups == g)).sum()),
            g,
        )
        for g in np.unique(pictures.groups[rows]).tolist()
    ]
    of_size = sorted(entry for entry in by_group if entry[1] >= 5)[:4]
    print("worst groups of 5 and more: " + "; ".join(f"{g} {r:.2f} of {n}" for r, n, g in of_size))
    for told, chosen, sign in (("missed", rows & degraded, 1), ("false", rows & ~degraded, -1)):
        order = [i for i in np.argsort(sign * scores, kind="stable") if chosen[i]][:most]
        said = [f"{pictures.names[i]} {float(probability(scores[i])):.2f}" for i in order]
        print(f"worst {told}: {', '.join(said)}")


def _learning_curve(design: Design) -> None:
    """Recall at 10 % of the unmixed mean of both heads by how many of the groups are learnt from; three draws each."""
    pictures = design.pictures
    rows, degraded = visible(pictures)
    names = np.unique(pictures.groups[pictures.real])
    print("\nlearning curve: share of groups learnt from | area | recall at 10 %")
    for share in (0.25, 0.5, 1.0):
        figures: list[tuple[float, float]] = []
        for draw in range(1 if share == 1.0 else 2):
            rng = np.random.default_rng(draw)
            left_out = names[rng.random(len(names)) >= share]
            out = np.isin(pictures.groups, left_out)
            part = _without(pictures, out)
            fewer = Design(pictures=part, folds=design.folds)
            scores = np.full(len(pictures), np.nan)
            for fold in range(int(design.folds.max()) + 1):
                here = pictures.real & (design.folds == fold)
                for way in ("additive", "early"):
                    said = fewer.scores(way, OVERALL, frozenset({fold}), here)
                    scores[here] = np.nan_to_num(scores[here]) + said / np.std(said)
            figures.append(
                (auc(degraded[rows], scores[rows]), recall_at(degraded[rows], scores[rows], 0.1))
            )
        area, recall = np.mean(figures, axis=0)
        print(f"{share:.2f} | {area:.3f} | {recall:.2f}")


def _without(pictures: Pictures, out: Flags) -> Pictures:
    """Nothing is learnt from those; they are judged all the same."""
    truth: Floats = np.where(out[:, None], np.nan, pictures.truth)
    return replace(pictures, truth=truth)


if __name__ == "__main__":
    main(*sys.argv[1:])
