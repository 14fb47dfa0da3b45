"""Asks for the pages behind open failures again, so that `--retry` heals what the wiki has mended since.

A page of which the wiki said what cannot be, an original on a foreign host, a refused one, one with other bytes: what
Commons says today takes the place of what it said then, and the download stage plans from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from catalog import facts, views
from catalog.records import AGAIN, FileRecord, ListingRow, to_table
from catalog.store import LISTING
from crawler.commons import BATCH, PAGE_FIELDS, Commons
from crawler.plausible import DAMAGED
from crawler.politeness import PoliteDoor
from pipelines.build.run import Build
from pipelines.build.statements import with_structured_data

STALE = ("foreign_url", "refused", "sha1_mismatch", "bad_sha1")
"""Kinds of failed downloads that may come from what the page said."""
PATH = "asked again after a failure"
Seen = tuple[FileRecord, ListingRow]


def ask_again(run: Build, door: PoliteDoor) -> None:
    """Writes what the wiki says now of the pages behind open retryable failures; what is still damaged stays open."""
    rows = [row for row in views.failures(run.catalog).to_pylist() if row["retryable"]]
    damaged = [r["key"] for r in rows if r["stage"] == "listing" and r["kind"] == DAMAGED]
    hashes = [r["key"] for r in rows if r["stage"] == "download" and r["kind"] in STALE]
    ids = {int(key) for key in damaged if key.isdecimal()}
    if hashes:
        known = views.files_of(run.catalog, hashes).column("page_id").to_pylist()
        ids |= {page_id for page_id in known if page_id is not None}
    titles = [key for key in damaged if not key.isdecimal()]
    if not ids and not titles:
        return
    commons = Commons(door, run.recipe.site)
    with run.progress.stage("ask again", len(ids) + len(titles)) as advance:
        for some in _chunks(sorted(ids)):
            _append(run, AGAIN, _asked(run, commons, "pageids", some))
            advance(len(some))
        sources = facts.listed_without_page(run.catalog, titles) if titles else {}
        for some in _chunks(titles):
            seen = _asked(run, commons, "titles", some)
            for key in sorted(set(sources.values())):
                # They had no page id to be known by: their source lists them now.
                here = [pair for pair in seen if sources.get(pair[0].title) == key]
                _append(run, key, [pair for pair in here if pair[0].page_id is not None])
            advance(len(some))


def _asked(run: Build, commons: Commons, by: str, names: Sequence[int | str]) -> list[Seen]:
    """What the wiki says of these pages, as far as it can be."""
    asked = {**PAGE_FIELDS, by: "|".join(map(str, names))}
    seen = [
        commons.seen(page, source=AGAIN, path=PATH)
        for batch in commons.batches(asked)
        for page in batch.pages
        if page.get("title")
    ]
    fine = [pair for pair in seen if pair[0].state != DAMAGED and pair[0].title]
    return list(with_structured_data(run, commons, fine))


def _append(run: Build, source: str, rows: Sequence[Seen]) -> None:
    """Adds them to the listing of a source, which resumes where it was."""
    if not rows:
        return
    records = to_table([record for record, _ in rows], FileRecord)
    seen = to_table([row for _, row in rows], ListingRow)
    _, cursor, _ = run.catalog.listing_state(source)
    table = pa.Table.from_arrays([*records.columns, *seen.columns], schema=LISTING)
    run.catalog.append_listing(source, table, cursor)


def _chunks(names: Sequence[Any]) -> list[Sequence[Any]]:
    return [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
