"""How what a build does again grows with its candidates: 20,000, 200,000 and, with `--million`, 1,000,000 of synthetic
facts. CPU seconds and peak of each command in a process of its own, and the exponent between the two largest.

    python -m benchmarks scale [--million] [--in FOLDER]

An exponent of 1 is linear; above 1.1 something looks at everything for each thing. The last column is what ten times
the largest would take by that exponent. Other sizes: `python -m benchmarks scale 1000 10000`. With `--in` the catalogs
stay in that folder, and a run that was interrupted resumes behind the last command that was measured; `--again`
measures the commands on the catalogs that are there once more.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import files

SIZES, MILLION = (20_000, 200_000), 1_000_000
MOST_EXPONENT = 1.1
GOALS = {"refilter": (60.0, 1500.0), "build, nothing to do": (20.0, None)}
"""At a million candidates: CPU seconds, peak MB."""
PLAN = """
import sys
from catalog.store import Catalog
from filters.duplicates.hashing import VERSION
from pathlib import Path
import pyarrow.parquet as pq
catalog = Catalog(Path(sys.argv[1]) / "catalog")
plans = sorted((catalog.plans / "hash").glob("*/*.parquet"))
keys = [key for plan in plans for key in pq.read_table(plan).column("key").to_pylist()]
assert catalog.plan("hash", keys, [VERSION], batch_size=256) == []
"""
MAKE = """
import sys
from benchmarks.decisions import make_catalog
from pathlib import Path
make_catalog(Path(sys.argv[1]), int(sys.argv[2]), whole=True)
"""
LOOKUP = """
import sys
from catalog.plans import BatchRef
from catalog.store import Catalog
from pathlib import Path
catalog = Catalog(Path(sys.argv[1]) / "catalog")
parts = sorted(catalog.parts.glob("download/*/*.parquet"))
refs = [BatchRef(root="", stage="download", config=p.parent.name, batch=p.stem, versions=(), size=0) for p in parts]
assert sum(len(ref.keys) for ref in catalog.with_keys(refs)) == int(sys.argv[2])
"""
MEASURES = """
import sys, duckdb
out = sys.argv[1]
with duckdb.connect(out + "/lucidlr.duckdb", read_only=True) as connection:
    print(connection.execute("SELECT count(*), avg(value) FROM measures WHERE name = 'edge_sigma'").fetchall())
"""


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    cpu_s: float
    peak_mb: float


def run(command: Sequence[str], cwd: Path) -> Cost:
    """Runs a command to its end.

    Raises:
        RuntimeError: it failed.
    """
    environment = {**os.environ, "LUCIDLR_LAST_BUILD": str(cwd / "note.json")}
    with (cwd / "said.txt").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError((cwd / "said.txt").read_text()[-3000:])
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)


def costs(folder: Path, count: int) -> dict[str, Cost]:
    """Every command on a catalog of `count` candidates; what was measured before is read from its folder."""
    out, noted = folder / f"{count}", folder / f"{count}.json"
    recipe, where = str(out / "recipe.yaml"), ("--out", str(out))
    if not (out / "recipe.yaml").exists():
        files.delete(out)
        files.make_folder(out)
        # In a process of its own: the peak of a process is never below that of its parent when it began.
        run([sys.executable, "-c", MAKE, str(out), str(count)], folder)
    cli, python = [sys.executable, "-m", "pipelines.cli"], [sys.executable, "-c"]
    again = [*cli, "build", recipe, *where, "--contact", "bench@example.org", "--workers", "1"]
    again += ["--runner", "threads"]
    commands = {
        FIRST: [*cli, "refilter", recipe, *where],
        "plan, all planned": [*python, PLAN, str(out)],
        "keys of all batches": [*python, LOOKUP, str(out), str(count)],
        "refilter": [*cli, "refilter", recipe, *where],
        "whatif degraded.min=0.7": [*cli, "whatif", "degraded.min=0.7", *where],
        "build, all decided again": again,
        "build, nothing to do": again,
        "measures view, one measure": [*python, MEASURES, str(out)],
    }
    held: dict[str, Any] = json.loads(noted.read_text()) if noted.exists() else {}
    found = {name: Cost(**cost) for name, cost in held.items() if name in commands}
    for name, command in commands.items():
        if name not in found:
            found[name] = run(command, folder)
            files.put(noted, json.dumps({name: vars(one) for name, one in found.items()}))
        print(
            f"  {count:>9,}  {name:<48}{found[name].cpu_s:>9.1f} s{found[name].peak_mb:>8.0f} MB",
            flush=True,
        )
    return found


FIRST = "first refilter (judges licenses, finds twins)"


def _forget(folder: Path, sizes: Sequence[int]) -> None:
    """What was measured on the catalogs that are there, but what only happens once."""
    for count in sizes:
        noted = folder / f"{count}.json"
        held = json.loads(noted.read_text()) if noted.exists() else {}
        files.put(noted, json.dumps({name: held[name] for name in (FIRST,) if name in held}))


def exponent(small: float, large: float, ratio: float) -> float:
    """Of growth: 1 is linear."""
    return math.log(max(large, 1e-9) / max(small, 1e-9)) / math.log(ratio)


def main(*arguments: str) -> None:
    """Prints the table; ends with 1 where something grows faster than it may."""
    sizes = (*SIZES, MILLION) if "--million" in arguments else SIZES
    sizes = tuple(int(n) for n in arguments if n.isdecimal()) or sizes
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if "--in" in arguments:
            folder = Path(arguments[arguments.index("--in") + 1])
            files.make_folder(folder)
        if "--again" in arguments:
            _forget(folder, sizes)
        measured = {count: costs(folder, count) for count in sizes}
    before, last = sizes[-2:]
    print(f"\n{'CPU seconds':<48}{before:>11,}{last:>11,}{'exponent':>10}{10 * last:>13,}")
    slow = []
    for name in measured[last]:
        small, large = (measured[count][name].cpu_s for count in (before, last))
        power = exponent(small, large, last / before)
        print(f"{name:<48}{small:>11.1f}{large:>11.1f}{power:>10.2f}{large * 10**power:>13.0f}")
        slow += [name] if power > MOST_EXPONENT else []
    for name, (cpu_s, peak_mb) in GOALS.items():
        small, large = (measured[count][name].cpu_s for count in (before, last))
        power = exponent(small, large, last / before)
        cpu = measured[last][name].cpu_s * (MILLION / last) ** max(power, 0)
        said = "measured" if last == MILLION else "extrapolated"
        peak = f", peak at {last:,} {measured[last][name].peak_mb:.0f} MB (goal {peak_mb})"
        print(
            f"{name}: {cpu:.0f} CPU s at a million, {said} (goal {cpu_s:.0f}){peak if peak_mb else ''}"
        )
    print(json.dumps({str(n): {k: vars(v) for k, v in m.items()} for n, m in measured.items()}))
    if slow:
        print(f"Faster than {MOST_EXPONENT}: {', '.join(slow)}")
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
