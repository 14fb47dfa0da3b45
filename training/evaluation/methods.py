"""Methods: who made an output. A folder of outputs, a backbone of ours, a command, or a baseline that runs here.

The paper's ten are known by name, with their repositories and licenses: `ResShift=path/to/outputs` is all it takes to
put one's own run of ResShift beside the published numbers. Whatever makes them, outputs are files on a disk, and it is
these files that are scored.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from catalog import files
from filters.measures import NotAnImage
from training.evaluation.inputs import Case, Pixels, png_bytes
from training.evaluation.outputs import MethodError, Outputs, slug
from training.image_names import candidates, image_stem, is_image
from training.pictures import read_pixels
from training.weights import sha256_of

Kind = Literal["bicubic", "realesrgan", "folder", "command", "backbone"]


@dataclass(frozen=True, kw_only=True)
class KnownMethod:
    """A method of the paper's table."""

    name: str
    repository: str
    """owner/name on GitHub."""
    license: str | None
    """Of the code, as an SPDX id or LicenseRef; None: not looked up, see the repository."""


PAPER_METHODS = {
    method.name: method
    for method in (
        KnownMethod(name="ResShift", repository="zsyOAOA/ResShift", license="LicenseRef-S-Lab-1.0"),
        KnownMethod(
            name="StableSR", repository="IceClear/StableSR", license="LicenseRef-S-Lab-1.0"
        ),
        KnownMethod(name="SinSR", repository="wyf0912/SinSR", license="CC-BY-NC-SA-4.0"),
        KnownMethod(name="DiffBIRv2", repository="XPixelGroup/DiffBIR", license="Apache-2.0"),
        KnownMethod(name="SeeSR", repository="cswry/SeeSR", license="Apache-2.0"),
        KnownMethod(name="DreamClear", repository="shallowdream204/DreamClear", license=None),
        KnownMethod(
            name="SUPIR", repository="Fanghua-Yu/SUPIR", license="LicenseRef-SUPIR-NonCommercial"
        ),
        KnownMethod(name="DiT4SR", repository="Adam-duan/DiT4SR", license="LicenseRef-Pi-Lab-1.0"),
        KnownMethod(
            name="LucidFlux",
            repository="W2GenAI-Lab/LucidFlux",
            license="LicenseRef-FLUX-1-dev-NonCommercial",
        ),
        KnownMethod(
            name="LucidFlux(+LucidNFT)",
            repository="W2GenAI-Lab/LucidNFT",
            license="LicenseRef-FLUX-1-dev-NonCommercial",
        ),
    )
}


_OWNERS = {
    "folder": "folder",
    "command": "command",
    "run_in": "command",
    "backbone": "backbone",
    "options": "backbone",
    "checkpoint": "backbone",
}
"""Whose key each is; a kind of that name needs it."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One column of the measured table."""

    name: str
    kind: Kind
    folder: str | None = None
    """folder: where outputs lie; `{benchmark}` in it is replaced by the benchmark's name."""
    command: str | None = None
    """command: run once per benchmark; `{lr}` is a folder of PNGs, `{out}` an empty folder for outputs by the same
    names."""
    run_in: str | None = None
    """command: the folder it is run in, e.g. the checkout."""
    backbone: str | None = None
    """backbone: its name in training/backbones/."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """backbone: what `load_backbone` takes, e.g. weights."""
    checkpoint: str | None = None
    """backbone: a run of `lucidlr train`, or one checkpoint of it; its averaged weights are put in use."""
    steps: int = 8
    """backbone: Euler steps."""
    seed: int = 0
    """backbone: of the noise; every image has noise of its own."""

    def __post_init__(self) -> None:
        needed = self.kind if self.kind in _OWNERS else None
        if needed and not getattr(self, needed):
            raise MethodError(f"{self.name}: kind {self.kind} needs `{needed}`.")
        for key, kind in _OWNERS.items():
            if kind != self.kind and getattr(self, key):
                raise MethodError(f"{self.name}: `{key}` means nothing to kind {self.kind}.")

    @property
    def license(self) -> str | None:
        """Of the code, for methods of the paper."""
        known = PAPER_METHODS.get(self.name)
        return known.license if known else None


Produce = Callable[[Method, Sequence[Case], Path], None]
"""Makes outputs <name>.png of a backbone method in a folder; passed in, because it needs torch."""


def outputs_of(
    method: Method,
    benchmark: str,
    cases: Sequence[Case],
    out: Path,
    *,
    produce: Produce | None = None,
) -> Outputs:
    """Finds or makes the outputs of a method; what is there already is not made again.

    Raises:
        MethodError: no folder, a command that failed, a backbone that cannot be loaded.
    """
    if method.kind == "folder":
        folder = Path(str(method.folder).replace("{benchmark}", benchmark))
        if not folder.is_dir():
            raise MethodError(f"{method.name}: there is no folder {folder} with its outputs.")
        return _found(method.name, folder, cases, made=0)
    folder = out / "outputs" / benchmark / f"{slug(method.name)}-{fingerprint(method)}"
    missing = [case for case in cases if not _is_made(folder / f"{case.name}.png", case)]
    if missing:
        files.make_folder(folder)
        if method.kind == "bicubic":
            for case in missing:
                files.put(folder / f"{case.name}.png", png_bytes(_bicubic(case)))
        elif method.kind == "command":
            _run_command(method, missing, folder, out)
        elif method.kind == "realesrgan":
            from training.evaluation.realesrgan import upscale_all

            upscale_all(missing, folder)
        elif produce is None:
            raise MethodError(f"{method.name}: nothing here can run a {method.kind}.")
        else:
            produce(method, missing, folder)
    return _found(method.name, folder, cases, made=len(missing))


def _is_made(output: Path, case: Case) -> bool:
    """There, and not older than the LR it was made from: an LR is only written where it changed."""
    return output.is_file() and output.stat().st_mtime_ns >= case.lr.stat().st_mtime_ns


def fingerprint(method: Method) -> str:
    """8 hex digits of all that outputs depend on: other options or another checkpoint are another folder."""
    digest = hashlib.sha256(repr(method).encode())
    paths = [Path(value) for value in method.options.values() if isinstance(value, str)]
    if method.checkpoint is not None:
        paths.append(weights_of_run(Path(method.checkpoint)))
    for path in paths:
        files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
        for file in files:
            digest.update(bytes.fromhex(sha256_of(file)))
    return digest.hexdigest()[:8]


def weights_of_run(path: Path) -> Path:
    """Where the weights of a training run are: weights.safetensors, else its last checkpoint, else `path` itself.

    Other files of a run (its log, its evaluation) may change without the weights.
    """
    if (path / "weights.safetensors").is_file():
        return path / "weights.safetensors"
    found = sorted((path / "checkpoints").glob("epoch-*"))
    return found[-1] if found else path


def _found(name: str, folder: Path, cases: Sequence[Case], *, made: int) -> Outputs:
    """Outputs are named like the LR (`Canon_001_LR4.png`), like the case, or like either with an ending of the
    method's own (`Canon_001_LR4_out.png`)."""
    by_stem: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if is_image(file):
            by_stem.setdefault(image_stem(file), []).append(file)
    meant = candidates({case.name: (case.name, case.source) for case in cases}, by_stem)
    files: dict[str, Path] = {}
    problems: list[str] = []
    for case in cases:
        found = [file for stem in meant[case.name] for file in by_stem[stem]]
        if not found:
            problems.append(f"{case.name}: no output of {name} in {folder}")
        elif len(found) > 1:
            problems.append(f"{case.name}: {len(found)} files of {name} could be meant")
        else:
            files[case.name] = found[0]
    return Outputs(files=files, problems=tuple(problems), made=made)


def _bicubic(case: Case) -> Pixels:
    """Pillow's bicubic to the size that the protocol asks for."""
    from PIL import Image

    pixels = read_pixels(case.lr)
    return np.asarray(Image.fromarray(pixels).resize(case.size, Image.Resampling.BICUBIC))


def _run_command(method: Method, cases: Sequence[Case], folder: Path, out: Path) -> None:
    """Runs in a temporary folder beside the outputs; what it made is moved in one by one."""
    if not method.command or "{lr}" not in method.command or "{out}" not in method.command:
        raise MethodError(f"{method.name}: its command needs {{lr}} and {{out}} in it.")
    if method.run_in is not None and not Path(method.run_in).is_dir():
        raise MethodError(
            f"{method.name}: there is no folder {method.run_in} (its `run_in`) to run its command in."
        )
    # Our own command is found also where its environment is not active; whatever else is found first stays first.
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    with tempfile.TemporaryDirectory(dir=folder, prefix=".run-") as run:
        lr, made = Path(run) / "lr", Path(run) / "out"
        lr.mkdir()
        made.mkdir()
        for case in cases:
            shutil.copyfile(case.lr, lr / f"{case.name}.png")
        places = {"lr": str(lr.resolve()), "out": str(made.resolve())}
        words = [word.format_map(places) for word in shlex.split(method.command)]
        log = out / "logs" / f"{slug(method.name)}.log"
        with files.growing(log) as file:
            try:
                code = subprocess.run(
                    words,
                    cwd=method.run_in,
                    env={**os.environ, "PATH": search},
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    check=False,
                ).returncode
            except OSError as error:
                raise MethodError(
                    f"{method.name}: {words[0]} cannot be run ({error.strerror})."
                ) from error
        if code != 0:
            tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise MethodError(
                f"{method.name}: its command ended with {code}: {' '.join(tail)} (see {log})"
            )
        for name, file in _found(method.name, made, cases, made=0).files.items():
            try:
                pixels = read_pixels(file)
            except NotAnImage:
                continue
            files.put(folder / f"{name}.png", png_bytes(pixels))
