"""LucidFlux's own commands: fetch its weights, check them and the machine, size it, hand on what was trained.

Everything else about it lies in training/backbones/lucidflux; the commands that take any backbone do not know it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.restoring import parse_size
from pipelines.terminal import echo

app = typer.Typer()


@app.command("gpu-check")
def gpu_check(
    weights: Annotated[
        Path, typer.Argument(help="LucidFlux's weights (`lucidlr lucidflux-download`).")
    ],
    processes: Annotated[int, typer.Option(min=1, help="For the checks of several GPUs.")] = 1,
    golden: Annotated[
        Path | None, typer.Option(help="Golden values: tests/golden/lucidflux of a checkout.")
    ] = None,
    scorer: Annotated[Path | None, typer.Option(help="Folder of Qwen3-VL-Embedding-8B.")] = None,
    unipercept: Annotated[str | None, typer.Option(help="Address of a UniPercept server.")] = None,
    out: Annotated[Path, typer.Option(help="For what the checks write.")] = Path("out/gpu-check"),
) -> None:
    """Check a machine for training LucidFlux: fifteen figures, expected and found; exit code 1 if one fails."""
    from training.gpu_check import run_checks
    from training.gpu_check.checks import CHECKS, context_of

    context = context_of(
        weights, processes=processes, out=out, golden=golden, scorer=scorer, unipercept=unipercept
    )
    echo(f"device     {context.device_name}, {processes} process(es)")
    if not context.on_gpu:
        echo("           no GPU here: what runs on the CPU says `cpu`, which is no pass of a GPU")
    outcomes = run_checks(context, CHECKS, echo)
    counts = {v: sum(o.verdict == v for o in outcomes) for v in ("pass", "cpu", "skipped", "FAIL")}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    echo(f"{context.device_name}: {told} of {len(outcomes)}")
    if counts["FAIL"]:
        raise typer.Exit(1)


@app.command("lucidflux-download")
def lucidflux_download(
    to: Annotated[Path, typer.Option(help="Weights folder.")] = Path("weights/lucidflux"),
    adapter: Annotated[
        bool, typer.Option("--adapter", help="LucidNFT's adapters, too, into lucidnft/.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be fetched, and how much.")
    ] = False,
) -> None:
    """Fetch LucidFlux's official weights at fixed commits, checked by SHA-256. Not for commercial use."""
    from training.backbones.lucidflux.folder import LICENSE_NOTE
    from training.backbones.lucidflux.hub import ADAPTER_ASSETS, ASSETS, download

    echo(LICENSE_NOTE, err=True)
    assets = ASSETS + ADAPTER_ASSETS if adapter else ASSETS
    done = download(to, assets, dry_run=dry_run, say=echo)
    left = sum(fetch.bytes for fetch in done if fetch.state == "to fetch")
    refused = [fetch for fetch in done if fetch.state == "refused"]
    echo(f"to fetch: {left / 1e9:.2f} GB" if dry_run else f"weights    {to}")
    if refused:
        echo(f"refused: {len(refused)} files, see above", err=True)
        raise typer.Exit(1)


@app.command("lucidflux-check")
def lucidflux_check(
    folder: Annotated[Path, typer.Argument(help="Golden values of the official code.")],
    every: Annotated[
        bool, typer.Option("--every", help="Every quantity, not only the worst of each piece.")
    ] = False,
) -> None:
    """Compare LucidFlux with golden values of the official code, piece by piece; exit code 1 beyond a tolerance."""
    from training.backbones.lucidflux.closeness import worst_of_pieces
    from training.backbones.lucidflux.golden import check

    found = list(check(folder))
    bad = [one for one in found if not one.ok]
    for one in found if every else worst_of_pieces(found):
        echo(one.line())
    if bad:
        echo(f"{len(bad)} of {len(found)} quantities are beyond their tolerance:", err=True)
        for one in bad:
            echo(one.line(), err=True)
        raise typer.Exit(1)
    echo(f"all {len(found)} quantities are within their tolerances")


@app.command("lucidflux-memory")
def lucidflux_memory(
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the result.")] = "1024x1024",
) -> None:
    """What the full-size LucidFlux needs of memory, module by module, computed from shapes."""
    from training.backbones.lucidflux.memory import table

    width, height = parse_size(size)
    for line in table(height, width):
        echo(line)


@app.command("lucidflux-export")
def lucidflux_export(
    run: Annotated[Path, typer.Argument(help="A training run's folder, or one checkpoint of it.")],
    to: Annotated[Path, typer.Option(help="Folder for lora_dit and lora_condition.")],
    part: Annotated[str, typer.Option(help="ema (what was evaluated), default or old.")] = "ema",
) -> None:
    """A trained LucidFlux as LoRA in LucidNFT's layout: for `restore --adapter` and the official script."""
    from training.backbones.lucidflux.lora import export_adapters
    from training.checkpoint import run_of

    config, values = run_of(run, part)
    for folder in export_adapters(config, values, to):
        echo(str(folder))
