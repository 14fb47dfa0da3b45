"""A rehearsal of the real thing on loopback: 20,000 files listed, 5,000 downloaded, five weekly increments. Resumable.

    make rehearsal                                   # an hour or more; not in CI
    python -m benchmarks rehearsal 400 out/small     # so many files, in that folder

Photographs are put together from packaged ones in sizes like those of small uploads (log-normal long sides, median
800 pixels); three of four files are not free, so the gate stops them. Interrupted, the same command resumes: files and
parts that are there stay. Printed for each week: wall seconds by stage, peak memory, and the share of the wall that is
outside of stage functions.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage import data

from catalog import files
from crawler.loopback import LoopbackCommons
from crawler.relist import Relist
from crawler.sources import CategorySource, UploadWindowSource
from filters.degradation.synthesis import encode_jpeg, gaussian_blur
from pipelines.build.doors import look
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.progress import TerminalProgress
from pipelines.recipe import DEMO_RECIPE, load_recipe

FILES, WEEKS = 20_000, 5
FREE_EVERY = 4
"""One of so many files may be kept."""
FIRST_SHARE = 0.8
"""Of the files are there in the first week; the others come evenly."""


def photograph(number: int) -> bytes:
    """A JPEG of a size and a scene drawn for this file: no two are copies of each other."""
    chance = np.random.default_rng(number)
    side = int(np.clip(chance.lognormal(np.log(800), 0.4), 280, 2400))
    turned = bool(chance.integers(2))
    height, width = (side, side * 3 // 4)[:: 1 if turned else -1]
    # Light and color of the scene, and three things in it, which are packaged photographs seen from near.
    coarse = chance.uniform(20, 235, (int(chance.integers(2, 6)), int(chance.integers(2, 6)), 3))
    scene = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for source in (data.astronaut(), data.coffee(), data.chelsea()):
        tall, wide = (int(n * chance.uniform(0.3, 0.8)) for n in (height, width))
        top, left = (int(chance.integers(0, n // 2)) for n in source.shape[:2])
        near = source[top : top + 140, left : left + 140][:, :: int(chance.choice((-1, 1)))]
        seen = cv2.resize(np.ascontiguousarray(near), (wide, tall), interpolation=cv2.INTER_CUBIC)
        down, across = int(chance.integers(0, height - tall)), int(chance.integers(0, width - wide))
        part = scene[down : down + tall, across : across + wide]
        part[...] = 0.25 * part + 0.75 * seen
    blurred = gaussian_blur(
        np.clip(scene, 0, 255).astype(np.uint8), float(chance.uniform(0.0, 3.0)) + 0.1
    )
    return encode_jpeg(np.ascontiguousarray(blurred), int(chance.integers(40, 95)))


def items(count: int, photos: Path, start: datetime) -> Iterator[tuple[int, dict[str, Any]]]:
    """(week in which it is uploaded, item of the manifest); writes the photographs that are missing."""
    first = int(count * FIRST_SHARE)
    for number in range(count):
        free = number % FREE_EVERY == 0
        week = 0 if number < first else 1 + (number - first) * WEEKS // max(1, count - first)
        path = f"{number if free else 'stopped'}.jpg"
        if not (photos / path).exists():
            files.put(photos / path, photograph(number if free else 0))
        moment = start + timedelta(weeks=week) - timedelta(hours=1, seconds=count - number)
        yield (
            week,
            {
                "filename": f"Rehearsal {number:06d}.jpg",
                "path": path,
                "license": "Cc-by-sa-4.0" if free else "Non-free_logo",
                "author": f"[[User:Painter {number % 40}|Painter {number % 40}]]",
                "categories": ["Rehearsal", f"Rehearsal {number % 7}"],
                "description": f"Photograph {number}",
                "uploader": f"Painter {number % 40}",
                "uploaded": f"{moment:%Y%m%d%H%M%S}",
            },
        )


def main(count: str = str(FILES), folder: str = "out/rehearsal") -> None:
    """Six builds, a week apart by the clock that they are given."""
    place = Path(folder)
    weekly = Relist(every_days=6, whole_every_days=27)
    demo = load_recipe(DEMO_RECIPE)
    recipe = demo.model_copy(
        update={
            "name": "rehearsal",
            "corpus": None,
            "sources": (
                CategorySource(root="Rehearsal", depth=0, relist=weekly),
                UploadWindowSource(last="60d"),
            ),
            "limits": replace(demo.limits, api_per_minute=200.0),
            "batch_size": 256,
        }
    )
    # The same weeks after an interruption: the first start is noted.
    noted = place / "start.txt"
    if not noted.exists():
        files.put(noted, (datetime.now(UTC) - timedelta(weeks=WEEKS)).isoformat())
    start = datetime.fromisoformat(noted.read_text())
    every = list(items(int(count), place / "photos", start))
    for week in range(WEEKS + 1):
        manifest = place / "manifest.json"
        files.put(manifest, json.dumps([item for when, item in every if when <= week]))
        with (
            LoopbackCommons(place / "photos", manifest, look=look) as server,
            pool_runner("processes") as runner,
        ):
            result = build(
                recipe,
                out=place / "build",
                runner=runner,
                contact="https://localhost/rehearsal",
                host_map=server.host_map,
                progress=TerminalProgress(),
                now=start + timedelta(weeks=week),
            )
            workers = runner.workers
        peak = max(
            resource.getrusage(who).ru_maxrss / 1000
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        pooled = {"hash", "measure", "score", "embed"}
        inside = sum(
            seconds / (workers if stage in pooled else 1)
            for stage, seconds in result.stage_seconds.items()
        )
        stages = ", ".join(f"{stage} {s:.0f}" for stage, s in result.stage_seconds.items())
        print(
            f"week {week}: listed {result.funnel[0][1]:,}, kept {result.funnel[-1][1]:,}, {result.seconds:.0f} s "
            f"({stages}), peak {peak:.0f} MB, outside of stages {1 - inside / result.seconds:.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
