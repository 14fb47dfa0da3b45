"""The kinds of sources: a file each, whose name is the `kind` that a recipe writes.

A walker is a module `crawler/walkers/<kind>.py` with

    class <Any>Source                              its config: a frozen dataclass with `kind: Literal["<kind>"]` and
                                                   `max_files`, and a docstring under each field
    def walk(commons, source, cursor, key, base)   the batches of files, on from a cursor; a generator
    def count(commons, source, base) -> Counted    how large it is, in a few requests, for `lucidlr plan`
    def label(source) -> str                       what a person would call it

and, where it can look for new files without walking all of them again,

    def again(commons, source, cursor, key, base, since, known)    batches with what is new since a time; as `walk`
    def closed(source, since) -> str | None        why nothing new can come after that time, and what would reopen it

crawler/sources.py makes the union of all configs, by which recipes are checked; nothing else knows a kind by name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from catalog.plugins import Plugins
from crawler.commons import Commons
from crawler.listed import Counted, Cursor, ListedBatch
from crawler.relist import Relist


class UnknownSource(ValueError):
    """No file in crawler/walkers/ has this kind."""


class Source(Protocol):
    """What every config of a source has; the rest is its walker's."""

    @property
    def kind(self) -> str:
        """Name of its walker's file."""
        ...

    @property
    def max_files(self) -> int | None:
        """Rows listed at most; None: all. It is no part of what identifies a source: a higher cap resumes it."""
        ...

    @property
    def relist(self) -> Relist | None:
        """When to look for new files; None: never. It is no part of what identifies a source either."""
        ...


@dataclass(frozen=True, kw_only=True)
class Walker:
    """A loaded walker."""

    kind: str
    config: type[Any]
    """Its dataclass."""
    walk: Callable[[Commons, Any, Cursor | None, str, Path], Generator[ListedBatch]]
    """(wiki, source, cursor or None for the start, name of the source in the evidence, folder of relative paths)."""
    count: Callable[[Commons, Any, Path], Counted]
    label: Callable[[Any], str]
    again: Callable[..., Generator[ListedBatch]] | None = None
    """As walk, with when the last walk began (UTC) and a function that says whether a file is known; None: walk."""
    closed: Callable[[Any, datetime], str | None] | None = None


WALKERS = Plugins(package="crawler.walkers", what="source of kind", error=UnknownSource)


def source_kinds() -> list[str]:
    """All kinds, in alphabetical order."""
    return WALKERS.names()


@cache
def load_walker(kind: str) -> Walker:
    """Imports a walker.

    Raises:
        UnknownSource: there is no such file; the message names the nearest.
        TypeError: the file has no config, or several.
    """
    module = WALKERS.load(kind)
    configs = [value for value in vars(module).values() if _is_config(value, kind)]
    if len(configs) != 1:
        raise TypeError(
            f"{module.__name__} needs one dataclass with the fields kind (default {kind!r}) and max_files; "
            f"it has {len(configs)}. CONTRIBUTING.md shows one."
        )
    return Walker(
        kind=kind,
        config=configs[0],
        walk=module.walk,
        count=module.count,
        label=module.label,
        again=getattr(module, "again", None),
        closed=getattr(module, "closed", None),
    )


def _is_config(value: object, kind: str) -> bool:
    if not (isinstance(value, type) and is_dataclass(value)):
        return False
    defaults = {field.name: field.default for field in fields(value)}
    return defaults.get("kind") == kind and "max_files" in defaults
