"""LR photographs in, PNG out, with any backbone: `lucidlr restore IN OUT --backbone NAME`.

Every PNG says how it was made (a text entry `lucidlr`: input, backbone, weights, seed, ...), so a run that was killed
is continued by the same command, and images of different settings are never mixed up. A file is complete when it has
its name; until then it has another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from catalog import files
from catalog.errors import Expected
from filters.picture import NotAnImage, header
from training.backbones import Backbone, HasOwnSettings, OwnSettings, Seeds
from training.data import to_bytes
from training.flow_matching import SOLVERS, Solver, solve
from training.image_names import IMAGES, is_image
from training.pictures import read_pixels
from training.train_config import decisive_options

ENTRY = "lucidlr"


class RestoreError(Expected, RuntimeError):
    """Nothing to restore, or a file in the way; says what to do."""


@runtime_checkable
class OwnNoise(Protocol):
    """A backbone that draws its initial noise itself, because dtype and device are part of its results."""

    def noise(self, latent_shape: tuple[int, ...], seed: int) -> Tensor:
        """[1, *latent_shape]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a result depends on, next to image and backbone."""

    steps: int = 24
    seed: int = 0
    seeds: Seeds = "per-image"
    """One seed for all images, or one for each, from `seed` and the image's bytes."""
    solver: Solver = "euler"
    upright: bool = True
    """Turn photographs by their EXIF tag before anything else."""
    notes: tuple[tuple[str, str], ...] = ()
    """More that tells results apart (adapter, size, ...), for the PNG's entry."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise RestoreError(f"--steps is {self.steps}; at least 1 is needed")
        if self.solver not in SOLVERS or self.solver == "sde":
            raise RestoreError(f"--solver is {self.solver!r}; there are euler, ddim, dpm1, dpm2")


@dataclass(frozen=True)
class Restored:
    """What a run did."""

    made: list[Path]
    kept: list[Path]
    """Were there already, made from the same image by the same settings."""
    failed: list[tuple[Path, str]]
    """Images that could not be read, and why."""


def settings_for(
    backbone: Backbone,
    options: Mapping[str, Any],
    *,
    steps: int | None = None,
    solver: str = "euler",
    seed: int | None = None,
    seeds: str | None = None,
) -> Settings:
    """What was asked for, for the rest the backbone's own, or sensible ones.

    Args:
        options: what the backbone was loaded with; those that can change a result go into the PNG's entry.

    Raises:
        RestoreError: no such solver, or less than one step.
    """
    if isinstance(backbone, HasOwnSettings):
        own = backbone.own_settings
    else:
        notes = {key: str(value) for key, value in decisive_options(options).items()}
        own = OwnSettings(seed=0, seeds="per-image", upright=True, notes=notes)
    given: dict[str, Any] = {
        "solver": solver,
        "seed": own.seed if seed is None else seed,
        "seeds": seeds or own.seeds,
        "upright": own.upright,
        "notes": tuple(sorted(own.notes.items())),
    }
    return Settings(**given) if steps is None else Settings(steps=steps, **given)


def restore(
    source: Path,
    out: Path,
    backbone: Backbone,
    settings: Settings,
    *,
    overwrite: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Restored:
    """Restores an image, or every image of a folder and its subfolders.

    Args:
        source: an image or a folder.
        out: for an image a PNG file or a folder, for a folder a folder; see `plan`.
        overwrite: replace files that were made in another way.
        advance: told of every image that is done.

    Raises:
        RestoreError: nothing to do, or files in the way.
    """
    planned = plan(source, out)
    images: list[tuple[Path, Path, dict[str, str] | None]] = []
    failed: list[tuple[Path, str]] = []
    in_the_way: list[Path] = []
    for image, target in planned:
        wanted = provenance(image, backbone, settings)
        there = _entry(target)
        if there == wanted:
            images.append((image, target, None))
            continue
        if target.exists() and not overwrite:
            in_the_way.append(target)
        images.append((image, target, wanted))
    if in_the_way:
        raise RestoreError(
            f"{len(in_the_way)} files are there already and were made in another way (the first is "
            f"{in_the_way[0]}): choose another folder, or --overwrite"
        )
    made: list[Path] = []
    kept: list[Path] = []
    for image, target, wanted in images:
        if wanted is None:
            kept.append(target)
        else:
            try:
                lr = read_lr(image, upright=settings.upright)
            except (OSError, NotAnImage) as error:
                failed.append((image, str(error)))
            else:
                result = restore_one(lr, backbone, settings, seed=int(wanted["seed"]))
                _write(target, result, wanted)
                made.append(target)
        advance(1)
    return Restored(made, kept, failed)


def restore_one(lr: Tensor, backbone: Backbone, settings: Settings, *, seed: int) -> Tensor:
    """LR [3,h,w] float32 in [0,1] to uint8 [H,W,3]."""
    with torch.no_grad():
        cond = backbone.encode(lr[None])
        shape = backbone.latent_shape((lr.shape[1], lr.shape[2]))
        times = backbone.schedule(settings.steps, shape)
        if isinstance(backbone, OwnNoise):
            z = backbone.noise(shape, seed)
        else:
            device = next(iter(cond.values())).device
            z = torch.randn((1, *shape), generator=torch.Generator().manual_seed(seed)).to(device)
        z = solve(lambda z, t: backbone.velocity(z, t, cond), z, times, solver=settings.solver)
        return to_bytes(backbone.decode(z, cond)[0])


def plan(source: Path, out: Path) -> list[tuple[Path, Path]]:
    """(image, PNG) for every image, in order of their paths.

    The PNG's name is the whole name of the image with `.png` behind it (`a.v2.jpg` becomes `a.v2.jpg.png`), in the
    same subfolder: no two images share one. The official script cuts at the first dot, so that `a.1.jpg` and `a.2.jpg`
    overwrite each other.

    Raises:
        RestoreError: no such image or folder, no image in it, or OUT inside IN.
    """
    if source.is_file():
        target = out if out.suffix.lower() == ".png" else out / f"{source.name}.png"
        if target.exists() and target.samefile(source):
            raise RestoreError(f"{out} is the image itself; choose another name")
        return [(source, target)]
    if not source.is_dir():
        raise RestoreError(f"There is no image or folder {source}")
    if out.is_file():
        raise RestoreError(f"{source} is a folder, {out} is a file; name a folder to write to")
    if out.resolve().is_relative_to(source.resolve()):
        raise RestoreError(f"{out} lies in {source}: results would be restored again; move it out")
    images = sorted(p for p in source.rglob("*") if is_image(p) and p.is_file())
    if not images:
        raise RestoreError(f"{source} holds no image ({', '.join(IMAGES)})")
    return [(p, out / p.relative_to(source).parent / f"{p.name}.png") for p in images]


def read_lr(path: Path, *, upright: bool) -> Tensor:
    """[3,h,w] float32 RGB in [0,1]; what is transparent lies on white.

    Raises:
        OSError, ValueError: the file cannot be read, or is no whole image.
    """
    pixels = read_pixels(path, upright=upright)
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous().float() / 255


def image_seed(seed: int, digest: str) -> int:
    """63 bits from the run's seed and the SHA-256 of the image's file: independent of its name and its neighbours."""
    text = f"{seed} {digest}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def provenance(image: Path, backbone: Backbone, settings: Settings) -> dict[str, str]:
    """What the PNG says of its origin; equal entries mean equal results on the same machine."""
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    constant = settings.seeds == "constant"
    return {
        "input_sha256": digest,
        "backbone": backbone.name,
        "weights_sha256": backbone.weights_sha256,
        "license": backbone.license,
        "steps": str(settings.steps),
        "solver": settings.solver,
        "seed": str(settings.seed if constant else image_seed(settings.seed, digest)),
        "upright": str(settings.upright),
        **dict(settings.notes),
    }


def _entry(path: Path) -> dict[str, str] | None:
    """The entry of a PNG that is there; None if there is none, or no such file."""
    try:
        text = header(path).info.get(ENTRY)
        return json.loads(text) if isinstance(text, str) else None
    except (OSError, ValueError):
        return None


def _write(path: Path, pixels: Tensor, entry: dict[str, str]) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text(ENTRY, json.dumps(entry, sort_keys=True))
    with files.stream(path) as sink:
        Image.fromarray(pixels.numpy()).save(sink, format="PNG", pnginfo=info)
