"""The items of files and folders, in one order, and their bytes. See crawler/shelves/__init__.py."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from catalog.errors import Missing
from catalog.image_names import is_picture, shown_name
from crawler.shelves.tables import PLAIN, image_column, table_bytes, table_rows
from crawler.shelves.tars import TarTrouble, is_tar, members, tar_bytes

TABLES = (".parquet",)


class ItemGone(Missing):
    """An item's bytes cannot be read; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One image of somebody's, and where its bytes are."""

    name: str
    """Of the file, relative to what was named; of a member of a shard `<shard>/<member>`, of a row of a table
    `<table>/<number>`. No two items have one name."""
    path: Path
    """The file, the shard or the table."""
    size: int
    """Bytes of the item; of a row those of its table, because its own are not known before it is read."""
    mtime_ns: int
    """Of the file on the disk."""
    offset: int | None = None
    """In a shard: where its bytes begin."""
    group: int | None = None
    """In a table: the row group."""
    row: int | None = None
    """In a table: the row within that group."""
    problem: str | None = None
    """Why there are no bytes."""

    @property
    def on_disk(self) -> bool:
        """A file of its own."""
        return self.offset is None and self.group is None


def items_of(
    named: Sequence[Path],
    *,
    without: Sequence[Path] = (),
    skipped: list[Path] | None = None,
    unfollowed: list[Path] | None = None,
) -> Generator[Item]:
    """Every image in these files and folders, sorted by path; a shard's and a table's in their own order.

    Args:
        named: files are taken whatever their names are; of folders, with all below them, what looks like an image, a
            shard (.tar) or a table with images (.parquet). Hidden files and folders are left out.
        without: folders that are left out, an output folder for example.
        skipped: gets the files of folders that are none of these.
        unfollowed: gets the links to folders, which are not followed.

    Raises:
        Missing: one of `named` is not there.
    """
    for path in named:
        if not path.exists():
            raise Missing(f"There is no {path}. Name a folder of images, an image, or a shard.")
    base = _base(named)
    left_out = {folder.resolve() for folder in without}
    seen: set[Path] = set()
    closed: dict[Path, str] = {}
    found = sorted(_files(named, left_out, closed, unfollowed if unfollowed is not None else []))
    for path, why in sorted(closed.items()):
        name = shown_name(path.relative_to(base)) or "."
        told = f"This folder cannot be read: {why}."
        yield Item(name=name, path=path, size=0, mtime_ns=0, problem=told)
    for path, chosen in found:
        if path in seen:
            continue
        seen.add(path)
        name = shown_name(path.relative_to(base))
        if is_tar(path):
            yield from _of_tar(path, name)
        elif path.suffix.lower() in TABLES:
            yield from _of_table(path, name, chosen=chosen, skipped=skipped)
        elif chosen or is_picture(path):
            yield _of_file(path, name)
        elif skipped is not None:
            skipped.append(path)


def read_item(item: Item) -> bytes:
    """Its bytes.

    Raises:
        ItemGone: they cannot be read.
    """
    if item.problem is not None:
        raise ItemGone(item.problem)
    try:
        if item.offset is not None:
            return tar_bytes(item.path, item.offset, item.size)
        if item.group is not None:
            assert item.row is not None
            return table_bytes(item.path, item.group, item.row)
        return item.path.read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ItemGone(f"It cannot be read: {why}.") from error


def _base(named: Sequence[Path]) -> Path:
    """The folder that names start from: the one that was named, or the deepest that holds all."""
    folders = [path if path.is_dir() else path.parent for path in named]
    return Path(os.path.commonpath([folder.resolve() for folder in folders]))


def _files(
    named: Iterable[Path], left_out: set[Path], closed: dict[Path, str], unfollowed: list[Path]
) -> Generator[tuple[Path, bool]]:
    """(file, whether it was named itself); folders are not followed through links, so that no circle traps.

    `closed` gets the folders that cannot be read, and why.
    """

    def note(error: OSError) -> None:
        closed[Path(error.filename)] = error.strerror or str(error)

    for path in named:
        if not path.is_dir():
            yield path.parent.resolve() / path.name, True
            continue
        for folder, folders, names in os.walk(path.resolve(), onerror=note):
            here = Path(folder)
            unfollowed += [here / one for one in folders if (here / one).is_symlink()]
            folders[:] = [
                one
                for one in folders
                if not one.startswith(".") and (here / one).resolve() not in left_out
            ]
            yield from ((here / name, False) for name in names if not name.startswith("."))


def _stat(path: Path) -> tuple[int, int]:
    """Bytes and time; zeros of a link that leads nowhere."""
    try:
        told = path.stat()
    except OSError:
        return 0, 0
    return told.st_size, told.st_mtime_ns


def _of_file(path: Path, name: str) -> Item:
    size, mtime = _stat(path)
    problem = None
    if not path.is_file():
        problem = "A link that leads to no file." if path.is_symlink() else "It is not a file."
    return Item(name=name, path=path, size=size, mtime_ns=mtime, problem=problem)


def _of_tar(path: Path, name: str) -> Generator[Item]:
    size, mtime = _stat(path)
    names: dict[str, int] = {}
    try:
        for member in members(path):
            if not is_picture(PurePosixPath(member.name)):
                continue
            inner = f"{name}/{shown_name(PurePath(member.name))}"
            # A tar may hold a name twice; both are images of somebody's.
            names[inner] = names.get(inner, 0) + 1
            if names[inner] > 1:
                inner = f"{inner} ({names[inner]})"
            yield Item(
                name=inner, path=path, size=member.size, mtime_ns=mtime, offset=member.offset
            )
    except TarTrouble as error:
        yield Item(name=name, path=path, size=size, mtime_ns=mtime, problem=str(error))


def _of_table(
    path: Path, name: str, *, chosen: bool, skipped: list[Path] | None
) -> Generator[Item]:
    size, mtime = _stat(path)
    try:
        if image_column(path) is None:
            if not chosen:
                if skipped is not None:
                    skipped.append(path)
                return
            told = ", ".join(PLAIN)
            raise ValueError(f"it has no column of images (bytes and path, or bytes called {told})")
        for number, (group, row) in enumerate(table_rows(path)):
            inner = f"{name}/{number:06d}"
            yield Item(name=inner, path=path, size=size, mtime_ns=mtime, group=group, row=row)
    except (OSError, ValueError) as error:
        why = f"This table cannot be read: {str(error).rstrip('.')}."
        yield Item(name=name, path=path, size=size, mtime_ns=mtime, problem=why)
