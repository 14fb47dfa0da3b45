"""Named files: titles and page ids from the recipe, or from a text file."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from catalog.errors import NotAFile
from catalog.files import named_text
from crawler.commons import BATCH, Commons
from crawler.listed import Counted, Cursor, ListedBatch
from crawler.names import read_name
from crawler.relist import Relist
from crawler.walkers._named import asked_for


@dataclass(frozen=True, kw_only=True)
class TitleSource:
    """Named files: titles or page ids, here or in a text file with one per line."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Literal["titles"] = "titles"
    titles: tuple[str, ...] = ()
    """In any form that crawler.names reads."""
    page_ids: tuple[int, ...] = ()
    """Survive a move of the file."""
    path: str | None = None
    """Text file: a title, a page id or an address a line; blank lines and lines that start with # are skipped."""
    max_files: int | None = None
    """Rows listed at most; None: all."""
    relist: Relist | None = None
    """When to look for new files; None: what was listed to its end stays as it is."""

    def __post_init__(self) -> None:
        if not (self.titles or self.page_ids or self.path):
            raise ValueError("a titles source needs titles, page_ids or a path.")


def walk(
    commons: Commons, source: TitleSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """50 at a time. Cursor: how many times was asked."""
    wanted: list[str | int] = []
    problems: list[str] = []
    for text in _given(source, base):
        try:
            wanted.append(read_name(text))
        except NotAFile as error:
            problems.append(str(error))
    titles = list(dict.fromkeys(name for name in wanted if isinstance(name, str)))
    page_ids = list(dict.fromkeys(name for name in wanted if isinstance(name, int)))
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
            problem=_told(problems) if number == 0 else None,
        )
    if not chunks:
        told = _told(problems) or "The list of titles is empty."
        yield ListedBatch(files=(), cursor=None, problem=told)


def count(commons: Commons, source: TitleSource, base: Path) -> Counted:
    """As many as are named; nothing is asked."""
    return Counted(files=len(_given(source, base)), how="named")


def label(source: TitleSource) -> str:
    """With its file, where it has one."""
    return f"titles {source.path or ''}".strip()


def _given(source: TitleSource, base: Path) -> list[str]:
    """What the recipe and its list name, as written; blank lines and remarks are left out."""
    given = [*source.titles, *map(str, source.page_ids)]
    if source.path:
        # A byte order mark is no part of the first line.
        lines = named_text(base / source.path, "a list of titles").splitlines()
        given += [
            line.strip() for line in lines if line.strip() and not line.strip().startswith("#")
        ]
    return given


def _told(problems: Sequence[str]) -> str | None:
    if not problems:
        return None
    more = f" ({len(problems) - 1} more lines name no file.)" if len(problems) > 1 else ""
    return f"A line of the list of titles was left out: {problems[0]}{more}"
