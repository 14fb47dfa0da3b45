"""Fetching within a budget: in an order drawn by the seed, round by round, until bytes, hours or samples are enough.

A round is a stretch of that order, so what is fetched when a build stops by bytes or by `stop_at: kept` follows from
the listing alone: a round that was begun is finished before anything is asked, whatever interrupted it. Hours are
another matter: they depend on the day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import compute as arrow

from catalog.plans import BatchRef
from crawler.politeness import PoliteDoor
from pipelines.bounds import FETCHING_SHARE
from pipelines.build.fetched import DOWNLOAD_VERSION, Originals
from pipelines.build.run import Build, Stop

pc: Any = arrow
FIRST_ROUND, GROWTH = 64, 10
"""Files in a round: so many at first, then a tenth of what is behind."""
KEPT = "what is here is not fetched twice"


@dataclass(frozen=True)
class Queue:
    """What passes the gate, each original once, in the order in which it is fetched."""

    sha1s: list[str]
    ends: NDArray[np.int64]
    """[N] listed bytes up to and with each."""
    tried: NDArray[np.bool_]
    """[N] fetched, or failed."""

    def told(self) -> str:
        """How far it is."""
        got = int(self.tried.sum())
        sizes = np.diff(self.ends, prepend=0)
        here, whole = (x / 1e9 for x in (int(sizes[self.tried].sum()), int(sizes.sum())))
        return (
            f"{got:,} of {len(self.sha1s):,} files that passed the gate were fetched "
            f"({here:.2f} of {whole:.2f} GB)"
        )


def queue_of(originals: Originals, seed: int) -> Queue:
    """The queue as it stands now."""
    wanted = originals.wanted
    sha1s = wanted.column("sha1").to_pylist()
    sizes = pc.fill_null(wanted.column("size_bytes"), 0).to_pylist()
    tried = wanted.column("object").is_valid().to_pylist()
    # Of several pages with the same bytes the first counts.
    first: dict[str, tuple[int, bool]] = {}
    for sha1, size, was in zip(sha1s, sizes, tried, strict=True):
        first.setdefault(sha1, (max(0, size), was))
    order = sorted(first, key=lambda sha1: hashlib.sha256(f"{seed}:{sha1}".encode()).digest())
    return Queue(
        sha1s=order,
        ends=np.cumsum([first[sha1][0] for sha1 in order], dtype=np.int64),
        tried=np.array([first[sha1][1] for sha1 in order], dtype=bool),
    )


def rounds(count: int, *, one: bool) -> Iterator[tuple[int, int]]:
    """(begin, end) of each round among `count` files; `one`: all of them are one."""
    begin = 0
    while begin < count:
        end = count if one else min(count, begin + max(FIRST_ROUND, begin // GROWTH))
        yield begin, end
        begin = end


def fetch_within_budget(
    run: Build,
    door: PoliteDoor,
    *,
    compute: Callable[[], None],
    enough: Callable[[], bool],
) -> None:
    """Fetches what the budget allows, and notes in `run.stop` what stopped it; nothing where all was fetched.

    Args:
        compute: measures what is at hand.
        enough: whether the wanted samples can be drawn from what is measured.
    """
    budget, catalog = run.recipe.budget, run.catalog
    originals = Originals(run, door)
    queue = queue_of(originals, run.recipe.seed)
    place = {sha1: i for i, sha1 in enumerate(queue.sha1s)}

    def late() -> bool:
        return run.clock.over(FETCHING_SHARE)

    def fetch(refs: list[BatchRef]) -> None:
        originals.fetch(refs, late)
        done = {ref.batch for ref in refs} - {
            ref.batch for ref in catalog.pending("download", [DOWNLOAD_VERSION])
        }
        for key in (key for ref in refs if ref.batch in done for key in catalog.keys_of(ref)):
            if key in place:
                queue.tried[place[key]] = True

    tried = {sha1 for sha1, was in zip(queue.sha1s, queue.tried, strict=True) if was}
    # What was tried before and is planned once more: a --retry, or an original that was lost.
    again = _within(run, tried)
    if again:
        fetch(again)
    allowed = len(queue.sha1s)
    if budget.max_bytes is not None:
        allowed = int(np.searchsorted(queue.ends, budget.max_bytes, side="right"))
    run.tally.to_fetch(int(np.logical_not(queue.tried[:allowed]).sum()))
    by_rounds = budget.stop_at is not None or budget.max_hours is not None
    for begin, end in rounds(len(queue.sha1s), one=not by_rounds):
        if end > allowed and budget.stop_at is not None:
            # Whole rounds only: where a build asks whether it has enough must not depend on bytes.
            break
        stretch = queue.sha1s[begin : min(end, allowed)]
        untried = [sha1 for sha1, was in zip(stretch, queue.tried[begin:], strict=False) if not was]
        if not untried:
            continue
        begun = _within(run, set(untried))
        if not begun and by_rounds:
            compute()
            if budget.stop_at is not None and enough():
                why = "stop_at kept: the wanted samples can be drawn"
                run.stop = _stop(
                    why, queue, "run the same command without stop_at, or with more max_samples"
                )
                return
        if late():
            break
        waiting = {key for ref in begun for key in catalog.keys_of(ref)}
        left = [sha1 for sha1 in untried if sha1 not in waiting]
        fetch(
            [
                *begun,
                *catalog.plan_anyway(
                    "download", left, DOWNLOAD_VERSION, batch_size=originals.batch_size
                ),
            ]
        )
    run.stop = _stopped_by(run, queue, late=late())


def _within(run: Build, keys: set[str]) -> list[BatchRef]:
    """The pending batches that hold none but these."""
    refs = run.catalog.with_keys(run.catalog.pending("download", [DOWNLOAD_VERSION]))
    return [ref for ref in refs if keys.issuperset(ref.keys or ("",))]


def _stopped_by(run: Build, queue: Queue, *, late: bool) -> Stop | None:
    done, hours = bool(queue.tried.all()), run.recipe.budget.max_hours or 0.0
    if "list" in run.cut or (late and not done):
        what = "the time is over" if late else "listing is not at its end"
        return _stop(f"max_hours {hours:g}: {what}", queue, "run the same command again")
    if done:
        return None
    allowed = run.recipe.budget.max_bytes or 0.0
    resume = "run the same command with a larger max_bytes (in the recipe, or --max-bytes)"
    return _stop(f"max_bytes {allowed:,.0f}", queue, resume)


def _stop(why: str, queue: Queue, resume: str) -> Stop:
    return Stop(why=f"{why}; {queue.told()}", resume=f"{resume}; {KEPT}")


def measuring_stopped(run: Build) -> None:
    """Notes in `run.stop` that the hours ended before all that was fetched is measured."""
    if "measure" in run.cut:
        said = "not all that was fetched is measured"
        before = run.stop or Stop(
            why=f"max_hours {run.recipe.budget.max_hours or 0.0:g}: the time is over",
            resume=f"run the same command again; {KEPT}",
        )
        run.stop = replace(before, why=f"{before.why}; {said}")
