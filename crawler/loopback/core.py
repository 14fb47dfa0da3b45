"""What the modules of the embedded Commons' API share: the wiki that they read, and what a module is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crawler.loopback.pages import Page, Pages, Title
from crawler.loopback.params import Params

Values = dict[int, dict[str, Any]]


@dataclass(kw_only=True)
class Wiki:
    """What the modules read."""

    pages: Pages
    site: str
    """https://commons.wikimedia.org"""
    upload: str
    """https://upload.wikimedia.org/wikipedia/commons"""
    page_size: int
    max_result_bytes: int
    most_hits: int
    """Hits of one search that are shown."""


@dataclass(kw_only=True)
class Listed:
    """One answer of a listing."""

    pages: list[Page]
    shown: list[dict[str, Any]]
    next: dict[str, Any] = field(default_factory=dict)
    first: int = 1
    """Rank of the first row, for searches."""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module, its prefix, and the parameters it knows."""

    name: str
    code: str
    keys: tuple[str, ...]
    prop: (
        Callable[[Wiki, Params, dict[int, Page], dict[int, Title], Values], dict[str, Any]] | None
    ) = None
    listing: Callable[[Wiki, Params, str], Listed] | None = None
    meta: Callable[[Wiki, Params], dict[str, Any]] | None = None

    def read_only(self, params: Params, prefix: str = "") -> None:
        """The module has said everything; its parameters are still known ones."""
        params.read(*(f"{prefix}{self.code}{key}" for key in self.keys))

    def run_prop(
        self,
        wiki: Wiki,
        params: Params,
        pages: dict[int, Page],
        absent: dict[int, Title],
        values: Values,
    ) -> dict[str, Any]:
        """Fills `values`; returns what continues it."""
        assert self.prop is not None
        self.read_only(params)
        return self.prop(wiki, params, pages, absent, values)

    def run_list(self, wiki: Wiki, params: Params, prefix: str = "") -> Listed:
        """One answer's rows; `prefix` is g for a generator."""
        assert self.listing is not None
        self.read_only(params, prefix)
        return self.listing(wiki, params, prefix + self.code)

    def run_meta(self, wiki: Wiki, params: Params) -> dict[str, Any]:
        """Keys of `query`."""
        assert self.meta is not None
        self.read_only(params)
        return self.meta(wiki, params)


def kind_of(page: Page) -> str:
    """What a page is to a category that holds it."""
    return {6: "file", 14: "subcat"}.get(page.title.namespace, "page")


def named(*modules: Module) -> Mapping[str, Module]:
    """Modules by name."""
    return {module.name: module for module in modules}
