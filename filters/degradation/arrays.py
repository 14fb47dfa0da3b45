"""Measured synthetic examples as arrays, and which labels each should bear."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.degradation.kinds import KINDS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_KINDS = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True, kw_only=True)
class Examples:
    """The table of measured examples as arrays."""

    photo: NDArray[Any]
    view: NDArray[Any]
    kind: NDArray[Any]
    way: NDArray[Any]
    level: NDArray[np.int64]
    measures: Mapping[str, Floats]

    def where(self, rows: Flags) -> Examples:
        """Only these rows."""
        return Examples(
            photo=self.photo[rows],
            view=self.view[rows],
            kind=self.kind[rows],
            way=self.way[rows],
            level=self.level[rows],
            measures={name: values[rows] for name, values in self.measures.items()},
        )

    @property
    def held_out(self) -> Flags:
        """By the photograph's name alone: about half of them."""
        half = {p: is_held_out(str(p)) for p in set(self.photo)}
        return np.array([half[p] for p in self.photo])


def is_held_out(photograph: str) -> bool:
    """Whether a photograph of that name is judged by, and never learnt from."""
    return hashlib.sha256(photograph.encode()).digest()[0] % 2 == 0


def examples_of(table: pa.Table) -> Examples:
    """The table of `pipelines.studies.measured.measured_examples` as arrays; nulls become NaN."""
    about = ("photo", "view", "kind", "way")
    named: dict[str, Any] = {name: np.array(table.column(name).to_pylist()) for name in about}
    skip = {*about, "level", "turn"}
    return Examples(
        **named,
        level=table.column("level").to_numpy(),
        measures={
            name: np.array(table.column(name).cast(pa.float64()).to_numpy(), dtype=np.float64)
            for name in table.column_names
            if name not in skip
        },
    )


def truth(examples: Examples, label: str) -> Floats:
    """1 where the label is borne from moderate on, 0.5 where mildly, 0 where not, NaN where that is unclear."""
    found = np.zeros(len(examples.kind))
    for name, kind in _KINDS.items():
        rows = examples.kind == name
        if label in kind.labels:
            found[rows] = np.where(examples.level[rows] >= 2, 1.0, 0.5)
        elif label in kind.unclear:
            found[rows] = np.nan
    # Nothing is known of how sharp or how bright a drawing is.
    found[examples.kind == "graphics"] = {"graphics": 1.0, "noise": 0.0, "motion_blur": 0.0}.get(
        label, np.nan
    )
    return found
