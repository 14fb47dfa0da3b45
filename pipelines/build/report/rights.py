"""What the license gate excluded, in numbers, for the card and the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.cleared import reasons_by_file
from catalog.store import Catalog
from filters.rights.conditions import without_condition
from filters.rights.people import is_placeholder
from filters.rights.reasons import means
from pipelines.recipe import Recipe

pc: Any = compute
ORDER = ("accept", "quarantine", "reject")


@dataclass(frozen=True, kw_only=True)
class ReasonRow:
    """One reason of the gate over the candidates of a recipe."""

    outcome: str
    reason: str
    files: int
    means: str
    examples: tuple[tuple[int, str], ...]
    """(page id, title), the lowest page ids."""


def rights_told(decisions: pa.Table, recipe: Recipe, catalog: Catalog) -> dict[str, Any]:
    """judged and accepted (files), rows (reason, outcome, files, means; most frequent first), off, cleared, screen.

    Args:
        decisions: catalog.records.Decision of every candidate.
    """
    counted = {
        (row["license_outcome"], row["license_reason"]): row["page_id_count"]
        for row in decisions.select(["license_outcome", "license_reason", "page_id"])
        .group_by(["license_outcome", "license_reason"], use_threads=False)
        .aggregate([("page_id", "count")])
        .to_pylist()
    }
    rows: list[dict[str, Any]] = [
        {"reason": reason, "outcome": outcome, "files": files, "means": means(reason)}
        for (outcome, reason), files in counted.items()
        if outcome != "accept"
    ]
    cleared = reasons_by_file(catalog)
    return {
        "judged": decisions.num_rows,
        "accepted": sum(files for (outcome, _), files in counted.items() if outcome == "accept"),
        "rows": sorted(rows, key=lambda row: (-int(row["files"]), row["outcome"], row["reason"])),
        "off": sorted(recipe.rights.off.items()),
        "cleared": sum(key in cleared for key in _accepted(decisions)) if cleared else 0,
        "screen": recipe.rights.screen,
    }


def _accepted(decisions: pa.Table) -> Iterator[tuple[int, str]]:
    """(page id, SHA-1) of what the gate accepts."""
    accepted = decisions.filter(pc.equal(decisions.column("license_outcome"), "accept"))
    columns = (accepted.column(name).to_pylist() for name in ("page_id", "sha1"))
    return zip(*columns, strict=True)


def reason_rows(candidates: pa.Table, examples: int) -> list[ReasonRow]:
    """The reasons that occur, accepted files first, then by count.

    Args:
        candidates: as `pipelines.build.gate.gated` returns them, in page id order.
        examples: titles for each reason, at most.
    """
    names = ["license_outcome", "license_reason"]
    rows: list[ReasonRow] = []
    shown = candidates.select(["page_id", "title"])
    numbered = candidates.select(names).append_column(
        "row", pa.array(np.arange(candidates.num_rows))
    )
    grouped = numbered.group_by(names, use_threads=False).aggregate([("row", "list")])
    for i in range(grouped.num_rows):
        outcome, reason = (grouped.column(name)[i].as_py() for name in names)
        at = grouped.column("row_list")[i].values
        # Of a million titles only the few that are shown become Python's.
        first = shown.take(at.slice(0, examples)).to_pylist()
        rows.append(
            ReasonRow(
                outcome=outcome,
                reason=reason,
                files=len(at),
                means=means(reason),
                examples=tuple((one["page_id"], one["title"]) for one in first),
            )
        )
    return sorted(rows, key=lambda row: (ORDER.index(row.outcome), -row.files, row.reason))


def creditable(samples: pa.Table) -> pa.Table:
    """The samples with author and attribution as a credit may print them: without what only adds a condition, and
    without a placeholder where the other one names somebody."""
    names = {name: samples.column(name).to_pylist() for name in ("artist", "attribution")}
    for i, (artist, attribution) in enumerate(zip(*names.values(), strict=True)):
        artist, attribution = without_condition(artist), without_condition(attribution)
        names["artist"][i] = artist
        names["attribution"][i] = None if is_placeholder(attribution) else attribution
    for name, values in names.items():
        place = samples.schema.get_field_index(name)
        field = samples.schema.field(place)
        samples = samples.set_column(place, field, pa.array(values, field.type))
    return samples
