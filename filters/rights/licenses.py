"""License names on file pages: which family a category or a text names, and which public-domain tags give a reason.

CommonsMetadata hands on one license of a page and prefers "public domain" over any other, so `pd` beside any other
license is a claim to be checked, and two licenses may belong to two works.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from filters.rights.words import words

Family = Literal["cc", "gfdl", "fal", "government", "attribution", "software", "other"]

UPKEEP = re.compile(
    r"missing|\bSDC\b|\bneed(s|ing|ed)?\b|\bdefault\b|\breview|\bcheck(ed)?\b|\bunclear\b|\bunknown\b|\bcandidates?\b|"
    r"\bdisputed\b|\bpending\b|\bwithout\b|\bno (reason|source|author)\b|\bmaintenance\b|\btracking\b|\bto be\b|"
    r"\btemplates?\b|\btags?\b|\bcountry\b|\bparameter|\berror|\binvalid\b|\bwarning\b|\bdeprecated\b|\bproblem|"
    r"\bwith(?:out)? (?:a )?(?:year|date)\b|\bnot\b(?! renewed)|\bfix|\bmigration\b",
    re.IGNORECASE,
)
"""What makes a name one of upkeep: it speaks of a tag and is none: neither evidence nor part of a license id."""
_LIKE_UPKEEP = frozenset(
    ("pd-uk-unknown", "pd-eu-no author disclosure", "pd-us-no notice", "pd-us-no copyright notice")
)
"""Tags whose own names read like upkeep."""

_CC = re.compile(
    r"(?:self-published work )?CC[- ](?P<kind>(?:BY|SA|NC|ND|SAMPLING\+?)(?:-(?:BY|SA|NC|ND|SAMPLING\+?))*)"
    r"(?:[- ](?P<rest>.*))?\Z",
    re.IGNORECASE,
)
_MIGRATION = re.compile(r"License migration\b", re.IGNORECASE)
"""Upkeep of 2009 that stands only on pages with a GFDL tag."""
_VERSION = re.compile(r"\d\.\d")
_MIGRATED = re.compile(r"-migrated", re.IGNORECASE)


class _Tables(NamedTuple):
    """licenses.toml, ready to match."""

    families: list[tuple[Family, re.Pattern[str]]]
    text: list[tuple[Family, re.Pattern[str]]]
    tags: list[tuple[str, re.Pattern[str]]]
    """(why a file under such a tag is in the public domain, name after `PD-`)."""
    countries: frozenset[str]


@cache
def tables() -> _Tables:
    """The tables of this module, from licenses.toml beside it."""
    with Path(__file__).with_name("licenses.toml").open("rb") as file:
        said = tomllib.load(file)

    def any_of(rows: list[str], *, whole: bool) -> re.Pattern[str]:
        pattern = "|".join(rows)
        return re.compile(rf"(?:{pattern})\Z" if whole else pattern, re.IGNORECASE)

    return _Tables(
        families=[(name, any_of(rows, whole=True)) for name, rows in said["families"].items()],
        text=[(name, any_of(rows, whole=False)) for name, rows in said["text"].items()],
        tags=[
            (
                tag["reason"],
                any_of([name.replace("{term}", _TERM) for name in tag["names"]], whole=True),
            )
            for tag in said["tags"]
        ],
        countries=frozenset(" ".join(said["countries"]["names"].split()).split(", ")),
    )


class CC(NamedTuple):
    """A Creative Commons license as a category names it."""

    kind: str
    """by, by-sa, by-nc-nd, ... in lower case."""
    versions: tuple[str, ...]
    """Several where one template offers several; empty where the name has none."""
    migrated: bool
    """Part of an offer under the GFDL that was moved to this license in 2009."""

    @property
    def free(self) -> bool:
        """Neither non-commercial nor without derivatives."""
        return self.kind in ("by", "by-sa")


@lru_cache(maxsize=65536)
def cc_of(name: str) -> CC | None:
    """The CC license that a category names; None for another name, CC0 and the Public Domain Mark."""
    match = _CC.match(name.strip())
    if match is None or UPKEEP.search(name):
        return None
    rest = match["rest"] or ""
    if rest and not re.match(
        r"(?:[a-z]{2,3}[- ])?\d|any|all|migrated|old|self|dual", rest, re.IGNORECASE
    ):
        return None
    return CC(match["kind"].lower(), tuple(_VERSION.findall(rest)), bool(_MIGRATED.search(name)))


@lru_cache(maxsize=65536)
def family_of(name: str) -> Family | None:
    """The family of licenses that a category names; None where it names none, or is one of upkeep."""
    if cc_of(name) is not None:
        return "cc"
    if _MIGRATION.match(name.strip()):
        return "gfdl"
    if UPKEEP.search(name):
        return None
    return next(
        (family for family, pattern in tables().families if pattern.match(name.strip())), None
    )


def families_in_text(*texts: str | None) -> set[Family]:
    """The families of licenses that texts or addresses name."""
    joined = " ".join(text for text in texts if text)
    return {family for family, pattern in tables().text if pattern.search(joined)}


_TERM = r"(old|anon|scan|US)?[- ]?(auto|\d{2,4})(-(\d{2,4}|expired|auto|1923|1996|unpublished))*"
_UNTOLD = re.compile(r"because|reason|link", re.IGNORECASE)
NO_PHOTOGRAPH = re.compile(
    r"PD[- ](algorithm|ineligible|shape|text\b|textlogo|simple|chem|math|layout|font|signature|trivial|logo|music|map)",
    re.IGNORECASE,
)
"""Tags for what is too simple for copyright, or was made by a program: photographs are neither."""
_NOT_PD = re.compile(
    r"^(CC-PD-Mark|CC-Zero|CC0|Cc-pd)\b|^Author died more than \d+ years ago", re.IGNORECASE
)
_PD = re.compile(r"^PD[- ](?P<rest>.+)$", re.IGNORECASE)


@lru_cache(maxsize=65536)
def pd_reason(name: str) -> str | None:
    """Why a public-domain tag of this name says that a file is free; None where it gives no reason that we accept.

    >>> pd_reason("PD-old-70")
    "term over: years since the author's death"
    >>> pd_reason("PD-Art (PD-old default)") is None
    True
    """
    name = name.strip()
    if NO_PHOTOGRAPH.match(name) or (UPKEEP.search(name) and name.lower() not in _LIKE_UPKEEP):
        return None
    if _NOT_PD.match(name):
        return "given up, or marked as free of known copyright, by a named rule"
    match = _PD.match(name)
    if match is None:
        return None
    rest = match["rest"]
    if _UNTOLD.fullmatch(rest):
        return None
    for reason, pattern in tables().tags:
        if pattern.match(rest):
            return reason
    country = words(re.sub(r"\d+", " ", rest))
    if country and ({country[0], " ".join(country[:2])} & tables().countries):
        return "law of the country named"
    return None


def pd_evidence(names: Iterable[str]) -> str | None:
    """The first category, in their order, that gives an accepted reason; None without one."""
    return next((name for name in names if pd_reason(name)), None)
