"""From the facts of pictures to labels, twins and what a recipe would keep: a build's code, on rows without a wiki.

What only a wiki tells (license, categories, uploader, dates) is not known here; rules on it are not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from catalog.records import FileRecord, VerdictRow, schema
from catalog.removals import NOT_REMOVED
from filters.degradation import LABELS, DegradationPolicy
from filters.duplicates.dedupe import DedupePolicy
from filters.policy import Rule
from filters.sampling import SamplingPolicy
from pipelines.build.decide import decide
from pipelines.build.gate import GEOMETRY, with_geometry
from pipelines.build.twins import edges_within
from pipelines.photos.look import Wanted
from pipelines.recipe import Recipe

pc: Any = compute
Ints = NDArray[np.int64]
OBJECT_RULE = Rule(
    name="object",
    value="object",
    one_of=("present",),
    why="It can be read and decodes, also by readers of a dataset.",
)
TWIN_RULE = Rule(
    name="near_duplicate",
    value="twin",
    one_of=("unique", "kept"),
    why="Of near-duplicates the least processed copy stays, and none that is degraded beside a clean one.",
)
FILE_VALUES = frozenset({"mime", "width", "height", "size_bytes", *GEOMETRY} - {"upload_year"})
"""What a file tells of what a gate's rule may look at."""
FOUND_VALUES = frozenset(
    {"object", "twin", "leak_distance", "severity", "undecided"}
    | {f"severity.{name}" for name in LABELS}
)
SCHEMA_VERSION = "1"
"""Of labels.parquet; raised when a column changes its meaning or goes. New columns come at the end."""
LABELS_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("file", "sha1", "error", "labels")),
        pa.field("severity", pa.float64()),
        *(pa.field(f"severity_{name}", pa.float64()) for name in LABELS),
        pa.field("twin_of", pa.string()),
        pa.field("keep", pa.bool_()),
        pa.field("reason", pa.string()),
        pa.field("undecided", pa.bool_()),
        pa.field("cluster", pa.string()),
        *(pa.field(name, pa.int64()) for name in ("width", "height", "size_bytes")),
        pa.field("mime", pa.string()),
    ],
    metadata={"lucidlr.labels": SCHEMA_VERSION},
)
"""A row for each picture, in the order of names (docs/labels.md has the meanings)."""


def rules_for_files(recipe: Recipe | None) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """(rules that can be asked of a file, those that cannot). Without a recipe: readable, and no copy."""
    if recipe is None:
        return (OBJECT_RULE, TWIN_RULE), ()
    asked: list[Rule] = []
    left: list[Rule] = []
    for rule in (*recipe.gate, *recipe.rules):
        known = rule.value in FILE_VALUES | FOUND_VALUES
        known = known or rule.value.startswith(("measure.", "score."))
        (asked if known else left).append(rule)
    if all(rule.value != "object" for rule in asked):
        asked.insert(0, OBJECT_RULE)
    return tuple(asked), tuple(left)


def not_asked(recipe: Recipe | None) -> list[str]:
    """What of a recipe is not asked of files: names of rules, and parts of its dedupe section."""
    if recipe is None:
        return []
    names = [rule.name for rule in rules_for_files(recipe)[1]]
    parts = {"embedding": recipe.dedupe.embedding, "partial": recipe.dedupe.partial}
    return [*names, *(f"dedupe.{name}" for name, value in parts.items() if value is not None)]


def recipe_for_files(recipe: Recipe | None) -> Recipe:
    """A recipe with those rules alone, and no sampling: every file is judged by itself and by its twins."""
    rules, _ = rules_for_files(recipe)
    plain: dict[str, Any] = {
        "gate": tuple(rule for rule in rules if rule.value in FILE_VALUES),
        "rules": tuple(rule for rule in rules if rule.value not in FILE_VALUES),
        "sampling": SamplingPolicy(),
    }
    if recipe is not None:
        # Vectors of an encoder and points are facts of a catalog; here hashes alone tell twins.
        dedupe = replace(recipe.dedupe, embedding=None, partial=None)
        return recipe.model_copy(update={**plain, "dedupe": dedupe})
    return Recipe.model_construct(
        name="labels", sources=(), dedupe=DedupePolicy(), degradation=DegradationPolicy(), **plain
    )


def wanted_by(recipe: Recipe, *, previews: bool = True) -> Wanted:
    """What has to be found out for a recipe of `recipe_for_files`: no score that no rule looks at."""
    used = [rule.value for rule in (*recipe.gate, *recipe.rules)]
    return Wanted(
        measures=recipe.measures,
        scores=tuple(name for name in recipe.scores if f"score.{name}" in used),
        scoring=recipe.scoring,
        previews=previews,
    )


def judged(
    facts: pa.Table, recipe: Recipe, thumbnails: Callable[[Ints], Sequence[bytes | None]]
) -> pa.Table:
    """LABELS_SCHEMA of each row of the facts, in their order.

    Args:
        facts: as pipelines.photos.facts has them; `name` becomes `file`.
        recipe: as `recipe_for_files` gives it.
        thumbnails: of some rows of the facts.
    """
    if not facts.num_rows:
        return LABELS_SCHEMA.empty_table()
    table = _candidates(facts, recipe)
    hashed = np.flatnonzero(table.column("phash").is_valid().to_numpy())
    edges = np.empty((0, 5), dtype=np.int64)
    if len(hashed):
        some = table.take(pa.array(hashed))
        edges = edges_within(some, recipe.dedupe, lambda rows: thumbnails(hashed[rows]))
        edges[:, :2] = hashed[edges[:, :2]]
    outcome = decide(table, recipe, recipe_hash="labels", edges=edges)
    said, decided = outcome.facts, outcome.decisions
    names = _flat(facts.column("name"))

    def name_of(ids: Any) -> pa.Array:
        """The file of each number; null stays null."""
        return names.take(pc.subtract(_flat(ids), 1))

    clusters = _flat(decided.column("cluster_id"))
    sizes = pc.value_counts(clusters.drop_null())
    several = sizes.field("values").filter(pc.greater(sizes.field("counts"), 1))
    clusters = pc.if_else(pc.is_in(clusters, value_set=several), clusters, None)
    columns = {
        "file": names,
        "sha1": facts.column("sha1"),
        "error": facts.column("error"),
        "labels": pc.binary_join(_flat(said.column("labels")), " "),
        "severity": said.column("severity"),
        **{f"severity_{name}": said.column(f"severity.{name}") for name in LABELS},
        "twin_of": name_of(decided.column("duplicate_of")),
        "keep": decided.column("keep"),
        "reason": decided.column("reason"),
        "undecided": said.column("undecided"),
        "cluster": name_of(clusters),
        **{name: facts.column(name) for name in ("width", "height", "size_bytes", "mime")},
    }
    made = {field.name: _flat(columns[field.name]).cast(field.type) for field in LABELS_SCHEMA}
    return pa.table(made, schema=LABELS_SCHEMA)


def _flat(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _candidates(facts: pa.Table, recipe: Recipe) -> pa.Table:
    """The facts as a table of candidates; what a wiki would say is null."""
    rows = facts.num_rows
    record = [field for field in schema(FileRecord) if field.name not in ("page_id", "title")]
    verdict = [field for field in schema(VerdictRow) if field.name != "page_id"]
    columns: dict[str, Any] = {
        # Numbers in the order of names: the first of equal copies is the one that stays.
        "page_id": pa.array(np.arange(1, rows + 1)),
        "title": facts.column("name"),
        **{field.name: pa.nulls(rows, field.type) for field in (*record, *verdict)},
        "state": pa.repeat("ok", rows),
        "license_outcome": pa.repeat("not_asked", rows),
        "license_reason": pa.repeat("not_asked", rows),
        "removed": pa.repeat(NOT_REMOVED, rows),
        "hints": pa.nulls(rows, pa.list_(pa.string())),
        "hint_count": pa.nulls(rows, pa.int64()),
    }
    columns |= {
        name: facts.column(name)
        for name in facts.column_names
        if name not in ("name", "size", "mtime_ns", "error")
    }
    # A build hashes nothing that readers of a dataset stop at: such a file is nobody's better copy.
    present = pc.equal(facts.column("object"), "present")
    columns["phash"] = pc.if_else(present, facts.column("phash"), None)
    columns |= {f"decoded_{side}": facts.column(side) for side in ("width", "height")}
    missing = {f"measure.{n}" for n in recipe.measures} - set(columns)
    columns |= {name: pa.nulls(rows, pa.float64()) for name in missing}
    return with_geometry(pa.table(columns))
