"""The one check of an answer's shape, at the door of the API: what passes can be walked without looking twice.

An answer that is no JSON object, or whose frame (query, pages, error, warnings, continue) has other types than
MediaWiki gives, is damaged as a whole and asked for again. What is wrong inside of one page is left out of that page
and is then absent, which plausible.py tells: one damaged file must not cost the other 49.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

MOST_DEPTH = 40
"""Levels of nesting; MediaWiki's answers have about ten."""
MOST_MEMORY_BYTES = 120_000_000
"""What an answer may take as Python's objects; a normal one takes three."""
LONGEST_NUMBER = 40
"""Digits; longer ones are no number that anybody counts with."""
_LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")
_INSIDE, _PIECE = bytes(range(0x80, 0xC0)), 2**20
"""Bytes that go on with a letter of UTF-8; how much is looked at in one go."""
_OBJECT_BYTES, _VALUE_BYTES = 230, 90
"""A small dict; any other value with its place in a container."""


class BadAnswer(ValueError):
    """No answer of an API; the message says in what way."""


def read_answer(body: bytes | bytearray, *, lenient: bool = False) -> dict[str, Any]:
    """The checked answer.

    Args:
        body: a bytearray is empty afterwards, so that a large answer is not in memory twice.
        lenient: bytes that are no UTF-8 become U+FFFD instead of an error: asking again did not help.

    Raises:
        BadAnswer: see there.
    """
    if _memory_of(body) > MOST_MEMORY_BYTES:
        raise BadAnswer(f"{len(body)} bytes that would not fit into memory as an answer")
    try:
        text = body.decode("utf-8-sig", "replace" if lenient else "strict")
    except UnicodeDecodeError as error:
        raise BadAnswer("bytes that are no UTF-8") from error
    escaped = b"\\u" in body
    if isinstance(body, bytearray):
        body.clear()
    try:
        answer = json.loads(
            text, parse_int=_integer, parse_float=_float, parse_constant=lambda name: None
        )
    except (ValueError, RecursionError) as error:
        raise BadAnswer("no JSON") from error
    if not isinstance(answer, dict):
        raise BadAnswer(f"JSON that is no object but {_kind(answer)}")
    answer = _plain(answer, clean=escaped)
    return _framed(answer)


def _memory_of(body: bytes | bytearray) -> int:
    """Bytes that the text and the objects of a JSON take at most, from a count of its signs."""
    # A string takes 1, 2 or 4 bytes a character, by the widest that is in it.
    wide = 4 if re.search(rb"[\xf0-\xff]|\\u[dD][89abAB]", body) else 2
    narrow = body.isascii() and b"\\u" not in body
    texts = 2 * len(body) * (1 if narrow else wide)
    if not body.isascii():
        # Wider characters also took more bytes in the body.
        letters = sum(
            len(body[start : start + _PIECE].translate(None, _INSIDE))
            for start in range(0, len(body), _PIECE)
        )
        texts = min(texts, 2 * letters * wide)
    signs = body.count(b",") + body.count(b"[") + body.count(b":")
    return texts + _OBJECT_BYTES * body.count(b"{") + _VALUE_BYTES * signs


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= LONGEST_NUMBER else None


def _float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _kind(value: Any) -> str:
    names = {type(None): "null", list: "a list", str: "a text", bool: "a truth"}
    return names.get(type(value), "a number")


def _plain(answer: dict[str, Any], *, clean: bool) -> dict[str, Any]:
    """The same without lone surrogates, which no file can hold; nested no deeper than MOST_DEPTH.

    Raises:
        BadAnswer: it is nested deeper.
    """
    level: list[Any] = [answer]
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for held in level:
            pairs = list(held.items() if isinstance(held, dict) else enumerate(held))
            for key, value in pairs:
                if clean and isinstance(value, str) and _LONE_SURROGATES.search(value):
                    held[key] = _LONE_SURROGATES.sub("\ufffd", value)
                elif isinstance(value, dict | list):
                    below.append(value)
                if clean and isinstance(key, str) and _LONE_SURROGATES.search(key):
                    held[_LONE_SURROGATES.sub("\ufffd", key)] = held.pop(key)
        if not below:
            return answer
        level = below
    raise BadAnswer(f"JSON that is nested more than {MOST_DEPTH} levels deep")


def _framed(answer: dict[str, Any]) -> dict[str, Any]:
    """With every part of the frame of its type. PHP's empty array has no keys and comes as a list."""
    for name in ("query", "continue", "warnings", "error", "entities"):
        if name not in answer:
            continue
        if answer[name] in (None, []):
            del answer[name]
        elif not isinstance(answer[name], dict):
            raise BadAnswer(f"{name} is {_kind(answer[name])}")
    error = answer.get("error")
    if error is not None and not isinstance(error.get("code"), str):
        raise BadAnswer("an error without a code")
    for name, value in answer.get("continue", {}).items():
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise BadAnswer(f"continue.{name} is {_kind(value)}")
        if name.endswith("offset") and not str(value).isdecimal():
            raise BadAnswer(f"continue.{name} is no number")
    for name, said in list(answer.get("warnings", {}).items()):
        if not isinstance(said, dict | str):
            raise BadAnswer(f"warnings.{name} is {_kind(said)}")
    for name, entity in answer.get("entities", {}).items():
        if not isinstance(entity, dict):
            raise BadAnswer(f"entities.{name} is {_kind(entity)}")
    if "query" in answer:
        _check_query(answer["query"])
    return answer


_LISTS = (
    *("normalized", "redirects", "categorymembers", "allcategories", "allimages", "search"),
    *("logevents", "badrevids"),
)


def _check_query(query: dict[str, Any]) -> None:
    if isinstance(query.get("pages"), dict):
        query["pages"] = list(query["pages"].values())
    for name in ("pages", *_LISTS):
        if name not in query:
            continue
        rows = query[name]
        if isinstance(rows, dict) and name == "badrevids":
            continue
        if not isinstance(rows, list):
            raise BadAnswer(f"query.{name} is {_kind(rows) if rows != {} else 'an object'}")
        for row in rows:
            if not isinstance(row, dict):
                raise BadAnswer(f"query.{name} holds {_kind(row)}")
    for name in ("general", "searchinfo"):
        if name in query and not isinstance(query[name], dict):
            raise BadAnswer(f"query.{name} is {_kind(query[name])}")
    for move in (*query.get("normalized", ()), *query.get("redirects", ())):
        if not isinstance(move.get("from"), str) or not isinstance(move.get("to"), str):
            raise BadAnswer("a redirect without from and to")
    for page in query.get("pages", ()):
        _keep(page, _PAGE)
    for name in ("categorymembers", "allcategories", "allimages", "search"):
        for row in query.get(name, ()):
            _keep(row, _ROW)
    _keep(query.get("searchinfo", {}), {"totalhits": _whole})


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _counters(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _whole(value[name]) for name in ("size", "files", "subcats", "pages") if name in value
    )


def _texts(value: Any) -> bool:
    """Revisions of a page, whose slots are objects."""
    return _objects(value) and all(
        isinstance(slots := row.get("slots", {}), dict)
        and all(isinstance(slot, dict) for slot in slots.values())
        for row in (value.values() if isinstance(value, dict) else value)
    )


def _objects(value: Any) -> bool:
    rows = list(value.values()) if isinstance(value, dict) else value
    return isinstance(rows, list) and all(isinstance(row, dict) for row in rows)


_PAGE: dict[str, Callable[[Any], bool]] = {
    "pageid": lambda value: _whole(value) and value > 0,
    "title": _text,
    "ns": lambda value: isinstance(value, int),
    "index": _whole,
    "lastrevid": _whole,
    "imageinfo": _objects,
    "categories": _objects,
    "revisions": _texts,
    "categoryinfo": _counters,
}
_ROW: dict[str, Callable[[Any], bool]] = {
    "pageid": _PAGE["pageid"],
    "title": _text,
    "name": _text,
    "size": _whole,
}


def _keep(row: dict[str, Any], fields: dict[str, Callable[[Any], bool]]) -> None:
    """Leaves out what is not of its type."""
    for name, fits in fields.items():
        if name in row and not fits(row[name]):
            del row[name]
