"""Which files are images, and which of two folders belong together: outputs bear the names of their inputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import PurePath

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def shown_name(file: PurePath) -> str:
    """A path as text that can be written anywhere: bytes of a name that are not UTF-8 stand as \\xNN."""
    return os.fsencode(file.as_posix()).decode("utf-8", "backslashreplace")


def is_image(file: PurePath) -> bool:
    """By its suffix; hidden files are none."""
    return file.suffix.lower() in IMAGES and not file.name.startswith(".")


def image_stem(file: PurePath) -> str:
    """The name without all its image suffixes: `lucidlr restore` makes a.v2.jpg.png of a.v2.jpg; both are a.v2."""
    name = PurePath(file.name)
    while name.suffix.lower() in IMAGES and name.stem:
        name = PurePath(name.stem)
    return name.name


def candidates(wanted: Mapping[str, Iterable[str]], there: Iterable[str]) -> dict[str, list[str]]:
    """For each key the stems in `there` that could be its output, by one rule everywhere.

    An output is named like its input (`wanted` gives the names an input goes by, the best first), or like it with an
    ending of the method's own behind `_` (`0001.png` and `0001_out.png`). A file that has the very name of one input is
    not another one's with an ending: of `a` and `a_1`, `a_1.png` belongs to the second.
    """
    stems = list(there)
    known = set(stems)
    taken = {name for names in wanted.values() for name in names}
    found: dict[str, list[str]] = {}
    for key, names in wanted.items():
        every = list(names)
        exact = [name for name in every if name in known]
        starts = tuple(f"{name}_" for name in every)
        found[key] = exact[:1] or [s for s in stems if s.startswith(starts) and s not in taken]
    return found
