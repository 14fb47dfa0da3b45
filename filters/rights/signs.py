"""The table of signs: what category names of a file page mean for its release, and where each name was seen.

The table is signs.toml. A row has a name (the reason of a verdict, and what a recipe switches off), an outcome, a
sentence for people, shapes (filters/rights/words.py) and the names that were seen, with their sources. A name that no
public file shows is matched by its shape, if at all; it is never listed as seen. docs/licenses.md is made from it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from filters.rights.words import Holds, Near, Only, Person, of, phrase, words

Kind = Literal["state", "review", "restriction", "subject", "made", "content"]
Outcome = Literal["quarantine", "reject"]


class Shape(Protocol):
    """One of the shapes of filters/rights/words.py."""

    @property
    def first(self) -> frozenset[str]:
        """Words of which one has to be there at all."""
        ...

    def __call__(self, said: Sequence[str]) -> bool:
        """Whether these words have the shape."""
        ...


KINDS: dict[Kind, str] = {
    "state": "maintenance states",
    "review": "review states",
    "restriction": "restrictions beside copyright",
    "subject": "what is shown",
    "made": "made or changed by a program",
    "content": "content that is no photograph of one's own",
}
"""In the order of the table."""


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One row of the table."""

    name: str
    """Reason of the verdict, and what a recipe switches off."""
    kind: Kind
    outcome: Outcome
    means: str
    """For people: what it says about the file."""
    shapes: tuple[Shape, ...]
    seen: tuple[tuple[str, str], ...] = ()
    """(category, key of `sources()`): names that a public file shows."""
    cc_only: bool = False
    """Counts only where the license asks for a credit."""

    def matches(self, name: str) -> bool:
        """Whether a category of this name is this sign."""
        said = words(name)
        return any(shape(said) for shape in self.shapes)


@cache
def _table() -> dict[str, Any]:
    with Path(__file__).with_name("signs.toml").open("rb") as file:
        return tomllib.load(file)


def sources() -> dict[str, str]:
    """Key -> the public file in which names of the table stand."""
    return dict(_table()["sources"])


@cache
def signs() -> tuple[Sign, ...]:
    """The rows in the order in which they are asked; of several that speak, one that rejects gives the reason."""
    table = _table()
    return tuple(
        Sign(
            name=row["name"],
            kind=cast(Kind, row["kind"]),
            outcome=cast(Outcome, row["outcome"]),
            means=row["means"],
            shapes=tuple(_shape(shape, table["words"]) for shape in row["shapes"]),
            seen=tuple((name, source) for name, source in row.get("seen", [])),
            cc_only=bool(row.get("cc_only", False)),
        )
        for row in table["sign"]
    )


def _shape(row: Mapping[str, Any], known: Mapping[str, str]) -> Shape:
    def those(key: str) -> frozenset[str]:
        said = str(row.get(key, "")).split()
        return frozenset(
            one
            for word in said
            for one in (of(known[word[1:]]) if word.startswith("@") else {word})
        )

    unless = those("unless")
    if "near" in row:
        return Near(these=those("near"), those=those("those"), gap=row["gap"], unless=unless)
    if "holds" in row:
        return Holds(these=those("holds"), unless=unless)
    if "only" in row:
        return Only(core=those("only"), also=those("also"))
    if "person" in row:
        return Person(these=those("person"), art=unless, first_only=bool(row.get("first", False)))
    return phrase(row["phrase"], unless=" ".join(unless))


@cache
def _by_word() -> dict[str, list[tuple[int, Shape]]]:
    """Word -> (row, shape) of the shapes that need it or another of their first words: most names have none of them."""
    found: dict[str, list[tuple[int, Shape]]] = {}
    for row, sign in enumerate(signs()):
        for shape in sign.shapes:
            for word in shape.first:
                found.setdefault(word, []).append((row, shape))
    return found


def _rows_in(text: str) -> tuple[int, ...]:
    said = words(text)
    known = _by_word()
    rows: set[int] = set()
    for word in set(said):
        rows.update(row for row, shape in known.get(word, ()) if row not in rows and shape(said))
    return tuple(sorted(rows))


_SHORT = 300
_rows_of_name = lru_cache(maxsize=65536)(_rows_in)


def signs_in_text(text: str) -> list[Sign]:
    """The signs that running text is, in the table's order."""
    # Short texts are the same on many pages.
    rows = _rows_of_name(text) if len(text) <= _SHORT else _rows_in(text)
    return [signs()[row] for row in rows]


def signs_of(names: Iterable[str], *, credited: bool) -> list[tuple[Sign, str]]:
    """The signs in a file's categories, each with the category that it stands in; in the table's order.

    Args:
        names: categories without the `Category:` prefix.
        credited: the license asks for a credit.
    """
    found: dict[int, str] = {}
    for name in names:
        for row in _rows_of_name(name):
            found.setdefault(row, name)
    table = signs()
    rows = sorted(row for row in found if credited or not table[row].cc_only)
    return [(table[row], found[row]) for row in rows]
