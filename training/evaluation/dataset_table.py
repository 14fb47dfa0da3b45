"""The table of datasets of the paper, with columns that are measured: size, degradations, severity, resolution.

Pairing, usage, type and number of images are the paper's; the rest is measured on the copies that are here, LucidLR's
by the columns of its export, a benchmark's by the same measures on its LR. What is not here has dashes.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow.parquet as pq

from catalog.errors import Missing
from training.evaluation.benchmarks import SPECS, BenchmarkSpec
from training.evaluation.lr_labels import Labelled, mix

OURS = "LucidLR (this build)"
HEAD = (
    "Dataset",
    "Pairing",
    "Primary usage",
    "Type",
    "# Images",
    "Measured on",
    "Resolution",
    "Degradations",
    "Severity",
)
_PUBLISHED = ("RealSR", "DRealSR", "RealLQ250")


@dataclass(frozen=True, kw_only=True)
class DatasetRow:
    """One dataset; strings as they are printed."""

    name: str
    pairing: str
    usage: str
    type: str
    images: str
    measured: int = 0
    resolution: str = "–"
    degradations: str = "–"
    severity: str = "–"

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of HEAD."""
        measured = f"{self.measured} LR" if self.measured else "–"
        return (
            self.name,
            self.pairing,
            self.usage,
            self.type,
            self.images,
            measured,
            self.resolution,
            self.degradations,
            self.severity,
        )


def dataset_rows(
    benchmarks: Mapping[str, tuple[BenchmarkSpec, Mapping[str, Labelled]]],
    *,
    dataset: Path | None = None,
) -> list[DatasetRow]:
    """The paper's three benchmarks and its LucidLR, then what else was evaluated, then `dataset` (an export folder)."""
    rows: list[DatasetRow] = []
    for name in (*_PUBLISHED, *(n for n in benchmarks if n not in _PUBLISHED)):
        spec, labelled = benchmarks.get(name, (SPECS.get(name), {}))
        if spec is None:
            continue
        images = str(spec.images if name in _PUBLISHED else len(labelled))
        rows.append(_row(name, spec.paired, spec.usage, spec.type, images, list(labelled.values())))
    rows.append(
        DatasetRow(
            name="LucidLR (published)",
            pairing="Unpaired",
            usage="Preference Optimization / Unsupervised Training",
            type="Real-world",
            images="20K",
        )
    )
    if dataset is not None:
        found = exported_labels(dataset)
        usage = "Preference Optimization / Unsupervised Training"
        rows.append(_row(OURS, False, usage, "Real-world", str(len(found)), found))
    return rows


def exported_labels(dataset: Path) -> list[Labelled]:
    """Labels of an exported dataset.

    Raises:
        catalog.errors.Missing: no shard in it.
    """
    shards = sorted(dataset.glob("data/**/*.parquet"))
    if not shards:
        raise Missing(f"{dataset} holds no shard (data/**/*.parquet).")
    found: list[Labelled] = []
    for shard in shards:
        for row in pq.read_table(
            shard, columns=["labels", "severity", "width", "height"]
        ).to_pylist():
            found.append(
                Labelled(
                    labels=tuple(row["labels"] or ()),
                    severity=row["severity"],
                    width=row["width"],
                    height=row["height"],
                )
            )
    return found


def _row(
    name: str, paired: bool, usage: str, kind: str, images: str, labelled: Sequence[Labelled]
) -> DatasetRow:
    row = DatasetRow(
        name=name,
        pairing="Paired" if paired else "Unpaired",
        usage=usage,
        type=kind,
        images=images,
    )
    if not labelled:
        return row
    shares = mix({str(i): one for i, one in enumerate(labelled)})
    severities = [one.severity for one in labelled if one.severity is not None]
    low, middle, high = np.percentile(severities or [float("nan")], [10, 50, 90])
    width, height = median(one.width for one in labelled), median(one.height for one in labelled)
    degradations = ", ".join(f"{label} {share:.0%}" for label, share in shares.items())
    return replace(
        row,
        measured=len(labelled),
        resolution=f"{width:.0f}×{height:.0f} (median)",
        degradations=degradations or "none",
        severity=f"{middle:.2f} ({low:.2f} to {high:.2f})" if severities else "–",
    )


def dataset_markdown(rows: Sequence[DatasetRow]) -> str:
    """For documents."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(row.cells) + " |" for row in rows]
    return "\n".join([*lines, "", "Severity: median, 10th to 90th percentile.", ""])


def dataset_html(rows: Sequence[DatasetRow]) -> str:
    """A table element."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in HEAD)
    body = "".join(
        "<tr>"
        + f'<th scope="row">{html.escape(row.name)}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row.cells[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
