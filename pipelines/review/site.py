"""The page as files, for a web server that runs nothing (a static Space, nginx, `python -m http.server`).

    OUT/index.html      opens it; written last
    OUT/index.parquet   a row for each picture, all that is shown and filtered, read in the browser
    OUT/thumbnails/     WebP, made once: run again, only what is new is made, and what left the release is deleted
    OUT/originals/      only if asked for
    OUT/page/           scripts, style, and hyparquet (MIT), which reads the index

Titles and names come from strangers: the page puts them in as text, and its policy allows nothing but files beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files
from catalog.errors import Expected
from pipelines.review.collection import Collection
from pipelines.review.pictures import Pictures, thumbnail_path

HERE = Path(__file__).parent
HYPARQUET = HERE / "vendor" / "hyparquet"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
LEFT_OUT = frozenset({"description", "credit", "phash", "dhash", "n"})
"""Columns of a release that the page neither shows nor filters by."""
AS_TEXT = frozenset({"page_id", "cluster_id", "duplicate_of"})
"""Whole numbers that may be larger than JavaScript tells apart."""
ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}
MARK = "page/local.js"
"""What tells a folder of ours from somebody else's."""


class NotOurs(Expected, ValueError):
    """A folder that holds something else."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What was written."""

    rows: int
    pictures: int
    """Rows with a thumbnail."""
    deleted: int
    """Pictures of an earlier run that belong to no row any more."""
    index_bytes: int


def write_site(
    collection: Collection,
    out: Path,
    *,
    originals: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> Site:
    """Writes the page for a collection into `out`; killed, the same call resumes.

    Args:
        originals: copy the files themselves, too, for the large view; else it shows the thumbnail.
        advance: called with 1 for each row.

    Raises:
        NotOurs: `out` holds other files than such a page.
        catalog.files.DiskFull: there was no room.
    """
    out = files.local(out)
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise NotOurs(f"{out} is not empty, and no page of LucidLR is in it: name another folder.")
    files.put(out / MARK, (HERE / "static" / "local.js").read_bytes())
    # Until the end there is no page: with an old one new files would not fit.
    files.delete(out / "index.html")
    thumbnails, places = _pictures(collection, out, originals, advance)
    table = index_of(collection, thumbnails, places)
    files.delete(out / "index.parquet")
    with files.writing(out / "index.parquet") as temporary:
        pq.write_table(table, temporary, compression="snappy", write_statistics=False)
    deleted = _delete_others(out, {*thumbnails, *places} - {None})
    for path in sorted((HERE / "static").glob("*.js")):
        files.put(out / "page" / path.name, path.read_bytes())
    files.put(out / "page" / "style.css", (HERE / "static" / "style.css").read_bytes())
    for path in sorted(HYPARQUET.iterdir()):
        files.put(out / "page" / "hyparquet" / path.name, path.read_bytes())
    files.put(out / "index.html", page_of((HERE / "static" / "index.html").read_text("utf-8")))
    return Site(
        rows=table.num_rows,
        pictures=sum(one is not None for one in thumbnails),
        deleted=deleted,
        index_bytes=(out / "index.parquet").stat().st_size,
    )


def page_of(html: str) -> str:
    """The server's page with addresses beside it, and with the policy that the server sends as a header."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    html = html.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}')
    html = html.replace("/static/app.js", "page/static.js")
    return html.replace("/static/", "page/")


def _pictures(
    collection: Collection, out: Path, originals: bool, advance: Callable[[int], None]
) -> tuple[list[str | None], list[str | None]]:
    """[N] thumbnails and [N] originals, as addresses relative to `out`; those that are missing are made."""
    pictures = Pictures(collection.read, out / "thumbnails")
    small: list[str | None] = []
    large: list[str | None] = []
    held: list[str | None] = collection.rows.column("sha1").to_pylist()
    for sha1 in held:
        path, there = None, False
        if sha1 is not None:
            path = thumbnail_path(out / "thumbnails", sha1)
            there = path.is_file() or pictures.thumbnail(sha1) is not None
        small.append(path.relative_to(out).as_posix() if path is not None and there else None)
        large.append(_original(pictures, out, sha1) if sha1 and there and originals else None)
        advance(1)
    return small, large


def _original(pictures: Pictures, out: Path, sha1: str) -> str | None:
    folder = out / "originals" / sha1[:2]
    known = next((p for p in folder.glob(f"{sha1}.*") if p.suffix != ".tmp"), None)
    if known is None:
        found = pictures.original(sha1)
        if found is None:
            return None
        known = folder / f"{sha1}.{ENDINGS[found[1]]}"
        files.put(known, found[0])
    return known.relative_to(out).as_posix()


def _delete_others(out: Path, wanted: set[str | None]) -> int:
    """Pictures that no row has: what was taken down must not stay on a web server."""
    gone = 0
    for folder in ("thumbnails", "originals"):
        for path in sorted((out / folder).glob("*/*")):
            if path.relative_to(out).as_posix() not in wanted:
                gone += files.delete(path)
    return gone


def index_of(
    collection: Collection, thumbnails: list[str | None], originals: list[str | None]
) -> pa.Table:
    """The index: columns as a browser reads them (texts, float64, bool, lists of texts), title and labels beside."""
    rows = collection.rows
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    numbers: list[str] = []
    for field in rows.schema:
        column = rows.column(field.name)
        if field.name in LEFT_OUT:
            continue
        if field.name in AS_TEXT:
            columns[field.name] = column.cast(pa.string())
        elif pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
            # Not a number is not JSON, and sorts nowhere.
            values = column.cast(pa.float64()).to_numpy()
            columns[field.name] = pa.array(values, mask=~np.isfinite(values))
            numbers.append(field.name)
        elif (
            pa.types.is_string(field.type)
            or pa.types.is_boolean(field.type)
            or (pa.types.is_list(field.type) and pa.types.is_string(field.type.value_type))
        ):
            columns[field.name] = column
    columns["thumbnail"] = pa.array(thumbnails, pa.string())
    columns["image"] = pa.array(originals, pa.string())
    told = {"title": collection.title, "labels": list(collection.labels), "columns": numbers}
    return pa.table(columns).replace_schema_metadata({"lucidlr": json.dumps(told)})
