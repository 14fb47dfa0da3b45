"""Named files: titles and page ids from the recipe, or from a text file."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from crawler.commons import BATCH, Commons
from crawler.listed import Counted, Cursor, ListedBatch
from crawler.walkers._named import asked_for


@dataclass(frozen=True, kw_only=True)
class TitleSource:
    """Named files: titles or page ids, here or in a text file with one per line."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Literal["titles"] = "titles"
    titles: tuple[str, ...] = ()
    """With or without `File:`."""
    page_ids: tuple[int, ...] = ()
    """Survive a move of the file."""
    path: str | None = None
    """Text file: a title or a page id a line; blank lines and lines that start with # are skipped."""
    max_files: int | None = None
    """Rows listed at most; None: all."""

    def __post_init__(self) -> None:
        if not (self.titles or self.page_ids or self.path):
            raise ValueError("a titles source needs titles, page_ids or a path.")


def walk(
    commons: Commons, source: TitleSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """50 at a time. Cursor: how many times was asked."""
    wanted = _wanted(source, base)
    titles = [t if t.startswith("File:") else f"File:{t}" for t in wanted if isinstance(t, str)]
    page_ids = [i for i in wanted if isinstance(i, int)]
    chunks: list[Sequence[str | int]] = [
        titles[i : i + BATCH] for i in range(0, len(titles), BATCH)
    ]
    chunks += [page_ids[i : i + BATCH] for i in range(0, len(page_ids), BATCH)]
    first: int = cursor["chunk"] if cursor else 0
    for number, names in enumerate(chunks[first:], start=first):
        more = number + 1 < len(chunks)
        kind = "page ids" if isinstance(names[0], int) else "titles"
        yield ListedBatch(
            files=asked_for(commons, names, key, f"list of {kind}"),
            cursor={"chunk": number + 1} if more else None,
        )
    if not chunks:
        yield ListedBatch(files=(), cursor=None, problem="The list of titles is empty.")


def count(commons: Commons, source: TitleSource, base: Path) -> Counted:
    """As many as are named; nothing is asked."""
    return Counted(files=len(_wanted(source, base)), how="named")


def label(source: TitleSource) -> str:
    """With its file, where it has one."""
    return f"titles {source.path or ''}".strip()


def _wanted(source: TitleSource, base: Path) -> list[str | int]:
    """Titles, and page ids as numbers."""
    wanted: list[str | int] = [*source.titles, *source.page_ids]
    if source.path:
        lines = (base / source.path).read_text(encoding="utf-8").splitlines()
        given = [line.strip() for line in lines]
        wanted += [int(x) if x.isdigit() else x for x in given if x and not x.startswith("#")]
    return wanted
