"""The one way to load a plug-in: a file in a folder, its name the name that recipes and data use.

    MEASURES = Plugins(package="filters.measures", what="measure", error=UnknownMeasure)
    MEASURES.names()          # ["blockiness", ...]: the files there; nothing is imported
    MEASURES.load("contrast") # the module, imported when it is first asked for

Used by the walkers of sources, measures, metrics, rewards, backbones and encoders. Nothing is registered anywhere:
adding one is adding its file (CONTRIBUTING.md).
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The one of `names` that is spelled most like `name`, whatever its case; None where there are none."""
    lowered = {known.lower(): known for known in reversed(names)}
    found = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.0)
    return lowered[found[0]] if found else None


@dataclass(frozen=True, kw_only=True)
class Plugins:
    """The plug-ins of one folder: modules and packages whose name does not begin with an underscore."""

    package: str
    """Dotted name of the folder, e.g. filters.measures."""
    what: str
    """What one is called in messages, e.g. measure."""
    error: type[Exception]
    """What is raised for a name that has no file."""
    beside: frozenset[str] = frozenset()
    """Other modules of the folder, which are no plug-ins."""

    def names(self) -> list[str]:
        """In alphabetical order, from the names of the files alone."""
        folder = importlib.import_module(self.package).__path__
        found = {module.name for module in pkgutil.iter_modules(folder)} - self.beside
        return sorted(name for name in found if not name.startswith("_"))

    def load(self, name: str, *others: str) -> ModuleType:
        """Imports a plug-in; `others` are names that a hint may give besides.

        Raises:
            error: there is no such file; the message names the nearest.
        """
        names = self.names()
        if name not in names:
            near = nearest(name, [*names, *others])
            hint = f"; did you mean {near!r}?" if near else "."
            raise self.error(
                f"There is no {self.what} {name!r}{hint} CONTRIBUTING.md says how to add one."
            )
        return importlib.import_module(f"{self.package}.{name}")
