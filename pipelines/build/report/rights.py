"""What the license gate excluded, in numbers, for the card and the report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

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
    columns = (decisions.column(name).to_pylist() for name in ("license_outcome", "license_reason"))
    counted = Counter(zip(*columns, strict=True))
    rows: list[dict[str, Any]] = [
        {"reason": reason, "outcome": outcome, "files": files, "means": means(reason)}
        for (outcome, reason), files in counted.items()
        if outcome != "accept"
    ]
    cleared = reasons_by_file(catalog)
    accepted = decisions.filter(pc.equal(decisions.column("license_outcome"), "accept"))
    keys = zip(*(accepted.column(name).to_pylist() for name in ("page_id", "sha1")), strict=True)
    return {
        "judged": decisions.num_rows,
        "accepted": sum(files for (outcome, _), files in counted.items() if outcome == "accept"),
        "rows": sorted(rows, key=lambda row: (-int(row["files"]), row["outcome"], row["reason"])),
        "off": sorted(recipe.rights.off.items()),
        "cleared": sum(key in cleared for key in keys) if cleared else 0,
        "screen": recipe.rights.screen,
    }


def reason_rows(candidates: pa.Table, examples: int) -> list[ReasonRow]:
    """The reasons that occur, accepted files first, then by count.

    Args:
        candidates: as `pipelines.build.gate.gated` returns them, in page id order.
        examples: titles for each reason, at most.
    """
    grouped = (
        candidates.select(["license_outcome", "license_reason", "page_id", "title"])
        .group_by(["license_outcome", "license_reason"], use_threads=False)
        .aggregate([("page_id", "count"), ("page_id", "list"), ("title", "list")])
    )
    rows = [
        ReasonRow(
            outcome=row["license_outcome"],
            reason=row["license_reason"],
            files=row["page_id_count"],
            means=means(row["license_reason"]),
            examples=tuple(
                zip(row["page_id_list"][:examples], row["title_list"][:examples], strict=True)
            ),
        )
        for row in grouped.to_pylist()
    ]
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
