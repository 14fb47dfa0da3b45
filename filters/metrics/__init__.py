"""IQA metrics behind two protocols, no-reference and full-reference: a file each, or any of pyiqa's by `pyiqa:<name>`.

A metric file `filters/metrics/<name>.py` has a function `load() -> Metric`. Metrics score one image at a time on the
CPU with one thread of torch, so that a score depends neither on batch mates nor on the number of workers.
"""

from __future__ import annotations

import difflib
import importlib
from functools import cache
from pathlib import Path
from typing import Protocol

from filters.measures import Photo


class UnknownMetric(ValueError):
    """Neither a file in filters/metrics/ nor a no-reference metric of pyiqa."""


class WeightsMissing(RuntimeError):
    """The metric needs weights that are not on this machine; the message says how to get them."""


class Metric(Protocol):
    """What a score needs to be understood later stands beside it."""

    @property
    def name(self) -> str:
        """As in the recipe."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever a score could."""
        ...

    @property
    def lower_better(self) -> bool:
        """Whether less is better quality."""
        ...

    @property
    def license(self) -> str:
        """SPDX id of the scorer's licence."""
        ...

    @property
    def weights_sha256(self) -> str | None:
        """Of the weights file; None where there is none."""
        ...

    def score(self, photo: Photo) -> float | None:
        """The score; None where the metric does not apply, e.g. to an image that is too small for it."""
        ...


class ReferenceMetric(Protocol):
    """A full-reference metric: as `Metric`, but it compares with what the image should be."""

    @property
    def name(self) -> str:
        """As in results."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever a score could."""
        ...

    @property
    def lower_better(self) -> bool:
        """Whether less is nearer to the reference."""
        ...

    @property
    def license(self) -> str:
        """SPDX id of the scorer's licence."""
        ...

    @property
    def weights_sha256(self) -> str | None:
        """Of the weights; None where there are none."""
        ...

    def compare(self, photo: Photo, reference: Photo) -> float | None:
        """The score; None where the metric does not apply. ValueError where the two differ in size."""
        ...


def metric_names() -> list[str]:
    """Metrics that are files here; those of pyiqa come on top."""
    folder = Path(__file__).parent
    return sorted(
        f.stem
        for f in folder.glob("*.py")
        if not f.stem.startswith("_") and f.stem != "pyiqa_adapter"
    )


@cache
def load_metric(name: str) -> Metric:
    """Makes a metric ready to score.

    Raises:
        UnknownMetric: no such metric; the message names the nearest.
        WeightsMissing: see there.
    """
    if name.startswith("pyiqa:"):
        from filters.metrics.pyiqa_adapter import load_pyiqa

        return load_pyiqa(name)
    names = metric_names()
    if name not in names:
        nearest = difflib.get_close_matches(name, [*names, f"pyiqa:{name}"], n=1, cutoff=0.0)
        raise UnknownMetric(f"There is no metric {name!r}; did you mean {nearest[0]!r}?")
    return importlib.import_module(f"filters.metrics.{name}").load()


@cache
def load_reference_metric(name: str) -> ReferenceMetric:
    """Makes a full-reference metric of pyiqa (`pyiqa:<name>`) ready to compare.

    Raises:
        UnknownMetric: no such metric; the message names the nearest.
        WeightsMissing: see there.
    """
    from filters.metrics.pyiqa_adapter import load_pyiqa_reference

    return load_pyiqa_reference(name)
