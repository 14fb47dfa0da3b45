"""Reliability as pictures: what was said beside what was seen, with counts and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._judging import Bin


def plot_reliability(file: Path, bins: Mapping[str, Sequence[Bin]]) -> None:
    """One panel a head; the numbers are pictures in a bin, the bars 95 % (Wilson)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    plots: Any = pyplot
    figure, axes = plots.subplots(2, 5, figsize=(13, 5.6), layout="constrained")
    for axis, (head, found) in zip(axes.ravel(), bins.items(), strict=False):
        said, seen = [b.said for b in found], [b.seen for b in found]
        low = [max(0.0, b.seen - b.low) for b in found]
        high = [max(0.0, b.high - b.seen) for b in found]
        axis.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, linestyle=":")
        axis.errorbar(said, seen, yerr=[low, high], color="#1f6f8b", marker="o", markersize=4)
        for b in found:
            axis.annotate(
                str(b.n), (b.said, b.seen), fontsize=6, xytext=(3, -8), textcoords="offset points"
            )
        axis.set_title(head, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.set_xlim(-0.02, 1.02)
        axis.set_ylim(-0.02, 1.02)
    axes.ravel()[-1].axis("off")
    figure.suptitle(
        "Said and seen, real pictures of sources that were not learnt from", fontsize=10
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
