"""What people said of pictures: verdicts as facts, kept for ever, carried out and in as CSV or Parquet.

A verdict is about one version of one file (page id and SHA-1): it survives rebuilds and moves of the page, and new
bytes need another look. Each reviewer has one standing word about each thing (whether to keep the picture, and each
label): the latest, unless it was taken back. Rows are added, never changed; only a purge removes them.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from catalog import files, sums
from catalog.errors import Expected
from catalog.plans import write_parquet
from catalog.records import ReviewRow, from_table, schema, to_table
from catalog.store import Catalog

FROZEN = "frozen"
"""That a picture belongs to the test split, for good: no verdict, and nothing takes it back."""
WHATS = ("keep", "drop", "skip", "wrong_label", "right_label", "undo", FROZEN)
"""What a row may say."""
ABOUT_LABELS = ("wrong_label", "right_label")
PAGE_QUESTION = "page@1"
"""Version of the question that the page asks of what somebody looks at by themselves."""
MOST_PARTS = 400
"""Parts with a verdict each from which they are joined into one."""
MOST_TEXT = 500
"""Characters of a reviewer's name or reason."""


class BadReviews(Expected, ValueError):
    """Verdicts that cannot be taken in; the message says which row, and what to change."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """What the reviewers of one picture say together."""

    keep: str | None
    """keep or drop; None: nobody said either."""
    votes: tuple[int, int]
    """(keep, drop)."""
    right: tuple[str, ...]
    """Labels that the picture has by most who spoke of them."""
    wrong: tuple[str, ...]
    """Labels that it has not."""
    reviewers: tuple[str, ...]


def new_id() -> str:
    """For a row that is said now."""
    return f"{time.time_ns():016x}{secrets.token_hex(3)}"


def checked(row: ReviewRow, *, labels: Sequence[str]) -> ReviewRow:
    """The row, if it can be one.

    Raises:
        BadReviews: it cannot.
    """
    if row.what not in WHATS:
        raise BadReviews(f"{row.what!r} is no verdict; there are {', '.join(WHATS)}.")
    if row.what in ABOUT_LABELS and row.label is None:
        raise BadReviews(f"{row.what} needs a label.")
    if row.label is not None and row.label not in labels:
        raise BadReviews(f"There is no label {row.label!r}; there are {', '.join(labels)}.")
    if row.label is not None and row.what not in (*ABOUT_LABELS, "undo"):
        raise BadReviews(f"{row.what} takes no label.")
    if not row.reviewer.strip():
        raise BadReviews("A verdict needs the name of who gives it.")
    if max(len(row.reviewer), len(row.why), len(row.question)) > MOST_TEXT:
        raise BadReviews(f"Names, reasons and questions have at most {MOST_TEXT} characters.")
    if len(row.sha1) != 40 or set(row.sha1) - set("0123456789abcdef"):
        raise BadReviews(f"{row.sha1!r} is no SHA-1 of 40 hex digits.")
    return row


def add_reviews(catalog: Catalog, rows: Sequence[ReviewRow]) -> None:
    """Writes rows as one part, twice; on the disk when this returns. Several processes may do so at once."""
    if rows:
        # The random end keeps the parts of two processes apart, whatever number they came to.
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        catalog.write_twice("review", name, to_table(rows, ReviewRow))


def all_reviews(catalog: Catalog) -> pa.Table:
    """catalog.records.ReviewRow of every verdict, oldest first, each once.

    Raises:
        catalog.sums.Damaged: a part is not what was written.
    """
    wanted = schema(ReviewRow)
    read = [pq.ParquetFile(part).read() for part in _parts(catalog)]
    # Parquet has no seconds: times come back finer than they are.
    table = pa.concat_tables([wanted.empty_table(), *(one.cast(wanted) for one in read)])
    # A join that was cut off leaves a row in two parts, and so does a file that is taken in twice.
    seen = {row["row_id"]: row for row in table.to_pylist()}
    rows = sorted(seen.values(), key=lambda row: (row["reviewed_at"], row["row_id"]))
    return pa.Table.from_pylist(rows, schema=wanted)


def any_reviews(catalog: Catalog) -> bool:
    """Whether anybody ever said anything here."""
    return any((catalog.parts / "review" / "all").glob("*.parquet"))


def standing(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that stand: of each reviewer, picture and thing the latest; nothing where that one is an undo.

    Args:
        rows: ReviewRow as dicts, oldest first.
    """
    last: dict[tuple[int, str, str, str | None], dict[str, Any]] = {}
    for row in rows:
        if row["what"] != FROZEN:
            last[row["page_id"], row["sha1"], row["reviewer"], row["label"]] = row
    return [row for row in last.values() if row["what"] != "undo"]


def frozen(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """SHA-1 -> page id of the pictures of the frozen test split.

    Args:
        rows: ReviewRow as dicts.
    """
    return {row["sha1"]: row["page_id"] for row in rows if row["what"] == FROZEN}


def words(rows: Iterable[dict[str, Any]]) -> dict[tuple[int, str], Word]:
    """(page id, SHA-1) -> what its reviewers say together, by majority.

    A tie between keep and drop is a drop: a picture too few costs less than a bad one. A tie about a label leaves it as
    it was measured.

    Args:
        rows: as `standing` returns them.
    """
    found: defaultdict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["page_id"], row["sha1"]].append(row)
    together: dict[tuple[int, str], Word] = {}
    for key, said in found.items():
        votes = Counter(row["what"] for row in said)
        labels: Counter[str] = Counter()
        for row in said:
            if row["what"] in ABOUT_LABELS:
                labels[row["label"]] += 1 if row["what"] == "right_label" else -1
        keeps, drops = votes["keep"], votes["drop"]
        together[key] = Word(
            keep=None if not keeps + drops else "keep" if keeps > drops else "drop",
            votes=(keeps, drops),
            right=tuple(sorted(label for label, sum_ in labels.items() if sum_ > 0)),
            wrong=tuple(sorted(label for label, sum_ in labels.items() if sum_ < 0)),
            reviewers=tuple(sorted({row["reviewer"] for row in said})),
        )
    return together


def join_parts(catalog: Catalog) -> None:
    """Makes one part of many. Under the catalog's lock; what is cut off leaves rows twice, which does no harm."""
    parts = [path for path in _parts(catalog) if path.parent.name == "all"]
    if len(parts) < MOST_PARTS:
        return
    add_reviews(catalog, from_table(all_reviews(catalog), ReviewRow))
    for part in parts:
        # The copy first: a copy without a part would count as a part that was lost.
        sums.delete(catalog.copy_of("review", part.stem))
        sums.delete(part)


def write_reviews(table: pa.Table, path: Path) -> None:
    """Verdicts to a CSV file, or to a Parquet file where the name ends in .parquet.

    Raises:
        catalog.files.DiskFull: there was no room; an old file is untouched.
    """
    with files.stream(path) as sink:
        if path.suffix == ".parquet":
            pq.write_table(table, sink)
        else:
            pa_csv.write_csv(table, sink)


def read_reviews(path: Path, *, labels: Sequence[str]) -> list[ReviewRow]:
    """Verdicts from a file as `write_reviews` writes it.

    Raises:
        BadReviews: it holds something else; the message names the row.
        OSError: it cannot be read.
    """
    wanted = schema(ReviewRow)
    try:
        if path.suffix == ".parquet":
            table = pq.ParquetFile(path).read()
        else:
            # A reason may look like a number, and a missing label is an empty text.
            options = pa_csv.ConvertOptions(
                column_types={f.name: f.type for f in wanted}, null_values=[""],
                strings_can_be_null=True,
            )  # fmt: skip
            table = pa_csv.read_csv(path, convert_options=options)
        # Written by hand, it may leave out what can be made up.
        for name in ("label", "why", "question", "row_id"):
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
        lacking = [name for name in wanted.names if name not in table.column_names]
        if lacking:
            raise BadReviews(f"{path} has no column {lacking[0]!r}: is it an export of verdicts?")
        loose = pa.schema([field.with_nullable(True) for field in wanted])
        rows = table.select(wanted.names).cast(loose).to_pylist()
    except pa.ArrowInvalid as error:
        raise BadReviews(f"{path} is no file of verdicts: {error}") from error
    found: list[ReviewRow] = []
    for number, row in enumerate(rows, start=1):
        row["why"] = row["why"] or ""
        row["question"] = row["question"] or PAGE_QUESTION
        row["row_id"] = row["row_id"] or new_id()
        try:
            if any(row[name] is None for name in wanted.names if name != "label"):
                raise BadReviews("a value is missing.")
            found.append(checked(ReviewRow(**row), labels=labels))
        except BadReviews as error:
            raise BadReviews(f"{path}, row {number}: {error}") from error
    return found


def _parts(catalog: Catalog) -> list[Path]:
    return catalog.whole_parts("review")


@dataclass(frozen=True, kw_only=True)
class SampleRow:
    """One picture of a drawn sample, with what was said of it when it was drawn."""

    page_id: int
    sha1: str
    stratum: str
    stratum_size: int
    """Candidates in it."""
    keep: bool
    """By the recipe, before any verdict."""
    reason: str
    labels: tuple[str, ...]
    severity: float | None
    source: str
    blind: bool
    """Whether the page hides what was measured until the verdict is given."""


def sample_path(catalog: Catalog, name: str) -> Path:
    """Where a sample stands."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", name):
        raise BadReviews(f"{name!r} is no name of a sample: use a to z, 0 to 9, - and _.")
    return catalog.root / "samples" / f"{name}.parquet"


def keep_sample(catalog: Catalog, name: str, rows: Sequence[SampleRow]) -> None:
    """Freezes a sample; one of that name stays as it is.

    Raises:
        BadReviews: the name is taken by another sample.
    """
    path = sample_path(catalog, name)
    if path.exists():
        raise BadReviews(f"There is a sample {name!r} already: name another with --sample-name.")
    write_parquet(path, to_table(rows, SampleRow))


def read_sample(catalog: Catalog, name: str) -> list[SampleRow]:
    """The pictures of a sample, in the order in which they are shown.

    Raises:
        BadReviews: there is none of that name.
    """
    path = sample_path(catalog, name)
    if not path.is_file():
        there = ", ".join(sample_names(catalog)) or "none"
        raise BadReviews(f"There is no sample {name!r}; there are: {there}.")
    sums.check([path])
    return list(from_table(pq.ParquetFile(path).read(), SampleRow))


def sample_names(catalog: Catalog) -> list[str]:
    """Samples by the time at which they were drawn, the newest last."""
    found = (catalog.root / "samples").glob("*.parquet")
    return [path.stem for path in sorted(found, key=lambda path: (path.stat().st_mtime, path.stem))]


def question_of(name: str) -> str:
    """What is asked of a sample: whether to keep the picture, and every label."""
    return f"sample-{name}@1"
