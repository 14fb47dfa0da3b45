"""Fine-tune a super-resolution backbone with rewards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.terminal import echo

if TYPE_CHECKING:
    from training.train_config import TrainConfig

app = typer.Typer()


@app.command()
def train(
    config: Annotated[
        str,
        typer.Argument(
            help="Name (tiny, ...) or path of a configuration; docs/training.md has its keys."
        ),
    ],
    dataset: Annotated[
        Path | None, typer.Option(help="Folder of an exported dataset, e.g. out/demo/dataset.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Logs, checkpoints, grids; a cut-off run there goes on.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="key=value (YAML) on top of the file.")
    ] = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Only say what it needs: memory, FLOP, days, disk; loads no large weights.",
        ),
    ] = False,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="For the plan; default: those here, or 1.")
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(help="For the plan, e.g. H100-80, H200-141, A100-80; default H100-80."),
    ] = None,
    max_days: Annotated[
        float | None, typer.Option(help="Refuse a training that needs longer by its plan.")
    ] = None,
    max_disk_gb: Annotated[
        float | None, typer.Option(help="Refuse one whose checkpoints need more than this.")
    ] = None,
) -> None:
    """Train with DiffusionNFT and decoupled advantages; the same command goes on after a cut."""
    from pipelines.recipe import recipe_path
    from training.train_config import load_config
    from training.train_nft import main as run_training

    given = {"dataset": dataset, "out": out}
    settings = load_config(
        recipe_path(config, kind="training"),
        {**_changes(changes or []), **{key: str(x) for key, x in given.items() if x is not None}},
    )
    if plan or max_days is not None or max_disk_gb is not None:
        _planned(settings, gpu, gpus, max_days=max_days, max_disk_gb=max_disk_gb)
    if plan:
        return
    result = run_training(settings, progress=lambda row: echo(epoch_line(row, settings)))
    if result.stopped is not None:
        echo(f"stopped    {result.stopped}")
    echo(f"trained    {result.epochs} epochs, {result.steps} steps")
    echo(f"log        {settings.out / 'log.csv'}, log.parquet, grids/")
    echo(f"weights    {settings.out / 'weights.safetensors'}  (averaged; raw ones in checkpoints/)")


def _planned(
    settings: TrainConfig,
    gpu: str | None,
    gpus: int | None,
    *,
    max_days: float | None,
    max_disk_gb: float | None,
) -> None:
    """Prints the plan, and refuses one that is over a limit."""
    import os

    from training.cost.plan import check_limits, lines, plan_of

    count = gpus or int(os.environ.get("WORLD_SIZE", "1"))
    found = plan_of(settings, gpu=gpu or "H100-80", gpus=count)
    for line in lines(found, settings):
        echo(line)
    check_limits(found, most_days=max_days, most_disk_gb=max_disk_gb)


def epoch_line(row: dict[str, float], config: TrainConfig) -> str:
    """One epoch in a line: rewards in training, and held-out ones where there was an evaluation."""
    parts = [f"epoch {row['epoch']:>5.0f}"]
    for kind in ("reward", "eval_reward"):
        for name in (spec.name for spec in config.rewards):
            value = row.get(f"{kind}_{name}")
            if value is not None:
                parts.append(f"{kind}_{name} {value:+.4f}")
    if "total_loss" in row:
        parts.append(f"loss {row['total_loss']:.4f}")
    if row.get("rewards/failed"):
        parts.append(f"{row['rewards/failed']:.0f} rewards failed")
    return "  ".join(parts)


def _changes(texts: list[str]) -> dict[str, Any]:
    import yaml

    from training.train_config import ConfigError

    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set takes key=value, not {text!r}.")
        found[key.strip()] = yaml.safe_load(value)
    return found
