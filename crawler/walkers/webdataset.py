"""WebDataset shards: the images in tar files, with what is said of each in the JSON of its sample."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from catalog.errors import Missing
from catalog.image_names import is_picture
from crawler.listed import Counted, Cursor, ListedBatch, Seen
from crawler.relist import Relist
from crawler.shelves.records import check_stated, json_object, record_of
from crawler.shelves.tars import TarTrouble, samples, tar_bytes


@dataclass(frozen=True, kw_only=True)
class WebDatasetSource:
    """Images of your own in WebDataset shards."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str
    """Pattern of the shards, e.g. shards/*.tar; a relative one starts at the working directory."""
    kind: Literal["webdataset"] = "webdataset"
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of license, license_url, author, attribution, title, source, page_id: the key of a sample's JSON that has it."""
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
    commons: Any, source: WebDatasetSource, cursor: Cursor | None, key: str, base: Path
) -> Generator[ListedBatch]:
    """Shard by shard, in the order of their names. Cursor: shards that are done. `commons` as for folders."""
    shards = _shards(source, base)
    first: int = cursor["shards"] if cursor else 0
    for number, shard in enumerate(shards[first:], start=first + 1):
        files: list[Seen] = []
        problem: str | None = None
        try:
            for _, members in samples(shard):
                texts = [m for m in members if m.extension == "json"]
                said: Mapping[str, Any] = {}
                if texts:
                    said = json_object(tar_bytes(shard, texts[0].offset, texts[0].size))
                for member in members:
                    if not is_picture(PurePosixPath(member.name)):
                        continue
                    place = {"path": str(shard), "offset": member.offset, "size": member.size}
                    content = tar_bytes(shard, member.offset, member.size)
                    files.append(
                        record_of(
                            *(content, member.name, said, source),
                            look=commons.look,
                            key=key,
                            place=place,
                        )
                    )
        except (TarTrouble, ValueError) as error:
            problem = f"{shard.name}: {error}"
        more = number < len(shards)
        yield ListedBatch(
            files=tuple(files), cursor={"shards": number} if more else None, problem=problem
        )


def count(commons: Any, source: WebDatasetSource, base: Path) -> Counted:
    """By the headers of all shards."""
    del commons
    found = 0
    for shard in _shards(source, base):
        try:
            for _, members in samples(shard):
                found += sum(is_picture(PurePosixPath(member.name)) for member in members)
        except TarTrouble:
            continue
    return Counted(files=found, how="counted")


def label(source: WebDatasetSource) -> str:
    """With its pattern."""
    return f"shards {source.path}"


def _shards(source: WebDatasetSource, base: Path) -> list[Path]:
    pattern = PurePosixPath(source.path)
    root = Path(pattern.anchor) if pattern.is_absolute() else base
    relative = pattern.relative_to(pattern.anchor) if pattern.is_absolute() else pattern
    found = sorted(path.resolve() for path in root.glob(str(relative)))
    if not found:
        raise Missing(
            f"No shard matches {source.path}; a relative pattern starts at {root.resolve()}."
        )
    return found
