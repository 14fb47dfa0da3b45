"""`lucidlr plan`: what a recipe will ask of Commons and of this machine, before it is built.

The arithmetic is the limits': files / 50 requests for metadata at so many a minute, bytes at so many Mbit/s. How many
files pass the gate, and how large they are, is measured on the first hundred of every source, by listing alone; what a
photograph costs in CPU is tried here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from catalog.records import FileRecord, to_table
from catalog.removals import NOT_REMOVED
from crawler.commons import BATCH, Commons
from crawler.limits import Limits
from crawler.survey import Survey, survey
from crawler.walkers import load_walker
from filters.shares import Share, share_of
from pipelines.build.costs import LISTED_BYTES, MEASURED_BYTES, SHOWN_BYTES, cost_of
from pipelines.build.crawl import opened_door
from pipelines.build.gate import passes_gate, verdicts_of, with_geometry, with_hints
from pipelines.build.keeper import Keeper
from pipelines.build.run import start_run
from pipelines.build.runners import pool_runner
from pipelines.progress import Progress
from pipelines.recipe import OWN_KINDS, Recipe, RecipeError, Source


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What crawling some files costs at given limits."""

    files: int
    downloads: int
    api_requests: int
    media_bytes: int
    api_hours: float
    """At the configured rate."""
    media_hours: float
    """At the configured bandwidth."""


def budget(
    *,
    files: int,
    downloads: int,
    mean_bytes: float,
    limits: Limits,
    listing_requests: int = 0,
    batches: int | None = None,
    requests_per_batch: float = 1.0,
    structured: bool = False,
) -> Budget:
    """The arithmetic: 50 files a request unless `batches` are given, `structured` data another request for 50 files
    that pass."""
    if batches is None:
        batches = -(-files // BATCH)
    requests = listing_requests + round(batches * requests_per_batch)
    if structured:
        requests += -(-downloads // BATCH)
    media_bytes = round(downloads * mean_bytes)
    return Budget(
        files=files,
        downloads=downloads,
        api_requests=requests,
        media_bytes=media_bytes,
        api_hours=requests / limits.api_per_minute / 60,
        media_hours=media_bytes * 8 / (limits.media_mbit_per_s * 1e6) / 3600,
    )


@dataclass(frozen=True, kw_only=True)
class SourcePlan:
    """One source of a recipe."""

    name: str
    survey: Survey
    passing: Share
    """Share of the sample that passes the gate."""
    mean_bytes: float
    """Of the sample's files that pass."""
    megapixels: float
    """Likewise."""
    budget: Budget


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole recipe; files that several sources list are counted in each."""

    sources: tuple[SourcePlan, ...]
    total: Budget
    asked: int
    """API requests that planning itself took."""
    limits: Limits
    max_samples: int | None
    cpu_s: float
    """CPU seconds of all downloads, by what a packaged photograph took here."""
    catalog_bytes: int
    """Parts, evidence and database, at most."""
    free_bytes: int
    """Where the build goes."""

    @property
    def disk_bytes(self) -> int:
        """Originals, catalog, and a dataset that keeps all of them: no more is needed."""
        return 2 * self.total.media_bytes + self.catalog_bytes


def plan(
    recipe: Recipe,
    *,
    out: Path,
    contact: str | None = None,
    limit: int | None = None,
    sample: int = 100,
    progress: Progress | None = None,
    host_map: Mapping[str, str] | None = None,
) -> Plan:
    """Surveys the sources of a recipe; nothing is stored but the request log.

    Raises:
        RecipeError: it has sources that no wiki is asked for.
        pipelines.build.driver.build's others.
    """
    if any(source.kind in OWN_KINDS for source in recipe.sources):
        raise RecipeError(
            "A plan counts what a wiki will be asked; a recipe with folders or shards of your own is built at once: "
            "lucidlr build, with --limit for a first look."
        )
    with pool_runner("threads", 1) as runner:
        run = start_run(recipe, out=out, runner=runner, limit=limit, progress=progress)
    base = run.out / "corpus" if recipe.corpus else None
    plans: list[SourcePlan] = []
    with run.catalog.locked(), opened_door(run, contact, host_map or {}) as door:
        commons = Commons(door, recipe.site)
        caps = [cap for _, cap in recipe.source_caps(limit)]
        with run.progress.stage("plan", len(recipe.sources)) as advance:
            for source, cap in zip(recipe.sources, caps, strict=True):
                found = survey(commons, source, sample=sample, base=base)
                plans.append(_source_plan(recipe, source, cap, found))
                advance(1)
        asked = commons.requests
    budgets = [item.budget for item in plans]
    cost = cost_of(recipe)
    files, downloads = (sum(getattr(b, n) for b in budgets) for n in ("files", "downloads"))
    return Plan(
        sources=tuple(plans),
        total=Budget(
            files=files,
            downloads=downloads,
            api_requests=sum(b.api_requests for b in budgets),
            media_bytes=sum(b.media_bytes for b in budgets),
            api_hours=sum(b.api_hours for b in budgets),
            media_hours=sum(b.media_hours for b in budgets),
        ),
        asked=asked,
        limits=recipe.limits,
        max_samples=recipe.sampling.max_samples,
        cpu_s=sum(item.budget.downloads * cost.of(item.megapixels) for item in plans),
        catalog_bytes=files * (LISTED_BYTES + SHOWN_BYTES) + downloads * MEASURED_BYTES,
        free_bytes=shutil.disk_usage(run.out).free,
    )


def _source_plan(recipe: Recipe, source: Source, cap: int | None, found: Survey) -> SourcePlan:
    passes = _passes(recipe, found.sample)
    chosen = [record for record, ok in zip(found.sample, passes, strict=True) if ok]
    passing = share_of(passes, [record.uploader for record in found.sample])
    if found.files is not None and found.how == "counted" and len(found.sample) >= found.files > 0:
        # All of it was looked at: nothing is left to chance.
        passing = replace(passing, low=passing.share, high=passing.share)
    mean_bytes = _mean([record.size_bytes or 0 for record in chosen])
    files = len(found.sample) if found.files is None else found.files
    batches = found.batches
    if cap is not None and cap < files:
        batches = None if batches is None else -(-batches * cap // files)
        files = cap
    return SourcePlan(
        name=_name(source),
        survey=found,
        passing=passing,
        mean_bytes=mean_bytes,
        megapixels=_mean([(r.width or 0) * (r.height or 0) / 1e6 for r in chosen]),
        budget=budget(
            files=files,
            downloads=round(files * passing.share),
            mean_bytes=mean_bytes,
            limits=recipe.limits,
            listing_requests=found.listing_requests,
            batches=batches,
            requests_per_batch=found.requests_per_batch,
            structured=recipe.site.structured_data,
        ),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _passes(recipe: Recipe, sample: Sequence[FileRecord]) -> list[bool]:
    """Whether each file of the sample passes the gate."""
    table = to_table(sample, FileRecord)
    verdicts = verdicts_of(table, Keeper.of(recipe))
    for name in verdicts.column_names:
        if name != "page_id":
            table = table.append_column(name, verdicts.column(name))
    table = table.append_column("removed", pa.array([NOT_REMOVED] * len(sample), pa.string()))
    return passes_gate(with_hints(with_geometry(table), recipe), recipe).tolist()


def _name(source: Source) -> str:
    """How a person would call it, at most 60 characters."""
    text = load_walker(source.kind).label(source)
    return text if len(text) <= 60 else text[:57] + "..."


def plan_lines(plan: Plan) -> list[str]:
    """The plan as a table for a terminal."""
    head = f"{'source':<60} {'files':>9} {'how':<9} {'pass (95 %)':>15} {'requests':>9} {'MB':>9} {'hours':>7}"
    lines = [head, "-" * len(head)]
    for item in plan.sources:
        b = item.budget
        lines.append(
            f"{item.name:<60} {b.files:>9,} {item.survey.how:<9} {_range(item.passing):>15} {b.api_requests:>9,} "
            f"{b.media_bytes / 1e6:>9,.0f} {b.api_hours + b.media_hours:>7.2f}"
        )
        if item.survey.problem:
            lines.append(f"  ! {item.survey.problem}")
    t, limits, cores = plan.total, plan.limits, os.cpu_count() or 1
    lines += [
        "-" * len(head),
        f"{'all, overlaps counted twice':<60} {t.files:>9,} {'':<9} {'':>15} {t.api_requests:>9,} "
        f"{t.media_bytes / 1e6:>9,.0f} {t.api_hours + t.media_hours:>7.2f}",
        "",
        f"API      {t.api_requests:,} requests at {limits.api_per_minute:g} a minute: {t.api_hours:.2f} h",
        f"media    {t.downloads:,} originals, {t.media_bytes / 1e9:.2f} GB at {limits.media_mbit_per_s:g} Mbit/s: "
        f"{t.media_hours:.2f} h",
        f"refresh  {-(-(plan.max_samples or t.downloads) // BATCH):,} requests to ask for every sample once",
        f"disk     {plan.disk_bytes / 1e9:.2f} GB at most: originals {t.media_bytes / 1e9:.2f}, catalog "
        f"{plan.catalog_bytes / 1e9:.2f}, dataset up to {t.media_bytes / 1e9:.2f}; {plan.free_bytes / 1e9:.1f} GB "
        "are free there",
        f"CPU      {plan.cpu_s / 3600:.2f} core hours to hash, measure and score {t.downloads:,} originals, by one "
        f"tried here; {plan.cpu_s / 3600 / cores:.2f} h on the {cores} cores of this machine",
        f"(this plan took {plan.asked} requests; shares and sizes are of the first files of each source, uploaders "
        "taken as the unit of chance: what comes later may be of another kind)",
    ]
    if plan.disk_bytes > plan.free_bytes:
        lines.append("! this may not fit on the disk; budget.max_bytes bounds the originals")
    return lines


def _range(passing: Share) -> str:
    """`25 % (18-34)`."""
    if not passing.worth:
        return "nothing seen"
    return f"{passing.share:.0%} ({100 * passing.low:.0f}-{100 * passing.high:.0f})"
