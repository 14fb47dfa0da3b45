"""What the house costs beside the work: share of wall time outside of stage functions, and peak memory by size.

Builds of 2,000, 5,000 and 10,000 small files, one worker thread, each in a process of its own; the loopback Commons
that serves them runs in another.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from crawler.loopback import LoopbackCommons
from crawler.sources import CategorySource
from filters.degradation.synthesis import encode_jpeg
from pipelines.build.doors import look
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.memory import modest_memory
from pipelines.recipe import ExportConfig, load_recipe

DEMO = Path(__file__).parents[1] / "pipelines" / "recipes" / "demo.yaml"
SIDE_PX = 128
SHARD_MB = 5.0
"""A thousand of these crops a shard, as there are a few hundred photographs in one of 300 MB."""


def make_corpus(folder: Path, count: int) -> Path:
    """Files that differ: crops at random places, turned in hue."""
    chance = np.random.default_rng(0)
    sources = [
        cv2.resize(s, (1024, 1024)) for s in (data.astronaut(), data.coffee(), data.chelsea())
    ]
    items = []
    for i in range(count):
        source = sources[i % 3]
        top, left = chance.integers(0, 1024 - SIDE_PX, 2)
        crop = source[top : top + SIDE_PX, left : left + SIDE_PX].astype(np.float64)
        crop = np.clip(crop * chance.uniform(0.6, 1.2, 3), 0, 255).astype(np.uint8)
        name = f"Crop {i:06d}.jpg"
        (folder / name).write_bytes(encode_jpeg(np.ascontiguousarray(crop), 80))
        items.append(
            {
                "filename": name,
                "license": "Cc-by-4.0",
                "author": "A",
                "categories": ["Crops"],
                "description": "x",
            }
        )
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items))
    return manifest


def run(base_url: str, out: str) -> None:
    """One build against the Commons at `base_url`; prints its figures as JSON."""
    recipe = load_recipe(DEMO).model_copy(
        update={
            "corpus": None,
            "sources": (CategorySource(root="Crops", depth=0),),
            "scores": (),
            "export": ExportConfig(max_shard_mb=SHARD_MB),
        }
    )
    hosts = (recipe.site.host, *recipe.site.media_hosts)
    with pool_runner("threads", 1) as runner:
        result = build(
            recipe,
            out=Path(out),
            runner=runner,
            contact="benchmark@example.org",
            host_map=dict.fromkeys(hosts, base_url),
        )
    stages = dict(result.stage_seconds)
    figures = {
        "seconds": result.seconds,
        "in stages": sum(stages.values()),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "stages": stages,
    }
    print(json.dumps(figures))


def main() -> None:
    """Prints the table."""
    modest_memory()  # as the command line does; the builds inherit it
    print(f"{'files':>7}{'seconds':>10}{'outside of stages':>20}{'peak MB':>10}")
    for count in (2000, 5000, 10000):
        with tempfile.TemporaryDirectory() as scratch:
            photos = Path(scratch) / "photos"
            photos.mkdir()
            manifest = make_corpus(photos, count)
            with LoopbackCommons(photos, manifest, look=look) as server:
                command = [sys.executable, "-m", "benchmarks.orchestration", server.base_url]
                done = subprocess.run(
                    [*command, str(Path(scratch) / "out")],
                    capture_output=True,
                    text=True,
                    check=True,
                )
        f = json.loads(done.stdout.splitlines()[-1])
        outside = 1 - f["in stages"] / f["seconds"]
        print(f"{count:>7}{f['seconds']:>10.1f}{100 * outside:>18.1f} %{f['peak MB']:>10.0f}")
        print("        " + ", ".join(f"{k} {v:.1f}" for k, v in f["stages"].items()))


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
