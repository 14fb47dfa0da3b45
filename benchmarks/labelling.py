"""How fast a folder is labelled beside CleanVision: python -m benchmarks labelling FOLDER ... [--workers N] [--count N]

    [--cleanvision PYTHON]    an interpreter that has cleanvision, or the environment variable CLEANVISION_PYTHON

`lucidlr label` and CleanVision's `find_issues` with all its default issues look at the same files, one after the other,
each in a fresh process with the same number of workers; start and import are included. CleanVision asks for other
versions than ours, so it has an environment of its own (python -m venv X; X/bin/pip install cleanvision). Where the
folders hold fewer pictures than --count, crops of them, saved as JPEG 90, make up the number: the first line says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from catalog.image_names import is_image
from filters.picture import NotAnImage, open_picture

COUNT = 1000
SHORT_PX = 128
"""Short side of a picture that counts, and of a crop at least."""
MODES = ("RGB", "RGBA", "L", "P")
"""CleanVision ends in an IndexError at grey with transparency, and in others at 16 bits."""
THEIRS = """
import sys
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
lab.find_issues(n_jobs=int(sys.argv[2]), verbose=False)
print(len(lab.issues), "pictures,", len(lab.issue_summary), "issues")
"""


def main(*arguments: str) -> None:
    """Prints images a second and seconds of CPU for both."""
    folders, workers, count = list[Path](), 1, COUNT
    python = os.environ.get("CLEANVISION_PYTHON")
    rest = iter(arguments)
    for argument in rest:
        if argument == "--workers":
            workers = int(next(rest))
        elif argument == "--count":
            count = int(next(rest))
        elif argument == "--cleanvision":
            python = next(rest)
        else:
            folders.append(Path(argument))
    if not folders:
        print("no folders of pictures given; see the module")
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "pictures"
        place.mkdir()
        whole, crops, megapixels = gather(folders, place, count)
        each = megapixels / (whole + crops)
        print(f"{whole} pictures of the folders, {crops} crops of them; {each:.2f} megapixels each")
        print(f"worker processes: {workers}")
        ours = [sys.executable, "-m", "pipelines.cli", "label", str(place)]
        ours += ["--out", f"{scratch}/labels", "--workers", str(workers)]
        runs = {"lucidlr label": ours}
        if python is None:
            print("CleanVision: not run (no --cleanvision)")
        else:
            runs["CleanVision"] = [python, "-c", THEIRS, str(place), str(workers)]
        rates: dict[str, tuple[float, float]] = {}
        for name, command in runs.items():
            wall, cpu = timed(command)
            rates[name] = ((whole + crops) / wall, cpu / (whole + crops))
            print(
                f"{name:<14} {rates[name][0]:>7.1f} a second, {1000 * rates[name][1]:>6.1f} ms of CPU each"
            )
        if len(rates) == 2:
            (our_rate, our_cpu), (rate, cpu) = rates["lucidlr label"], rates["CleanVision"]
            print(
                f"lucidlr / CleanVision: {our_rate / rate:.2f} a second, {our_cpu / cpu:.1f} of CPU"
            )


def gather(folders: Sequence[Path], to: Path, count: int) -> tuple[int, int, float]:
    """Copies pictures that decode; (whole ones, crops, megapixels of all)."""
    found: list[tuple[Path, tuple[int, int]]] = []
    for file in (f for folder in folders for f in sorted(folder.rglob("*")) if is_image(f)):
        try:
            with open_picture(file) as picture:
                size, mode = picture.size, picture.image.mode
        except NotAnImage:
            continue
        if min(size) >= SHORT_PX and mode in MODES:
            found.append((file, size))
    # Evenly over the folders where there are more than enough.
    chosen = [found[i] for i in np.linspace(0, len(found) - 1, min(count, len(found))).astype(int)]
    total = 0.0
    for number, (file, size) in enumerate(chosen):
        shutil.copyfile(file, to / f"{number:05d}{file.suffix.lower()}")
        total += size[0] * size[1] / 1e6
    rng = np.random.default_rng(0)
    for number in range(len(chosen), count):
        file, (width, height) = chosen[int(rng.integers(len(chosen)))]
        share = rng.uniform(0.4, 0.9)
        across, down = (max(SHORT_PX, int(side * share)) for side in (width, height))
        left, top = int(rng.integers(width - across + 1)), int(rng.integers(height - down + 1))
        with open_picture(file) as picture:
            part = picture.rgb[top : top + down, left : left + across]
            Image.fromarray(part).save(to / f"{number:05d}.jpg", quality=90)
        total += across * down / 1e6
    return len(chosen), count - len(chosen), total


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Seconds, and seconds of CPU of the process and its children; ends the benchmark where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    told = process.stdout.read().decode(errors="replace")
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command[:4])} ... failed:\n{told[-2000:]}")
    return wall, used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
