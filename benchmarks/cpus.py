"""How far the values of your photographs differ between processors: python -m benchmarks cpus FOLDER [RECIPE]

Labels the pictures of FOLDER by RECIPE (default lucidlr_20k, which names every measure) once for each emulation of
scripts/test_cpus.py that concerns what a build without torch computes, and compares with this machine: the largest
difference of each measure, score and severity before rounding and as stored, and every picture whose hashes, labels
or decision differ. Minutes for each emulation; `python -m benchmarks.cpus --one NAME FOLDER RECIPE FILE` does one, and
what lies in FILE is not done again: BENCHMARK_CPUS names a folder for these files.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = "this machine"
NAMES = (
    HERE,
    *("old", "old intel", "opencv sse3", "opencv avx", "numpy baseline"),
    *(f"openblas {core}" for core in ("Prescott", "Sandybridge", "Haswell")),
)
RECIPE = "lucidlr_20k"
SAME = ("phash", "dhash", "seen_phash", "thumbnail", "labels", "keep", "reason")
"""What has to be equal, picture by picture."""


def main(folder: str, recipe: str = RECIPE) -> None:
    """Prints the table."""
    from scripts.test_cpus import EMULATIONS, ROOT, environment

    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(os.environ.get("BENCHMARK_CPUS", scratch))
        for name in NAMES:
            file = kept / f"{name}.json"
            if not file.exists():
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.cpus",
                    "--one",
                    folder,
                    recipe,
                    str(file),
                ]
                subprocess.run(
                    command,
                    cwd=ROOT,
                    env=environment(EMULATIONS[name], Path(scratch)),
                    check=True,
                    stderr=subprocess.DEVNULL,
                )
            found[name] = json.loads(file.read_text("utf-8"))
    here = found.pop(HERE)
    print(f"{len(here)} pictures, {len(found)} emulations beside this machine: {', '.join(found)}")
    different = {
        (picture, what)
        for other in found.values()
        for picture, row in here.items()
        for what in SAME
        if row[what] != other[picture][what]
    }
    for what in SAME:
        print(f"  {what:<16} differs in {sum(w == what for _, w in different)} pictures")
    print("\n| value | largest difference, computed | as stored | stored values that differ |")
    print("|---|---|---|---|")
    equal: list[str] = []
    for name in sorted({name for row in here.values() for name in row["raw"]}):
        raw, stored = (_differences(here, found, kind, name) for kind in ("raw", "stored"))
        if not raw[0] and not stored[0]:
            equal.append(name)
            continue
        print(f"| `{name}` | {raw[0]:.1e} | {stored[0]:.1e} | {stored[1]} of {stored[2]} |")
    print(f"\nEqual to the bit: {', '.join(f'`{name}`' for name in equal)}")


def _differences(
    here: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]], kind: str, name: str
) -> tuple[float, int, int]:
    """The largest, how many, of how many; None beside a number is infinitely far."""
    most, count, pairs = 0.0, 0, 0
    for other in found.values():
        for picture, row in here.items():
            one, two = row[kind].get(name), other[picture][kind].get(name)
            pairs += 1
            if one != two:
                far = abs(one - two) if one is not None and two is not None else float("inf")
                most, count = max(most, far), count + 1
    return most, count, pairs


def one(folder: str, recipe: str, to: str) -> None:
    """Values of this process, as JSON: name of a picture -> what `SAME` names, values as computed and as stored."""
    import pyarrow as pa

    import filters.measures
    from catalog import files
    from filters.measures import Measure, Photo
    from pipelines.photos.facts import schema_of
    from pipelines.photos.judge import judged, recipe_for_files, wanted_by
    from pipelines.photos.look import look_at
    from pipelines.recipe import load_recipe, recipe_path

    wanted_recipe = recipe_for_files(load_recipe(recipe_path(recipe)))
    wanted = wanted_by(wanted_recipe, previews=False)
    raw: dict[str, float | None] = {}
    rounded = Measure.measure

    def measured(self: Measure, photo: Photo) -> float | None:
        raw[f"measure.{self.name}"] = self.compute(photo)
        return rounded(self, photo)

    filters.measures.Measure.measure = measured
    pictures = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".png"))
    rows: list[dict[str, Any]] = []
    raws: list[dict[str, float | None]] = []
    for picture in pictures:
        raw.clear()
        row = look_at(picture.read_bytes(), wanted)
        rows.append({"name": picture.relative_to(folder).as_posix(), **row})
        raws.append(dict(raw))
    schema = schema_of(wanted)
    blank = {field.name: None for field in schema}
    facts = pa.Table.from_pylist([{**blank, **row} for row in rows], schema)
    table = judged(facts, wanted_recipe, lambda at: [rows[int(i)].get("thumbnail") for i in at])
    out: dict[str, Any] = {}
    for row, computed, said in zip(rows, raws, table.to_pylist(), strict=True):
        numbers = {n: v for n, v in row.items() if n.startswith(("measure.", "score."))}
        severities = {
            f"label.{name}": value
            for name, value in said.items()
            if isinstance(value, float) or name == "severity"
        }
        out[row["name"]] = {
            **{what: _short(row.get(what, said.get(what))) for what in SAME},
            "raw": computed | severities,
            "stored": numbers | severities,
        }
    files.put(Path(to), json.dumps(out))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 100 else hashlib.sha1(text.encode()).hexdigest()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:5])
    else:
        main(*sys.argv[1:3])
