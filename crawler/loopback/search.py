"""Search of the embedded Commons: plain words, and the keywords of CirrusSearch that a crawl uses.

Keywords: `incategory:"A|B"`, `filemime:`, `filetype:bitmap|drawing`, `filesize:` (KiB), `filew:`/`filewidth:`,
`fileh:`/`fileheight:`, `fileres:`, `haswbstatement:P=Q|...`, `creationdate:>=YYYY-MM-DD` (also <, <=, > or nothing
before it, and YYYY-MM or YYYY for a whole month or year); a leading - negates. Numbers: `>n` is at least, `<n` at most,
`a,b` a closed range, and bare `n` at least for sizes, else exactly. A size of n KiB is n * 1024 bytes, no rounding.
A MediaWiki without CirrusSearch finds nothing for keywords, so these stand outside of the contract tests. Any other
keyword finds nothing and is named in a warning.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence

from crawler.loopback.pages import Page, StoredFile

_PART = re.compile(
    r'(?P<no>[-!]?)(?:(?P<key>[A-Za-z]+):(?P<value>"[^"]*"|\S+)|(?P<word>"[^"]*"|\S+))'
)
_NUMBERS: dict[str, Callable[[StoredFile], float]] = {
    "filesize": lambda f: f.size_bytes / 1024,
    "filew": lambda f: f.width,
    "filewidth": lambda f: f.width,
    "fileh": lambda f: f.height,
    "fileheight": lambda f: f.height,
    "fileres": lambda f: math.isqrt(f.width * f.height),
}


def matching_files(
    files: Sequence[Page], query: str, *, titles_only: bool
) -> tuple[list[Page], list[str]]:
    """Pages of `files` that match all parts of the query, in their order, and what could not be understood."""
    tests: list[Callable[[Page, StoredFile], bool]] = []
    problems: list[str] = []
    for part in _PART.finditer(query):
        test = _test(part.group("key"), part.group("value"), part.group("word"), titles_only)
        if test is None:
            problems.append(f'The embedded Commons cannot search for "{part.group()}".')
        elif part.group("no"):
            tests.append(lambda page, stored, test=test: not test(page, stored))
        else:
            tests.append(test)
    if problems:
        return [], problems
    found = [p for p in files if p.file is not None and all(t(p, p.file) for t in tests)]
    return found, []


def _test(
    key: str | None, value: str | None, word: str | None, titles_only: bool
) -> Callable[[Page, StoredFile], bool] | None:
    if word is not None:
        text = word.strip('"').lower()
        whole = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
        if titles_only:
            return lambda page, stored: bool(whole.search(page.title.name.lower()))
        return lambda page, stored: bool(whole.search(stored.words))
    assert key is not None and value is not None
    name, wanted = key.lower(), value.strip('"')
    options = wanted.split("|")
    if name == "incategory":
        titles = {o.replace("_", " ").strip() for o in options}
        titles = {t[:1].upper() + t[1:] for t in titles}
        return lambda page, stored: not titles.isdisjoint(page.categories)
    if name == "filemime":
        return lambda page, stored: stored.mime in options
    if name == "filetype":
        return lambda page, stored: stored.media_type.lower() in {o.lower() for o in options}
    if name == "haswbstatement":
        pairs = [option.partition("=")[::2] for option in options]
        return lambda page, stored: any(
            item in stored.statements.get(prop, []) if item else prop in stored.statements
            for prop, item in pairs
        )
    if name == "creationdate":
        return _creation_date(wanted)
    if name in _NUMBERS:
        span = _span(wanted, least=name == "filesize")
        if span is None:
            return None
        low, high = span
        return lambda page, stored: low <= _NUMBERS[name](stored) <= high
    return None


def _creation_date(text: str) -> Callable[[Page, StoredFile], bool] | None:
    """`>=2010-05-01`, `<2010-06`, `2010` and so on; the upload stands for the creation of the page."""
    found = re.fullmatch(r"(>=|<=|>|<|)(\d{4}(?:-\d{2}(?:-\d{2})?)?)", text)
    if found is None:
        return None
    compare = {
        ">=": operator.ge,
        "<=": operator.le,
        ">": operator.gt,
        "<": operator.lt,
        "": operator.eq,
    }
    ordered, span = compare[found.group(1)], found.group(2)
    # Days, months and years are compared as such: `<=2010` is up to the end of it, `>2010` from the next year on.
    return lambda page, stored: ordered(stored.timestamp[: len(span)], span)


def _span(text: str, *, least: bool) -> tuple[float, float] | None:
    """Both ends of a numeric condition; None where CirrusSearch would not understand it either."""
    found = re.fullmatch(r"([<>]?)(\d+)(?:,(\d+))?", text)
    if found is None or (found.group(1) and found.group(3)):
        return None
    number = float(found.group(2))
    if found.group(3):
        return number, float(found.group(3))
    if found.group(1) == "<":
        return -math.inf, number
    if found.group(1) == ">" or least:
        return number, math.inf
    return number, number
