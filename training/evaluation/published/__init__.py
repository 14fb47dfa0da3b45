"""The numbers that the LucidNFT authors published, as they stand on the project page; README.md tells their provenance.

Values are decimals, not floats: a delta of four printed digits is exact, and 0.7465 - 0.7208 is 0.0257.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

FOLDER = Path(__file__).parent
BENCHMARKS = ("RealLQ250", "DRealSR", "RealSR")
"""In the paper's order."""


@dataclass(frozen=True, kw_only=True)
class PublishedValue:
    """One cell of the paper's table."""

    benchmark: str
    metric: str
    method: str
    lower_better: bool
    value: Decimal


@dataclass(frozen=True, kw_only=True)
class PublishedConsistency:
    """One row of the paper's table of LucidConsistency: mean similarity without and with the trained head."""

    domain: str
    pairing: str
    baseline: Decimal
    lucid_consistency: Decimal


def published_values() -> list[PublishedValue]:
    """The 300 cells, in the paper's order of benchmarks, metrics and methods."""
    with (FOLDER / "lucidnft.csv").open(encoding="utf-8", newline="") as file:
        return [
            PublishedValue(
                benchmark=row["benchmark"],
                metric=row["metric"],
                method=row["method"],
                lower_better=row["better"] == "lower",
                value=Decimal(row["value"]),
            )
            for row in csv.DictReader(file)
        ]


def published_consistency() -> list[PublishedConsistency]:
    """The five rows on pairs, and on pairs that do not belong together."""
    with (FOLDER / "lucid_consistency.csv").open(encoding="utf-8", newline="") as file:
        return [
            PublishedConsistency(
                domain=row["domain"],
                pairing=row["pairing"],
                baseline=Decimal(row["baseline"]),
                lucid_consistency=Decimal(row["lucid_consistency"]),
            )
            for row in csv.DictReader(file)
        ]
