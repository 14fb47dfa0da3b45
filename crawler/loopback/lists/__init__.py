"""Listings of the embedded Commons' API: a file each, its name what `list=` and `generator=` ask for.

A list is a module `crawler/loopback/lists/<name>.py` with `CODE` (MediaWiki's prefix of its parameters), `KEYS` (those
parameters, without the prefix) and `listing(wiki, params, code) -> Listed`: one answer's rows, and where the next one
goes on; `code` is the prefix as asked for, with a g in front of it for a generator.
"""

from __future__ import annotations

from catalog.plugins import Plugins
from crawler.loopback.core import Module, named

_FILES = Plugins(package="crawler.loopback.lists", what="list", error=KeyError)


def _module(name: str) -> Module:
    file = _FILES.load(name)
    return Module(name=name, code=file.CODE, keys=file.KEYS, listing=file.listing)


LISTS = named(*(_module(name) for name in _FILES.names()))
