"""The page of `lucidlr label`: a section for each label, the worst first, then twins and what cannot be read."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from catalog import files
from crawler.shelves import Item
from filters.degradation import LABELS
from pipelines.photos.facts import Facts
from pipelines.terminal import printable

SHOWN = 60
"""Pictures of a section; the others stand in labels.csv."""
GROUPS = 40
"""Groups of twins."""
TITLES = {
    "blur": "Blurred",
    "motion_blur": "Blurred by motion",
    "noise": "Noisy",
    "jpeg": "JPEG artifacts",
    "low_light": "Too dark",
    "overexposed": "Too bright",
    "upscaled": "Enlarged",
    "graphics": "Drawings and screenshots",
}


@dataclass(frozen=True, kw_only=True)
class _Shown:
    name: str
    href: str | None
    picture: str | None
    """A `data:` address."""
    note: str


@dataclass(frozen=True, kw_only=True)
class _Section:
    anchor: str
    title: str
    count: int
    groups: list[list[_Shown]]
    """One group; or one for each group of twins."""
    left: int


def write_page(
    table: pa.Table, items: Sequence[Item], facts: Facts, out: Path, *, title: str
) -> None:
    """<out>/index.html: no script, no request; small pictures inside, links to the files themselves."""
    from jinja2 import Environment, PackageLoader

    rows = table.to_pylist()
    sections = _sections(rows)
    wanted = sorted(
        {row for _, _, _, groups, _ in sections for group in groups for row, _ in group}
    )
    names = [items[row].name for row in wanted]
    held = facts.table(names, ["preview"]).column("preview").to_pylist()
    previews = dict(zip(wanted, held, strict=True))

    def shown(row: int, note: str) -> _Shown:
        small = previews[row]
        address = None
        if small is not None:
            address = "data:image/jpeg;base64," + base64.b64encode(small).decode()
        return _Shown(
            name=printable(rows[row]["file"]),
            href=_href(items[row], out),
            picture=address,
            note=note,
        )

    env = Environment(loader=PackageLoader("pipelines.photos"), autoescape=True, trim_blocks=True)
    page = env.get_template("labels.html.j2").render(
        title=printable(title),
        total=len(rows),
        kept=sum(row["keep"] for row in rows),
        copies=sum(row["twin_of"] is not None for row in rows),
        errors=sum(row["error"] is not None for row in rows),
        clean=sum(row["labels"] == "" for row in rows),
        sections=[
            _Section(
                anchor=anchor,
                title=name,
                count=count,
                groups=[[shown(row, note) for row, note in group] for group in groups],
                left=left,
            )
            for anchor, name, count, groups, left in sections
        ],
    )
    files.put(out / "index.html", page)


Group = list[tuple[int, str]]


def _sections(rows: list[dict[str, Any]]) -> list[tuple[str, str, int, list[Group], int]]:
    """(anchor, title, pictures, groups of (row, what to say), how many are not shown)."""
    found: list[tuple[str, str, int, list[Group], int]] = []
    for label in LABELS:
        column = f"severity_{label}"
        bearing = [
            (-(row[column] or 0.0), number)
            for number, row in enumerate(rows)
            if label in (row["labels"] or "").split()
        ]
        chosen = [
            (number, f"{-severity:.2f}  {rows[number]['labels']}")
            for severity, number in sorted(bearing)[:SHOWN]
        ]
        found.append((label, TITLES[label], len(bearing), [chosen], len(bearing) - len(chosen)))
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if row["cluster"] is not None:
            groups.setdefault(row["cluster"], []).append(number)
    # The copy that stays stands first.
    sets = [sorted(group, key=lambda n: (not rows[n]["keep"], n)) for group in groups.values()]
    told: list[Group] = [
        [(n, "stays" if rows[n]["keep"] else rows[n]["reason"]) for n in group[:SHOWN]]
        for group in sets[:GROUPS]
    ]
    copies = sum(map(len, sets))
    found.append(("twins", "Twins", copies, told, copies - sum(map(len, told))))
    bad = [(n, printable(row["error"])) for n, row in enumerate(rows) if row["error"] is not None]
    found.append(("errors", "Not readable", len(bad), [bad[:SHOWN]], max(0, len(bad) - SHOWN)))
    clean = [(row["severity"] or 0.0, n) for n, row in enumerate(rows) if row["labels"] == ""]
    at = np.linspace(0, len(clean) - 1, min(len(clean), 12)).astype(int).tolist()
    some = [(n, f"{severity:.2f}") for severity, n in (sorted(clean)[i] for i in at)]
    found.append(("none", "Without a label", len(clean), [some], len(clean) - len(some)))
    return [section for section in found if section[2]]


def _href(item: Item, out: Path) -> str | None:
    """A link to the file from the page's folder; None for what lies in a shard."""
    if not item.on_disk or item.problem is not None:
        return None
    return quote(os.fsencode(os.path.relpath(item.path, out.resolve())))
