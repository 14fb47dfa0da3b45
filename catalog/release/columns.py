"""The columns of the released dataset: names, types, order and what each means, declared once.

The shards' schema, the card's table of columns and the `huggingface` schema metadata (so that `load_dataset` decodes
the images without being told) all follow from `RELEASED`. Nothing here depends on the run: when a file was fetched, at
which revision and from which API version is evidence, and stays outside the shards and the dataset hash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

FAMILIES = ("pd_cc0", "cc_by", "cc_by_sa")
"""License families: folders of a release and configurations of the card, from no conditions to share-alike."""

_TEXT = pa.string()
_TEXTS = pa.list_(pa.string())
_WHOLE = pa.int64()
_REAL = pa.float64()
_HASH = pa.uint64()
_TIME = pa.timestamp("s", tz="UTC")
IMAGE_TYPE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
"""What the Hugging Face `Image` feature stores: the file as it is, and a name for it."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One released column."""

    name: str
    type: pa.DataType | None
    """None: a struct of float64 whose fields are those of the table of samples, sorted by name."""
    about: str
    """One sentence for the card."""
    source: str | None = None
    """Its name in the table of samples, where that differs."""
    made: bool = False
    """Made by the export, not read from the table of samples."""


RELEASED: tuple[Column, ...] = (
    Column(
        name="image",
        type=IMAGE_TYPE,
        about="The original file, byte for byte; its path is `<sha1>.<extension>`.",
        made=True,
    ),
    Column(name="page_id", type=_WHOLE, about="Commons page id; survives a move of the page."),
    Column(name="title", type=_TEXT, about="Title on Commons, with `File:`."),
    Column(name="sha1", type=_TEXT, about="SHA-1 of the bytes, as Commons gives it, checked."),
    Column(name="license", type=_TEXT, about="SPDX id of this photograph's license."),
    Column(name="family", type=_TEXT, about="`pd_cc0`, `cc_by` or `cc_by_sa`."),
    Column(name="license_short_name", type=_TEXT, about="The license as Commons names it."),
    Column(name="license_url", type=_TEXT, about="Address of the license text."),
    Column(
        name="attribution_line",
        type=_TEXT,
        about="Ready credit: title, author, source, license, changes.",
        made=True,
    ),
    Column(name="attribution", type=_TEXT, about="Attribution that the author words themselves."),
    Column(name="attribution_required", type=pa.bool_(), about="Whether the license asks for it."),
    Column(name="copyrighted", type=pa.bool_(), about="What Commons says about copyright."),
    Column(name="artist", type=_TEXT, about="Author, as text."),
    Column(name="artist_url", type=_TEXT, about="Link to the author, where the page has one."),
    Column(name="author_count", type=_WHOLE, about="Number of authors, where more than one."),
    Column(name="credit", type=_TEXT, about="Source of the work, as the uploader gives it."),
    Column(name="uploader", type=_TEXT, about="Account that uploaded this version."),
    Column(name="width", type=_WHOLE, about="Pixels."),
    Column(name="height", type=_WHOLE, about="Pixels."),
    Column(name="mime", type=_TEXT, about="MIME type."),
    Column(name="size_bytes", type=_WHOLE, about="Size of the file in bytes."),
    Column(name="file_page_url", type=_TEXT, about="The file's page on Commons: the source."),
    Column(name="original_url", type=_TEXT, about="Where the bytes are.", source="url"),
    Column(name="uploaded_at", type=_TIME, about="Upload of this version, UTC."),
    Column(name="date_original", type=_TEXT, about="When it was taken, as the page says it."),
    Column(name="description", type=_TEXT, about="Description on the file page, as text."),
    Column(name="categories", type=_TEXTS, about="Commons categories, hidden ones included."),
    Column(name="restrictions", type=_TEXTS, about="Restrictions other than copyright."),
    Column(
        name="is_modified", type=pa.bool_(), about="Always false: nothing is altered.", made=True
    ),
    Column(name="split", type=_TEXT, about="Split that the row belongs to."),
    Column(name="labels", type=_TEXTS, about="Degradations that were measured above threshold."),
    Column(
        name="severities",
        type=None,
        about="Severity per degradation, 0 (none) to 1 (heavy); null where it cannot be told: too little to see in "
        "the photograph, or no measure of it applies.",
    ),
    Column(
        name="severity",
        type=_REAL,
        about="The largest severity that could be told, 0 to 1; null where none could.",
    ),
    Column(
        name="measures",
        type=None,
        about="Weight-free measures, by name; null where one does not apply.",
    ),
    Column(
        name="scores",
        type=None,
        about="No-reference quality scores, by scorer; null as for measures.",
    ),
    Column(name="phash", type=_HASH, about="64-bit pHash, first bit highest (imagehash's)."),
    Column(name="dhash", type=_HASH, about="64-bit dHash, first bit highest (imagehash's)."),
    Column(name="cluster_id", type=_WHOLE, about="Lowest page id of its near-duplicate cluster."),
)
"""Columns of a shard, in their order. A struct without a single field is left out: Parquet cannot hold it."""


def struct_of_reals(given: pa.DataType) -> pa.DataType:
    """The struct with the same names, sorted, all float64: field order in a table of samples carries no meaning.

    Raises:
        TypeError: `given` is not a struct.
    """
    if not pa.types.is_struct(given):
        raise TypeError(f"expected a struct with one float64 per name, got {given}")
    names = sorted(given.field(i).name for i in range(given.num_fields))
    return pa.struct([pa.field(name, _REAL) for name in names])


def hf_feature(arrow: pa.DataType) -> Any:
    """The Hugging Face feature of an Arrow type, as the `huggingface` schema metadata spells it."""
    if arrow.equals(IMAGE_TYPE):
        return {"_type": "Image"}
    if pa.types.is_struct(arrow):
        fields = [arrow.field(i) for i in range(arrow.num_fields)]
        return {field.name: hf_feature(field.type) for field in fields}
    if pa.types.is_list(arrow):
        return {"feature": hf_feature(arrow.value_type), "_type": "List"}
    renamed = {"double": "float64"}
    return {"dtype": renamed.get(str(arrow), str(arrow)), "_type": "Value"}


def released_schema(samples: pa.Schema) -> pa.Schema:
    """Schema of the shards for a table of samples: `RELEASED` with its structs filled in and the metadata attached.

    Raises:
        KeyError: the table lacks columns; the argument names them, comma-separated.
        TypeError: one of the struct columns is something else.
    """
    absent = [c.source or c.name for c in RELEASED if not c.made]
    absent = [name for name in absent if name not in samples.names]
    if absent:
        raise KeyError(", ".join(absent))
    fields: list[pa.Field] = []
    for column in RELEASED:
        arrow = column.type
        if arrow is None:
            arrow = struct_of_reals(samples.field(column.source or column.name).type)
            if arrow.num_fields == 0:
                continue
        fields.append(pa.field(column.name, arrow))
    features = {field.name: hf_feature(field.type) for field in fields}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def leaves(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Path of every Parquet leaf column of a schema (as `ParquetWriter` options name it) with its Arrow type."""
    found: dict[str, pa.DataType] = {}

    def walk(path: str, arrow: pa.DataType) -> None:
        if pa.types.is_struct(arrow):
            for i in range(arrow.num_fields):
                walk(f"{path}.{arrow.field(i).name}", arrow.field(i).type)
        elif pa.types.is_list(arrow):
            walk(f"{path}.list.element", arrow.value_type)
        else:
            found[path] = arrow

    for field in schema:
        walk(field.name, field.type)
    return found
