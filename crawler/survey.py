"""How large is a source? Counts and samples, a few requests each, before anything is crawled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

from catalog.records import FileRecord
from crawler.commons import BATCH, Commons, ListingError
from crawler.listing import list_files
from crawler.sources import (
    CandidateSource,
    CategorySource,
    SearchShardSource,
    SearchSource,
    Source,
    TitleSource,
    UploadWindowSource,
)
from crawler.walkers.category import resolve_categories
from crawler.walkers.search import MOST_HITS, count_hits, first_shard
from crawler.walkers.titles import candidate_rows

MOST_CATEGORY_REQUESTS = 40
"""Requests spent on the tree of one category; a larger tree is counted in part, and said so."""
WINDOW_PROBES = 4
"""Places in an upload window at which its density is measured."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a few requests tell of a source."""

    files: int | None
    """Files that it lists; None: not known without listing them."""
    how: str
    """counted, at least, hits, estimated, named, or sampled (not known: only the sample is counted)."""
    listing_requests: int
    """Requests that listing needs besides those for files: the steps through a tree of categories."""
    batches: int | None
    """Batches of at most 50 files that listing asks for; None: as many as the files fill."""
    sample: tuple[FileRecord, ...]
    """Some of its files, with their metadata."""
    requests_per_batch: float
    """API requests for 50 files of the sample: 1, or more where long answers are continued."""
    problem: str | None = None


def survey(
    commons: Commons, source: Source, *, sample: int = 50, base: Path | None = None
) -> Survey:
    """Counts a source and samples it.

    Args:
        sample: about so many files are looked at.
        base: folder that relative paths of a source start from.

    Raises:
        crawler.commons.ListingError: the wiki refused a query.
        crawler.limits.DoorError: see there.
    """
    counted = _Count(files=None, how="sampled")
    seen: list[FileRecord] = []
    per_batch, problem = 1.0, None
    try:
        counted = _count(commons, source, base or Path())
        seen, per_batch, problem = _sample(commons, source, sample, base)
        if isinstance(source, UploadWindowSource):
            counted = _Count(files=_density(source, seen), how="estimated")
    except ListingError as error:
        problem = str(error)
    return Survey(
        files=counted.files,
        how=counted.how,
        listing_requests=counted.listing_requests,
        batches=counted.batches,
        sample=tuple(seen),
        requests_per_batch=per_batch,
        problem=problem,
    )


@dataclass(frozen=True, kw_only=True)
class _Count:
    files: int | None
    how: str
    listing_requests: int = 0
    batches: int | None = None


def _sample(
    commons: Commons, source: Source, sample: int, base: Path | None
) -> tuple[list[FileRecord], float, str | None]:
    """Some files of a source, the requests that 50 of them took, and what a walker had to tell."""
    seen: list[FileRecord] = []
    problem: str | None = None
    batches = asked = 0
    for probe in _probes(source):
        most = 1 if isinstance(source, UploadWindowSource) else -(-sample // BATCH)
        before = commons.requests
        for batch in islice(list_files(commons, probe, None, base=base), most):
            seen += [record for record, _ in batch.files]
            problem = problem or batch.problem
            # The other batches also went up or down a tree, or counted a window.
            if len(batch.files) == BATCH and not isinstance(source, CategorySource):
                batches += 1
                asked += commons.requests - before
            before = commons.requests
    return seen, max(1.0, asked / batches) if batches else 1.0, problem


def _count(commons: Commons, source: Source, base: Path) -> _Count:
    if isinstance(source, CategorySource):
        return _category(commons, source)
    if isinstance(source, SearchSource):
        return _Count(files=min(count_hits(commons, source.query), MOST_HITS), how="hits")
    if isinstance(source, SearchShardSource):
        hits = count_hits(commons, first_shard(source).query(source.query))
        # Halving until all fit counts twice as many windows as there are in the end, and halves are uneven.
        return _Count(files=hits, how="hits", listing_requests=4 * max(1, -(-hits // MOST_HITS)))
    if isinstance(source, TitleSource):
        return _Count(files=_named(source, base), how="named")
    if isinstance(source, CandidateSource):
        rows = sum(1 for _ in candidate_rows(base / source.path, source))
        return _Count(files=rows, how="named")
    return _Count(files=None, how="sampled")


def _probes(source: Source) -> list[Source]:
    """The source itself; for an upload window, the window from a few places on."""
    if not isinstance(source, UploadWindowSource):
        return [source]
    step = (source.end - source.start) / WINDOW_PROBES
    return [
        UploadWindowSource(start=source.start + i * step, end=source.end)
        for i in range(WINDOW_PROBES)
    ]


def _named(source: TitleSource, base: Path) -> int:
    lines: list[str] = []
    if source.path:
        lines = (base / source.path).read_text(encoding="utf-8").splitlines()
    named = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    return len(source.titles) + len(source.page_ids) + len(named)


def _density(source: UploadWindowSource, seen: Sequence[FileRecord]) -> int:
    """Files of an upload window, from how close the uploads behind each probe follow each other."""
    step = (source.end - source.start) / WINDOW_PROBES
    total = 0.0
    for i in range(WINDOW_PROBES):
        start = source.start + i * step
        times = sorted(
            {
                r.page_id: r.uploaded_at for r in seen if r.uploaded_at and r.uploaded_at >= start
            }.values()
        )[:BATCH]
        here = [time for time in times if time < start + step]
        if len(here) < len(times) or len(times) < BATCH:
            total += len(here)
        else:
            span = max(here[-1] - start, timedelta(seconds=1))
            total += len(here) * (step / span)
    return round(total)


def _category(commons: Commons, source: CategorySource) -> _Count:
    """Files in the tree, by the counters that the wiki keeps (a file in several categories counts several times), how
    far that is known, requests for the steps, and batches: every category has one of its own, however small."""
    (found,) = resolve_categories(commons, [source.root])
    if found.title is None:
        return _Count(files=0, how="counted", listing_requests=2, batches=0)
    root = found.title
    level, visited, files, batches = [root], {root}, 0, 0
    listing = 1
    spent, whole = 0, True
    for depth in range(source.depth + 1):
        for i in range(0, len(level), BATCH):
            counts = _files_in(commons, level[i : i + BATCH])
            files += sum(counts)
            batches += sum(max(1, -(-count // BATCH)) for count in counts)
        spent += -(-len(level) // BATCH)
        listing += len(level) if depth < source.depth else 0
        if depth == source.depth:
            break
        below: list[str] = []
        for name in level:
            if spent >= MOST_CATEGORY_REQUESTS:
                whole = False
                break
            answer = commons.ask(
                {"list": "categorymembers", "cmtitle": name, "cmtype": "subcat", "cmlimit": "max"}
            )
            spent += 1
            whole = whole and not answer.get("continue")
            for member in answer["query"]["categorymembers"]:
                title = member["title"]
                bare = title.removeprefix("Category:")
                denied = any(re.search(pattern, bare) for pattern in source.deny)
                if title not in visited and not denied and len(visited) < source.max_categories:
                    visited.add(title)
                    below.append(title)
        level = below
    how = "counted" if whole else "at least"
    return _Count(files=files, how=how, listing_requests=listing, batches=batches)


def _files_in(commons: Commons, titles: Sequence[str]) -> list[int]:
    """Files directly in each of these categories."""
    if not titles:
        return []
    answer = commons.ask({"prop": "categoryinfo", "titles": "|".join(titles)})
    pages = (answer.get("query") or {}).get("pages") or []
    return [int((page.get("categoryinfo") or {}).get("files", 0)) for page in pages]
