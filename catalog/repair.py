"""What is damaged or lost in a catalog: found, named, and set aside so that the next build makes it again.

What a stage can do again is planned again by being away. The rest:

    listing      from the damaged part on, a source is listed again: each part holds the cursor for the next
    plan         its keys are planned again under a new number; what its batches committed stays
    original     the download part that speaks of it goes, so that its batch is fetched again
    tombstone, cleared, review    come back from their copies; without that of a tombstone nothing is released
    request, check, record    cannot be made again: set aside, named, and read as if it had never been
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from catalog import files, sums
from catalog.errors import Expected
from catalog.looks import BATCHES as BATCHES
from catalog.looks import COVERS, looks_right
from catalog.records import AGAIN
from catalog.store import DAMAGED, Catalog

TWICE = ("tombstone", "cleared", "review")
"""Stages whose parts cannot be made again, and are kept twice."""
RECORDS = ("runs", "recipes", "rules", "shortfalls", "limits")
"""Folders of JSON files."""
Kind = Literal["damaged", "lost"]
Say = Callable[[str], None]


class TombstoneLost(Expected, RuntimeError):
    """A record of what may not be released is damaged, and there is no copy of it."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A file that is not what was written."""

    path: Path
    kind: Kind
    what: str
    """Stage of the part, "plan" or the folder of the record."""

    def told(self, catalog: Catalog) -> str:
        """For a person."""
        return f"{self.path.relative_to(catalog.root)}: {self.kind}"


def faults(catalog: Catalog, *, again: bool = False) -> list[Fault]:
    """Every part, plan and record that is damaged, and every one that is known to be missing.

    Args:
        again: read also what this process has found whole before, and every value of it.
    """
    if again:
        sums.forget()
    found: list[Fault] = []
    for folder, pattern, kind in (
        (catalog.parts, "*.parquet", "part"),
        (catalog.plans, "*.parquet", "plan"),
        *((catalog.root / name, "*.json", name) for name in RECORDS),
        (catalog.root / "copies", "*.parquet", "copy"),
    ):
        for path in sorted(folder.rglob(pattern)):
            if not sums.is_whole(path) or (again and not looks_right(path, all_of_it=True)):
                what = path.relative_to(folder).parts[0] if kind == "part" else kind
                found.append(Fault(path=path, kind="damaged", what=what))
    return found + _holes(catalog) + _lost_of_two(catalog)


def _holes(catalog: Catalog) -> list[Fault]:
    """Missing numbers in a source's listing. Other lost parts are pending again by themselves."""
    found: list[Fault] = []
    for source in sorted(path for path in (catalog.parts / "listing").glob("*") if path.is_dir()):
        # Others than numbers are no parts of a listing, and damaged: "000000 (conflicted copy)".
        numbered = {int(p.stem): p for p in source.glob("*.parquet") if p.stem.isdecimal()}
        # A sum stands before its file does: one behind the last part is of a commit that was cut off.
        gaps = set(range(max(numbered, default=-1))) - set(numbered)
        for part in numbered.values() if gaps else ():
            gaps -= set(_covered(part))
        if source.name != AGAIN:
            found += [
                Fault(path=source / f"{gap:06d}.parquet", kind="lost", what="listing")
                for gap in sorted(gaps)[:1]
            ]
    return found


def _covered(part: Path) -> range:
    """Numbers of the parts that this one took the place of."""
    if not sums.is_whole(part):
        return range(0)
    first = (pq.read_schema(part).metadata or {}).get(COVERS)
    return range(0) if first is None else range(int(first), int(part.stem))


def _lost_of_two(catalog: Catalog) -> list[Fault]:
    return [
        Fault(path=catalog.parts / stage / "all" / copy.name, kind="lost", what=stage)
        for stage in TWICE
        for copy in sorted((catalog.root / "copies" / stage).glob("*.parquet"))
        if not (catalog.parts / stage / "all" / copy.name).exists()
    ]


def heal(catalog: Catalog, say: Say, *, deep: bool = False) -> list[Fault]:
    """Sets aside what is damaged, and with it what depends on it. Under the catalog's lock.

    Files of an older version get their sums here.

    Args:
        deep: unpack every value; else sums and footers are read.

    Raises:
        TombstoneLost: one is damaged and has no copy.
    """
    # A process that builds for weeks must not rely on what it found whole at its first build.
    sums.forget()
    _adopt(catalog)
    found = faults(catalog, again=deep)
    aside = catalog.root / DAMAGED / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    for fault in found:
        if fault.what in TWICE:
            _from_copy(catalog, fault, aside)
        elif fault.what == "listing" and fault.path.parent.name not in (AGAIN, "listing"):
            _listing(catalog, fault.path, aside)
        elif fault.what == "failure":
            stage, _, config = fault.path.parent.name.partition("-")
            batch = catalog.parts / stage / config / fault.path.name
            _away(catalog, [fault.path, *([batch] if stage in BATCHES else [])], aside)
        else:
            _away(catalog, [fault.path], aside)
        say(f"{fault.told(catalog)}: {_CONSEQUENCE.get(fault.what, 'set aside, made again')}")
    catalog.make_empty_parts()
    return found


_CONSEQUENCE = {
    "listing": "set aside; the source is listed again from there on",
    "plan": "set aside; what it held is planned again",
    **dict.fromkeys(TWICE, "restored from its copy, where there is one"),
    **dict.fromkeys(
        ("request", "check", *RECORDS), "set aside; it cannot be made again, and is left out"
    ),
}


def _adopt(catalog: Catalog) -> None:
    """Sums for what has none yet, and copies of what is kept twice; what cannot be read is left for `faults`."""
    for folder, pattern in (
        (catalog.parts, "*.parquet"),
        (catalog.plans, "*.parquet"),
        *((catalog.root / name, "*.json") for name in RECORDS),
    ):
        for path in folder.rglob(pattern):
            if not sums.known(path):
                sums.adopt(path)
    for stage in TWICE:
        for part in (catalog.parts / stage / "all").glob("*.parquet"):
            copy = catalog.copy_of(stage, part.stem)
            if not copy.exists() and sums.is_whole(part):
                sums.put(copy, files.get(part))


def _away(catalog: Catalog, paths: Iterable[Path], aside: Path) -> None:
    """Moves files, with their sums, to the same place below `aside`."""
    for path in paths:
        for one in (path, sums.sum_file(path)):
            if one.is_symlink() and not one.exists():
                # A link to nowhere, or to itself: there is nothing to keep.
                files.delete(one)
            if one.exists():
                files.adopt(one, aside / one.relative_to(catalog.root))


def _listing(catalog: Catalog, damaged: Path, aside: Path) -> None:
    """The part and all that came after it, with the verdicts on them."""
    source = damaged.parent
    later = [path for path in sorted(source.glob("*.parquet")) if path.stem >= damaged.stem]
    # The last goes first: cut off in between, the rest is a listing without holes.
    for part in sorted({*later, damaged}, reverse=True):
        verdicts = (catalog.parts / "verdict").glob(f"*/{source.name}.{part.stem}.parquet")
        _away(catalog, [*verdicts, part], aside)


def _from_copy(catalog: Catalog, fault: Fault, aside: Path) -> None:
    copy = catalog.copy_of(fault.what, fault.path.stem)
    empty = fault.path.parent.name == fault.what
    if fault.what == "tombstone" and not empty and not sums.is_whole(copy):
        raise TombstoneLost(
            f"{fault.path} says what may not be released; it is damaged and has no copy. Put it back from a backup, or "
            "give its takedowns again (`lucidlr takedown`, `lucidlr refresh --all`) and delete it with its .sha256."
        )
    _away(catalog, [fault.path], aside)
    if not empty and sums.is_whole(copy):
        sums.put(fault.path, files.get(copy))


# -- originals ---------------------------------------------------------------------------------------


def broken_originals(
    catalog: Catalog,
    place: Callable[[str], Path],
    size_of: Callable[[str], int | None],
    *,
    deep: bool,
) -> tuple[list[str], list[str]]:
    """SHA-1s that a download part speaks of whose file is lost, and those whose file is damaged.

    Args:
        place: SHA-1 -> where the original is.
        size_of: SHA-1 -> its bytes; None: it is not there.
        deep: recompute every SHA-1; else only the size is compared.
    """
    lost: list[str] = []
    damaged: list[str] = []
    for part in catalog.whole_parts("download"):
        # A dataset of one file, as `read_table` makes, takes twice as long as its rows.
        rows = pq.ParquetFile(part).read(columns=["sha1", "size_bytes"], use_threads=False)
        for sha1, size in zip(
            *(rows.column(n).to_pylist() for n in rows.column_names), strict=True
        ):
            held = size_of(sha1)
            if held is None:
                lost.append(sha1)
            elif (size is not None and held != size) or (deep and _sha1_of(place(sha1)) != sha1):
                damaged.append(sha1)
    return sorted(set(lost)), sorted(set(damaged))


def _sha1_of(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha1").hexdigest()


def plan_originals(catalog: Catalog, sha1s: Sequence[str]) -> int:
    """Makes the batches pending again that fetched these originals; how many. Under the catalog's lock."""
    wanted, batches = set(sha1s), 0
    for part in catalog.whole_parts("download") if wanted else ():
        if wanted & set(pq.read_table(part, columns=["sha1"]).column("sha1").to_pylist()):
            batches += sums.delete(part)
    return batches
