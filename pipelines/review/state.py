"""What a running page knows: the rows, who reviews, what was said, and what other thresholds would do."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from catalog.browse import SAID, Browser
from catalog.errors import Expected
from catalog.records import ReviewRow
from catalog.release.credits import attribution_line
from catalog.reviews import (
    FROZEN,
    PAGE_QUESTION,
    add_reviews,
    all_reviews,
    checked,
    new_id,
    question_of,
    read_sample,
    standing,
    words,
)
from filters.policy import Rule
from pipelines.build.decide import decide
from pipelines.offline.changes import changed_recipe, save_recipe
from pipelines.review.collection import Collection
from pipelines.review.pictures import Pictures

MOST_AT_ONCE = 20_000
"""Rows of one verdict in bulk."""
SHOWN_MOVES = 400
"""Rows that other thresholds move which are listed."""


class ReadOnlyPage(Expected, RuntimeError):
    """A verdict or a recipe was to be written where there is no catalog."""


class State:
    """One page. Safe for several threads."""

    def __init__(self, collection: Collection, *, reviewer: str, sample: str | None = None) -> None:
        self.collection = collection
        self.reviewer = reviewer
        self.browser = Browser(collection.rows)
        catalog = collection.catalog
        self.pictures = Pictures(
            collection.read, None if catalog is None else catalog.root / "thumbnails"
        )
        keys = zip(
            *(collection.rows.column(name).to_pylist() for name in ("page_id", "sha1")), strict=True
        )
        self.keys: list[tuple[int, str | None]] = list(keys)
        self._place = {key: n for n, key in enumerate(self.keys)}
        self._lock = threading.Lock()
        self._said: list[dict[str, Any]] = []
        self.sample = sample
        self.sample_rows: list[int] = []
        self.blind = False
        if sample is not None and catalog is not None:
            drawn = read_sample(catalog, sample)
            found = [self._place.get((row.page_id, row.sha1)) for row in drawn]
            self.sample_rows = [n for n in found if n is not None]
            self.blind = any(row.blind for row in drawn)
        self.refresh()

    @property
    def question(self) -> str:
        """What is asked: of a sample every label, else what somebody says by themselves."""
        return PAGE_QUESTION if self.sample is None else question_of(self.sample)

    def refresh(self) -> None:
        """Reads what everybody said, also through other pages."""
        catalog = self.collection.catalog
        if catalog is None:
            return
        with self._lock:
            rows = all_reviews(catalog).to_pylist()
            self._said = [row for row in rows if row["what"] != FROZEN]
        self._show()

    def _show(self) -> None:
        rows: list[dict[str, Any]] = []
        stands = standing(self._said)
        answered = {
            (row["page_id"], row["sha1"])
            for row in stands
            if row["reviewer"] == self.reviewer and row["question"] == self.question
        }
        for key, word in words(stands).items():
            n = self._place.get(key)
            if n is not None:
                rows.append(
                    {
                        "n": n,
                        "verdict": word.keep or "skip",
                        "votes_keep": word.votes[0],
                        "votes_drop": word.votes[1],
                        "label_right": list(word.right),
                        "label_wrong": list(word.wrong),
                        "reviewers": list(word.reviewers),
                        "answered": key in answered,
                    }
                )
        self.browser.said(pa.Table.from_pylist(rows, schema=SAID))

    # -- verdicts ------------------------------------------------------------------------------

    def say(
        self, ns: Sequence[int], said: Sequence[tuple[str, str | None]], *, why: str = ""
    ) -> list[str]:
        """Notes verdicts (what, label) on rows; on the disk when this returns. The ids of what was written.

        Raises:
            ReadOnlyPage: there is no catalog.
            catalog.reviews.BadReviews: it cannot be a verdict.
        """
        if len(ns) > MOST_AT_ONCE:
            raise Expected(f"At most {MOST_AT_ONCE:,} pictures at once.")
        if any(what == FROZEN for what, _ in said):
            raise Expected("A test split is frozen by `lucidlr review --test-split`, not here.")
        return self._write([(n, what, label, why) for n in ns for what, label in said])

    def _write(self, words_: Sequence[tuple[int, str, str | None, str]]) -> list[str]:
        """Writes (row, what, label, why) as one part."""
        catalog = self.collection.catalog
        if catalog is None:
            raise ReadOnlyPage("This page is read-only: there is no catalog to keep verdicts in.")
        moment = datetime.now(UTC).replace(microsecond=0)
        rows: list[ReviewRow] = []
        for n, what, label, why in words_:
            page_id, sha1 = self.keys[n]
            row = ReviewRow(
                page_id=page_id,
                sha1=sha1 or "",
                reviewer=self.reviewer,
                what=what,
                label=label,
                why=why,
                reviewed_at=moment,
                question=self.question,
                row_id=new_id(),
            )
            rows.append(checked(row, labels=self.collection.labels))
        add_reviews(catalog, rows)
        with self._lock:
            self._said += [vars(row) for row in rows]
        self._show()
        return [row.row_id for row in rows]

    def every_label(self, there: Sequence[str]) -> list[tuple[str, str | None]]:
        """What it says of each label that these are there, and no other."""
        known = self.collection.labels
        unknown = sorted(set(there) - set(known))
        if unknown:
            raise Expected(f"There is no label {unknown[0]!r}; there are {', '.join(known)}.")
        return [("right_label" if name in there else "wrong_label", name) for name in known]

    def take_back(self, ids: Sequence[str]) -> list[int]:
        """Undoes verdicts by their ids: what the reviewer said before stands again. The rows that changed."""
        wanted = set(ids)
        mine = [row for row in self._said if row["reviewer"] == self.reviewer]
        back: dict[tuple[int, str, str | None], dict[str, Any]] = {}
        for row in mine:
            key = (row["page_id"], row["sha1"], row["label"])
            if row["row_id"] in wanted:
                back.setdefault(key, {"what": "undo", "why": ""})
            else:
                # The last word before (or after) it, if there is one.
                back[key] = row
        touched = {(r["page_id"], r["sha1"], r["label"]) for r in mine if r["row_id"] in wanted}
        again: list[tuple[int, str, str | None, str]] = []
        for page_id, sha1, label in sorted(touched, key=str):
            before = back[page_id, sha1, label]
            again.append((self._place[page_id, sha1], before["what"], label, before["why"]))
        self._write(again)
        return sorted({n for n, *_ in again})

    def mine(self, n: int) -> list[dict[str, Any]]:
        """What everybody says of a row now."""
        page_id, sha1 = self.keys[n]
        return [
            {k: row[k] for k in ("reviewer", "what", "label", "why")}
            for row in standing(self._said)
            if row["page_id"] == page_id and row["sha1"] == sha1
        ]

    # -- one picture ----------------------------------------------------------------------------

    def item(self, n: int) -> dict[str, Any] | None:
        """All that the big view shows of a row."""
        row = self.browser.row(n)
        if row is None:
            return None
        cluster = row.get("cluster_id")
        twins = [] if cluster is None else self.browser.ask({"cluster": cluster}, limit=24).rows
        return {
            "row": {key: _plain(value) for key, value in row.items()},
            "explain": self.collection.explain(n),
            "places": self.browser.places(n),
            "credit": self._credit(row),
            "twins": [twin for twin in twins if twin["n"] != n],
            "said": self.mine(n),
        }

    def _credit(self, row: dict[str, Any]) -> str:
        if row.get("attribution_line"):
            return str(row["attribution_line"])
        if not row.get("license"):
            return ""
        try:
            return attribution_line(
                title=row["title"],
                file_page_url=row["file_page_url"] or "",
                license=row["license"],
                family=row.get("family") or "",
                license_short_name=row.get("license_short_name"),
                license_url=row.get("license_url"),
                artist=row.get("artist"),
                attribution=row.get("attribution"),
                artist_url=row.get("artist_url"),
            )
        except (Expected, ValueError):
            return ""

    # -- thresholds ------------------------------------------------------------------------------

    def bounds(self) -> list[dict[str, Any]]:
        """Rules with one bound on a number: rule, value, column, side, bound."""
        recipe = self.collection.recipe
        if recipe is None or self.collection.outcome is None:
            return []
        return [found for rule in recipe.rules for found in _bound_of(rule, self.browser.numbers)]

    def moved(self, changes: Sequence[str]) -> dict[str, Any]:
        """What other thresholds would do: kept, and the rows that come in and go.

        Raises:
            pipelines.recipe.RecipeError: a change names nothing of the recipe.
        """
        outcome, recipe = self.collection.outcome, self.collection.recipe
        if outcome is None or recipe is None:
            raise ReadOnlyPage("There is no recipe behind this page whose thresholds could move.")
        new = changed_recipe(recipe, changes)
        known = {"twin", "labels", "severity", "undecided", "leak_distance", "leak_of", "split"}
        names = [
            name
            for name in outcome.facts.column_names
            if name not in known and not name.startswith("severity.") and name != "cluster_id"
        ]
        table = outcome.facts.select(names)
        after = decide(table, new, recipe_hash="moved", twins=outcome.twins)
        pages = outcome.facts.column("page_id").to_pylist()
        sha1s = outcome.facts.column("sha1").to_pylist()
        before = np.asarray(outcome.kept.to_numpy(zero_copy_only=False), dtype=bool)
        now = np.asarray(after.kept.to_numpy(zero_copy_only=False), dtype=bool)
        sides: dict[str, list[int]] = {}
        for name, where in (("entering", now & ~before), ("leaving", before & ~now)):
            places = (self._place.get((pages[i], sha1s[i])) for i in np.flatnonzero(where).tolist())
            sides[name] = [n for n in places if n is not None]
        return {
            "kept_before": int(before.sum()),
            "kept_after": int(now.sum()),
            "counts": {name: len(ns) for name, ns in sides.items()},
            **{name: ns[:SHOWN_MOVES] for name, ns in sides.items()},
        }

    def save_recipe(self, changes: Sequence[str], name: str) -> Path:
        """Writes the recipe with these changes beside the build: recipes/<name>.yaml; an old one stays.

        Raises:
            Expected: there is such a file, or the name is none.
        """
        recipe, out = self.collection.recipe, self.collection.out
        if recipe is None or out is None:
            raise ReadOnlyPage("There is no recipe behind this page.")
        return save_recipe(changed_recipe(recipe, changes), out, name)


def _bound_of(rule: Rule, numbers: Sequence[str]) -> list[dict[str, Any]]:
    column = rule.value.replace("severity.", "severity_")
    for beginning in ("measure.", "score."):
        column = column.removeprefix(beginning)
    column = "year" if column == "upload_year" else column
    sides = [(side, getattr(rule, side)) for side in ("min", "max")]
    return [
        {"rule": rule.name, "column": column, "side": side, "bound": bound, "why": rule.why}
        for side, bound in sides
        if bound is not None and column in numbers
    ]


def _plain(value: Any) -> Any:
    """As JSON takes it."""
    return value.isoformat() if hasattr(value, "isoformat") else value
