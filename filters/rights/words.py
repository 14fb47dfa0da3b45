"""Names of categories and templates as words, and the few shapes in which Commons' upkeep names say something.

A regular expression for all names reads what nobody meant; here a name is cut into words, and a shape asks which words
stand together. So "Media without a license as of 20 November 2026" and a name that nobody has seen yet, "Files lacking
a source (video)", are the same shape, while "Pages with local coordinates and missing SDC coordinates" is none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:['\u2019]s?(?=\W|$))?")
_DATE = re.compile(r"\s+(?:as of|since)\s+.*$", re.IGNORECASE)
_SPELLING = {
    "licence": "license",
    "licences": "license",
    "licensed": "license",
    "licenses": "license",
    "licensing": "license",
    "licencing": "license",
    "permissions": "permission",
    "sources": "source",
    "authors": "author",
    "copyrights": "copyright",
    "nonfree": "unfree",
    "fop": "fop",
}
_MODEL = (
    # Upper case: Ai is a name, and so is Ki.
    (re.compile(r"\b(?:AI|A\.I\.|KI|IA)(?=\W|$)"), "aimodel"),
    (re.compile(r"\bai(?=-[a-z])"), "aimodel"),
    (re.compile(r"\bGANs?(?=[- ][Gg]enerated)"), "aimodel"),
    (
        re.compile(
            r"\b(?:artificial[- ]intelligence|machine[- ]learning|neural[- ]networks?|diffusion models?|"
            r"intelligence artificielle|k\u00fcnstliche[rn]? intelligenz|intelig[e\u00ea]ncia artificial|"
            r"intelligenza artificiale|kunstmatige intelligentie|sztuczn\w+ inteligencj\w+|"
            r"\u0438\u0441\u043a\u0443\u0441\u0441\u0442\u0432\u0435\u043d\u043d\w+ "
            r"\u0438\u043d\u0442\u0435\u043b\u043b\u0435\u043a\u0442\w*|\u043d\u0435\u0439\u0440\u043e\u0441\u0435\u0442\w+)\b",
            re.IGNORECASE,
        ),
        "aimodel",
    ),
)
_JOINED = (
    (re.compile(r"\bnon[- ]free\b"), "unfree"),
    (re.compile(r"\bnot[- ]free\b"), "unfree"),
    (re.compile(r"\bno[- ]?fop\b"), "nofop"),
    (re.compile(r"\bmachine[- ]readable\b"), "machinereadable"),
    (re.compile(r"\bstructured data( on commons)?\b"), "sdc"),
    (re.compile(r"\bre[- ]review"), "review"),
    (re.compile(r"\bdall[-\u00b7\u2022 .]?e\b"), "dalle"),
    (re.compile(r"\btext[- ]to[- ]image\b"), "texttoimage"),
    (re.compile(r"\btext[- ]to[- ]video\b"), "texttovideo"),
    (re.compile(r"\bdeep[- ]dream generator\b"), "deepdream"),
    (re.compile(r"\bbing image creator\b"), "bingimagecreator"),
    (re.compile(r"\bleonardo[. ]ai\b"), "leonardoai"),
    (re.compile(r"\bnano[- ]banana\b"), "nanobanana"),
    (re.compile(r"\bstable[- ]diffusion\b"), "stablediffusion"),
    (re.compile(r"\bnon[- ]commercial\b"), "noncommercial"),
    (re.compile(r"\bsuper[- ]resolution\b"), "superresolution"),
    (re.compile(r"\bspeedydelet"), "speedy delet"),
    (re.compile(r"\bcopy[- ]vio"), "copyvio"),
)


def words(name: str) -> tuple[str, ...]:
    """The words of a name: lower case, one spelling for license, without the date of an upkeep category.

    >>> words("Media without a licence as of 20 November 2026")
    ('media', 'without', 'a', 'license')
    """
    text = unicodedata.normalize("NFKC", name).replace("_", " ")
    text = _DATE.sub("", text)
    for pattern, one in _MODEL:
        text = pattern.sub(one, text)
    text = text.lower()
    for pattern, one in _JOINED:
        text = pattern.sub(one, text)
    found: list[str] = _WORD.findall(text)
    return tuple(_SPELLING.get(word, word) for word in found)


@dataclass(frozen=True, kw_only=True)
class Near:
    """One word of `these` within `gap` places of one of `those`, in either order."""

    these: frozenset[str]
    those: frozenset[str]
    gap: int = 3
    unless: frozenset[str] = frozenset()
    """Words that excuse the whole name."""

    @property
    def first(self) -> frozenset[str]:
        """Words of which one has to be there at all: what a name is looked up by."""
        return self.these

    def __call__(self, said: Sequence[str]) -> bool:
        """Whether the words have this shape."""
        if self.unless.intersection(said):
            return False
        here = [place for place, word in enumerate(said) if word in self.these]
        there = [place for place, word in enumerate(said) if word in self.those]
        return any(0 < abs(i - j) <= self.gap for i in here for j in there)


@dataclass(frozen=True, kw_only=True)
class Holds:
    """Any one of these words, wherever it stands."""

    these: frozenset[str]
    unless: frozenset[str] = frozenset()
    """Words that excuse the whole name."""

    @property
    def first(self) -> frozenset[str]:
        """Words of which one has to be there at all: what a name is looked up by."""
        return self.these

    def __call__(self, said: Sequence[str]) -> bool:
        """Whether the words have this shape."""
        return bool(self.these.intersection(said)) and not self.unless.intersection(said)


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """Words that follow each other, as a pattern over the words with single blanks between them."""

    pattern: re.Pattern[str]
    words: frozenset[str]
    """All words of the pattern."""
    unless: frozenset[str] = frozenset()
    """Words that excuse the whole name."""

    @property
    def first(self) -> frozenset[str]:
        """Words of which one has to be there at all: what a name is looked up by."""
        return self.words

    def __call__(self, said: Sequence[str]) -> bool:
        """Whether the words have this shape."""
        found = self.pattern.search(" ".join(said)) is not None
        return found and not self.unless.intersection(said)


@dataclass(frozen=True, kw_only=True)
class Only:
    """Nothing but these words, and one of `core` among them."""

    core: frozenset[str]
    also: frozenset[str]

    @property
    def first(self) -> frozenset[str]:
        """Words of which one has to be there at all: what a name is looked up by."""
        return self.core

    def __call__(self, said: Sequence[str]) -> bool:
        """Whether the words have this shape."""
        return bool(self.core.intersection(said)) and set(said) <= self.core | self.also


@dataclass(frozen=True, kw_only=True)
class Person:
    """One of these persons as what is shown: "Girls in Peru", not "Girls' schools in Peru", nor a statue of a girl."""

    these: frozenset[str]
    art: frozenset[str]
    """Words of works of art, whose subjects have no rights of their own."""
    first_only: bool = False
    """The word counts only at the head of the name, because it has other meanings (kids, babies)."""

    @property
    def first(self) -> frozenset[str]:
        """Words of which one has to be there at all: what a name is looked up by."""
        return self.these

    def __call__(self, said: Sequence[str]) -> bool:
        """Whether the words have this shape."""
        if self.art.intersection(said):
            return False
        for place, word in enumerate(said):
            before = said[place - 1] if place else ""
            after = said[place + 1] if place + 1 < len(said) else ""
            # "Hospitals for children", "Monuments to children", "Girl Scouts", "Boys band": something else is shown.
            if word not in self.these or before in ("for", "to", "by"):
                continue
            if self.first_only and before not in ("", "human", "male", "female", "newborn"):
                continue
            if after in _AFTER_PERSON or after.endswith("ing"):
                return True
        return False


_AFTER_PERSON = frozenset(
    (
        *(
            "",
            "of",
            "in",
            "with",
            "by",
            "at",
            "and",
            "from",
            "on",
            "aged",
            "during",
            "as",
            "who",
            "or",
            "under",
        ),
        *(
            "soldiers",
            "actors",
            "actresses",
            "models",
            "dancers",
            "musicians",
            "laborers",
            "workers",
            "athletes",
        ),
    )
)


def phrase(pattern: str, *, unless: str = "") -> Phrase:
    """A shape of words that follow each other."""
    # An optional letter at a word's end (`photos?`) makes two words of one.
    said = re.findall(r"[^\W\d_]+\??", pattern)
    both = {
        form for word in said for form in (word.rstrip("?"), word[:-2] if word[-1] == "?" else word)
    }
    return Phrase(
        pattern=re.compile(rf"\b(?:{pattern})\b"), words=frozenset(both), unless=of(unless)
    )


def of(text: str) -> frozenset[str]:
    """A set of words, written with blanks between them."""
    return frozenset(text.split())
