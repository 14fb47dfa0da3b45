"""What the sums of catalog files cost a build: CPU and wall time with them over without, builds in turn.

    python -m benchmarks checksums            5,000 files, three builds each way
    python -m benchmarks.checksums 500 1      fewer files, fewer builds

"Without" writes no sum, checks none and does not recompute the SHA-1 of originals that are read.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks import orchestration
from catalog import files, sums
from crawler.download import ObjectStore, OriginalMissing
from crawler.loopback import LoopbackCommons
from pipelines.memory import modest_memory

FILES, ROUNDS = 5000, 3
GOAL = 1.05


def _without() -> None:
    """Takes the sums out of this process."""

    def writing(path: Path) -> AbstractContextManager[Path]:
        return files.writing(path)

    def whole(path: Path) -> bool:
        return path.exists()

    def read(self: ObjectStore, sha1: str) -> bytes:
        try:
            return files.get(self.path(sha1))
        except FileNotFoundError:
            raise OriginalMissing("object_missing", sha1) from None

    sums.writing = writing
    sums.is_whole = sums.adopt = whole
    ObjectStore.read = read


def build(base_url: str, out: str, way: str) -> None:
    """One build; its figures and its CPU seconds as a line of JSON."""
    if way == "without":
        _without()
    orchestration.run(base_url, out)
    spent = os.times()
    print(json.dumps({"cpu": spent.user + spent.system}))


def main(count: int = FILES, rounds: int = ROUNDS) -> None:
    """Prints the table."""
    modest_memory()
    found: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            photos = Path(scratch) / "photos"
            photos.mkdir()
            with LoopbackCommons(photos, orchestration.make_corpus(photos, count)) as server:
                # Who goes first changes from round to round.
                for way in sorted(found, reverse=number % 2 == 1):
                    command = [sys.executable, "-m", "benchmarks.checksums", "--build"]
                    done = subprocess.run(
                        [*command, server.base_url, str(Path(scratch) / way), way],
                        stdout=subprocess.PIPE,
                        text=True,
                        check=True,
                    )
                    first, second = done.stdout.splitlines()[-2:]
                    found[way].append(json.loads(first) | json.loads(second))
    print(f"{count} files, median of {rounds}:")
    for what in ("cpu", "seconds"):
        one, other = (statistics.median(r[what] for r in found[way]) for way in ("with", "without"))
        print(
            f"  {what:<8}{one:>8.1f} with{other:>8.1f} without{one / other:>8.3f} times (goal {GOAL})"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        build(*sys.argv[2:5])
    else:
        main(*map(int, sys.argv[1:3]))
