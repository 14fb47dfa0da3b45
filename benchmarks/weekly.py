"""Sixty weekly builds of one catalog: does what a build costs that finds nothing new stay flat?

    python -m benchmarks weekly [WEEKS [FILES A WEEK]]

Photographs of 160 px, a few more each week, from the embedded Commons; each week is a build by the clock it is given,
and a second build right behind it, which has nothing to do (CPU seconds of this process and of its children). Disk and
parts are those of the catalog without originals; `disk a file` divides by what was listed, because what is known of a
file has to stand somewhere.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data

from catalog import files
from crawler.loopback import LoopbackCommons
from crawler.relist import Relist
from crawler.sources import CategorySource
from filters.degradation.synthesis import encode_jpeg, gaussian_blur
from pipelines.build.doors import look
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.recipe import DEMO_RECIPE, load_recipe

WEEKS, EACH_WEEK, FIRST = 60, 3, 60
MOST_GROWTH = 1.5


@dataclass(frozen=True)
class Week:
    """What stands there after a week, and what nothing to do costs then."""

    listed: int
    parts: int
    disk_kb: float
    weekly_s: float
    nothing_s: float


def photographs(place: Path, first: int, count: int, start: datetime) -> list[dict[str, Any]]:
    """Items of the manifest; writes their files."""
    found: list[dict[str, Any]] = []
    for number in range(first, first + count):
        chance = np.random.default_rng(number)
        top, left = (int(n) for n in chance.integers(0, 350, 2))
        crop = np.ascontiguousarray(data.astronaut()[top : top + 160, left : left + 160])
        path = f"{number}.jpg"
        sigma = float(chance.uniform(0.1, 3.0))
        files.put(
            place / path, encode_jpeg(gaussian_blur(crop, sigma), int(chance.integers(50, 95)))
        )
        found.append(
            {
                "filename": f"Photograph {number:05d}.jpg",
                "path": path,
                "license": "Cc-by-4.0",
                "author": "A",
                "categories": ["Weekly"],
                "description": "a photograph",
                "uploader": f"Painter {number % 7}",
                "uploaded": f"{start - timedelta(hours=2, seconds=number):%Y%m%d%H%M%S}",
            }
        )
    return found


def cpu_s() -> float:
    """Of this process and of those that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main(weeks: str = str(WEEKS), each: str = str(EACH_WEEK)) -> None:
    """Prints a line a week, and what grew from the first ten to the last ten; ends with 1 where it grew too much."""
    demo = load_recipe(DEMO_RECIPE)
    source = CategorySource(
        root="Weekly", depth=0, relist=Relist(every_days=6, whole_every_days=27)
    )
    recipe = demo.model_copy(update={"corpus": None, "sources": (source,)})
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(weeks=int(weeks))
    measured: list[Week] = []
    every: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for week in range(int(weeks)):
            now = start + timedelta(weeks=week)
            every += photographs(place / "photos", len(every), int(each) if week else FIRST, now)
            files.put(place / "manifest.json", json.dumps(every))
            spent: list[float] = []
            with LoopbackCommons(place / "photos", place / "manifest.json", look=look) as server:
                for hours in (0, 1):
                    with pool_runner("threads", 1) as runner:
                        before = cpu_s()
                        result = build(
                            recipe,
                            out=place / "out",
                            runner=runner,
                            contact="https://localhost/weekly",
                            host_map=server.host_map,
                            now=now + timedelta(hours=hours),
                        )
                        spent.append(cpu_s() - before)
            measured.append(_week(place / "out" / "catalog", result.funnel[0][1], *spent))
            _tell(week, measured[-1])
    sys.exit(1 if _grown(measured) else 0)


def _week(root: Path, listed: int, weekly_s: float, nothing_s: float) -> Week:
    there = [p for p in root.rglob("*") if p.is_file() and "objects" not in p.parts]
    return Week(
        listed=listed,
        parts=sum(path.suffix == ".parquet" for path in there),
        disk_kb=sum(path.stat().st_blocks * 512 for path in there) / 1000,
        weekly_s=weekly_s,
        nothing_s=nothing_s,
    )


def _tell(week: int, found: Week) -> None:
    print(
        f"week {week:>3}: {found.listed:>5} listed, {found.parts:>5} parts, {found.disk_kb:>8.0f} kB "
        f"({found.disk_kb / found.listed:.1f} a file), weekly build {found.weekly_s:.2f} s, nothing to do "
        f"{found.nothing_s:.2f} s",
        flush=True,
    )


def _grown(measured: list[Week]) -> list[str]:
    """What the last weeks have more of than the first ones, with the ratio; those that may not."""
    tail = max(1, min(10, len(measured) // 3))
    # The first build makes everything; what follows is a week as any other.
    early, late = measured[1 : 1 + tail], measured[-tail:]
    shares = {
        "parts": lambda w: w.parts,
        "disk a file": lambda w: w.disk_kb / w.listed,
        "weekly build": lambda w: w.weekly_s,
        "nothing to do": lambda w: w.nothing_s,
    }
    found: list[str] = []
    for name, share in shares.items():
        ratio = statistics.median(map(share, late)) / statistics.median(map(share, early))
        print(f"{name:<16}{ratio:>7.2f} times")
        found += [name] if ratio > MOST_GROWTH else []
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
