"""Trains heads on a folder of photographs and says, on held-out ones, how good they are: table, plot, weights.

    lucidlr consistency-train .photos

Writes `head.safetensors` (objective `pools`), `head-pairs.safetensors`, `results.md`, `results.csv`, `similarity.png`
and `pools.safetensors`, the embeddings, which make a second run a matter of a minute.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from catalog import files
from training.consistency import Encoder
from training.consistency.evaluation import Judged, Row, change, judge
from training.consistency.head import save_head
from training.consistency.pools import PoolConfig, Pools, cached_pools
from training.consistency.training import HeadConfig, Objective, train_head
from training.photographs import Photograph

OBJECTIVES: tuple[Objective, ...] = ("pairs", "pools")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found; arms are baseline, pairs and pools."""

    photographs: int
    held_out: int
    contents: int
    """Held-out ones: what is judged."""
    arms: dict[str, Judged]
    changes: dict[str, list[Row]]
    """Objective -> paired differences to the baseline."""


def train_and_report(
    photos: Sequence[Photograph],
    encoder: Encoder,
    out: Path,
    *,
    pools: PoolConfig,
    head: HeadConfig,
    advance: Callable[[int], None] = lambda _: None,
) -> Report:
    """Embeds, trains both objectives, judges, writes. `head.objective` is not looked at.

    Raises:
        ConsistencyError: too few photographs.
    """
    examples = cached_pools(photos, encoder, pools, kept=out / "pools.safetensors", advance=advance)
    held = examples.rows(examples.held_out)
    arms = {"baseline": judge(held, None)}
    changes: dict[str, list[Row]] = {}
    for objective in OBJECTIVES:
        config = replace(head, objective=objective)
        module, losses = train_head(examples, config)
        name = "head.safetensors" if objective == "pools" else f"head-{objective}.safetensors"
        notes: dict[str, Any] = {"head": asdict(config), "pools": asdict(pools), "loss": losses[-1]}
        save_head(out / name, module, encoder=encoder, notes=notes)
        arms[objective] = judge(held, module)
        changes[objective] = change(held, module)
    report = Report(
        photographs=len(photos),
        held_out=sum(photo.held_out for photo in photos),
        contents=len(held.hr),
        arms=arms,
        changes=changes,
    )
    _write(report, held, out)
    return report


def table(report: Report) -> list[str]:
    """Markdown: a line per measure, a column per arm."""
    arms = list(report.arms)
    lines = [
        f"{report.photographs - report.held_out} photographs trained, {report.held_out} were held out "
        f"({report.contents} cuts of them judged). Mean and 95 % interval over photographs.",
        "",
        f"| measure | {' | '.join(arms)} |",
        f"|---|{'---|' * len(arms)}",
    ]
    for index, row in enumerate(report.arms["baseline"].rows):
        cells = [_cell(judged.rows[index], sign=False) for judged in report.arms.values()]
        lines.append(f"| {row.what} | {' | '.join(cells)} |")
    for index, row in enumerate(next(iter(report.changes.values()))):
        cells = ["", *(_cell(rows[index], sign=True) for rows in report.changes.values())]
        lines.append(f"| {row.what}, change | {' | '.join(cells)} |")
    return lines


def _cell(row: Row, *, sign: bool) -> str:
    plus = "+" if sign else ""
    v = row.value
    return f"{v.mean:{plus}.3f} [{v.low:{plus}.3f}, {v.high:{plus}.3f}]"


def _write(report: Report, held: Pools, out: Path) -> None:
    files.put(out / "results.md", "\n".join(table(report)) + "\n")
    with files.text(out / "results.csv", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["arm", "measure", "count", "mean", "low", "high"])
        for arm, judged in report.arms.items():
            rows.writerows(_plain(arm, row, row.what) for row in judged.rows)
        for arm, found in report.changes.items():
            rows.writerows(_plain(arm, row, f"{row.what}, change") for row in found)
    _plot(report, out / "similarity.png")


def _plain(arm: str, row: Row, what: str) -> list[object]:
    return [
        arm,
        what,
        row.count,
        *(f"{x:.6f}" for x in (row.value.mean, row.value.low, row.value.high)),
    ]


def _plot(report: Report, file: Path) -> None:
    """Similarities by kind, a panel per arm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, len(report.arms), sharey=True)
    for axis, (arm, judged) in zip(axes, report.arms.items(), strict=True):
        kinds = list(judged.scores)
        axis.boxplot([judged.scores[kind] for kind in kinds], showfliers=False)
        axis.set_xticks(range(1, len(kinds) + 1), kinds, rotation=20)
        axis.set_title(arm)
        axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes[0].set_ylabel("similarity of LR and HR")
    with files.stream(file) as sink:
        figure.savefig(sink, format="png", dpi=110)
