"""What walkers hand on: the batches of a walk, and what a few requests tell of a source's size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from catalog.records import FileRecord, ListingRow
from crawler.commons import BATCH, Commons

Cursor = dict[str, Any]
"""All that a walker knows, as plain JSON: stored beside the batch it lets one stop anywhere and ask nothing twice."""
Seen = tuple[FileRecord, ListingRow]


@dataclass(frozen=True, kw_only=True)
class ListedBatch:
    """Some files of a source and where it goes on."""

    files: tuple[Seen, ...]
    cursor: Cursor | None
    """None: the source is at its end."""
    problem: str | None = None
    """What a person should know, e.g. that a category does not exist."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Some files of a source, and what they cost."""

    files: tuple[FileRecord, ...] = ()
    requests_per_batch: float = 1.0
    """API requests for 50 files: 1, or more where long answers are continued."""
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How large a source is, as far as a few requests can tell."""

    files: int | None
    """Files that it lists; None: not known without listing them."""
    how: str
    """counted, at least, hits, estimated, named, or sampled (not known: only the sample is counted)."""
    listing_requests: int = 0
    """Requests that listing needs besides those for files: the steps through a tree of categories."""
    batches: int | None = None
    """Batches of at most 50 files that listing asks for; None: as many as the files fill."""
    sampled: Sampled | None = None
    """Where counting had to look at files: those. None: the first batches of a walk are looked at."""
    requests_per_batch: float | None = None
    """Where a walk's requests serve more than files, so that a sample cannot tell; None: the sample's."""


def all_seen(
    commons: Commons, pages: Sequence[dict[str, Any]], key: str, path: str
) -> tuple[Seen, ...]:
    """Pages of the API as records with their evidence."""
    return tuple(commons.seen(page, source=key, path=path) for page in pages)


def look_at(commons: Commons, walks: Iterable[Iterable[ListedBatch]], most: int) -> Sampled:
    """The first `most` batches of each walk."""
    seen: list[FileRecord] = []
    problem: str | None = None
    batches = asked = 0
    for walk in walks:
        before = commons.requests
        for batch in islice(walk, most):
            seen += [record for record, _ in batch.files]
            problem = problem or batch.problem
            # The other batches also went up or down a tree, or counted a window.
            if len(batch.files) == BATCH:
                batches += 1
                asked += commons.requests - before
            before = commons.requests
    per_batch = max(1.0, asked / batches) if batches else 1.0
    return Sampled(files=tuple(seen), requests_per_batch=per_batch, problem=problem)
