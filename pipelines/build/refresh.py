"""Keeps a dataset honest after it was built: asks Commons again, and notes what may no longer be released.

A refresh writes facts (the page as it is now) and tombstones; it decides nothing. The next build re-gates, fetches new
versions, and releases without what has a tombstone; `purge` then takes the bytes and their evidence out of the catalog.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute

from catalog import facts, link
from catalog.plans import next_number
from catalog.purge import Purged, purge
from catalog.records import (
    AGAIN,
    OWN_IDS,
    CheckRow,
    FileRecord,
    ListingRow,
    TombstoneRow,
    from_table,
    schema,
    to_table,
)
from catalog.removals import NOT_REMOVED, Removals, add_tombstones, look_up
from catalog.store import LISTING, catalog_in
from crawler.commons import Commons
from crawler.download import ObjectStore
from crawler.names import read_name
from crawler.recheck import GONE, Rechecked, recheck
from crawler.structured import with_statements
from filters.rights.signs import signs
from pipelines.build.crawl import opened_door
from pipelines.build.gate import gated
from pipelines.build.keeper import Keeper
from pipelines.build.run import Build, start_run
from pipelines.build.runners import pool_runner
from pipelines.progress import Progress
from pipelines.recipe import Recipe

pc: Any = compute

ASKED_AT_ONCE = 500
"""Pages whose full records are held in memory together: ten requests."""


@dataclass(frozen=True, kw_only=True)
class RefreshResult:
    """What a refresh found."""

    asked: int
    not_due: int
    """Files that were seen recently enough."""
    changes: dict[str, int]
    """deleted, hidden, overwritten, moved, restored, edited -> files."""
    removed: dict[str, int]
    """Reason of a tombstone -> files."""


def refresh(
    recipe: Recipe,
    *,
    out: Path,
    contact: str | None = None,
    everything: bool = False,
    most: int | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    host_map: Mapping[str, str] | None = None,
) -> RefreshResult:
    """Asks for the files of a build again, those longest overdue first.

    Args:
        contact: as for a build.
        everything: also files that are not due by the recipe's `refresh` section.
        most: ask for at most so many.
        limit: the limit that the build had.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
        pipelines.build.driver.build's others.
    """
    catalog_in(out)
    with pool_runner("threads", 1) as runner:
        run = start_run(recipe, out=out, runner=runner, limit=limit, progress=progress)
    with run.catalog.locked(), opened_door(run, contact, host_map or {}) as door:
        known = _known(run)
        due = known if everything else known.filter(_due(known, recipe))
        due = due.sort_by([("seen_at", "ascending"), ("page_id", "ascending")])
        if most is not None:
            due = due.slice(0, most)
        changes: Counter[str] = Counter()
        removed: Counter[str] = Counter()
        if due.num_rows:
            commons = Commons(door, recipe.site)
            keeper = Keeper.of(recipe, run.catalog)
            with run.progress.stage("refresh", due.num_rows) as advance:
                for start in range(0, due.num_rows, ASKED_AT_ONCE):
                    some = due.slice(start, ASKED_AT_ONCE)
                    for answer in recheck(commons, _records(run, some)):
                        found = _still_purged(keeper, _with_statements(run, commons, answer))
                        tombstones = _note(run, keeper, found, some)
                        changes.update(change for item in found for change in item.changes)
                        removed.update(row.reason for row in tombstones)
                        advance(len(found))
    return RefreshResult(
        asked=due.num_rows,
        not_due=known.num_rows - due.num_rows,
        changes=dict(sorted(changes.items())),
        removed=dict(sorted(removed.items())),
    )


def _known(run: Build) -> pa.Table:
    """What is at hand or has a tombstone: page_id, sha1, uploaded_at, verdict, `removed`, place, seen_at."""
    table, passing = gated(run)
    held = pa.array(
        [
            ok or state == "present" or removed not in (NOT_REMOVED, "requested")
            for ok, state, removed in zip(
                passing.tolist(),
                table.column("object").to_pylist(),
                table.column("removed").to_pylist(),
                strict=True,
            )
        ],
        pa.bool_(),
    )
    # No wiki knows files of one's own.
    held = pc.and_(held, pc.less(table.column("page_id"), OWN_IDS))
    return facts.with_last_seen(run.catalog, table.filter(held))


def _due(known: pa.Table, recipe: Recipe) -> pa.Array:
    now = datetime.now(UTC)
    return pa.array(
        [
            recipe.refresh.due(
                uploaded_at=row["uploaded_at"],
                checked_at=row["seen_at"],
                gone=row["removed"] != NOT_REMOVED,
                now=now,
            )
            for row in known.select(["uploaded_at", "seen_at", "removed"]).to_pylist()
        ],
        pa.bool_(),
    )


def _records(run: Build, rows: pa.Table) -> list[FileRecord]:
    fields = schema(FileRecord).names
    return from_table(facts.records_at(run.catalog, rows.select(facts.PLACE), fields), FileRecord)


def _with_statements(
    run: Build, commons: Commons, found: Sequence[Rechecked]
) -> Sequence[Rechecked]:
    """With the structured data of changed pages that the gate would accept without it."""
    if not run.recipe.site.structured_data:
        return found
    keeper = Keeper.of(run.recipe)
    seen = [(item.now, item.seen) for item in found]
    wanted = [bool(item.changes) and keeper.judge(item.now).keep for item in found]
    pairs = with_statements(commons, seen, wanted)
    return [replace(item, seen=row) for item, (_, row) in zip(found, pairs, strict=True)]


def _still_purged(keeper: Keeper, found: Sequence[Rechecked]) -> list[Rechecked]:
    """A purged page that exists but is not free has not come back, and its evidence is not taken in again."""
    return [
        replace(item, changes=())
        if item.before.state == "purged" and not keeper.judge(item.now).keep
        else item
        for item in found
    ]


def _note(
    run: Build, keeper: Keeper, found: Sequence[Rechecked], rows: pa.Table
) -> list[TombstoneRow]:
    """Commits one request's worth: tombstones first, then facts, then that it was checked; so that a kill in between
    only means asking again."""
    moment = datetime.now(UTC).replace(microsecond=0)
    columns = ["page_id", "license_outcome", "license", "removed", "sha1"]
    were = {row["page_id"]: row for row in rows.select(columns).to_pylist()}
    tombstones: list[TombstoneRow] = []
    for item in found:
        tombstones += _tombstones_of(keeper, item, were[item.before.page_id], moment)
    add_tombstones(run.catalog, run.run_id, tombstones)
    changed = [item for item in found if item.changes]
    if changed:
        records = to_table([item.now for item in changed], FileRecord)
        seen = to_table([item.seen for item in changed], ListingRow)
        table = pa.Table.from_arrays([*records.columns, *seen.columns], schema=LISTING)
        run.catalog.append_listing(AGAIN, table, None)
    checks = [
        CheckRow(page_id=int(item.before.page_id or 0), checked_at=moment, changes=item.changes)
        for item in found
    ]
    number = next_number(run.catalog.parts / "check" / run.run_id)
    run.catalog.write_rows("check", run.run_id, f"{number:06d}", to_table(checks, CheckRow))
    return tombstones


def _tombstones_of(
    keeper: Keeper, item: Rechecked, was: dict[str, Any], moment: datetime
) -> list[TombstoneRow]:
    """The tombstones that a change makes: what the gate says now, by the code that judges a listing."""
    page_id = int(item.before.page_id or 0)
    held = item.before.sha1

    def tombstone(reason: str, detail: str) -> TombstoneRow:
        return TombstoneRow(
            page_id=page_id, sha1=held, reason=reason, detail=detail, removed_at=moment
        )

    gone = [change for change in item.changes if change in GONE]
    if gone:
        return [tombstone(gone[0], item.detail or "the page or its file is not there any more")]
    tombstones: list[TombstoneRow] = []
    verdict = keeper.judge(item.now, json.loads(item.seen.sdc_json) if item.seen.sdc_json else None)
    if "overwritten" in item.changes:
        tombstones.append(tombstone("overwritten", f"the page now has SHA-1 {item.now.sha1}"))
    if not verdict.keep and was["license_outcome"] == "accept":
        said = f"{was['license']} before; now {verdict.outcome}: {verdict.reason}"
        tombstones.append(tombstone(_kind_of(verdict.reason), said))
    elif verdict.keep and was["removed"] not in (NOT_REMOVED, "requested"):
        tombstones.append(tombstone("restored", f"was {was['removed']}; the gate accepts it again"))
    return tombstones


def _kind_of(reason: str) -> str:
    """Reason of a tombstone for an objection of the license gate."""
    if reason.startswith(("restricted", "subject")):
        return "restricted"
    # A page that says "not free" has another license now; other signs are tags on a page whose license stands.
    if reason != "non_free" and any(sign.name == reason for sign in signs()):
        return "tagged"
    return "relicensed"


def take_down(out: Path, lines: Iterable[str], *, why: str = "asked for") -> Removals:
    """Puts tombstones on the files that a removal list names; see catalog.removals.look_up. Needs no network.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
    """
    catalog = catalog_in(out)
    moment = datetime.now(UTC).replace(microsecond=0)
    with catalog.locked():
        found = look_up(catalog, lines, read_name)
        hashes = facts.sha1s_of(catalog, list(found.pages))
        rows = [
            TombstoneRow(
                page_id=page_id,
                sha1=sha1,
                reason="requested",
                detail=f"{why}: {line}",
                removed_at=moment,
            )
            for page_id, line in sorted(found.pages.items())
            for sha1 in hashes.get(page_id) or [None]
        ]
        add_tombstones(catalog, f"{moment:%Y%m%dT%H%M%SZ}-requested", rows)
    return found


def purge_removed(out: Path) -> Purged:
    """Takes the bytes and the evidence of removed files out of a build's folder; see catalog.purge.

    Raises:
        catalog.purge.StillReleased: the dataset in `out` still holds some of them.
        catalog.errors.NoBuild: there is no build in `out`.
    """
    from pipelines.build.history import relink

    catalog = catalog_in(out)
    with catalog.locked():
        store = ObjectStore(catalog.root / "objects")
        done = purge(catalog, dataset=out / "dataset", remove_object=store.remove)
        link.write_evidence(catalog, out / "evidence.parquet")
        relink(out)
    return done
