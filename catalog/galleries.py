"""Which photographs the report shows: by degradation and severity, at the thresholds, rejected, near-duplicates.

Choices are functions of the tables alone (sorted, spread evenly), so that two reports of one build show the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from catalog.credits import plain
from catalog.thumbnails import Picture, PictureBook

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
    link = row.get("file_page_url")
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


def contact_sheets(samples: Iterable[Row], book: PictureBook) -> list[Sheet]:
    """One sheet per label, most frequent first: photographs from mild to heavy, a few per severity band."""
    by_label: dict[str, list[tuple[float, int, Row]]] = {}
    for row in samples:
        for label in sorted(set(row.get("labels") or ())):
            severity = (row.get("severities") or {}).get(label)
            level = float(row.get("severity") or 0.0) if severity is None else float(severity)
            by_label.setdefault(label, []).append((level, row["page_id"], row))
    per_band = max(1, min(4, book.max_images // max(1, len(by_label) * len(BANDS))))
    sheets: list[Sheet] = []
    for label, found in sorted(by_label.items(), key=lambda item: (-len(item[1]), item[0])):
        found.sort(key=lambda entry: entry[:2])
        strips: list[Strip] = []
        for number, (low, high) in enumerate(BANDS):
            inside = [entry for entry in found if _band(entry[0]) == number]
            tiles = [
                _tile(row, f"{level:.2f}", book, detail=True)
                for level, _, row in spread(inside, per_band)
            ]
            strips.append(Strip(heading=f"{low:.1f} – {high:.1f}", count=len(inside), tiles=tiles))
        sheets.append(Sheet(heading=label, count=len(found), strips=strips))
    return sheets


def borderline(
    candidates: Sequence[Row], thresholds: Sequence[tuple[str, str, float]], book: PictureBook
) -> list[Sheet]:
    """Photographs closest to each threshold (rule, column, bound), below it and above it, nearest first."""
    per_side = max(1, min(4, book.max_images // max(1, 2 * len(thresholds))))
    sheets: list[Sheet] = []
    for rule, column, bound in thresholds:
        known = [row for row in candidates if row.get(column) is not None and row.get("sha1")]
        strips: list[Strip] = []
        for side, chosen in (
            ("just below", [row for row in known if row[column] < bound]),
            ("at or just above", [row for row in known if row[column] >= bound]),
        ):
            chosen.sort(key=lambda row: (abs(row[column] - bound), row["page_id"]))
            tiles = [
                _tile(
                    row,
                    f"{row[column]:.4g} · {'kept' if row['keep'] else row['reason']}",
                    book,
                    detail=True,
                )
                for row in chosen[:per_side]
            ]
            strips.append(Strip(heading=side, count=len(chosen), tiles=tiles))
        if any(tile.picture for strip in strips for tile in strip.tiles):
            sheets.append(
                Sheet(heading=f"{rule}: {column} at {bound:g}", count=len(known), strips=strips)
            )
    return sheets


def rejected(candidates: Iterable[Row], book: PictureBook, *, reasons: int = 12) -> list[Strip]:
    """Dropped candidates by reason, most frequent first; without pictures where none was downloaded."""
    by_reason: dict[str, list[Row]] = {}
    for row in candidates:
        if not row["keep"]:
            by_reason.setdefault(str(row["reason"]), []).append(row)
    shown = sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))[:reasons]
    each = max(1, min(8, book.max_images // max(1, len(shown))))
    strips: list[Strip] = []
    for reason, rows in shown:
        rows.sort(key=lambda row: row["page_id"])
        some = spread([row for row in rows if row.get("sha1")] or rows, each)
        strips.append(
            Strip(
                heading=reason,
                count=len(rows),
                tiles=[_tile({**row, "keep": True}, "", book) for row in some],
            )
        )
    return strips


def clusters(candidates: Iterable[Row], book: PictureBook, *, most: int = 10) -> list[Strip]:
    """Near-duplicate clusters, largest first, the kept copy in front."""
    by_cluster: dict[int, list[Row]] = {}
    for row in candidates:
        if row.get("cluster_id") is not None:
            by_cluster.setdefault(row["cluster_id"], []).append(row)
    several = sorted(
        (item for item in by_cluster.items() if len(item[1]) > 1),
        key=lambda item: (-len(item[1]), item[0]),
    )
    strips: list[Strip] = []
    for cluster, rows in several[:most]:
        rows.sort(key=lambda row: (not row["keep"], row["page_id"]))
        tiles = [
            _tile(row, "kept" if row["keep"] else str(row["reason"]), book) for row in rows[:6]
        ]
        strips.append(Strip(heading=f"cluster {cluster}", count=len(rows), tiles=tiles))
    return strips


def reason_counts(candidates: Iterable[Row]) -> list[tuple[str, int]]:
    """(reason, dropped candidates), most frequent first."""
    counts = Counter(str(row["reason"]) for row in candidates if not row["keep"])
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
