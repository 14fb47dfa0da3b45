"""Fine-tune a super-resolution backbone with rewards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from training.train_config import TrainConfig

app = typer.Typer()


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML; see docs/training.md for its keys.")],
    dataset: Annotated[
        Path | None, typer.Option(help="Folder of an exported dataset, e.g. out/demo/dataset.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Logs, checkpoints, grids; a cut-off run there goes on.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="key=value (YAML) on top of the file.")
    ] = None,
) -> None:
    """Train with DiffusionNFT and decoupled advantages; the same command goes on after a cut."""
    from training.train_config import load_config
    from training.train_nft import main as run_training

    given = {"dataset": dataset, "out": out}
    settings = load_config(
        config,
        {**_changes(changes or []), **{key: str(x) for key, x in given.items() if x is not None}},
    )
    result = run_training(settings, progress=lambda row: typer.echo(epoch_line(row, settings)))
    if result.stopped is not None:
        typer.echo(f"stopped    {result.stopped}")
    typer.echo(f"trained    {result.epochs} epochs, {result.steps} steps")
    typer.echo(f"log        {settings.out / 'log.csv'}, log.parquet, grids/")
    typer.echo(
        f"weights    {settings.out / 'weights.safetensors'}  (averaged; raw ones in checkpoints/)"
    )


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
