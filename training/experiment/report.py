"""What came out of an experiment: paired differences with intervals, curves and pictures.

Differences are per held-out LR, averaged over draws of noise and over seeds where there are several; intervals come
from the bootstrap over held-out photographs, all crops of one photograph together. They say how sure a difference is
for these trained networks; how much it varies from training to training, the rows per seed show.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from catalog import files
from training.experiment.arms import ladder, lr_set, samples
from training.experiment.lrs import degradations_in, split_by_subject
from training.experiment.settings import ARMS, MEASURED, REWARDS, Experiment
from training.statistics import Interval, interval
from training.train_log import grid_image

UNITS = {
    "lr_faithfulness": "faithfulness (reward)",
    "photo_critic": "critic (reward)",
    "second_critic": "second critic",
    "coherent_edges": "coherent edges",
    "psnr_db": "PSNR, dB",
}
Scores = dict[str, NDArray[np.float64]]


def scores_of(experiment: Experiment, name: str) -> Scores:
    """What `training.experiment.arms.evaluate` wrote for `base` or `<arm>-<seed>`."""
    with np.load(experiment.out / "evaluation" / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def difference(
    experiment: Experiment, arm: str, than: str, measure: str, seeds: Sequence[int]
) -> Interval:
    """`arm` minus `than` (an arm of the same seeds, or `base`), paired by LR and seed."""
    gaps: list[NDArray[np.float64]] = []
    photo: NDArray[np.int64] | None = None
    for seed in seeds:
        ours = scores_of(experiment, f"{arm}-{seed}")
        theirs = scores_of(experiment, "base" if than == "base" else f"{than}-{seed}")
        gaps.append(ours[measure] - theirs[measure])
        photo = ours["psnr_photo" if measure == "psnr_db" else "photo"].astype(np.int64)
    return interval(np.mean(gaps, axis=0), clusters=photo)


def table(experiment: Experiment, arms: Sequence[str], than: str, seeds: Sequence[int]) -> str:
    """Markdown: a row per arm, a column per measure; bold where the interval leaves out 0."""
    lines = ["| arm | " + " | ".join(UNITS[m] for m in MEASURED) + " |"]
    lines.append("|---" * (len(MEASURED) + 1) + "|")
    for arm in arms:
        cells: list[str] = []
        for measure in MEASURED:
            found = difference(experiment, arm, than, measure, seeds)
            sure = found.low > 0 or found.high < 0
            cells.append(f"**{found}**" if sure else str(found))
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def report(experiment: Experiment, name: str = "results") -> Path:
    """Writes <name>.md, <name>-curves.png, -differences.png and -grid.png into the folder; returns <name>.md."""
    seeds, arms = list(range(experiment.seeds)), list(experiment.arms)
    base = scores_of(experiment, "base")
    means = ", ".join(f"{UNITS[m]} {np.nanmean(base[m]):.4f}" for m in MEASURED)
    photographs = len(set(base["photo"].tolist()))
    lines = [
        f"{len(base['photo'])} held-out LR of {photographs} photographs, {experiment.draws} draws of noise each; "
        f"PSNR on {len(base['psnr_db'])} pairs of {len(set(base['psnr_photo'].tolist()))} held-out photographs. "
        f"{len(seeds)} training seed{'s' if len(seeds) > 1 else ''}, "
        f"{experiment.epochs} epochs of {experiment.groups} x {experiment.group_size} rollouts. "
        f"In the picture: LR, base, {', '.join(arms)}. "
        "Mean difference [95 % bootstrap interval over photographs]; bold: the interval leaves out 0.",
        "",
        f"Base: {means}.",
        "",
        "**Against the base**",
        "",
        table(experiment, arms, "base", seeds),
        "",
    ]
    for than in ("control", "scalarized", "scalarized-group"):
        plain = ("control", "scalarized") if than != "control" else ()
        others = [arm for arm in arms if arm != than and arm not in plain]
        if than == "scalarized-group":
            others = [arm for arm in others if arm == "decoupled"]
        if than in arms and others:
            lines += [f"**Against {than}**", "", table(experiment, others, than, seeds), ""]
    if len(seeds) > 1:
        lines += ["**Seed by seed, against the base**", ""]
        for seed in seeds:
            lines += [f"Seed {seed}:", "", table(experiment, arms, "base", [seed]), ""]
    lines += ["**Between bicubic and the photograph, on held-out pairs**", ""]
    lines += [_ladder(experiment, arms, seeds), ""]
    if "benchmark-like" in arms:
        lines += ["**The two sets of LR, at the base**", "", _lr_sets(experiment), ""]
    lines += ["**Cost**", "", _costs(experiment, arms, seeds), ""]
    _curves(experiment, arms, seeds, experiment.out / f"{name}-curves.png")
    _differences(experiment, arms, seeds, experiment.out / f"{name}-differences.png")
    _grid(experiment, arms, experiment.out / f"{name}-grid.png")
    results = experiment.out / f"{name}.md"
    files.put(results, "\n".join(lines))
    return results


def _lr_sets(experiment: Experiment) -> str:
    keys = split_by_subject(experiment.dataset, experiment.held_out_subjects)[0]
    dataset, few = (lr_set(experiment, ARMS[name]) for name in ("decoupled", "benchmark-like"))
    lines = ["| | dataset | benchmark-like |", "|---|---|---|"]
    lines += [
        f"| {key.replace('_', ' ')} | {dataset[key]:.3g} | {few[key]:.3g} |" for key in dataset
    ]
    labels = degradations_in(experiment.dataset, keys)
    told = ", ".join(f"{label} {count}" for label, count in labels.items())
    return "\n".join([*lines, f"| degradation labels | {told} | none (reduced by 4, JPEG 90) |"])


def _ladder(experiment: Experiment, arms: Sequence[str], seeds: Sequence[int]) -> str:
    runs = {"base": [experiment.backbone_file]}
    for arm in arms:
        runs[arm] = [experiment.run_folder(arm, s) / "weights.safetensors" for s in seeds]
    rows = ladder(experiment, runs)
    columns = list(rows["base"])
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[c]:.2f}" for c in columns) + " |")
    return "\n".join(lines)


def _costs(experiment: Experiment, arms: Sequence[str], seeds: Sequence[int]) -> str:
    lines = ["| run | optimiser steps | CPU seconds | wall seconds |", "|---|---|---|---|"]
    for arm in arms:
        for seed in seeds:
            spent = json.loads((experiment.run_folder(arm, seed) / "spent.json").read_text())
            lines.append(
                f"| {arm}-{seed} | {spent['steps']} | {spent['cpu_s']} | {spent['wall_s']} |"
            )
    return "\n".join(lines)


def _curves(experiment: Experiment, arms: Sequence[str], seeds: Sequence[int], file: Path) -> None:
    """Mean reward of the rollouts by epoch, a line per run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axis, reward in zip(figure.subplots(1, 2), REWARDS, strict=True):
        for number, arm in enumerate(arms):
            for seed in seeds:
                with (experiment.run_folder(arm, seed) / "log.csv").open() as log:
                    rows = [r for r in csv.DictReader(log) if r.get(f"reward_{reward}")]
                axis.plot(
                    [float(r["epoch"]) for r in rows],
                    [float(r[f"reward_{reward}"]) for r in rows],
                    color=f"C{number}",
                    alpha=1.0 if seed == 0 else 0.4,
                    label=arm if seed == 0 else None,
                )
        axis.set(xlabel="epoch", title=f"{UNITS[reward]}, mean of the training rollouts")
    figure.axes[0].legend(fontsize=8)
    with files.stream(file) as sink:
        figure.savefig(sink, format="png", dpi=90)


def _differences(
    experiment: Experiment, arms: Sequence[str], seeds: Sequence[int], file: Path
) -> None:
    """Differences to the base with their intervals, a panel per measure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 1.2 + 0.4 * len(arms)), layout="constrained")
    for number, (axis, measure) in enumerate(
        zip(figure.subplots(1, len(MEASURED)), MEASURED, strict=True)
    ):
        for place, arm in enumerate(arms):
            found = difference(experiment, arm, "base", measure, seeds)
            axis.plot([found.low, found.high], [-place, -place], color=f"C{place}")
            axis.plot([found.mean], [-place], "o", color=f"C{place}")
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks([-p for p in range(len(arms))], arms if number == 0 else [""] * len(arms))
        axis.set_title(UNITS[measure], fontsize=10)
    figure.suptitle("Difference to the base on held-out LR, 95 % intervals", fontsize=10)
    with files.stream(file) as sink:
        figure.savefig(sink, format="png", dpi=90)


def _grid(experiment: Experiment, arms: Sequence[str], file: Path) -> None:
    """Rows: held-out LR. Columns: the LR, the base, and each arm (seed 0), from the same noise."""
    from PIL import Image

    lr, base = samples(experiment, experiment.backbone_file)
    columns: list[Tensor] = [base]
    for arm in arms:
        columns.append(
            samples(experiment, experiment.run_folder(arm, 0) / "weights.safetensors")[1]
        )
    pixels = grid_image(list(lr), *columns)
    # Three times as large, so that 32 px can be looked at.
    with files.stream(file) as sink:
        Image.fromarray(pixels.repeat(3, axis=0).repeat(3, axis=1)).save(sink, "PNG")
