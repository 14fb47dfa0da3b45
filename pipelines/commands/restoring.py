"""Super-resolution with any backbone: restore an image or a folder."""

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
    """Of the networks."""

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
        str, typer.Option(help="Name of a file or folder of training/backbones/.")
    ] = "tiny",
    weights: Annotated[
        Path | None, typer.Option(help="The backbone's weights: a file or a folder.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Of the sampler; default 24.")] = None,
    solver: Annotated[str, typer.Option(help="euler, ddim, dpm1 or dpm2.")] = "euler",
    seed: Annotated[int | None, typer.Option(help="Default: the backbone's own, or 0.")] = None,
    seeds: Annotated[
        Seeds | None,
        typer.Option(
            help="One seed for all images, or one for each. Default: the backbone's own, or per-image."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Default: cuda if there is one.")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="WIDTHxHEIGHT of the result, for backbones of a fixed size."),
    ] = None,
    dtype: Annotated[
        Dtype | None, typer.Option(help="Of the networks. Default: the backbone's own.")
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="LoRA that the backbone merges into its weights.")
    ] = None,
    corrected: Annotated[
        bool,
        typer.Option(
            "--corrected", help="Without the official code's oddities: deviates from its results."
        ),
    ] = False,
    offload: Annotated[
        bool, typer.Option("--offload", help="Idle networks wait in the CPU's memory.")
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
    """Restore images with a super-resolution backbone; run again to continue. Results are PNG.

    A backbone takes the options that its `load` has; one that it lacks is an error that names those it has.
    """
    from pipelines.progress import TerminalProgress
    from training.backbones import load_backbone, notice_of
    from training.restore import plan, settings_for
    from training.restore import restore as run_restore

    planned = plan(source, out)
    options: dict[str, Any] = {}
    if size is not None:
        options["width"], options["height"] = parse_size(size)
    for key, value in {"weights": weights, "device": device, "adapter": adapter}.items():
        if value is not None:
            options[key] = value
    if dtype is not None:
        options["dtype"] = dtype.value
    options |= {key: True for key, on in {"corrected": corrected, "offload": offload}.items() if on}
    options |= backbone_options(option or [])
    notice = notice_of(backbone)
    if notice:
        echo(notice, err=True)
    model = load_backbone(backbone, **options)
    settings = settings_for(
        model,
        options,
        steps=steps,
        solver=solver,
        seed=seed,
        seeds=None if seeds is None else seeds.value,
    )
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
