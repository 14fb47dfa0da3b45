"""Which photographs the report shows: by degradation and severity, at the thresholds, rejected, near-duplicates.

Choices are functions of the tables alone (sorted, spread evenly), so that two reports of one build show the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from catalog.page.thumbnails import Picture, PictureBook
from catalog.release.credits import plain

pc: Any = compute

BANDS = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0))
"""Severity bands of a contact sheet; the last one holds 1.0 too."""

Row = Mapping[str, Any]
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One photograph on the page."""

    title: str
    note: str
    """A short line under the picture: severity, value, reason."""
    picture: Picture | None
    link: str | None
    kept: bool = True


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Photographs that belong together, under a heading."""

    heading: str
    count: int
    """How many there are in all; `tiles` shows some of them."""
    tiles: list[Tile] = field(default_factory=list[Tile])


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The strips of one label, rule or cluster."""

    heading: str
    count: int
    strips: list[Strip]


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """`count` of the items, evenly over their order, first and last among them."""
    if len(items) <= count:
        return list(items)
    if count <= 1:
        return [items[len(items) // 2]][:count]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _tile(row: Row, note: str, book: PictureBook, *, detail: bool = False) -> Tile:
    link = row["file_page_url"] if "file_page_url" in row else book.address(row)
    return Tile(
        title=plain(row["title"], markup=False).removeprefix("File:"),
        note=note,
        picture=book.get(row.get("sha1"), detail=detail),
        # Only an address of the web is a link: what came from outside could be `javascript:`.
        link=link if isinstance(link, str) and link.startswith("https://") else None,
        kept=bool(row.get("keep", True)),
    )


def _band(severity: float) -> int:
    return min(len(BANDS) - 1, max(0, int(severity * len(BANDS))))


def _rows(table: pa.Table, chosen: Sequence[int] | NDArray[Any]) -> list[Row]:
    """These rows as Python objects, in this order; the others stay what they are."""
    return table.take(pa.array(chosen, pa.int64())).to_pylist()


def _order(table: pa.Table, where: NDArray[np.bool_], *keys: NDArray[Any]) -> NDArray[np.int64]:
    """Positions of the rows `where`, sorted by `keys`, the first counts most, then by page id."""
    rows = np.flatnonzero(where)
    pages = table.column("page_id").to_numpy()
    return rows[np.lexsort((pages[rows], *(key[rows] for key in reversed(keys))))]


def _coded(table: pa.Table, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """[N] position of each row's text among the distinct ones, and these: a million texts are not a million objects."""
    column = table.column(name).cast(pa.string()).combine_chunks().dictionary_encode()
    codes = np.asarray(pc.fill_null(column.indices, -1), dtype=np.int64)
    return codes, [str(text) for text in column.dictionary.to_pylist()]


def _has_bytes(table: pa.Table) -> NDArray[np.bool_]:
    if "sha1" not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.bool_)
    return np.asarray(table.column("sha1").is_valid().to_numpy(), dtype=np.bool_)


def _kept(table: pa.Table) -> NDArray[np.bool_]:
    return np.asarray(table.column("keep").to_numpy(zero_copy_only=False), dtype=np.bool_)


def _levels(samples: pa.Table, label: str) -> NDArray[np.float64]:
    """[N] severity of a label, the overall severity where there is none of its own."""
    level = samples.column("severity").cast(pa.float64())
    severities = samples.column("severities").combine_chunks()
    if severities.type.get_field_index(label) >= 0:
        level = pc.coalesce(pc.struct_field(severities, label).cast(pa.float64()), level)
    return np.asarray(pc.fill_null(level, 0.0).to_numpy(), dtype=np.float64)


SHOWN_FIRST = 24
"""Photographs of each kind at the top of the page."""


def first_look(candidates: pa.Table, samples: pa.Table, book: PictureBook) -> list[Strip]:
    """Kept photographs, evenly from mild to heavy, and dropped ones, some of each reason, for the first screen."""
    severity = np.asarray(
        pc.fill_null(samples.column("severity").cast(pa.float64()), 0.0).to_numpy(), np.float64
    )
    ordered = _order(samples, np.ones(samples.num_rows, dtype=np.bool_), severity)
    # Half of the budget for each, whatever the other one finds.
    most = min(SHOWN_FIRST, book.max_images // 2)
    chosen = spread(ordered.tolist(), most)
    kept = [_tile(row, _credit_note(row), book) for row in _rows(samples, chosen)]
    dropped: list[Tile] = []
    for row in _by_turns(candidates):
        if len(dropped) >= most:
            break
        tile = _tile(row, _credit_note(row), book)
        if tile.picture is not None:
            dropped.append(tile)
    out = int((~_kept(candidates)).sum())
    return [
        Strip(heading="Kept", count=samples.num_rows, tiles=[t for t in kept if t.picture]),
        Strip(heading="Dropped", count=out, tiles=dropped),
    ]


TRIES = 400
"""Dropped candidates that are asked for a picture: most were never downloaded."""


def _by_turns(candidates: pa.Table) -> list[Row]:
    """Dropped candidates with bytes, one of each reason after the other, the most frequent reason first."""
    codes, reasons = _coded(candidates, "reason")
    ordered = _order(candidates, ~_kept(candidates) & _has_bytes(candidates))
    groups = {reason: ordered[codes[ordered] == code] for code, reason in enumerate(reasons)}
    queues = [
        spread(rows.tolist(), SHOWN_FIRST)
        for _, rows in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
        if len(rows)
    ]
    turns = [queue[turn] for turn in range(SHOWN_FIRST) for queue in queues if turn < len(queue)]
    return _rows(candidates, turns[:TRIES])


def _credit_note(row: Row) -> str:
    """Labels and severity (or why it was dropped), license, author."""
    severity = row.get("severity")
    labels = ", ".join(row.get("labels") or ()) or "no label"
    parts = [labels if severity is None else f"{labels} {severity:.2f}"]
    if not row.get("keep", True):
        parts.insert(0, plain(row.get("reason")))
    by = row.get("artist") or row.get("uploader")
    parts += [str(row["license"])] if row.get("license") else []
    parts += [plain(by, markup=False)[:80]] if by else []
    return " · ".join(parts)


def contact_sheets(samples: pa.Table, book: PictureBook) -> list[Sheet]:
    """One sheet per label, most frequent first: photographs from mild to heavy, a few per severity band."""
    labels = samples.column("labels").combine_chunks()
    parents = pc.list_parent_indices(labels).to_numpy(zero_copy_only=False)
    named = pc.list_flatten(labels)
    found: dict[str, NDArray[np.int64]] = {
        label: np.unique(parents[pc.equal(named, label).to_numpy(zero_copy_only=False)])
        for label in pc.unique(named).to_pylist()
    }
    per_band = max(1, min(4, book.max_images // max(1, len(found) * len(BANDS))))
    sheets: list[Sheet] = []
    for label, members in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        levels = _levels(samples, label)
        here = np.zeros(samples.num_rows, dtype=np.bool_)
        here[members] = True
        ordered = _order(samples, here, levels)
        bands = np.array([_band(level) for level in levels[ordered]], dtype=np.int64)
        strips: list[Strip] = []
        for number, (low, high) in enumerate(BANDS):
            inside = ordered[bands == number]
            chosen = spread(inside.tolist(), per_band)
            tiles = [
                _tile(row, f"{levels[position]:.2f}", book, detail=True)
                for position, row in zip(chosen, _rows(samples, chosen), strict=True)
            ]
            strips.append(Strip(heading=f"{low:.1f} – {high:.1f}", count=len(inside), tiles=tiles))
        sheets.append(Sheet(heading=label, count=len(members), strips=strips))
    return sheets


def borderline(
    candidates: pa.Table, thresholds: Sequence[tuple[str, str, float]], book: PictureBook
) -> list[Sheet]:
    """Photographs closest to each threshold (rule, column, bound), below it and above it, nearest first."""
    per_side = max(1, min(4, book.max_images // max(1, 2 * len(thresholds))))
    sheets: list[Sheet] = []
    for rule, column, bound in thresholds:
        values = candidates.column(column).cast(pa.float64()).to_numpy()
        known = np.isfinite(values) & _has_bytes(candidates)
        strips: list[Strip] = []
        for side, where in (
            ("just below", known & (values < bound)),
            ("at or just above", known & (values >= bound)),
        ):
            ordered = _order(candidates, where, np.abs(values - bound))
            tiles = [
                _tile(
                    row,
                    f"{row[column]:.4g} · {'kept' if row['keep'] else row['reason']}",
                    book,
                    detail=True,
                )
                for row in _rows(candidates, ordered[:per_side])
            ]
            strips.append(Strip(heading=side, count=len(ordered), tiles=tiles))
        if any(tile.picture for strip in strips for tile in strip.tiles):
            count = int(known.sum())
            sheets.append(
                Sheet(heading=f"{rule}: {column} at {bound:g}", count=count, strips=strips)
            )
    return sheets


def rejected(candidates: pa.Table, book: PictureBook, *, reasons: int = 12) -> list[Strip]:
    """Dropped candidates by reason, most frequent first; without pictures where none was downloaded."""
    shown = reason_counts(candidates)[:reasons]
    each = max(1, min(8, book.max_images // max(1, len(shown))))
    codes, reasons_here = _coded(candidates, "reason")
    dropped, has_bytes = ~_kept(candidates), _has_bytes(candidates)
    strips: list[Strip] = []
    for reason, count in shown:
        here = dropped & (codes == reasons_here.index(reason))
        pictured = here & has_bytes
        some = spread(_order(candidates, pictured if pictured.any() else here).tolist(), each)
        tiles = [_tile({**row, "keep": True}, "", book) for row in _rows(candidates, some)]
        strips.append(Strip(heading=reason, count=count, tiles=tiles))
    return strips


def clusters(candidates: pa.Table, book: PictureBook, *, most: int = 10) -> list[Strip]:
    """Near-duplicate clusters, largest first, the kept copy in front."""
    if "cluster_id" not in candidates.column_names:
        return []
    known = candidates.column("cluster_id").drop_null().to_numpy()
    found, sizes = np.unique(known, return_counts=True)
    # The largest first, then the lowest id, as they are sorted.
    largest = np.argsort(-sizes, kind="stable")[:most]
    several = [(int(found[i]), int(sizes[i])) for i in largest if sizes[i] > 1]
    ids = pc.fill_null(candidates.column("cluster_id"), -1).to_numpy()
    dropped = ~_kept(candidates)
    strips: list[Strip] = []
    for cluster, count in several:
        ordered = _order(candidates, ids == cluster, dropped)
        tiles = [
            _tile(row, "kept" if row["keep"] else str(row["reason"]), book)
            for row in _rows(candidates, ordered[:6])
        ]
        strips.append(Strip(heading=f"cluster {cluster}", count=count, tiles=tiles))
    return strips


def reason_counts(candidates: pa.Table) -> list[tuple[str, int]]:
    """(reason, dropped candidates), most frequent first."""
    dropped = candidates.column("reason").filter(pa.array(~_kept(candidates)))
    counts = ((str(row["values"]), row["counts"]) for row in pc.value_counts(dropped).to_pylist())
    return sorted(counts, key=lambda item: (-item[1], item[0]))
