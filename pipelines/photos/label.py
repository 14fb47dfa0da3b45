"""`lucidlr label`: what is wrong with each of your pictures, which are twins, and what a build would keep.

    <out>/labels.csv, labels.parquet    a row for each picture (pipelines/photos/judge.py: LABELS_SCHEMA)
    <out>/index.html                    the same to look at
    <out>/facts/                        what was found out, so that the next run only looks at what is new

Killed? The same command resumes, and what it writes at the end is the same to the byte.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from catalog import files
from catalog.errors import Expected
from catalog.plans import config_hash
from crawler.shelves import Item, items_of
from filters.degradation import LABELS
from pipelines.photos.facts import Facts
from pipelines.photos.judge import judged, not_asked, recipe_for_files, wanted_by
from pipelines.photos.page import write_page
from pipelines.photos.workers import looked_at
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import Recipe, load_recipe
from pipelines.terminal import printable

PART_ROWS = 128
PART_SECONDS = 10.0
"""What was found out is committed after so many rows or so long."""
RAW = (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw")
"""Suffixes of what cameras write before it is a picture."""
KINDS = 6
"""Kinds of other files that the summary names."""
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
RESULTS = ("labels.csv", "labels.parquet", "index.html")
NAMED = Path("facts") / "named.json"
"""In the folder of results: what was labelled last, as absolute paths."""
DIGITS = 4
"""Of severities in labels.csv; labels.parquet has all."""


class LabelError(Expected, ValueError):
    """There is nothing to label, or another process labels into this folder."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What `label` found."""

    out: Path
    table: pa.Table
    """LABELS_SCHEMA, in the order of names."""
    looked_at: int
    """Pictures that this run looked at; the others were known from an earlier one."""
    skipped: tuple[Path, ...]
    """Files of the folders that are no pictures."""
    unfollowed: tuple[Path, ...]
    """Links to folders, which are not followed."""
    not_asked: tuple[str, ...]
    """Rules of the recipe that only a wiki can answer, and ways to find twins that only a build has."""
    seconds: float

    def counts(self) -> dict[str, int]:
        """Pictures per label, and `none`, in LABELS' order; what cannot be read counts for none of them."""
        found: Counter[str] = Counter()
        for said in self.table.column("labels").to_pylist():
            if said is not None:
                found.update(said.split() or ["none"])
        return {name: found[name] for name in (*LABELS, "none")}


def label(
    named: Sequence[Path],
    out: Path,
    *,
    recipe: str | Path | Recipe | None = None,
    workers: int = 1,
    page: bool = True,
    progress: Progress | None = None,
) -> Labelled:
    """Labels every picture in files, folders, WebDataset shards and Parquet files.

    Args:
        named: what to label; folders with all below them.
        out: folder for the results; it may lie in a folder that is labelled.
        recipe: whose labels, twins and rules; None: the defaults, and `keep` says readable and not a copy.

    Raises:
        LabelError: no picture there, or another process works in `out`.
        catalog.errors.Missing: something named is not there.
        pipelines.recipe.RecipeError, filters.metrics.WeightsMissing: the recipe cannot be used here.
    """
    started = time.perf_counter()
    progress = progress or NoProgress()
    given = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    ours = recipe_for_files(given)
    skipped: list[Path] = []
    unfollowed: list[Path] = []
    apart = [out, out / "facts"]
    found = items_of(named, without=apart, skipped=skipped, unfollowed=unfollowed)
    items = sorted(found, key=lambda item: item.name)
    # Where `out` is a folder that is labelled, its results are none of the files that lie there.
    results = {out.resolve() / name for name in RESULTS}
    skipped = [path for path in skipped if path not in results]
    if not items:
        there = f" There are {len(skipped)} other files ({by_suffix(skipped)})." if skipped else ""
        if unfollowed:
            there += f" Links to folders are not followed: {unfollowed[0]}."
        raise LabelError(
            f"No picture in {', '.join(map(str, named))}.{there} Pictures are known by their names (.jpg, .png, ...), "
            "shards by .tar, tables of images by .parquet."
        )
    wanted = wanted_by(ours, previews=page)
    config = config_hash(
        [*wanted.versions(), *sorted(os.fsdecode(os.path.realpath(p)) for p in named)]
    )
    files.make_folder(out / "facts")
    lock = FileLock(out / "facts" / "label.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LabelError(f"Another process labels into {out}; name another --out.") from None
    try:
        facts = Facts(out / "facts" / config, wanted)
        fresh = [i for i in items if not facts.has(i.name, i.size, i.mtime_ns)]
        _look(fresh, facts, workers, progress)
        names = [item.name for item in items]
        table = judged(
            facts.table(names),
            ours,
            lambda rows: (
                facts.table([names[row] for row in rows.tolist()], ["thumbnail"])
                .column("thumbnail")
                .to_pylist()
            ),
        )
        _write(table, out)
        # For `lucidlr review`, which shows them again.
        places = [os.fsdecode(os.path.realpath(path)) for path in named]
        files.put(out / NAMED, json.dumps(places, indent=1))
        if page:
            write_page(table, items, facts, out, title=", ".join(p.name or str(p) for p in named))
    finally:
        lock.release()
    return Labelled(
        out=out,
        table=table,
        looked_at=len(fresh),
        skipped=tuple(skipped),
        unfollowed=tuple(unfollowed),
        not_asked=tuple(not_asked(given)),
        seconds=time.perf_counter() - started,
    )


def _look(items: Sequence[Item], facts: Facts, workers: int, progress: Progress) -> None:
    waiting: list[dict[str, Any]] = []
    last = time.monotonic()
    with progress.stage("pictures", len(items)) as advance:
        try:
            for rows in looked_at(items, facts.wanted, workers=workers):
                waiting += rows
                advance(len(rows))
                if len(waiting) >= PART_ROWS or time.monotonic() - last > PART_SECONDS:
                    facts.add(waiting)
                    waiting, last = [], time.monotonic()
        finally:
            # Also of a run that is interrupted.
            facts.add(waiting)


def _write(table: pa.Table, out: Path) -> None:
    with files.writing(out / "labels.parquet") as temporary:
        pq.write_table(table, temporary, compression="zstd")
    with files.text(out / "labels.csv", newline="") as sink:
        sink.write(csv_of(table))


def csv_of(table: pa.Table) -> str:
    """The table as CSV: true and false, severities with four digits, nothing where nothing is known.

    A name that a spreadsheet would take for a formula begins with `./`: it names the same file.
    """
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in table.to_pylist():
        writer.writerow([_cell(value) for value in row.values()])
    return sink.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(FORMULAS):
        return f"./{value}"
    return round(value, DIGITS) if isinstance(value, float) else value


def by_suffix(paths: Sequence[Path]) -> str:
    """The kinds of files by their names, the most frequent first: `3 .mp4, 1 .zip`."""
    counts = Counter(printable(path.suffix.lower()) or "without suffix" for path in paths)
    first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = ", ..." if len(first) > KINDS else ""
    return ", ".join(f"{count} {suffix}" for suffix, count in first[:KINDS]) + more


def label_lines(found: Labelled) -> list[str]:
    """The summary for a terminal."""
    table = found.table
    total = table.num_rows
    errors = total - table.column("error").null_count
    twins = total - table.column("twin_of").null_count
    counts = {name: count for name, count in found.counts().items() if count}
    width = max((len(name) for name in counts), default=0)
    top = max(counts.values(), default=1)
    lines = [
        "",
        *(f"  {n:<{width}} {c:>7}  {'█' * round(40 * c / top)}" for n, c in counts.items()),
    ]
    kept = sum(table.column("keep").to_pylist())
    undecided = sum(bool(value) for value in table.column("undecided").to_pylist())
    lines += ["", f"{total} pictures: {kept} to keep, {twins} copies, {errors} with an error"]
    if undecided:
        lines.append(f"undecided  {undecided}: too flat, or too near to where damage begins")
    if found.skipped:
        lines.append(f"skipped    {len(found.skipped)} other files: {by_suffix(found.skipped)}")
        if any(path.suffix.lower() in RAW for path in found.skipped):
            lines.append("           raw photographs are not read: export them as JPEG or TIFF")
    if found.unfollowed:
        count = len(found.unfollowed)
        lines.append(
            f"links      {count} to folders, not followed: name them to have them labelled"
        )
    if found.not_asked:
        lines.append(f"not asked  {', '.join(found.not_asked)}: only a build can answer")
    rate = f", {found.looked_at / found.seconds:.1f} a second" if found.looked_at else ""
    lines.append(f"looked at  {found.looked_at} in {found.seconds:.1f} s{rate}")
    lines.append(f"labels     {found.out / 'labels.csv'}, labels.parquet")
    return lines
