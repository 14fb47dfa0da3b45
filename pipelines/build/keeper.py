"""The license gate as one recipe and one catalog have it: the same code for a listing, a refresh and a plan.

What counts besides the page itself: signs that the recipe switches off, reasons that a person looked at and cleared
(`lucidlr licenses --clear`), and what was refused of the same bytes under another title.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog import cleared, facts
from catalog.arrow import decoded
from catalog.records import FileRecord, from_table, schema
from catalog.store import Catalog
from filters.license import VERSION, Verdict, bytes_refused, judge
from pipelines.recipe import Recipe

pc: Any = compute
SAME_BYTES = "same_bytes:"
"""Beginning of the reason of a file whose bytes were refused under another title."""


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """Judges files for one recipe."""

    off: frozenset[str] = frozenset()
    """Signs that the recipe switched off."""
    version: str = VERSION
    """Of these verdicts: another set of signs is another version."""
    cleared: Mapping[tuple[int, str], frozenset[str]] = field(
        default_factory=dict[tuple[int, str], frozenset[str]]
    )
    """(page id, SHA-1) -> reasons that a person looked at."""

    @classmethod
    def of(cls, recipe: Recipe, catalog: Catalog | None = None) -> Keeper:
        """That of a recipe; with what people cleared in `catalog`."""
        rights = recipe.rights
        return cls(
            off=frozenset(rights.off),
            version=VERSION + rights.suffix,
            cleared=cleared.reasons_by_file(catalog) if catalog is not None else {},
        )

    def judge(
        self, file: FileRecord, sdc: Mapping[str, Any] | None = None, *, by_people: bool = True
    ) -> Verdict:
        """The verdict on one file; `by_people=False` leaves out what people cleared."""
        looked_at: frozenset[str] = frozenset()
        if by_people and file.page_id is not None and file.sha1 is not None:
            looked_at = self.cleared.get((file.page_id, file.sha1), looked_at)
        return judge(file, sdc, off=self.off | looked_at)


def corrected(candidates: pa.Table, catalog: Catalog, keeper: Keeper) -> pa.Table:
    """The candidates with the verdicts that follow from more than their own page: cleared by a person, or refused
    because the same bytes were refused elsewhere."""
    candidates = _with_cleared(candidates, catalog, keeper)
    refused = facts.refused_bytes(catalog, keeper.version)
    reasons = pc.unique(refused.column("reason")).to_pylist()
    counting = pa.array([reason for reason in reasons if bytes_refused(reason)], pa.string())
    refused = refused.filter(pc.is_in(refused.column("reason"), value_set=counting))
    if not refused.num_rows:
        return candidates
    accepted = pc.equal(candidates.column("license_outcome"), "accept")
    shared = pc.is_in(candidates.column("sha1"), value_set=refused.column("sha1"))
    rows = pc.indices_nonzero(pc.and_(accepted, shared)).to_pylist()
    by_bytes: dict[str, list[tuple[int, str]]] = {}
    for row in refused.to_pylist():
        by_bytes.setdefault(row["sha1"], []).append((row["page_id"], row["reason"]))
    changed: dict[int, Verdict] = {}
    some = candidates.select(["page_id", "sha1", "license"]).take(pa.array(rows, pa.int64()))
    for i, row in zip(rows, some.to_pylist(), strict=True):
        # What a person cleared on another page is no reason any more.
        found = sorted(
            reason
            for page_id, reason in by_bytes[row["sha1"]]
            if page_id != row["page_id"]
            and reason not in keeper.cleared.get((page_id, row["sha1"]), ())
        )
        if found:
            changed[i] = Verdict(
                outcome="reject", reason=f"{SAME_BYTES}{found[0]}", license=row["license"]
            )
    return _replaced(candidates, changed)


def _with_cleared(candidates: pa.Table, catalog: Catalog, keeper: Keeper) -> pa.Table:
    if not keeper.cleared:
        return candidates
    waiting = pc.equal(candidates.column("license_outcome"), "quarantine")
    pages = pa.array(sorted({page_id for page_id, _ in keeper.cleared}), pa.int64())
    looked_at = pc.is_in(candidates.column("page_id"), value_set=pages)
    rows = pc.indices_nonzero(pc.and_(waiting, looked_at))
    places = candidates.select(facts.PLACE).take(rows)
    fields = [*schema(FileRecord).names, "sdc_json"]
    records = facts.records_at(catalog, places, fields, also=("sdc_json",))
    said = records.column("sdc_json").to_pylist()
    judged = [
        keeper.judge(record, json.loads(sdc) if sdc else None)
        for record, sdc in zip(from_table(records, FileRecord), said, strict=True)
    ]
    return _replaced(candidates, dict(zip(rows.to_pylist(), judged, strict=True)))


def _replaced(candidates: pa.Table, verdicts: Mapping[int, Verdict]) -> pa.Table:
    """The candidates with these verdicts in their rows."""
    if not verdicts:
        return candidates
    rows = sorted(verdicts)
    mask = np.zeros(candidates.num_rows, dtype=bool)
    mask[rows] = True
    columns: dict[str, list[str | None]] = {
        "license": [verdicts[i].license for i in rows],
        "license_outcome": [verdicts[i].outcome for i in rows],
        "license_reason": [verdicts[i].reason for i in rows],
        "family": [verdicts[i].family for i in rows],
    }
    for name, values in columns.items():
        place = candidates.schema.get_field_index(name)
        field_ = candidates.schema.field(place)
        column = decoded(candidates.column(name)).combine_chunks()
        new = pc.replace_with_mask(column, pa.array(mask), pa.array(values, pa.string()))
        new = new.dictionary_encode() if pa.types.is_dictionary(field_.type) else new
        candidates = candidates.set_column(place, name, new)
    return candidates
