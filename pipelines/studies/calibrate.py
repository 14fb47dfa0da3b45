"""`lucidlr calibrate`: degrade photographs by known amounts, measure them, train the classifier, say how good it is.

The measured examples are kept (`examples.parquet`, one row per image), so that training again costs seconds. Half of
the photographs train, the other half is held out; which half, follows from the photograph's name alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.store import write_parquet
from filters.degradation import DEFAULT_CLASSIFIER
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import RecipeError
from training.image_names import is_image

if TYPE_CHECKING:
    from filters.degradation.classifier import Classifier
    from pipelines.studies.calibration_report import Natural

LEAVE_OUT = Path(__file__).parent / "calibration_leave_out.txt"
CONTENT = Path(__file__).parent / "calibration_content.txt"


def named_lines(file: Path) -> dict[str, str]:
    """Name of a photograph -> what the line says of it; lines that begin with # are comments."""
    lines = (line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines())
    return {words[0]: words[1].strip() for words in lines if len(words) == 2 and words[0][0] != "#"}


def measured_examples(
    photographs: Path,
    graphics: Path | None,
    kept: Path,
    *,
    workers: int = 2,
    progress: Progress | None = None,
) -> pa.Table:
    """Every example of every photograph with all measures: one row each, one float column per measure.

    Args:
        photographs: sharp, clean photographs of a megapixel or more, no two of one scene.
        graphics: screenshots and drawings.
        kept: Parquet file to keep the rows in; made anew when photographs, measures or examples have changed. Beside it
            stands a folder with those of each photograph.

    Raises:
        RecipeError: fewer than ten photographs.
    """
    progress = progress or NoProgress()
    jobs = [(f, "photo") for f in _photographs(photographs)]
    jobs += [(f, "graphics") for f in (_images(graphics) if graphics else [])]
    stamp = _stamp(jobs)
    if kept.is_file():
        metadata: dict[bytes, bytes] = pq.read_schema(kept).metadata or {}
        if metadata.get(b"examples") == stamp:
            progress.say(f"{kept} has the measured examples of these files already.")
            return pq.read_table(kept)
    # A photograph's rows are kept as soon as they are measured, so that a run that was killed goes on.
    parts = {job: kept.parent / "examples" / _stamp([job]).decode() for job in jobs}
    with (
        ProcessPoolExecutor(workers) as pool,
        progress.stage("photographs", len(jobs)) as advance,
    ):
        missing = [job for job in jobs if not parts[job].is_file()]
        advance(len(jobs) - len(missing))
        running = {pool.submit(_measure, *job): job for job in missing}
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


def _photographs(folder: Path) -> list[Path]:
    """Those that are not left out.

    Raises:
        RecipeError: fewer than ten.
    """
    left_out = named_lines(LEAVE_OUT)
    found = [f for f in _images(folder) if f.name not in left_out]
    if len(found) < 10:
        raise RecipeError(
            f"{folder} holds {len(found)} usable photographs; at least ten are needed."
        )
    return found


def _images(folder: Path) -> list[Path]:
    return [f for f in sorted(folder.rglob("*")) if is_image(f) and f.is_file()]


def _stamp(jobs: Sequence[tuple[Path, str]]) -> bytes:
    """What the rows follow from: files, measures, and the code that makes the examples."""
    from filters.degradation import examples, kinds, synthesis
    from filters.measures import load_measure, measure_names

    digest = hashlib.sha256()
    for file, kind in jobs:
        digest.update(f"{file.name} {kind} {file.stat().st_size}\n".encode())
    for name in measure_names():
        digest.update(f"{name}@{load_measure(name).version}\n".encode())
    for module in (examples, kinds, synthesis):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest().encode()


def _measure(file: Path, kind: str, *, damaged: bool = True) -> list[dict[str, Any]]:
    from filters.degradation.examples import graphics_examples, photo_examples
    from filters.measures import Photo, load_measure, measure_names, open_photo

    pixels = open_photo(file.read_bytes()).rgb
    # Variants of one dialog or one installer are one picture when it comes to counting.
    name = file.name if kind == "photo" else f"graphics {file.stem.split('-')[0].split('_')[0]}"
    make: Callable[..., Iterable[Any]] = graphics_examples
    if kind == "photo":
        make = partial(photo_examples, damaged=damaged)
    measures = [load_measure(measure) for measure in measure_names()]
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


def calibrate(
    photographs: Path,
    graphics: Path | None,
    out: Path,
    *,
    name: str = DEFAULT_CLASSIFIER,
    workers: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Measures, trains, evaluates: writes `examples.parquet`, `<name>.json`, `results.md` and the plots to `out`.

    Returns:
        The file of weights. To use them, put it into filters/degradation/weights/ (a new version, not over an old one).

    Raises:
        RecipeError: as measured_examples.
    """
    from filters.degradation import LABELS
    from filters.degradation.classifier import read_classifier, write_classifier
    from filters.degradation.fit import examples_of, fit
    from filters.measures import load_measure
    from pipelines.studies.calibration_report import write_results

    progress = progress or NoProgress()
    table = measured_examples(
        photographs, graphics, out / "examples.parquet", workers=workers, progress=progress
    )
    examples = examples_of(table)
    held_out = examples.held_out
    train = examples.where(~held_out)
    versions = {m: f"{m}@{load_measure(m).version}" for m in examples.measures}
    with progress.stage("labels", len(LABELS)) as advance:
        fitted = fit(train, versions, advance=advance)
    weights = out / f"{name}.json"
    write_classifier(
        weights,
        labels=LABELS,
        bias=fitted.bias,
        terms=fitted.terms,
        points=fitted.points,
        made_from={
            "photographs": len(set(train.photo.tolist())),
            "images": len(train.photo),
            "penalty": fitted.strengths,
        },
    )
    progress.say("evaluating")
    classifier = read_classifier(weights)
    write_results(
        out,
        classifier,
        examples.where(held_out),
        content=named_lines(CONTENT),
        natural=natural_photographs(photographs, classifier),
    )
    return weights


def judge_clean(
    photographs: Path,
    out: Path,
    *,
    name: str = DEFAULT_CLASSIFIER,
    workers: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Which labels clean photographs bear all the same, with the weights as they are: a part of `calibrate`, and quick.

    Photographs of `make photos` that the weights were trained on are left out; your own are all unseen.

    Returns:
        `out`/clean.md: by view, by content, and what is said of the photographs degraded by nature.

    Raises:
        RecipeError: fewer than ten photographs.
        filters.degradation.classifier.UnknownClassifier: no such weights.
    """
    from filters.degradation.classifier import load_classifier
    from filters.degradation.fit import examples_of
    from pipelines.studies.calibration_report import write_clean

    progress = progress or NoProgress()
    classifier = load_classifier(name)
    files = _photographs(photographs)
    rows: list[dict[str, Any]] = []
    with (
        ProcessPoolExecutor(workers) as pool,
        progress.stage("photographs", len(files)) as advance,
    ):
        for measured in pool.map(partial(_measure, kind="photo", damaged=False), files):
            rows += measured
            advance(1)
    examples = examples_of(pa.Table.from_pylist(rows))
    content = named_lines(CONTENT)
    unseen = examples.held_out | ~np.isin(examples.photo, list(content))
    natural = natural_photographs(photographs, classifier)
    return write_clean(out, classifier, examples.where(unseen), content=content, natural=natural)


def natural_photographs(photographs: Path, classifier: Classifier) -> list[Natural]:
    """What a classifier says of the photographs that were left out, as they are in their files."""
    from filters.degradation import LABELS, DegradationPolicy, severities_of
    from filters.measures import load_measure, open_photo
    from pipelines.studies.calibration_report import Natural

    left_out = named_lines(LEAVE_OUT)
    policy = DegradationPolicy()
    found: list[Natural] = []
    for file in _images(photographs):
        if file.name in left_out:
            photo = open_photo(file.read_bytes())
            measured = {name: load_measure(name).measure(photo) for name in policy.measures}
            values = {
                name: np.array([np.nan if value is None else value])
                for name, value in measured.items()
            }
            severity = severities_of(values, policy, 1, classifier)[:, 0]
            found.append(
                Natural(
                    photo=file.name,
                    ails=left_out[file.name],
                    severity={
                        label: None if np.isnan(value) else float(value)
                        for label, value in zip(LABELS, severity, strict=True)
                    },
                )
            )
    return found
