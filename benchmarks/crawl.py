"""The crawler: API requests per file, use of the allowed rate, and the cost of a download beside img2dataset.

Everything is served by the loopback Commons in a process of its own.

- Requests: a category of 5,000 files, with metadata, license fields and categories.
- Rate: three sources with the real limits at 200 requests a minute, from a wiki that takes half a second to answer; a
  wiki that needs longer than 3 slots allow would be the limit itself. The share is what was sent over what the bucket
  would have given, from the first request to the last.
- Downloads: CPU seconds (user and system, of the downloading process) for 2,000 originals, 2 at a time. Ours checks
  length, SHA-1 and that the image decodes, and stores by rename; img2dataset, in its default mode for keeping bytes as
  they are (`disable_all_reencoding`), checks nothing and writes tar files. Start-up is measured and taken off.

img2dataset needs older versions of our libraries: give it a virtual environment of its own (`python -m venv ...;
pip install img2dataset`) and name its interpreter in IMG2DATASET_PYTHON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.orchestration import DEMO, make_corpus
from crawler.download import ObjectStore, fetch_original
from crawler.limits import Limits
from crawler.loopback import LoopbackCommons
from crawler.politeness import PoliteDoor
from crawler.sources import CategorySource, SearchSource, SiteConfig, UploadWindowSource
from filters.picture import refusal
from pipelines.build.crawl import list_sources, opened_door
from pipelines.build.doors import look
from pipelines.build.run import Build, start_run
from pipelines.build.runners import pool_runner
from pipelines.recipe import load_recipe

FILES, DOWNLOADS = 5000, 2000
PER_MINUTE, ANSWER_S = 200.0, 0.5
MEDIA_HOST = "upload.wikimedia.org"

IMG2DATASET = """
import sys
from img2dataset import download
if __name__ == "__main__":
    download(url_list=sys.argv[1], input_format="txt", output_folder=sys.argv[2], output_format="webdataset",
        processes_count=1, thread_count=2, disable_all_reencoding=True, resize_mode="no", retries=0,
        number_sample_per_shard=10000, distributor="multiprocessing")
"""


def _listed(recipe: Any, out: Path, host_map: dict[str, str]) -> Build:
    with pool_runner("threads", 1) as runner:
        run = start_run(recipe, out=out, runner=runner, limit=None, progress=None)
    with run.catalog.locked(), opened_door(run, "benchmark@example.org", host_map) as door:
        list_sources(run, door)
    return run


def _requests(run: Build) -> list[dict[str, Any]]:
    files = sorted((run.catalog.parts / "request").glob("*/*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def requests_per_file(server: LoopbackCommons, scratch: Path) -> None:
    """API requests for 1,000 files."""
    recipe = load_recipe(DEMO).model_copy(
        update={"corpus": None, "sources": (CategorySource(root="Crops", depth=0),)}
    )
    run = _listed(recipe, scratch / "all", dict(server.host_map))
    asked = len(_requests(run))
    print(f"{'API requests per 1,000 files':<58}{asked * 1000 / FILES:>10.1f}   (goal: 21)")


def rate_used(folder: Path, manifest: Path, scratch: Path) -> None:
    """Share of the configured rate."""
    probe = LoopbackCommons(folder, manifest, look=look).start()
    port = probe.base_url.rpartition(":")[2]
    probe.close()
    host = f"127.0.0.1:{port}"
    ever = UploadWindowSource(
        start=datetime(2001, 1, 1, tzinfo=UTC), end=datetime(2099, 1, 1, tzinfo=UTC), max_files=2000
    )
    recipe = load_recipe(DEMO).model_copy(
        update={
            "corpus": None,
            "site": SiteConfig(host=host, scheme="http", media_hosts=(host,)),
            "limits": Limits(api_per_minute=PER_MINUTE),
            "sources": (
                CategorySource(root="Crops", depth=0, max_files=2000),
                SearchSource(query="x", max_files=2000),
                ever,
            ),
        }
    )
    with LoopbackCommons(
        folder, manifest, port=int(port), hosts=(host, host), answer_s=ANSWER_S, look=look
    ) as server:
        started = time.monotonic()
        _listed(recipe, scratch / "rate", {})
        seconds = time.monotonic() - started
        asked = len(server.requests)
    # The first request waits for nothing, and the last answer takes its time when nothing is left to ask.
    share = (asked - 1) / ((seconds - ANSWER_S) * PER_MINUTE / 60)
    name = f"share of {PER_MINUTE:g} requests a minute, answers take {ANSWER_S:g} s"
    print(f"{name:<58}{100 * share:>8.1f} %   (goal: 95 %; {asked} requests in {seconds:.0f} s)")


def ours(urls: Path, out: Path, base_url: str) -> None:
    """Downloads what `urls` (SHA-1, size and address a line) names; a process of its own."""
    limits = Limits()
    door = PoliteDoor(
        contact="benchmark@example.org",
        limits=limits,
        api_hosts=(),
        media_hosts=(MEDIA_HOST,),
        host_map={MEDIA_HOST: base_url},
    )
    store = ObjectStore(out)

    def fetch(line: str) -> None:
        sha1, size, url = line.split()
        fetch_original(
            door, store, url=url, sha1=sha1, size_bytes=int(size), mime="image/jpeg", check=refusal
        )

    with ThreadPoolExecutor(limits.media_in_flight) as pool:
        list(pool.map(fetch, urls.read_text().splitlines()))


def _cpu_seconds(command: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def download_cost(server: LoopbackCommons, scratch: Path) -> None:
    """CPU seconds per 1,000 files, ours and img2dataset's."""
    files = [page.file for page in server.wiki.pages.files if page.file][:DOWNLOADS]
    paths = {page.file.sha1: path for path, page in server.wiki.pages.by_path.items() if page.file}
    marks = [f"{f.sha1} {f.size_bytes}" for f in files]
    addresses = [f"/wikipedia/commons/{paths[f.sha1]}".replace(" ", "_") for f in files]
    seconds: dict[str, float] = {}
    peer = os.environ.get("IMG2DATASET_PYTHON")
    script = scratch / "peer.py"
    script.write_text(IMG2DATASET)
    for count in (0, DOWNLOADS):
        mine, theirs = scratch / f"mine-{count}", scratch / f"theirs-{count}"
        lines = [f"{m} https://{MEDIA_HOST}{a}" for m, a in zip(marks, addresses, strict=True)]
        mine.write_text("\n".join(lines[:count]))
        # img2dataset does not take an empty list.
        theirs.write_text("\n".join(server.base_url + a for a in addresses[: max(count, 1)]))
        command = [sys.executable, "-m", "benchmarks.crawl", str(mine), f"{mine}.out"]
        seconds[f"ours {count}"] = _cpu_seconds([*command, server.base_url])
        if peer:
            command = [peer, str(script), str(theirs), f"{theirs}.out"]
            seconds[f"peer {count}"] = _cpu_seconds(command)
    stored = sum(1 for _ in Path(f"{scratch / f'mine-{DOWNLOADS}'}.out").rglob("*") if _.is_file())
    mine_s = (seconds[f"ours {DOWNLOADS}"] - seconds["ours 0"]) * 1000 / DOWNLOADS
    print(
        f"{'CPU s per 1,000 downloads, checked and decoded':<58}{mine_s:>10.2f}   ({stored} stored)"
    )
    if not peer:
        print("  img2dataset: not installed (see benchmarks/crawl.py)")
        return
    told = sorted(Path(f"{scratch / f'theirs-{DOWNLOADS}'}.out").glob("*_stats.json"))
    stats = json.loads(told[0].read_text())
    peer_s = (seconds[f"peer {DOWNLOADS}"] - seconds["peer 0"]) * 1000 / DOWNLOADS
    print(
        f"{'  img2dataset, nothing checked':<58}{peer_s:>10.2f}   ({stats['successes']} stored; "
        f"ratio {mine_s / peer_s:.2f})"
    )


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        photos = scratch / "photos"
        photos.mkdir()
        manifest = make_corpus(photos, FILES)
        with LoopbackCommons(photos, manifest, look=look) as server:
            requests_per_file(server, scratch)
            download_cost(server, scratch)
        rate_used(photos, manifest, scratch)


if __name__ == "__main__":
    ours(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
