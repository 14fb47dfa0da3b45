"""What a file of the catalog has to look like at its place: whether it is what it is named, whatever its sum says.

    parts, copies      the columns of the stage, or those of an older version, which left an empty part named by them
    plans              batch and key, and the versions that they were planned for
    ledger             page_id, and the four cells of every rule
    runs, recipes, rules, shortfalls, limits     JSON of the shape that is written there

Read are the footer of a Parquet file and the whole of a JSON file; its values may still be wrong.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from catalog.arrow import fits
from catalog.records import AGAIN, STAGES

PLAN = pa.schema([pa.field("batch", pa.string()), pa.field("key", pa.string())])
VERSIONS = b"lucidlr.versions"
CURSOR = b"lucidlr.cursor"
WALK = b"lucidlr.walk"
COVERS = b"lucidlr.covers"
"""Keys of what plans and parts say of themselves, as JSON. The last one stands in a part that took the place of others
(catalog/compact.py): the first number of a listing, or the runs of a log."""
BATCHES = ("download", "hash", "measure", "score", "embed")
"""Stages whose parts are planned batches."""
CELLS: Mapping[str, pa.DataType] = {
    "value": pa.float64(),
    "text": pa.string(),
    "threshold": pa.string(),
    "verdict": pa.string(),
}
"""What the ledger holds of each rule."""

PARQUET = ds.ParquetFileFormat()
Shape = Mapping[str, tuple[type, ...]]
NOTHING = type(None)
NUMBER = (int, float)
RUN: Shape = {
    **dict.fromkeys(("run_id", "command", "recipe_hash"), (str,)),
    **dict.fromkeys(("recipe", "started_at", "finished_at", "funnel"), (str, NOTHING)),
    **dict.fromkeys(("stage_seconds", "versions", "dataset_hash", "stopped"), (str, NOTHING)),
    "manifest_sha256": (str, NOTHING),
    "seconds": (*NUMBER, NOTHING),
}
RECIPE: Shape = {"recipe": (dict,), "limit": (int, NOTHING)}
RULE: Shape = {
    **dict.fromkeys(("rule", "value", "threshold", "why"), (str, NOTHING)),
    **dict.fromkeys(("passes", "not_measured", "fails", "alone", "first"), (int, NOTHING)),
}
SHORTFALL: Shape = {
    **dict.fromkeys(("dimension", "value"), (str, NOTHING)),
    **dict.fromkeys(("wanted", "got"), (int, NOTHING)),
}


def config_hash(values: Iterable[str]) -> str:
    """12 hex digits that name a set of versions, or of columns."""
    return hashlib.sha256("\n".join(sorted(values)).encode()).hexdigest()[:12]


def looks_right(path: Path, content: bytes | None = None, *, all_of_it: bool = False) -> bool:
    """Whether a file can be what is written at its place; true of what this module knows nothing of.

    Args:
        content: its bytes, where they are at hand.
        all_of_it: read every value of a Parquet file.

    Raises:
        OSError: it may not be read.
    """
    if path.suffix == ".json":
        return _json_looks_right(path, path.read_bytes() if content is None else content)
    if path.suffix != ".parquet":
        return True
    try:
        # `read_schema` takes longer: it also makes an index of columns, in Python.
        known = pq.read_schema(path) if content is None else PARQUET.inspect(pa.py_buffer(content))
        right = _parquet_looks_right(path, known)
        if right and all_of_it:
            pq.ParquetFile(path).read()
    except (pa.ArrowException, UnicodeDecodeError):
        return False
    except OSError as error:
        # Arrow's own have no number: what it says of pages that cannot be unpacked.
        if error.errno is not None:
            raise
        return False
    return right


def _parquet_looks_right(path: Path, found: pa.Schema) -> bool:
    folders = path.parent.parts
    held = found.metadata or {}
    if "plans" in folders[-3:-2]:
        versions = _json(held.get(VERSIONS, b""))
        named = isinstance(versions, list) and all(isinstance(v, str) for v in versions)
        return named and found.names == PLAN.names and fits(found, PLAN)
    if "parts" in folders[-3:-1]:
        parts = Path(*folders[: len(folders) - folders[::-1].index("parts")])
        stage = path.relative_to(parts).parts[0]
    elif "copies" in folders[-2:-1]:
        parts, stage = path.parent.parent.parent / "parts", folders[-1]
    else:
        return True
    if stage == "ledger":
        return _ledger_looks_right(found)
    wanted = STAGES.get(stage)
    if wanted is None:
        return True
    if path.parent == parts / stage:
        named = path.stem.rpartition("-")[2]
        return named in ("empty", config_hash(found.names)) and fits(found, wanted)
    # Its parts are numbered; what a file manager left beside them is none.
    of_a_source = stage == "listing" and folders[-1] != AGAIN
    if of_a_source and not (path.stem.isdecimal() and _has_cursor(held)):
        return False
    right = fits(found, wanted)
    if not right or set(found.names) == set(wanted.names):
        return right
    # The oldest versions named their empty part by nothing: which columns they had cannot be told.
    older = (f"empty-{config_hash(found.names)}.parquet", "empty.parquet")
    most = 2 * len(set(found.names) & set(wanted.names)) > len(wanted.names)
    return most and any((parts / stage / name).exists() for name in older)


def _has_cursor(held: Mapping[bytes, bytes]) -> bool:
    cursor, walk = (_json(held.get(name, b"null")) for name in (CURSOR, WALK))
    return CURSOR in held and all(isinstance(one, dict | None) for one in (cursor, walk))


def _ledger_looks_right(found: pa.Schema) -> bool:
    cells = [name.rpartition(":") for name in found.names if name != "page_id"]
    rules = {rule for rule, _, _ in cells}
    return (
        found.names.count("page_id") == 1
        and found.field("page_id").type == pa.int64()
        and {(rule, cell) for rule, _, cell in cells} == {(r, c) for r in rules for c in CELLS}
        and all(
            _plain(found.field(f"{rule}:{cell}").type) == CELLS[cell] for rule, _, cell in cells
        )
    )


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _json(text: bytes) -> Any:
    """What a text says; an empty set, which JSON has not, where it says nothing."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return set()


def _json_looks_right(path: Path, content: bytes) -> bool:
    said = _json(content)
    shapes = {"runs": RUN, "recipes": RECIPE, "rules": RULE, "shortfalls": SHORTFALL}
    kind = path.parent.name
    if kind in ("runs", "recipes"):
        needed = ("command", "recipe_hash") if kind == "runs" else ("recipe", "limit")
        return is_a(said, shapes[kind]) and all(name in said for name in needed)
    if kind in ("rules", "shortfalls"):
        return isinstance(said, list) and all(
            is_a(row, shapes[kind]) and set(shapes[kind]) <= set(row) for row in said
        )
    if kind == "limits":
        return isinstance(said, dict) and all(
            isinstance(value, (*NUMBER, NOTHING)) for value in said.values()
        )
    return isinstance(said, dict | list)


def said_in(path: Path, shape: Shape) -> dict[str, Any] | None:
    """A JSON object that holds just what `shape` says, or more; None where there is none, or another."""
    try:
        said = _json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    return said if is_a(said, shape) and set(shape) <= set(said) else None


def is_a(said: Any, shape: Shape) -> bool:
    """Whether it is an object whose values have these types, where it has them."""
    return isinstance(said, dict) and all(
        name not in said or isinstance(said[name], kinds) for name, kinds in shape.items()
    )
