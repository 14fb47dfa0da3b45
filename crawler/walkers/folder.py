"""A folder of somebody's images, with what is said of each in JSON beside it, in one CSV, or in the recipe."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from crawler.listed import Counted, Cursor, ListedBatch, Seen
from crawler.relist import Relist
from crawler.shelves import Item, ItemGone, items_of, read_item
from crawler.shelves.records import check_stated, json_object, read_table, record_of

AT_ONCE = 64
TABLE = "file"


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Images of your own in a folder, with all below it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str
    """The folder; a relative one starts at the working directory."""
    kind: Literal["folder"] = "folder"
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of license, license_url, author, attribution, title, source, page_id: the name of the JSON key or CSV column that
    holds it."""
    table: str | None = None
    """CSV within the folder, a row for each file; None: `<name>.json` beside each `<name>.jpg`."""
    table_file: str = TABLE
    """Column of the table that names the file, relative to the folder."""
    license: str | None = None
    """Of all images, where `fields` names no license: e.g. CC-BY-4.0. Needs license_url and evidence."""
    license_url: str | None = None
    """Address of that license's text."""
    author: str | None = None
    """Of all images that `license` is stated for, where no field names one."""
    evidence: str | None = None
    """Address of a page that states the license; also the source of images whose fields name none."""
    max_files: int | None = None
    """Files listed at most; None: all."""
    relist: Relist | None = None
    """When to look for new files; None: what was listed to its end stays as it is."""

    def __post_init__(self) -> None:
        check_stated(self)


def walk(
    commons: Any, source: FolderSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """In the order of names. Cursor: the last name. `commons` has only `look`
    (pipelines.build.own_files.Shelf): size and type of a picture from its bytes."""
    root = (base / source.path).resolve()
    table = None
    if source.table is not None:
        table = read_table(root / source.table, source.table_file)
    after = cursor["after"] if cursor else ""
    items = sorted(items_of([root]), key=lambda item: item.name)
    items = [item for item in items if item.on_disk and item.name > after]
    for start in range(0, max(len(items), 1), AT_ONCE):
        files: list[Seen] = []
        problems: list[str] = []
        some = items[start : start + AT_ONCE]
        for item in some:
            try:
                content = read_item(item)
            except ItemGone as error:
                problems.append(f"{item.name}: {error}")
                continue
            files.append(
                record_of(
                    content,
                    item.name,
                    _said(item, table),
                    source,
                    look=commons.look,
                    key=key,
                    place={"path": str(item.path)},
                )
            )
        more = start + AT_ONCE < len(items)
        if not items and not after:
            problems.append(f"No image in {root}.")
        problem = problems[0] if problems else None
        if len(problems) > 1:
            problem = f"{len(problems)} files cannot be read. The first is {problem}"
        yield ListedBatch(
            files=tuple(files), cursor={"after": some[-1].name} if more else None, problem=problem
        )


def count(commons: Any, source: FolderSource, base: Path) -> Counted:
    """As many as lie there."""
    del commons
    found = sum(item.on_disk for item in items_of([(base / source.path).resolve()]))
    return Counted(files=found, how="counted")


def label(source: FolderSource) -> str:
    """With its path."""
    return f"folder {source.path}"


def _said(item: Item, table: Mapping[str, Mapping[str, Any]] | None) -> Mapping[str, Any]:
    """What is known of one file beside its bytes."""
    if table is not None:
        return table.get(str(PurePosixPath(item.name)), {})
    beside = item.path.with_suffix(".json")
    return json_object(beside.read_bytes()) if beside.is_file() else {}
