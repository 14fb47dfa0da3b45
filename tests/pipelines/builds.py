"""Builds for tests: the command line in a process of its own, and the truth that an undisturbed build gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FILES = 120
SEED = 7
# The note of the last build stays out of the checkout that the tests run in.
NOTE = Path(tempfile.gettempdir()) / f"lucidlr-tests-{os.getpid()}.json"
ENVIRONMENT = {
    **os.environ,
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_OFFLINE": "1",
    "LUCIDLR_LAST_BUILD": str(NOTE),
}


def demo_command(out: Path, *options: str, files: int = FILES) -> list[str]:
    """`lucidlr demo` on a small corpus, as a command for subprocess."""
    base = [sys.executable, "-m", "pipelines.cli", "demo", "--out", str(out)]
    return [*base, "--files", str(files), "--seed", str(SEED), *options]


def run_demo(out: Path, *options: str, files: int = FILES) -> subprocess.CompletedProcess[str]:
    """Runs the demo to its end."""
    return subprocess.run(
        demo_command(out, *options, files=files),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
        timeout=400,
    )


def dataset_hash(out: Path) -> str:
    """Of the finished build in `out`."""
    return json.loads((out / "dataset" / "manifest.json").read_text())["dataset_hash"]
