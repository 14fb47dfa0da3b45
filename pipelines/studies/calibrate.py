"""`lucidlr calibrate`: what the labels are learnt from, and how well they do on photographs damaged by known amounts.

With folders of real pictures (`--real`) it learns: real and synthetic pictures are measured (pictures.py), the heads
fitted (filters/degradation/learn.py) and three files written: weights with and without the encoder, and the encoder's
heads. In any case it judges weights on the held-out half of the photographs, damaged by known amounts: what anyone can
repeat with `make photos`. Which half, follows from the photograph's name alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from catalog import files
from filters.degradation import DEFAULT_CLASSIFIER, PLAIN_CLASSIFIER
from filters.degradation.arrays import is_held_out
from filters.degradation.kinds import LEVELS
from pipelines.build.runners import end_with_the_parent
from pipelines.progress import NoProgress, Progress
from pipelines.studies.measured import (
    LEAVE_OUT,
    family_of,
    images_of,
    measure_examples,
    measured_examples,
    named_lines,
    photographs_of,
)

if TYPE_CHECKING:
    from filters.degradation.classifier import Classifier
    from filters.degradation.learn import Design
    from pipelines.studies.calibration_report import Natural

CONTENT = Path(__file__).parent / "calibration_content.txt"


def calibrate(
    photographs: Path,
    graphics: Path | None,
    out: Path,
    *,
    real: Sequence[Path] = (),
    amounts: Sequence[str] = LEVELS,
    name: str = PLAIN_CLASSIFIER,
    workers: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Judges weights on held-out photographs: writes `results.md` and the plots to `out`. With `real`, learns first.

    Args:
        real: folders of labelled real pictures, each with a manifest.csv.
        amounts: of the damage that is judged.
        name: of the weights that are judged, which look at no encoder; those that are learnt, if any are.

    Returns:
        `results.md`, or, if something was learnt, the folder of weights. To use these, put them into
        filters/degradation/weights/ and filters/measures/weights/ (new versions, not over old ones).

    Raises:
        RecipeError: as measured_examples.
        filters.degradation.real.NoManifest: a folder of `real` has none.
    """
    from filters.degradation.arrays import examples_of
    from filters.degradation.classifier import load_classifier, read_classifier
    from pipelines.studies.calibration_report import write_results

    progress = progress or NoProgress()
    if real:
        # What is judged on is looked for before an hour of learning.
        photographs_of(photographs)
        learnt = learn_weights(
            photographs, graphics, real, out / "weights", workers=workers, progress=progress
        )
        classifier = read_classifier(learnt / f"{PLAIN_CLASSIFIER}.json")
    else:
        classifier = load_classifier(name)
    table = measured_examples(
        photographs,
        graphics,
        out / "examples.parquet",
        amounts=amounts,
        workers=workers,
        progress=progress,
    )
    progress.say("evaluating")
    write_results(
        out,
        classifier,
        examples_of(table),
        content=named_lines(CONTENT),
        natural=natural_photographs(photographs, classifier),
    )
    return out / "weights" if real else out / "results.md"


def learn_weights(
    photographs: Path,
    graphics: Path | None,
    real: Sequence[Path],
    out: Path,
    *,
    workers: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Measures real and synthetic pictures and fits the heads; the same pictures give the same files.

    Returns:
        `out`, with `degradation-4.json`, `degradation-4-plain.json` and `layers-2.json`.
    """
    from filters.degradation.heads import folds_of
    from filters.degradation.learn import Design
    from pipelines.studies.pictures import learning_jobs, measured_pictures

    progress = progress or NoProgress()
    jobs = learning_jobs(real, *learning_files(photographs, graphics))
    pictures = measured_pictures(jobs, out.parent / "pictures", workers=workers, progress=progress)
    progress.say("fitting")
    write_weights(Design(pictures=pictures, folds=folds_of(pictures)), out)
    return out


def learning_files(photographs: Path, graphics: Path | None) -> tuple[list[Path], list[Path]]:
    """Photographs and drawings that may be learnt from: those that are not held out; none where there is no folder."""
    left_out = named_lines(LEAVE_OUT)
    photos = images_of(photographs) if photographs.is_dir() else []
    drawn = images_of(graphics) if graphics is not None and graphics.is_dir() else []
    return (
        [f for f in photos if f.name not in left_out and not is_held_out(f.name)],
        [f for f in drawn if not is_held_out(family_of(f))],
    )


def write_weights(design: Design, out: Path) -> None:
    """The three files of one fit."""
    from filters.degradation import LABELS
    from filters.degradation.classifier import write_classifier
    from filters.degradation.heads import EARLY_STRENGTH, OVERALL, REAL_SHARE, STRENGTH
    from filters.degradation.learn import FULL, PLAIN, layer_weights, learn
    from filters.measures import load_measure, measure_names
    from filters.measures._layers import VERSION

    pictures = design.pictures
    made_from = {
        "real_pictures": int(pictures.real.sum()),
        "saved_again": int(pictures.stored.sum()),
        "synthetic": int((~pictures.real & ~pictures.stored).sum()),
        "groups": len(set(pictures.groups[pictures.real].tolist())),
        "strength": STRENGTH,
        "early_strength": EARLY_STRENGTH,
        "real_share": REAL_SHARE,
    }
    versions = {m: f"{m}@{load_measure(m).version}" for m in measure_names()}
    for kind, name in ((PLAIN, PLAIN_CLASSIFIER), (FULL, DEFAULT_CLASSIFIER)):
        learnt = learn(design, kind, versions)
        write_classifier(
            out / f"{name}.json",
            labels=LABELS,
            bias=learnt.bias,
            terms=learnt.terms,
            points={},
            overall=OVERALL,
            begins=learnt.begins,
            made_from=made_from,
        )
    early = {"made_from": made_from} | layer_weights(design)
    files.put(out / f"layers-{VERSION}.json", json.dumps(early, indent=1) + "\n")


def judge_clean(
    photographs: Path,
    out: Path,
    *,
    name: str = PLAIN_CLASSIFIER,
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
    from filters.degradation.arrays import examples_of
    from filters.degradation.classifier import load_classifier
    from pipelines.studies.calibration_report import write_clean

    progress = progress or NoProgress()
    classifier = load_classifier(name)
    files = photographs_of(photographs)
    rows: list[dict[str, Any]] = []
    with (
        ProcessPoolExecutor(workers, initializer=end_with_the_parent) as pool,
        progress.stage("photographs", len(files)) as advance,
    ):
        for measured in pool.map(partial(measure_examples, kind="photo", levels=()), files):
            rows += measured
            advance(1)
    examples = examples_of(pa.Table.from_pylist(rows))
    content = named_lines(CONTENT)
    unseen = examples.held_out | ~np.isin(examples.photo, list(content))
    natural = natural_photographs(photographs, classifier)
    return write_clean(out, classifier, examples.where(unseen), content=content, natural=natural)


def natural_photographs(photographs: Path, classifier: Classifier) -> list[Natural]:
    """What a classifier says of the photographs that were left out, as they are in their files."""
    from filters.degradation import LABELS, DegradationPolicy, judged
    from filters.measures import load_measure, open_photo
    from pipelines.studies.calibration_report import Natural

    left_out = named_lines(LEAVE_OUT)
    policy = DegradationPolicy(classifier=None)
    needed = policy.measures | set(classifier.measures)
    found: list[Natural] = []
    for file in images_of(photographs):
        if file.name in left_out:
            photo = open_photo(file.read_bytes())
            measured = {name: load_measure(name).measure(photo) for name in needed}
            values = {
                name: np.array([np.nan if value is None else value])
                for name, value in measured.items()
            }
            said = judged(values, policy, 1, classifier)
            severity = said.severities[:, 0]
            found.append(
                Natural(
                    photo=file.name,
                    ails=left_out[file.name],
                    borne=tuple(n for n, b in zip(LABELS, said.borne[:, 0], strict=True) if b),
                    overall=None if np.isnan(said.severity[0]) else float(said.severity[0]),
                    severity={
                        label: None if np.isnan(value) else float(value)
                        for label, value in zip(LABELS, severity, strict=True)
                    },
                )
            )
    return found
