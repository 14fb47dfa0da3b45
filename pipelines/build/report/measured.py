"""How right the labels and the filter are, measured on what people said of a drawn sample; for card and report."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from catalog.reviews import (
    SampleRow,
    Word,
    all_reviews,
    any_reviews,
    frozen,
    question_of,
    read_sample,
    sample_names,
    standing,
    words,
)
from catalog.store import Catalog
from filters.degradation import LABELS
from filters.reviewing import Answers, Share, agreement, share, shares


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the verdicts on a sample say."""

    sample: str
    drawn: int
    answered: int
    """Pictures with an answer."""
    reviewers: int
    kappa: float | None
    """Mean over pairs of reviewers with common pictures, of keep and drop."""
    shares: tuple[Share, ...]
    by_source: tuple[tuple[str, Share], ...]
    """Source -> share of its kept pictures that people would drop."""

    def told(self) -> str:
        """For the card."""
        return f"measured by {self.answered} verdicts of {self.reviewers} reviewers"


def answers_to(
    catalog: Catalog, name: str
) -> tuple[list[SampleRow], list[Word], list[dict[str, Any]]]:
    """The pictures of a sample that were answered, what people said of each, and the rows behind it.

    Raises:
        catalog.reviews.BadReviews: no such sample.
    """
    sample = read_sample(catalog, name)
    question = question_of(name)
    said = [
        row for row in standing(all_reviews(catalog).to_pylist()) if row["question"] == question
    ]
    found = words(said)
    pairs = [(row, found.get((row.page_id, row.sha1))) for row in sample]
    both = [(row, word) for row, word in pairs if word is not None and word.keep is not None]
    return [row for row, _ in both], [word for _, word in both], said  # fmt: skip


def as_answers(rows: Sequence[SampleRow], said: Sequence[Word]) -> Answers:
    """For filters.reviewing."""
    return Answers(
        group=np.array([row.stratum for row in rows], dtype=str),
        sizes={row.stratum: row.stratum_size for row in rows},
        kept=np.array([row.keep for row in rows], dtype=bool),
        keep=np.array([word.keep == "keep" for word in said], dtype=bool),
        labels={n: np.array([n in row.labels for row in rows], dtype=bool) for n in LABELS},
        seen={n: np.array([n in word.right for word in said], dtype=bool) for n in LABELS},
    )


def measure(catalog: Catalog, name: str | None = None) -> Measured | None:
    """The figures of a sample, by default the newest that was answered; None where there is none.

    Raises:
        catalog.reviews.BadReviews: no such sample.
    """
    names = [name] if name else list(reversed(sample_names(catalog)))
    for one in names:
        rows, said, given = answers_to(catalog, one)
        if rows:
            answers = as_answers(rows, said)
            return Measured(
                sample=one,
                drawn=len(read_sample(catalog, one)),
                answered=len(rows),
                reviewers=len({row["reviewer"] for row in given}),
                kappa=kappa_of(given),
                shares=tuple(shares(answers)),
                by_source=tuple(_by_source(rows, answers)),
            )
    return None


def _by_source(rows: Sequence[SampleRow], answers: Answers) -> list[tuple[str, Share]]:
    source = np.array([row.source for row in rows])
    bad = answers.kept & ~answers.keep
    return [
        (one, share("false keeps", bad & (source == one), answers.kept & (source == one), answers))
        for one in sorted(set(source.tolist()))
    ]


def kappa_of(given: Sequence[dict[str, Any]]) -> float | None:
    """Cohen's kappa of keep and drop, the mean over pairs of reviewers with pictures in common."""
    by: dict[str, dict[tuple[int, str], str]] = {}
    for row in given:
        if row["what"] in ("keep", "drop"):
            by.setdefault(row["reviewer"], {})[row["page_id"], row["sha1"]] = row["what"]
    found: list[float] = []
    for one, other in itertools.combinations(sorted(by), 2):
        common = sorted(by[one].keys() & by[other].keys())
        value = agreement([by[one][k] for k in common], [by[other][k] for k in common])
        if value is not None:
            found.append(value)
    return sum(found) / len(found) if found else None


def measured_lines(found: Measured) -> list[str]:
    """For a terminal."""
    lines = [
        f"sample {found.sample}: {found.answered} of {found.drawn} answered by {found.reviewers} reviewers"
        + ("" if found.kappa is None else f", kappa {found.kappa:.2f}"),
        f"  {'':<24}{'share':>7}   95 % interval     verdicts",
    ]
    named = [(share.name, share) for share in found.shares]
    named += [(f"false keeps {source[:12]}", share) for source, share in found.by_source]
    lines += [
        f"  {name:<24}{share.estimate:>7.3f}   {share.low:.3f} to {share.high:.3f}   {share.verdicts:>6}"
        if share.estimate is not None
        else f"  {name:<24}{'-':>7}   nothing to tell by"
        for name, share in named
    ]
    return lines


def reviews_told(catalog: Catalog, decisions: pa.Table) -> dict[str, Any] | None:
    """verdicts, reviewers, pictures, dropped, kept (against a rule on the picture), test (frozen), measured; None:
    nobody reviewed."""
    if not any_reviews(catalog):
        return None
    every = all_reviews(catalog).to_pylist()
    rows = standing(every)
    found = words(rows)
    keys = zip(*(decisions.column(n).to_pylist() for n in ("page_id", "sha1")), strict=True)
    here = [found[key] for key in keys if key in found]
    measured = measure(catalog)
    return {
        "verdicts": sum(row["what"] in ("keep", "drop") for row in rows),
        "labels": sum(row["what"].endswith("_label") for row in rows),
        "reviewers": len({row["reviewer"] for row in rows}),
        "pictures": len(here),
        "kept": sum(word.keep == "keep" for word in here),
        "dropped": sum(word.keep == "drop" for word in here),
        "kappa": kappa_of(rows),
        "test": len(frozen(every)),
        "measured": None
        if measured is None
        else {
            "told": measured.told(),
            "sample": measured.sample,
            "drawn": measured.drawn,
            "rows": [asdict(share) for share in measured.shares if share.estimate is not None],
        },
    }
