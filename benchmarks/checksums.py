"""What the sums of catalog files cost a build: CPU and wall time with them over without, builds in turn.

    python -m benchmarks checksums            5,000 files, three builds each way
    python -m benchmarks.checksums 500 1      fewer files, fewer builds
    python -m benchmarks.checksums --inside   seconds within the functions of sums in one build: for a busy machine

"Without" writes no sum, checks none and does not recompute the SHA-1 of originals that are read. BENCHMARK_CHECKSUMS
names a folder for the figures of each round: rounds that lie there are not done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks import orchestration
from catalog import files, sums
from crawler.download import ObjectStore, OriginalMissing
from crawler.loopback import LoopbackCommons
from pipelines.build.doors import look
from pipelines.memory import modest_memory

FILES, ROUNDS = 5000, 3
GOAL = 1.05
WAYS = ("with", "without")
COUNTED = "counted"


def _without() -> None:
    """Takes the sums out of this process."""

    def writing(path: Path) -> AbstractContextManager[Path]:
        return files.writing(path)

    def whole(path: Path) -> bool:
        return path.exists()

    sums.writing = writing
    sums.is_whole = sums.adopt = whole
    ObjectStore.read = _read


def _read(self: ObjectStore, sha1: str) -> bytes:
    try:
        return files.get(self.path(sha1))
    except FileNotFoundError:
        raise OriginalMissing("object_missing", sha1) from None


class Inside:
    """Seconds that a process spends on sums, by the clock and of its CPU, in all its threads."""

    def __init__(self) -> None:
        self.cpu = self.seconds = 0.0
        self._lock, self._busy = threading.Lock(), threading.local()

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, counted; what it calls of the others is not counted twice."""

        def counted(*given: Any) -> Any:
            if getattr(self._busy, "now", False):
                return function(*given)
            self._busy.now = True
            cpu, seconds = time.thread_time(), time.perf_counter()
            try:
                return function(*given)
            finally:
                self._busy.now = False
                with self._lock:
                    self.cpu += time.thread_time() - cpu
                    self.seconds += time.perf_counter() - seconds

        return counted


def _counted() -> Inside:
    """Counts what `_without` takes out, in this process."""
    inside = Inside()
    for name in ("sha256_of", "known", "is_whole", "adopt", "_note"):
        setattr(sums, name, inside.of(getattr(sums, name)))
    sha1_of = inside.of(lambda content: hashlib.sha1(content).hexdigest())

    def read(self: ObjectStore, sha1: str) -> bytes:
        content = _read(self, sha1)
        if sha1_of(content) != sha1:
            raise OriginalMissing("object_damaged", sha1)
        return content

    ObjectStore.read = read
    return inside


def build(base_url: str, out: str, way: str) -> None:
    """One build; its figures and its CPU seconds as a line of JSON."""
    inside = Inside()
    if way == "without":
        _without()
    elif way == "counted":
        inside = _counted()
    orchestration.run(base_url, out)
    spent = os.times()
    figures = {"cpu": spent.user + spent.system, "sums cpu": inside.cpu, "sums s": inside.seconds}
    print(json.dumps(figures))


def _round(count: int, ways: Sequence[str]) -> dict[str, dict[str, float]]:
    """Builds each of these ways once, against one Commons."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "photos"
        photos.mkdir()
        with LoopbackCommons(photos, orchestration.make_corpus(photos, count), look=look) as server:
            for way in ways:
                command = [sys.executable, "-m", "benchmarks.checksums", "--build"]
                done = subprocess.run(
                    [*command, server.base_url, str(Path(scratch) / way), way],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                first, second = done.stdout.splitlines()[-2:]
                found[way] = json.loads(first) | json.loads(second)
    return found


def main(given: int | str = FILES, times: int | str = ROUNDS) -> None:
    """Prints the table: files, builds each way."""
    count, rounds = int(given), int(times)
    modest_memory()
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(os.environ.get("BENCHMARK_CHECKSUMS", scratch))
        for number in range(rounds):
            file = kept / f"{count} files, round {number}.json"
            if not file.exists():
                # Who goes first changes from round to round.
                files.put(file, json.dumps(_round(count, WAYS if number % 2 == 0 else WAYS[::-1])))
            for way, figures in json.loads(file.read_text("utf-8")).items():
                found[way].append(figures)
    print(f"{count} files, median of {rounds}:")
    for what in ("cpu", "seconds"):
        one, other = (statistics.median(r[what] for r in found[way]) for way in WAYS)
        print(
            f"  {what:<8}{one:>8.1f} with{other:>8.1f} without{one / other:>8.3f} times (goal {GOAL})"
        )


def inside(given: int | str = FILES) -> None:
    """Prints what sums take within one build, which a neighbor on the machine spoils less than a ratio of two."""
    found = _round(int(given), [COUNTED])[COUNTED]
    for what, part in (("cpu", "sums cpu"), ("seconds", "sums s")):
        all_of_it, sums_s = found[what], found[part]
        times = all_of_it / (all_of_it - sums_s)
        print(
            f"  {what:<8}{all_of_it:>8.1f}, {sums_s:.2f} in sums: {times:.3f} times (goal {GOAL})"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        build(*sys.argv[2:5])
    elif sys.argv[1:2] == ["--inside"]:
        inside(*sys.argv[2:3])
    else:
        main(*sys.argv[1:3])
