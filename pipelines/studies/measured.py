"""Examples of photographs damaged by known amounts, measured once and kept: what weights are judged on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.plans import write_parquet
from filters.degradation.arrays import is_held_out
from filters.degradation.kinds import LEVELS
from pipelines.build.runners import end_with_the_parent
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import RecipeError
from pipelines.studies.pictures import plain_measures
from training.image_names import is_image

LEAVE_OUT = Path(__file__).parent / "calibration_leave_out.txt"


def named_lines(file: Path) -> dict[str, str]:
    """Name of a photograph -> what the line says of it; lines that begin with # are comments."""
    lines = (line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines())
    return {words[0]: words[1].strip() for words in lines if len(words) == 2 and words[0][0] != "#"}


def measured_examples(
    photographs: Path,
    graphics: Path | None,
    kept: Path,
    *,
    amounts: Sequence[str] = LEVELS,
    workers: int = 2,
    progress: Progress | None = None,
) -> pa.Table:
    """Examples of every held-out photograph with all measures but the encoder's: one row each.

    Clean ones of every view, damaged ones of the whole and of the busiest crop: what the tables are about.

    Args:
        amounts: how much damage, names of LEVELS.
        photographs: sharp, clean photographs of a megapixel or more, no two of one scene.
        graphics: screenshots and drawings.
        kept: Parquet file to keep the rows in; made again when photographs, measures or examples have changed. Beside
            it stands a folder with those of each photograph.

    Raises:
        RecipeError: fewer than ten photographs.
    """
    progress = progress or NoProgress()
    jobs = [(f, "photo") for f in photographs_of(photographs) if is_held_out(f.name)]
    drawn = images_of(graphics) if graphics else []
    jobs += [(f, "graphics") for f in drawn if is_held_out(family_of(f))]
    levels = tuple(LEVELS.index(amount) + 1 for amount in amounts)
    stamp = _stamp(jobs, levels)
    if kept.is_file():
        metadata: dict[bytes, bytes] = pq.read_schema(kept).metadata or {}
        if metadata.get(b"examples") == stamp:
            progress.say(f"{kept} has the measured examples of these files already.")
            return pq.read_table(kept)
    # A photograph's rows are kept as soon as they are measured, so that a run that was killed goes on.
    parts = {job: kept.parent / "examples" / _stamp([job], levels).decode() for job in jobs}
    with (
        ProcessPoolExecutor(workers, initializer=end_with_the_parent) as pool,
        progress.stage("photographs", len(jobs)) as advance,
    ):
        missing = [job for job in jobs if not parts[job].is_file()]
        advance(len(jobs) - len(missing))
        running = {pool.submit(measure_examples, *job, levels=levels): job for job in missing}
        for done in as_completed(running):
            write_parquet(parts[running[done]], pa.Table.from_pylist(done.result()))
            advance(1)
    whole = pa.concat_tables(
        [pq.read_table(parts[job]) for job in jobs], promote_options="permissive"
    )
    order = ("photo", "view", "way", "kind", "level", "turn")
    whole = whole.sort_by([(name, "ascending") for name in order])
    table = whole.replace_schema_metadata({b"examples": stamp})
    write_parquet(kept, table)
    return table


def photographs_of(folder: Path) -> list[Path]:
    """Those that are not left out.

    Raises:
        RecipeError: fewer than ten.
    """
    left_out = named_lines(LEAVE_OUT)
    found = [f for f in images_of(folder) if f.name not in left_out]
    if len(found) < 10:
        raise RecipeError(
            f"{folder} holds {len(found)} usable photographs; at least ten are needed."
        )
    return found


def images_of(folder: Path) -> list[Path]:
    """Image files below a folder, by name."""
    return [f for f in sorted(folder.rglob("*")) if is_image(f) and f.is_file()]


def _stamp(jobs: Sequence[tuple[Path, str]], levels: tuple[int, ...]) -> bytes:
    """What the rows follow from: files, measures, and the code that makes the examples."""
    from filters.degradation import examples, kinds, synthesis
    from filters.measures import load_measure

    digest = hashlib.sha256(repr(levels).encode())
    for file, kind in jobs:
        digest.update(f"{file.name} {kind} {file.stat().st_size}\n".encode())
    for name in plain_measures():
        digest.update(f"{name}@{load_measure(name).version}\n".encode())
    for module in (examples, kinds, synthesis):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest().encode()


def family_of(drawing: Path) -> str:
    """Variants of one dialog or one installer are one picture when it comes to counting."""
    return f"graphics {drawing.stem.split('-')[0].split('_')[0]}"


def measure_examples(file: Path, kind: str, *, levels: tuple[int, ...]) -> list[dict[str, Any]]:
    """Rows of one photograph or drawing: each example of it with its measures; `levels` are those of damage wanted."""
    from filters.degradation.examples import graphics_examples, photo_examples
    from filters.measures import Photo, load_measure, open_photo

    pixels = open_photo(file.read_bytes()).rgb
    name = file.name if kind == "photo" else family_of(file)
    make: Callable[..., Iterable[Any]] = graphics_examples
    if kind == "photo":

        def chosen(number: int, view: str, level: int) -> bool:
            return level == 0 or (level in levels and view in ("whole", "sharp"))

        make = partial(photo_examples, chosen=chosen)
    measures = [load_measure(measure) for measure in plain_measures()]
    rows: list[dict[str, Any]] = []
    for turn, example in enumerate(make(name, pixels)):
        photo = Photo(example.rgb, quantization=example.quantization)
        row: dict[str, Any] = {
            "photo": example.photo,
            "view": example.view,
            "kind": example.kind,
            "level": example.level,
            "way": example.way,
            "turn": turn,
        }
        rows.append(row | {m.name: m.measure(photo) for m in measures})
    return rows
