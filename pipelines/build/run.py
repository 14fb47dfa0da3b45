"""One run of a build: what it works with, what it has counted, and what it leaves behind."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalog import files
from catalog.looks import said_in
from catalog.store import Catalog
from crawler.walkers import load_walker
from pipelines.bounds import Clock
from pipelines.build.runners import Runner
from pipelines.memory import give_back
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import Recipe
from pipelines.tally import Tally

NOW = "now.json"
"""In the catalog: what the running or last build is about."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """What stopped a build before everything was fetched and measured."""

    why: str
    """Which budget, and how far it came."""
    resume: str
    """How to get the rest."""


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """What a build leaves behind, and what it counted."""

    out: Path
    dataset: Path
    database: Path
    report: Path
    dataset_hash: str | None
    """None: nothing was kept, and the dataset that was there before stays."""
    recipe_hash: str
    funnel: list[tuple[str, int]]
    failures: list[tuple[str, str, int]]
    """(stage, kind, count)"""
    stage_seconds: dict[str, float]
    """Wall time inside stage functions; for pooled stages summed over batches."""
    seconds: float
    """Wall time of the whole build."""
    stop: Stop | None = None
    """None: everything was fetched."""


def start_run(
    recipe: Recipe,
    *,
    out: Path,
    runner: Runner,
    limit: int | None,
    progress: Progress | None,
    now: datetime | None = None,
) -> Build:
    """A run that has done nothing yet, on the catalog in `out`; `now` takes the place of the clock."""
    files.local(out)
    began = (now or datetime.now(UTC)).replace(microsecond=0)
    return Build(
        recipe=recipe,
        out=out.resolve(),
        limit=limit,
        runner=runner,
        progress=progress or NoProgress(),
        catalog=Catalog(out / "catalog"),
        run_id=f"{began:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        started_at=began,
        clock=Clock(recipe.budget.max_hours),
        tally=Tally(
            {recipe.source_key(one): load_walker(one.kind).label(one) for one in recipe.sources}
        ),
    )


@dataclass
class Build:
    """The state of one run: where it writes, with what, and what it has counted so far."""

    recipe: Recipe
    out: Path
    limit: int | None
    runner: Runner
    progress: Progress
    catalog: Catalog
    run_id: str
    started_at: datetime
    stage_seconds: dict[str, float] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    cut: set[str] = field(default_factory=set[str])
    """Stages (list, measure) that the clock ended."""
    tally: Tally = field(default_factory=Tally)
    stop: Stop | None = None
    met_damage: bool = False
    """Whether the report met an original that is damaged: an unchanged shard is made without reading any."""

    @property
    def at_home(self) -> bool:
        """Whether it writes beside its catalog, as builds do; a refilter may write elsewhere."""
        return self.catalog.root.parent == self.out

    @contextlib.contextmanager
    def timed(self, stage: str) -> Generator[None]:
        """Adds the wall time of its body to the stage; what is free before and after it goes back to the system."""
        started = time.perf_counter()
        give_back()
        try:
            yield
        finally:
            give_back()
            self.add_seconds(stage, time.perf_counter() - started)

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Counts wall time spent inside a stage function."""
        self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds

    def show(self) -> None:
        """The tally, to whoever watches."""
        self.progress.state(self.tally)

    def note_start(self) -> None:
        """Which sources this build has, for `lucidlr status` in another terminal."""
        sources = {
            self.recipe.source_key(source): load_walker(source.kind).label(source)
            for source in self.recipe.sources
        }
        self._note({"recipe": self.recipe.name, "run_id": self.run_id, "sources": sources})

    def note_passed(self, files_passed: int) -> None:
        """How many originals passed the gate: with a budget more than are planned."""
        place = self.catalog.root / NOW
        noted = said_in(place, {"sources": (dict,)})
        if noted is not None:
            self._note({**noted, "passed": files_passed})

    @property
    def passed(self) -> int | None:
        """What `note_passed` noted of this run; None: nothing."""
        place = self.catalog.root / NOW
        return json.loads(place.read_text("utf-8")).get("passed") if place.exists() else None

    def _note(self, held: dict[str, Any]) -> None:
        files.put(self.catalog.root / NOW, json.dumps(held, ensure_ascii=False, indent=1))
