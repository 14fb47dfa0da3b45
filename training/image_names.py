"""Which files are images, and which of two folders belong together: outputs bear the names of their inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath

from catalog.image_names import IMAGES as IMAGES
from catalog.image_names import MORE as MORE
from catalog.image_names import is_image as is_image
from catalog.image_names import is_picture as is_picture
from catalog.image_names import shown_name as shown_name


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
