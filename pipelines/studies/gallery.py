"""`lucidlr gallery`: the page of an evaluation, in the style of the build report."""

from __future__ import annotations

from pathlib import Path

from catalog.errors import Missing
from catalog.files import put
from catalog.page.report import TEMPLATES
from pipelines.progress import NoProgress, Progress
from training.evaluation.dataset_table import dataset_html, dataset_markdown, dataset_rows
from training.evaluation.gallery import GalleryOptions, write_gallery
from training.evaluation.results import load_labels


def gallery_of(
    out: Path,
    *,
    title: str | None = None,
    training_log: Path | None = None,
    separability: Path | None = None,
    dataset: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Writes the gallery of the evaluation in `out`.

    Args:
        training_log: log.csv of a training run, or its folder.
        separability: CSV of a separability analysis.
        dataset: an exported dataset, for the table of datasets.

    Raises:
        training.evaluation.gallery.NoEvaluation: `out` holds none.
        catalog.errors.Missing: a file that was named is not there.
    """
    progress = progress or NoProgress()
    log = training_log / "log.csv" if training_log and training_log.is_dir() else training_log
    for file in (log, separability):
        if file is not None and not file.is_file():
            raise Missing(f"There is no {file}.")
    rows = dataset_rows(load_labels(out), dataset=dataset)
    put(out / "tables" / "datasets.md", dataset_markdown(rows).encode())
    options = GalleryOptions(
        title=title,
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        training_log=log,
        separability=separability,
        datasets=dataset_html(rows),
    )
    with progress.stage("pictures", None) as advance:
        return write_gallery(out, options, advance=advance)
