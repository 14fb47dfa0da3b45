"""What the page shows where there is no catalog: a release, here or on the Hub, and a folder that `lucidlr label`
wrote. Both read-only."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from catalog.errors import Expected, Missing
from catalog.release.manifest import DatasetError, load_manifest
from crawler.shelves import Item, items_of
from crawler.shelves.items import ItemGone, read_item
from pipelines.photos.label import NAMED
from pipelines.review.collection import Collection

pc: Any = compute
STRUCTS = {"severities": "severity_", "measures": "", "scores": ""}
"""Columns of a release whose fields become columns of their own -> beginning of their names."""
LABEL_FILE = "labels.parquet"


class NothingToExplore(Expected, ValueError):
    """A folder or repository that holds nothing the page can show."""


def of_folder(folder: Path) -> Collection:
    """A release, or what `lucidlr label` wrote.

    Raises:
        NothingToExplore: it is neither.
    """
    if (folder / LABEL_FILE).is_file():
        return of_labels(folder)
    for place in (folder, folder / "dataset"):
        if any(place.glob("data/*/*.parquet")):
            return of_release(place)
    raise NothingToExplore(
        f"{folder} holds neither a release (data/*/*.parquet) nor {LABEL_FILE}: name another folder."
    )


def of_repository(repo: str) -> Collection:
    """A release on the Hub, fetched into huggingface_hub's cache.

    Raises:
        NothingToExplore: there is no such repository, or it cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(repo, repo_type="dataset")
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        said = " ".join(str(error).split())[:300]
        raise NothingToExplore(
            f"{repo} is no folder here, and as a repository of the Hub it cannot be had: {said}"
        ) from error
    return of_folder(Path(folder))


def of_release(folder: Path) -> Collection:
    """Every sample of a release.

    Raises:
        NothingToExplore: its shards cannot be read.
    """
    shards = sorted(folder.glob("data/*/*.parquet"))
    tables: list[pa.Table] = []
    place: dict[str, tuple[Path, int, int]] = {}
    try:
        for shard in shards:
            with pq.ParquetFile(shard) as source:
                names = [name for name in source.schema_arrow.names if name != "image"]
                for group in range(source.num_row_groups):
                    table = source.read_row_group(group, columns=names)
                    tables.append(table)
                    for row, sha1 in enumerate(table.column("sha1").to_pylist()):
                        place[sha1] = (shard, group, row)
    except (pa.ArrowInvalid, KeyError) as error:
        raise NothingToExplore(f"{folder} is no release of LucidLR: {error}") from error
    table = pa.concat_tables(tables, promote_options="permissive")
    rows = _flat(table).append_column("keep", pa.array([True] * table.num_rows))
    rows = rows.append_column("reason", pa.array(["kept"] * table.num_rows))
    if "uploaded_at" in rows.column_names:
        rows = rows.append_column("year", pc.year(rows.column("uploaded_at")))
        rows = rows.drop_columns("uploaded_at")

    @lru_cache(maxsize=2)
    def images_of(shard: Path, group: int) -> Any:
        # Whoever goes through a release asks for the pictures of a group one after the other.
        with pq.ParquetFile(shard) as source:
            images = source.read_row_group(group, columns=["image.bytes"]).column("image")
            return pc.struct_field(images, "bytes")

    def read(sha1: str) -> bytes | None:
        found = place.get(sha1)
        if found is None:
            return None
        shard, group, row = found
        return images_of(shard, group)[row].as_py()

    return Collection(title=_title(folder), rows=_numbered(rows), read=read)


def _title(folder: Path) -> str:
    """The dataset's name and version, as its manifest tells them; without one the folder's name."""
    try:
        manifest = load_manifest(folder)
    except DatasetError:
        return folder.resolve().name
    return f"{manifest.name} {manifest.version}"


def of_labels(folder: Path, pictures: Path | None = None) -> Collection:
    """What `lucidlr label` wrote.

    Args:
        pictures: the folder that was labelled; None: what the run noted, or else beside the table and above it.

    Raises:
        NothingToExplore: the table is of something else.
    """
    table = pq.ParquetFile(folder / LABEL_FILE).read()
    lacking = {"file", "sha1", "labels", "severity", "keep", "reason"} - set(table.column_names)
    if lacking:
        raise NothingToExplore(f"{folder / LABEL_FILE} has no column {min(lacking)!r}.")
    files_ = table.column("file").to_pylist()
    sha1s = table.column("sha1").to_pylist()
    number = {file: n for n, file in enumerate(files_)}
    columns: dict[str, Any] = {
        "page_id": pa.array(np.arange(table.num_rows)),
        "title": table.column("file").cast(pa.string()),
    }
    for name in table.column_names:
        if name not in ("file", "twin_of", "error"):
            columns[name] = table.column(name)
    columns["keep"] = pc.fill_null(table.column("keep"), False)
    if "twin_of" in table.column_names:
        twins = table.column("twin_of").to_pylist()
        # Of a cluster all name the one that stays: its row is the cluster's number.
        groups = [number.get(twin, n) if twin else n for n, twin in enumerate(twins)]
        columns["cluster_id"] = pa.array(groups, pa.int64())
    if "error" in table.column_names:
        bad = table.column("error").to_pylist()
        columns["object"] = pa.array(["unreadable" if e else "present" for e in bad], pa.string())

    place = dict(zip(sha1s, files_, strict=True))
    items = _items(folder, pictures, set(files_))

    def read(sha1: str) -> bytes | None:
        item = items.get(place.get(sha1, ""))
        try:
            return None if item is None else read_item(item)
        except ItemGone:
            return None

    return Collection(title=folder.resolve().name, rows=_numbered(pa.table(columns)), read=read)


def _items(folder: Path, pictures: Path | None, wanted: set[str]) -> dict[str, Item]:
    """Name in the table -> the picture, in a shard or a table of images, too; names alone, so that no `..` of a table
    from elsewhere leads anywhere."""
    noted = folder / NAMED
    # Above a folder there may be a whole disk: it is gone through only where the first names are there.
    first = sorted(wanted)[:50]
    beside = [h for h in (folder, folder.parent) if any((h / name).is_file() for name in first)]
    homes: list[list[Path]] = [[home] for home in beside]
    if pictures is not None:
        homes = [[pictures]]
    elif noted.is_file():
        homes = [_noted(noted)]
    for home in homes:
        try:
            found = {item.name: item for item in items_of(home) if item.name in wanted}
        except Missing:
            continue
        if found:
            return found
    return {}


def _noted(place: Path) -> list[Path]:
    """The pictures that were named to `lucidlr label`; none where the note is damaged."""
    try:
        return [Path(path) for path in json.loads(place.read_text("utf-8"))]
    except (ValueError, TypeError):
        return []


def _flat(table: pa.Table) -> pa.Table:
    for name, beginning in STRUCTS.items():
        if name not in table.column_names:
            continue
        column = table.column(name).combine_chunks()
        for i in range(column.type.num_fields):
            field = column.type.field(i).name
            called = f"{beginning}{field}"
            if called not in table.column_names:
                table = table.append_column(called, pc.struct_field(column, field))
        table = table.drop_columns(name)
    return table


def _numbered(rows: pa.Table) -> pa.Table:
    return rows.add_column(0, "n", pa.array(np.arange(rows.num_rows, dtype=np.int64)))
