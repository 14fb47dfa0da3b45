"""How large is a source? Counts and samples, a few requests each, before anything is crawled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from catalog.records import FileRecord
from crawler.commons import BATCH, Commons, ListingError
from crawler.listed import Counted, Sampled, look_at
from crawler.walkers import Source, load_walker


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
    walker, folder = load_walker(source.kind), base or Path()
    counted, sampled, problem = Counted(files=None, how="sampled"), Sampled(), None
    try:
        counted = walker.count(commons, source, folder)
        sampled = counted.sampled
        if sampled is None:
            walk = walker.walk(commons, source, None, "", folder)
            sampled = look_at(commons, [walk], -(-sample // BATCH))
        problem = sampled.problem
    except ListingError as error:
        sampled, problem = sampled or Sampled(), str(error)
    return Survey(
        files=counted.files,
        how=counted.how,
        listing_requests=counted.listing_requests,
        batches=counted.batches,
        sample=sampled.files,
        requests_per_batch=counted.requests_per_batch or sampled.requests_per_batch,
        problem=problem,
    )
