"""Super-resolution: restore images; fetch, check and size LucidFlux."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.terminal import echo

app = typer.Typer()


class Seeds(StrEnum):
    """See `restore`."""

    constant = "constant"
    per_image = "per-image"


class Dtype(StrEnum):
    """Of transformer and branches."""

    bfloat16 = "bfloat16"
    float32 = "float32"


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image, or a folder of them.")],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="Folder for the PNGs (for one image also a .png's name)."
        ),
    ],
    backbone: Annotated[
        str,
        typer.Option(
            help="A file or folder of training/backbones/: tiny, lucidflux, diffusers_flow."
        ),
    ] = "tiny",
    weights: Annotated[
        Path | None, typer.Option(help="LucidFlux: weights folder; tiny: file of weights.")
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="LoRA in LucidNFT's layout, merged into the weights.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Of the sampler; default 24.")] = None,
    solver: Annotated[str, typer.Option(help="euler, ddim, dpm1 or dpm2.")] = "euler",
    seed: Annotated[int | None, typer.Option(help="LucidFlux's default is the official.")] = None,
    seeds: Annotated[
        Seeds | None,
        typer.Option(help="One seed for all images (LucidFlux's default), or one for each."),
    ] = None,
    size: Annotated[
        str, typer.Option(help="LucidFlux: WIDTHxHEIGHT of the result, multiples of 64.")
    ] = "1024x1024",
    device: Annotated[str | None, typer.Option(help="Default: cuda if there is one.")] = None,
    dtype: Annotated[Dtype, typer.Option(help="LucidFlux: of the networks.")] = Dtype.bfloat16,
    corrected: Annotated[
        bool,
        typer.Option(
            "--corrected",
            help="LucidFlux: keep the image's shape, count tokens right: deviates from the paper.",
        ),
    ] = False,
    offload: Annotated[
        bool, typer.Option("--offload", help="LucidFlux: idle networks wait in the CPU's memory.")
    ] = False,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", help="KEY=VALUE (YAML): any other option of the backbone's `load`."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that were made in another way.")
    ] = False,
) -> None:
    """Restore images with a super-resolution backbone; run again to continue. Results are PNG."""
    from pipelines.progress import TerminalProgress
    from training.backbones import load_backbone
    from training.restore import RestoreError, plan
    from training.restore import restore as run_restore

    planned = plan(source, out)
    lucidflux = backbone == "lucidflux"
    options: dict[str, Any] = {} if weights is None else {"weights": weights}
    notes: dict[str, str] = {}
    if adapter is not None and not lucidflux:
        raise RestoreError("--adapter is for lucidflux; other backbones take --weights")
    if device is not None:
        options["device"] = device
    if lucidflux:
        from training.backbones.lucidflux.folder import LICENSE_NOTE

        echo(LICENSE_NOTE, err=True)
        if weights is None:
            raise RestoreError(
                "--weights is missing: a folder that `lucidlr lucidflux-download` made"
            )
        width, height = parse_size(size)
        options |= {"width": width, "height": height, "dtype": dtype.value}
        options |= {"corrected": corrected, "offload": offload}
        notes |= {"size": size, "dtype": dtype.value, "corrected": str(corrected)}
        if adapter is not None:
            options["adapter"] = adapter
            notes["adapter"] = "merged"
    more = backbone_options(option or [])
    options |= more
    notes |= {key: str(value) for key, value in more.items()}
    settings = restore_settings(
        lucidflux, corrected, steps=steps, solver=solver, seed=seed, seeds=seeds, notes=notes
    )
    model = load_backbone(backbone, **options)
    with TerminalProgress().stage("restore", len(planned)) as advance:
        done = run_restore(source, out, model, settings, overwrite=overwrite, advance=advance)
    echo(f"{len(done.made)} restored, {len(done.kept)} were there, {len(done.failed)} failed")
    for image, why in done.failed:
        echo(f"{image}: {why}", err=True)
    if done.failed:
        raise typer.Exit(1)


def backbone_options(texts: list[str]) -> dict[str, Any]:
    """Key and value of each KEY=VALUE.

    Raises:
        RestoreError: another form.
    """
    import yaml

    from training.restore import RestoreError

    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and key.isidentifier()):
            raise RestoreError(f"--option is {text!r}; write KEY=VALUE, e.g. scale=2")
        found[key] = yaml.safe_load(value)
    return found


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) from `1024x768`.

    Raises:
        RestoreError: another form.
    """
    from training.restore import RestoreError

    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise RestoreError(f"--size is {text!r}; write WIDTHxHEIGHT, e.g. 1024x768")
    return int(width), int(height)


def restore_settings(
    lucidflux: bool,
    corrected: bool,
    *,
    steps: int | None,
    solver: str,
    seed: int | None,
    seeds: Seeds | None,
    notes: dict[str, str],
) -> Any:
    """What was asked for, and for the rest the official values (LucidFlux) or sensible ones."""
    from training.backbones.lucidflux.latents import OFFICIAL_SEED
    from training.backbones.lucidflux.oddities import CORRECTED, OFFICIAL
    from training.restore import Settings

    oddities = OFFICIAL if lucidflux and not corrected else CORRECTED
    default = Seeds.constant if oddities.same_noise else Seeds.per_image
    given: dict[str, Any] = {
        "solver": solver,
        "seed": seed if seed is not None else (OFFICIAL_SEED if lucidflux else 0),
        "seeds": (seeds or default).value,
        "upright": not oddities.as_stored,
        "notes": tuple(sorted(notes.items())),
    }
    return Settings(**given) if steps is None else Settings(steps=steps, **given)


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
