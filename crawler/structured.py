"""Structured data on Commons: the license and copyright statements of files, for the gate to compare with the page.

Coverage is partial, so statements confirm or contradict; they never replace what the page says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from catalog.records import FileRecord, ListingRow
from crawler.commons import BATCH, Commons, ListingError

Seen = tuple[FileRecord, ListingRow]


def entities(commons: Commons, page_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The media entity of each page, 50 in a request; `{}` for a file without structured data.

    Raises:
        crawler.commons.ListingError: the wiki has no structured data, or refused.
        crawler.limits.DoorError: see there.
    """
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(page_ids), BATCH):
        ids = [f"M{page_id}" for page_id in page_ids[start : start + BATCH]]
        try:
            answer = commons.ask({"ids": "|".join(ids), "props": "claims"}, action="wbgetentities")
        except ListingError as error:
            if "badvalue" in str(error):
                raise ListingError(
                    "This wiki has no structured data: set structured_data: false under site."
                ) from error
            raise
        held: dict[str, Any] = answer.get("entities") or {}
        for name in ids:
            entity = held.get(name) or {}
            found[int(name[1:])] = {} if "missing" in entity else dict(entity)
    return found


def with_statements(commons: Commons, files: Sequence[Seen], wanted: Sequence[bool]) -> list[Seen]:
    """The same files; those `wanted` with their structured data as evidence.

    Raises: as `entities`.
    """
    asked = [
        record.page_id
        for (record, _), yes in zip(files, wanted, strict=True)
        if yes and record.page_id is not None
    ]
    known = entities(commons, list(dict.fromkeys(asked)))
    return [
        (record, replace(row, sdc_json=_text(known[record.page_id])))
        if record.page_id in known
        else (record, row)
        for record, row in files
    ]


def _text(entity: dict[str, Any]) -> str:
    return json.dumps(entity, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
