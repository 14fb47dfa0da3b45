"""Put the method to the test on this machine: the training demo, and how well advantages tell rollouts apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from pipelines.terminal import echo

app = typer.Typer()

Photos = Annotated[
    Path | None,
    typer.Option(
        help="Photographs to pretrain on besides the packaged ones; default: .photos if it is there (`make photos`)."
    ),
]


def _photos(given: Path | None) -> Path | None:
    fetched = Path(".photos")
    return given if given is not None else (fetched if (fetched / ".complete").is_file() else None)


@app.command("demo-train")
def demo_train(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("out/demo-train"),
    data: Annotated[
        Path, typer.Option(help="The demo's dataset; built there if it is missing.")
    ] = Path("out/demo/dataset"),
    photos: Photos = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each arm.")] = 1,
    arms: Annotated[
        str, typer.Option(help="Names with commas; `all` for every one there is.")
    ] = "decoupled,scalarized,control",
    name: Annotated[str, typer.Option(help="Of the report's files.")] = "results",
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 20,
    processes: Annotated[int, typer.Option(min=1, help="Arms at a time, a thread each.")] = 2,
    weights: Annotated[
        Path | None, typer.Option(help="Pretrained tiny weights, instead of pretraining.")
    ] = None,
) -> None:
    """Pretrain a tiny model, train it with two rewards in several ways, compare them on held-out LR (10 minutes)."""
    from pipelines.progress import TerminalProgress
    from pipelines.studies.demo_train import demo_train as run
    from training.experiment.settings import ARMS, Experiment

    names = tuple(ARMS) if arms == "all" else tuple(arms.split(","))
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise typer.BadParameter(f"no arm {unknown[0]!r}; there are {', '.join(ARMS)}.")
    experiment = Experiment(
        out=out,
        dataset=data,
        photos=_photos(photos),
        arms=names,
        seeds=seeds,
        epochs=epochs,
        weights=weights,
    )
    results = run(experiment, name=name, processes=processes, progress=TerminalProgress())
    echo(results.read_text(encoding="utf-8"))
    echo(f"written    {results}, {name}-curves.png, {name}-differences.png, {name}-grid.png")


@app.command()
def separability(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("out/separability"),
    demo: Annotated[
        Path, typer.Option(help="Folder of a demo-train: its backbone, rewards and LR are used.")
    ] = Path("out/demo-train"),
    groups: Annotated[int, typer.Option(min=2, help="LR.")] = 128,
    rollouts: Annotated[int, typer.Option(min=2, help="Of each, at most.")] = 16,
) -> None:
    """Compare how well decoupled and scalarised advantages tell rollouts apart, beside the paper's values."""
    for line in separability_lines(demo, out, groups=groups, rollouts=rollouts):
        echo(line)


def separability_lines(demo: Path, out: Path, *, groups: int, rollouts: int) -> Iterator[str]:
    """Lines of the table; writes separability.csv, .md and .png into `out`.

    Raises:
        FileNotFoundError: `demo` holds no training demo.
    """
    import torch

    from training.experiment.arms import rewards_at_base, spreads
    from training.experiment.settings import ARMS, load_experiment
    from training.separability import (
        ROLLOUTS,
        markdown,
        separability,
        share_of_group_std,
        within_group_correlation,
        write,
    )

    experiment = load_experiment(demo)
    torch.set_num_threads(1)
    raw = rewards_at_base(experiment, ARMS["decoupled"], count=groups, rollouts=rollouts)
    # Each objective in units of its spread, as the rescaled scalarised arm has it: otherwise one unit decides.
    raw = raw / torch.tensor(spreads(experiment))
    counts = [m for m in ROLLOUTS if m <= rollouts]
    found = separability(raw, [1.0, 1.0], counts=counts)
    write(found, raw, out)
    shown = [m for m in (2, 4, 8, 12, 16) if m in counts]
    yield markdown(found, shown)
    yield f"Correlation of the two rewards within groups: {within_group_correlation(raw)}"
    for measure in ("distinct", "top-1 by sum", "top-1 by vector", "all pairs"):
        share = share_of_group_std(found, measure, counts[-1])
        yield f"M = {counts[-1]}, {measure}: {share:.0%} of the gap comes with the group's deviation alone."
    yield f"written    {out / 'separability.csv'}, separability.md, separability.png"
