"""The gate: what is worth downloading, by metadata alone.

License verdicts are facts like any other: each listing part is judged once by each version of the gate, and the
verdicts are kept beside it. So asking again is a join, and a new version of the gate needs no network.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from catalog import facts, sums
from catalog.records import FileRecord, VerdictRow, from_table, to_table
from catalog.removals import NOT_REMOVED
from catalog.store import Catalog
from filters.policy import Rule, evaluate
from filters.prefilter import hints
from pipelines.build.keeper import Keeper, corrected
from pipelines.build.reviewed import with_reviews
from pipelines.build.run import Build
from pipelines.recipe import Recipe

pc: Any = compute


NOT_REMOVED_RULE = Rule(
    name="removed",
    value="removed",
    one_of=(NOT_REMOVED,),
    why="Deleted, hidden, relicensed or restricted on Commons since it was listed, or taken out on request.",
)
"""Stands before every recipe's own rules: no recipe can release what has a tombstone."""

AT_HAND_RULE = Rule(
    name="at_hand",
    value="object",
    one_of=("present",),
    why="The file was downloaded and decodes; without its bytes there is nothing to release.",
)


def gate_rules(recipe: Recipe) -> tuple[Rule, ...]:
    """The rules on metadata, ours first."""
    return (NOT_REMOVED_RULE, *recipe.gate)


def measured_rules(recipe: Recipe) -> tuple[Rule, ...]:
    """The rules on files, ours first where the recipe has none of that kind."""
    known = any(rule.value == AT_HAND_RULE.value for rule in recipe.rules)
    return recipe.rules if known else (AT_HAND_RULE, *recipe.rules)


def verdicts_of(records: pa.Table, keeper: Keeper | None = None) -> pa.Table:
    """catalog.records.VerdictRow of each row of a table of FileRecords, same order; structured data beside the
    records (`sdc_json`) are heeded.

    Args:
        keeper: of the recipe; None: all signs count.
    """
    keeper = keeper or Keeper()
    said: list[str | None] = [None] * records.num_rows
    if "sdc_json" in records.column_names:
        said = records.column("sdc_json").to_pylist()
    found = []
    for record, sdc in zip(from_table(records, FileRecord), said, strict=True):
        verdict = keeper.judge(record, json.loads(sdc) if sdc else None, by_people=False)
        found.append(
            VerdictRow(
                page_id=record.page_id,
                license=verdict.license,
                license_outcome=verdict.outcome,
                license_reason=verdict.reason,
                family=verdict.family,
            )
        )
    return to_table(found, VerdictRow)


def judge_listing(catalog: Catalog, keeper: Keeper) -> None:
    """Judges the listing parts that this version of the license gate has not seen; a part at a time."""
    for source, part in facts.unjudged(catalog, keeper.version):
        file = catalog.parts / "listing" / source / f"{part}.parquet"
        sums.check([file])
        verdicts = verdicts_of(pq.read_table(file), keeper)
        catalog.write_rows("verdict", keeper.version, f"{source}.{part}", verdicts)


def gated(
    run: Build, *, slim: bool = False, **joined: Any
) -> tuple[pa.Table, np.ndarray[Any, np.dtype[np.bool_]]]:
    """The candidates of a run with what follows from their metadata, and which of them [N] pass the gate.

    Args:
        slim: for a decision: without addresses, and without categories where no rule and no draw looks at them.
        joined: what `catalog.facts.candidates` shall join besides: measures, scores, hash_version.
    """
    # Also a question without the lock judges what is new: beside rows that stay where they are.
    with run.catalog.reading():
        return _gated(run, slim=slim, **joined)


def _gated(
    run: Build, *, slim: bool, **joined: Any
) -> tuple[pa.Table, np.ndarray[Any, np.dtype[np.bool_]]]:
    keeper = Keeper.of(run.recipe, run.catalog)
    judge_listing(run.catalog, keeper)
    values = [rule.value for rule in (*run.recipe.gate, *run.recipe.rules)]
    table = facts.candidates(
        run.catalog,
        sources=run.recipe.source_caps(run.limit),
        gate_version=keeper.version,
        fields=["categories", "uploader", *facts.record_fields(values)],
        addresses=not slim,
        **joined,
    )
    table = corrected(table, run.catalog, keeper)
    table = with_hints(with_geometry(table), run.recipe)
    if slim and not needs_categories(run.recipe):
        # A third of a page's facts on Commons; hints and verdicts have read them.
        table = table.drop_columns("categories")
    table = with_reviews(table, run.catalog)
    return table, passes_gate(table, run.recipe)


def needs_categories(recipe: Recipe) -> bool:
    """Whether a rule or the draw looks at the categories themselves."""
    drawn = {"category", "camera"} & set(recipe.sampling.caps) or recipe.sampling.subjects
    rules = (*recipe.gate, *recipe.rules)
    return bool(drawn) or any(rule.value == "categories" for rule in rules)


def with_geometry(candidates: pa.Table) -> pa.Table:
    """Adds what follows from size and date: sides and area in pixels, bytes per pixel, year of upload."""
    # Not checked for exactness: a catalog of an older version may hold numbers that a wiki cannot mean.
    width, height, size = (
        candidates.column(name).cast(pa.float64(), safe=False)
        for name in ("width", "height", "size_bytes")
    )
    pixels = pc.multiply(width, height)
    some_pixels = pc.if_else(pc.greater(pixels, 0), pixels, None)
    short = pc.min_element_wise(width, height, skip_nulls=False)
    long = pc.max_element_wise(width, height, skip_nulls=False)
    added = {
        "short_side": short,
        "long_side": long,
        "aspect": pc.divide(long, pc.if_else(pc.greater(short, 0), short, None)),
        "megapixels": pc.divide(pixels, 1e6),
        "bytes_per_pixel": pc.divide(size, some_pixels),
        "upload_year": pc.year(candidates.column("uploaded_at")),
    }
    for name, column in added.items():
        candidates = candidates.append_column(name, column)
    return candidates


def as_decoded(candidates: pa.Table, recipe: Recipe) -> pa.Table:
    """Candidates with the sizes of their decoded, turned pictures in the place of the announced ones.

    Of those that pass the gate by what was announced; the others were not downloaded by this recipe, and what another
    one found of them must not change what becomes of them.
    """
    if "decoded_width" not in candidates.column_names:
        return candidates
    known = candidates.column("decoded_width").is_valid().combine_chunks()
    known = pc.and_(known, pa.array(passes_gate(candidates, recipe)))
    changed = False
    for side in ("width", "height"):
        announced = candidates.column(side).combine_chunks()
        decoded = candidates.column(f"decoded_{side}").combine_chunks().cast(announced.type)
        sizes = pc.if_else(known, decoded, announced)
        changed = changed or not sizes.equals(announced)
        place = candidates.column_names.index(side)
        candidates = candidates.set_column(place, candidates.field(place), sizes)
    if not changed:
        return candidates
    derived = [name for name in GEOMETRY if name in candidates.column_names]
    fresh = with_geometry(candidates.drop_columns(derived))
    # In the place that they had: the order of columns is that of the facts.
    return fresh.select(candidates.column_names)


GEOMETRY = ("short_side", "long_side", "aspect", "megapixels", "bytes_per_pixel", "upload_year")
"""Columns that `with_geometry` adds."""


def with_hints(candidates: pa.Table, recipe: Recipe) -> pa.Table:
    """Adds the hints of natural degradation; `candidates` as `with_geometry` returns them."""
    for name, column in hints(candidates, recipe.prefilter).items():
        candidates = candidates.append_column(name, column)
    return candidates


def passes_gate(candidates: pa.Table, recipe: Recipe) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """[N]: which candidates are worth downloading. `candidates` as `with_geometry` returns them."""
    return evaluate(candidates, gate_rules(recipe)).passed
