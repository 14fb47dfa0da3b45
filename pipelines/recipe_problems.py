"""What pydantic found in a recipe, as sentences for people: where, what, and the nearest key that exists."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ValidationError

from catalog.plugins import nearest
from crawler.walkers import source_kinds


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """What pydantic found in a `model`, a sentence each: where, what, and the nearest valid key."""
    return [_explain(problem, model) for problem in error.errors()]


def _explain(problem: Any, model: type[BaseModel]) -> str:
    """One problem of pydantic's as a sentence with the place and, for unknown keys, the nearest valid key."""
    place = ".".join(str(step) for step in problem["loc"])
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        *parents, key = problem["loc"]
        valid = _field_names(model, parents)
        hint = f"; did you mean {nearest(str(key), valid)!r}?" if valid else "."
        return f"unknown key {str(key)!r} at {place}{hint}"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        kinds = source_kinds()
        given = problem.get("ctx", {}).get("tag")
        said = "needs a kind" if given is None else f"has an unknown kind {given!r}"
        hint = "" if given is None else f"; did you mean {nearest(str(given), kinds)!r}?"
        return f"{place} {said}{hint} (there are: {', '.join(kinds)})"
    if problem["type"] == "missing":
        return f"{place}: this key is missing"
    said = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    given = problem.get("input")
    if isinstance(given, str | int | float | bool) and "rror" not in problem["type"]:
        said = f"{said[:1].lower()}{said[1:]}, not {given!r}"
    return f"{place or 'recipe'}: {said}"


def _field_names(model: Any, path: Sequence[str | int]) -> list[str]:
    """Names of the fields of the section at `path` below `model`."""
    if typing.get_origin(model) is Annotated:
        return _field_names(typing.get_args(model)[0], path)
    if typing.get_origin(model) is tuple:
        return _field_names(typing.get_args(model)[0], path[1:])
    if typing.get_origin(model) in (types.UnionType, typing.Union):
        members = [m for m in typing.get_args(model) if m is not types.NoneType]
        if len(members) == 1:
            return _field_names(members[0], path)
        # A tagged union: the first step is the tag, the default of the member's `kind`.
        tagged = [m for m in members if path and getattr(m, "kind", None) == path[0]]
        return _field_names(tagged[0], path[1:]) if tagged else []
    if not (is_dataclass(model) or hasattr(model, "model_fields")):
        return []
    hints = typing.get_type_hints(model, include_extras=True)
    names = [f.name for f in fields(model)] if is_dataclass(model) else list(model.model_fields)
    if not path:
        return names
    return _field_names(hints[str(path[0])], path[1:]) if path[0] in hints else []
