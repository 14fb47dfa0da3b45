"""IQA metrics behind two protocols, no-reference and full-reference: a file each, or any of pyiqa's by `pyiqa:<name>`.

A metric file `filters/metrics/<name>.py` has a function `load(scoring) -> Metric`; one that compares with a reference
is `filters/metrics/reference/<name>.py` with `load(**options) -> ReferenceMetric`. Metrics score one image at a time,
on a CPU with one thread of torch, so that a score depends neither on batch mates nor on the number of workers. Device
and precision can move its last digits: other than cpu and float32 they are part of the version.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol, get_args

from catalog.errors import Expected
from catalog.plugins import Plugins, nearest
from filters.measures import Photo


class UnknownMetric(Expected, ValueError):
    """Neither a file in filters/metrics/ nor a no-reference metric of pyiqa."""


METRICS = Plugins(
    package="filters.metrics",
    what="metric",
    error=UnknownMetric,
    beside=frozenset({"pyiqa_adapter", "reference"}),
)
REFERENCES = Plugins(
    package="filters.metrics.reference",
    what="full-reference metric",
    error=UnknownMetric,
    beside=frozenset({"luma"}),
)


class WeightsMissing(Expected, RuntimeError):
    """The metric needs weights that are not on this machine; the message says how to get them."""


class DeviceMissing(Expected, RuntimeError):
    """The recipe wants scores on a device that this machine does not have."""


Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How metrics compute."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    device: Device = "cpu"
    """cuda needs a GPU where the build runs."""
    precision: Precision = "float32"
    """Below float32 by torch's autocast."""

    @property
    def suffix(self) -> str:
        """What a version ends with; nothing for the default."""
        return "" if self == Scoring() else f"+{self.device}.{self.precision}"

    @classmethod
    def of(cls, version: str) -> Scoring:
        """That of a version.

        Raises:
            ValueError: its suffix is none.
        """
        for device in get_args(Device):
            for precision in get_args(Precision):
                scoring = cls(device=device, precision=precision)
                if scoring.suffix and version.endswith(scoring.suffix):
                    return scoring
        if "+c" in version:
            raise ValueError(f"{version!r} ends with no known device and precision.")
        return cls()


ON_CPU = Scoring()


class Scorer(Protocol):
    """What a score needs to be understood later stands beside it."""

    @property
    def name(self) -> str:
        """As in recipes and results."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever a score could."""
        ...

    @property
    def lower_better(self) -> bool:
        """Whether less is better."""
        ...

    @property
    def license(self) -> str:
        """SPDX id of the scorer's license."""
        ...

    @property
    def weights_sha256(self) -> str | None:
        """Of the weights; None where there are none."""
        ...


class Metric(Scorer, Protocol):
    """A no-reference metric: what an image is like by itself."""

    @property
    def scoring(self) -> Scoring:
        """Device and precision."""
        ...

    def score(self, photo: Photo) -> float | None:
        """The score; None where the metric does not apply, e.g. to an image that is too small for it."""
        ...


class ReferenceMetric(Scorer, Protocol):
    """A full-reference metric: it compares with what the image should be."""

    def compare(self, photo: Photo, reference: Photo) -> float | None:
        """The score; None where the metric does not apply. ValueError where the two differ in size."""
        ...


def metric_names() -> list[str]:
    """Metrics that are files here; those of pyiqa come on top."""
    return METRICS.names()


@cache
def load_metric(name: str, scoring: Scoring = ON_CPU, **options: Any) -> Metric:
    """Makes a metric ready to score; once per metric, scoring and options.

    Raises:
        UnknownMetric: no such metric; the message names the nearest. Or it has no such option.
        WeightsMissing, DeviceMissing: see there.
    """
    if name.startswith("pyiqa:"):
        from filters.metrics.pyiqa_adapter import load_pyiqa

        return load_pyiqa(name, scoring, options)
    return _with_options(METRICS.load(name, f"pyiqa:{name}"), options, scoring)


@cache
def load_reference_metric(name: str, scoring: Scoring = ON_CPU, **options: Any) -> ReferenceMetric:
    """Makes a full-reference metric ready to compare: a file of reference/, or one of pyiqa's (`pyiqa:<name>`).

    Raises:
        UnknownMetric: no such metric, or it has no such option.
        WeightsMissing, DeviceMissing: see there.
    """
    if name.startswith("pyiqa:"):
        from filters.metrics.pyiqa_adapter import load_pyiqa_reference

        return load_pyiqa_reference(name, scoring, options)
    return _with_options(REFERENCES.load(name, f"pyiqa:{name}"), options)


def reference_names() -> list[str]:
    """Full-reference metrics that are files here; those of pyiqa come on top."""
    return REFERENCES.names()


def told(options: Mapping[str, Any]) -> str:
    """Options as they stand in a version: nothing where there are none."""
    return f" {json.dumps(options, sort_keys=True)}" if options else ""


def _with_options(module: ModuleType, options: Mapping[str, Any], *given: Any) -> Any:
    name = module.__name__.rpartition(".")[2]
    known = [key for key in inspect.signature(module.load).parameters if key != "scoring"]
    if unknown := sorted(set(options) - set(known)):
        near = nearest(unknown[0], known)
        hint = f"; did you mean {near!r}?" if near else ""
        raise UnknownMetric(f"{name} has no option {unknown[0]!r}{hint}")
    try:
        return module.load(*given, **options)
    except ValueError as error:
        raise UnknownMetric(f"{name}: {error}") from error
