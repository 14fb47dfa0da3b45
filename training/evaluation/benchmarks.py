"""Benchmarks: what each one is, whether your copy of it is complete, and the images that methods are given.

    lucidlr evaluate --benchmark RealLQ250=path/to/RealLQ250 --method mine=path/to/outputs

A known benchmark says how many images it has and how its known distributions lay out their files; a copy that lacks
some is an error that says what was found and where the files come from. Any other folder is a benchmark, too. Sizes
and pairs are checked before anything is scored. The protocol decides what methods get and how large outputs must be.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from catalog.errors import Expected
from training.image_names import image_stem, is_image

Protocol = Literal["full", "resize1024", "crop128"]
"""full: LR as it is, outputs `scale` times as large. resize1024: outputs 1024 x 1024 whatever the LR's shape, as
the paper's base model does (`resize((1024, 1024))`). crop128: the centre 128 px of the LR and `scale` times as much of
the HR, as StableSR's test sets."""
PROTOCOLS: tuple[Protocol, ...] = ("full", "resize1024", "crop128")
TARGET_PX, CROP_PX = 1024, 128
TINY = "tiny"
"""The benchmark in the box; training/evaluation/tiny_benchmark.py makes it."""
_ENDS = re.compile(r"(_(lr|hr|lq|gt)\d*|_?x[1-4]|_lr_?x?[1-4])$", re.IGNORECASE)
"""Ends of names that tell LR from HR in the known distributions: `Canon_001_LR4` and `Canon_001_HR` are a pair."""


class BenchmarkError(Expected, ValueError):
    """A copy that is not what its benchmark is; the message says what was found and where the files come from."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the files of one distribution lie; globs below the benchmark's folder."""

    lr: tuple[str, ...]
    hr: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec:
    """What is known of a benchmark."""

    name: str
    paired: bool
    images: int | None
    """None: any number."""
    scale: int = 4
    protocol: Protocol = "full"
    layouts: tuple[Layout, ...]
    """Tried in order; the first one that finds an LR is the copy's."""
    where: str
    """Where the files come from, and under which terms."""
    usage: str = "Testing / Benchmark"
    type: str = "Real-world"


_PAIRS = Layout(lr=("test_LR/*", "lr/*", "LR/*"), hr=("test_HR/*", "hr/*", "HR/*", "gt/*"))
SPECS = {
    spec.name: spec
    for spec in (
        BenchmarkSpec(
            name="RealLQ250",
            paired=False,
            images=250,
            protocol="resize1024",
            layouts=(
                Layout(lr=("lq_256/*",)),
                Layout(lr=("lq/*", "LQ/*", "lr/*")),
                Layout(lr=("*",)),
            ),
            where="the repository of DreamClear links it (RealLQ250: 250 photographs of 256 px)",
        ),
        BenchmarkSpec(
            name="DRealSR",
            paired=True,
            images=93,
            protocol="resize1024",
            layouts=(
                _PAIRS,
                Layout(lr=("Test_x4/test_LR/*",), hr=("Test_x4/test_HR/*",)),
                Layout(lr=("DrealSRVal_crop128/test_LR/*",), hr=("DrealSRVal_crop128/test_HR/*",)),
            ),
            where="the repository of DRealSR (Test_x4), or the test sets of StableSR (DrealSRVal_crop128)",
            type="Real-captured",
        ),
        BenchmarkSpec(
            name="RealSR",
            paired=True,
            images=100,
            protocol="resize1024",
            layouts=(
                _PAIRS,
                Layout(
                    lr=("Canon/Test/4/*_LR4.png", "Nikon/Test/4/*_LR4.png"),
                    hr=("Canon/Test/4/*_HR.png", "Nikon/Test/4/*_HR.png"),
                ),
                Layout(lr=("RealSRVal_crop128/test_LR/*",), hr=("RealSRVal_crop128/test_HR/*",)),
            ),
            where="the repository of RealSR (V3, Canon and Nikon, Test/4), or the test sets of StableSR",
            type="Real-captured",
        ),
        BenchmarkSpec(
            name="LSDIR-Val",
            paired=True,
            # The paper names the set and no number: LSDIR's validation images were published in more than one part.
            images=None,
            layouts=(
                Layout(lr=("X4/**/*", "val1/X4/**/*"), hr=("HR/**/*", "val1/HR/**/*")),
                _PAIRS,
            ),
            where="the page of LSDIR (validation images, HR and X4)",
            type="Synthetic",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image of a benchmark."""

    name: str
    """Unique; outputs are saved as <name>.png."""
    lr: Path
    hr: Path | None
    cluster: str
    """What is drawn as one in a bootstrap: the photograph it was cut from; for most benchmarks the image itself."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A copy on this machine that was looked over."""

    spec: BenchmarkSpec
    folder: Path
    protocol: Protocol
    items: tuple[Item, ...]
    problems: tuple[str, ...] = ()
    """Files left out, and why."""

    @property
    def name(self) -> str:
        """As in results."""
        return self.spec.name

    @property
    def paired(self) -> bool:
        """Whether images have an HR."""
        return self.spec.paired


def known_spec(name: str) -> BenchmarkSpec:
    """One of SPECS.

    Raises:
        BenchmarkError: no such benchmark; the message names the nearest.
    """
    if name not in SPECS:
        near = difflib.get_close_matches(name, SPECS, n=1, cutoff=0.0)[0]
        raise BenchmarkError(f"There is no benchmark {name!r}; did you mean {near!r}?")
    return SPECS[name]


def folder_spec(name: str, folder: Path, *, scale: int = 4) -> BenchmarkSpec:
    """A benchmark of your own: pairs where there is a folder lr/ and one hr/ (or gt/, HR/), else all images are LR."""
    paired = any(any(folder.glob(pattern)) for pattern in _PAIRS.hr)
    layouts = (_PAIRS,) if paired else (Layout(lr=_PAIRS.lr), Layout(lr=("**/*",)))
    return BenchmarkSpec(
        name=name, paired=paired, images=None, scale=scale, layouts=layouts, where="your own folder"
    )


def load_benchmark(
    name: str,
    folder: Path,
    *,
    protocol: Protocol | None = None,
    scale: int | None = None,
    partial: bool = False,
) -> Benchmark:
    """Looks over a copy of a known benchmark, or any folder under a name of its own.

    Args:
        protocol: default: the one of the paper for a known benchmark, `full` for a folder.
        scale: HR size over LR size; default: the spec's.
        partial: take what there is of a known benchmark; its results compare with nobody's.

    Raises:
        BenchmarkError: no folder, no images, or (without `partial`) a known benchmark that is not complete.
    """
    if not folder.is_dir():
        where = f" Get it from {SPECS[name].where}." if name in SPECS else ""
        raise BenchmarkError(f"{name}: there is no folder {folder}.{where}")
    spec = SPECS[name] if name in SPECS else folder_spec(name, folder)
    if scale is not None:
        spec = replace(spec, scale=scale)
    items, problems = _items(spec, folder)
    chosen = protocol or spec.protocol
    sized: list[Item] = []
    for item in items:
        problem = _size_problem(item, spec, chosen)
        if problem is None:
            sized.append(item)
        else:
            problems.append(f"{item.name}: {problem}")
    expected = spec.images
    if not sized or (expected is not None and len(sized) != expected and not partial):
        raise BenchmarkError(_what_was_found(spec, folder, sized, problems))
    if expected is not None and len(sized) != expected:
        problems.insert(0, f"{len(sized)} of {expected} images: compares with nobody's results")
    return Benchmark(
        spec=spec, folder=folder, protocol=chosen, items=tuple(sized), problems=tuple(problems)
    )


def _what_was_found(
    spec: BenchmarkSpec, folder: Path, sized: Sequence[Item], problems: Sequence[str]
) -> str:
    wanted = "images" if spec.images is None else f"{spec.images} images"
    lines = [
        f"{spec.name} should have {wanted}{' with their HR' if spec.paired else ''}; "
        f"{folder} has {len(sized)} that can be used.",
        *(f"  {problem}" for problem in problems[:5]),
    ]
    if len(problems) > 5:
        lines.append(f"  and {len(problems) - 5} more")
    patterns = " or ".join(" + ".join((*layout.lr[:1], *layout.hr[:1])) for layout in spec.layouts)
    lines.append(f"Looked for {patterns}. Files: {spec.where}.")
    if spec.images is not None and sized:
        lines.append("To evaluate what is there all the same: --partial.")
    return "\n".join(lines)


def _items(spec: BenchmarkSpec, folder: Path) -> tuple[list[Item], list[str]]:
    for layout in spec.layouts:
        lrs = _files(folder, layout.lr)
        if lrs:
            break
    else:
        return [], ["no image file in any known place"]
    if not spec.paired:
        names = _unique_names(lrs, folder)
        return [Item(name=n, lr=f, hr=None, cluster=n) for n, f in names.items()], []
    hrs, problems = _by_pair_key(_files(folder, layout.hr), "HR")
    found, more = _by_pair_key(lrs, "LR")
    problems += more
    items: list[Item] = []
    for key, lr in found.items():
        hr = hrs.pop(key, None)
        if hr is None:
            problems.append(f"{lr.relative_to(folder)}: no HR belongs to it")
        else:
            items.append(Item(name=key, lr=lr, hr=hr, cluster=key))
    problems += [f"{hr.relative_to(folder)}: no LR belongs to it" for hr in hrs.values()]
    return items, problems


def _files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    found = {
        file
        for pattern in patterns
        for file in folder.glob(pattern)
        if is_image(file) and file.is_file()
    }
    return sorted(found)


def _unique_names(files: Sequence[Path], folder: Path) -> dict[str, Path]:
    """Stems where they differ, paths spelled with `__` where they do not."""
    stems = [image_stem(file) for file in files]
    if len(set(stems)) == len(stems):
        return dict(zip(stems, files, strict=True))
    return {
        file.relative_to(folder).as_posix().replace("/", "__").replace(".", "_"): file
        for file in files
    }


def pair_key(stem: str) -> str:
    """What an LR and its HR have in common: the name without `_LR4`, `_HR`, `x4` and the like."""
    shorter = _ENDS.sub("", stem)
    return shorter or stem


def _by_pair_key(files: Sequence[Path], side: str) -> tuple[dict[str, Path], list[str]]:
    found: dict[str, Path] = {}
    problems: list[str] = []
    for file in files:
        key = pair_key(image_stem(file))
        if key in found:
            problems.append(f"{file.name}: a second {side} beside {found[key].name}")
        else:
            found[key] = file
    return found, problems


def _size_problem(item: Item, spec: BenchmarkSpec, protocol: Protocol) -> str | None:
    """What is wrong with the files, as far as their headers tell; None: nothing."""
    try:
        lr = _size(item.lr)
        hr = _size(item.hr) if item.hr is not None else None
    except (OSError, ValueError) as error:
        return f"cannot be read ({error})"
    if protocol == "crop128" and min(lr) < CROP_PX:
        return f"LR is {lr[0]}x{lr[1]}, smaller than the {CROP_PX} px to be cut from it"
    if hr is None or protocol == "resize1024":
        return None
    wanted = (spec.scale * lr[0], spec.scale * lr[1])
    if hr != wanted:
        return f"HR is {hr[0]}x{hr[1]}, {spec.scale} times the LR would be {wanted[0]}x{wanted[1]}"
    return None


def _size(file: Path) -> tuple[int, int]:
    from filters.picture import header

    return header(file).turned_size
