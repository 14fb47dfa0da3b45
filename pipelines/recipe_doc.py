"""docs/recipe.md and the JSON Schema of recipes, from the types: every key with its unit, default and meaning.

    python -m pipelines.reference            (writes them, and docs/commands.md; `make docs` does the same)

A key's meaning is the docstring under its field, so that there is one place to write it. Without one this fails.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from filters.measures import measure_names
from filters.metrics import metric_names
from pipelines.recipe import GATE_VALUES, MEASURED_VALUES, Recipe

_UNITS = (
    ("_px", "pixels"),
    ("_s", "seconds"),
    ("_mb", "MB"),
    ("_bytes", "bytes"),
    ("_mbit_per_s", "Mbit/s"),
    ("_per_minute", "a minute"),
    ("_days", "days"),
    ("_bits", "bits"),
    ("_share", "0 to 1"),
)


MOST_SHOWN = 120
"""Characters of a default in the page; the recipe's code has the rest."""


class Undocumented(LookupError):
    """A key of a recipe without a docstring under its field."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of a section."""

    name: str
    type: str
    default: str
    """As in YAML; empty where the key has to be given."""
    about: str
    section: type | None
    """What its value is made of, where that is a section itself."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A mapping of a recipe."""

    title: str
    about: str
    keys: tuple[Key, ...]


def sections(model: type = Recipe) -> list[Section]:
    """The recipe and every section below it, each once, in the order in which they are met.

    Raises:
        Undocumented: a key without a docstring.
    """
    return [_section(found, path) for path, found in _walk(model, "", set())]


def markdown() -> str:
    """docs/recipe.md."""
    lines = [
        "# The recipe: every key",
        "",
        "Written by `make docs` from the types; do not edit. A recipe is one YAML file, and nothing else configures a",
        "build. Unknown keys are errors. Editors complete and check it with the JSON Schema beside this page,",
        "",
        "```yaml",
        "# yaml-language-server: $schema=../../docs/recipe.schema.json",
        "```",
        "",
        "as the first line, with the way from the recipe to this folder. Keys without a default have to be given.",
    ]
    for section in sections():
        lines += ["", f"## {section.title}", "", section.about, ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{key.name}` | {key.type} | {_cell(key.default)} | {key.about} |"
            for key in section.keys
        ]
    lines += [
        "",
        "## What rules may look at",
        "",
        "In the gate, before anything is downloaded:",
        "",
    ]
    lines += [", ".join(f"`{value}`" for value in GATE_VALUES) + ".", ""]
    lines += ["Later also:", "", ", ".join(f"`{value}`" for value in MEASURED_VALUES) + ",", ""]
    lines += ["`score.<name>` of a metric, and `measure.<name>` of these:", ""]
    lines += ["| measure | what it is |", "|---|---|"]
    for name in measure_names():
        about = _first_sentence(importlib.import_module(f"filters.measures.{name}"))
        lines.append(f"| `{name}` | {about.replace('|', chr(92) + '|')} |")
    lines += ["", "Metrics:", "", "| metric | what it is |", "|---|---|"]
    for name in metric_names():
        lines.append(
            f"| `{name}` | {_first_sentence(importlib.import_module(f'filters.metrics.{name}'))} |"
        )
    lines.append("| `pyiqa:<name>` | Any no-reference metric of pyiqa, with the extra `iqa`. |")
    return "\n".join(lines) + "\n"


def _cell(default: str) -> str:
    """A default in a cell; patterns hold bars, and long lists are cut."""
    if not default:
        return "required"
    shown = default if len(default) <= MOST_SHOWN else f"{default[:MOST_SHOWN]} ..."
    return f"`{shown}`".replace("|", "\\|")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a recipe, with the docstrings as descriptions, so that editors show them."""
    schema = Recipe.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "LucidLR recipe"
    found = {model.__name__: _section(model, path) for path, model in _walk(Recipe, "", set())}
    for name, part in [("Recipe", schema), *schema.get("$defs", {}).items()]:
        section = found.get(name)
        if section is None:
            continue
        part["description"] = section.about
        for key in section.keys:
            if key.name in part.get("properties", {}):
                part["properties"][key.name]["description"] = key.about
    return schema


def _walk(model: type, path: str, seen: set[type]) -> Iterator[tuple[str, type]]:
    if model in seen:
        return
    seen.add(model)
    yield path, model
    for name, hint in _hints(model).items():
        for inner in _models_in(hint):
            kind = getattr(inner, "kind", None)
            where = f"{path}.{name}" if path else name
            if isinstance(kind, str) and name == "sources":
                where = f"{where}, kind: {kind}"
            yield from _walk(inner, where, seen)


def _section(model: type, path: str) -> Section:
    about = inspect.cleandoc(model.__doc__ or "").replace("\n", " ")
    documented = docstrings(model)
    keys: list[Key] = []
    for name, hint in _hints(model).items():
        inner = _models_in(hint)
        if name == "kind":
            documented[name] = "Says which kind of source this is."
        elif name not in documented and inner:
            documented[name] = _first_sentence(inner[0])
        if name not in documented:
            raise Undocumented(
                f"{model.__module__}.{model.__name__}.{name} has no docstring under its field."
            )
        keys.append(
            Key(
                name=name,
                type=_type(hint, name),
                default=_default(model, name),
                about=documented[name].replace("|", "\\|"),
                section=inner[0] if inner else None,
            )
        )
    return Section(title=f"`{path}`" if path else "The file", about=about, keys=tuple(keys))


def _first_sentence(thing: Any) -> str:
    text = " ".join(inspect.cleandoc(thing.__doc__ or "").split())
    return text.partition(". ")[0].rstrip(".") + "."


def docstrings(model: type) -> dict[str, str]:
    """Field -> the text literal under it, in one line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    body = typing.cast("ast.ClassDef", tree.body[0]).body
    found: dict[str, str] = {}
    for field, after in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            found[field.target.id] = " ".join(after.value.value.split())
    return found


def _hints(model: type) -> dict[str, Any]:
    hints = typing.get_type_hints(model, include_extras=True)
    if issubclass(model, BaseModel):
        names = list(model.model_fields)
    else:
        names = [field.name for field in dataclasses.fields(typing.cast("Any", model))]
    return {name: hints[name] for name in names}


def _models_in(hint: Any) -> list[type]:
    """The sections that a type names, also inside of unions and tuples."""
    if typing.get_origin(hint) is not None:
        return [model for inner in typing.get_args(hint) for model in _models_in(inner)]
    model = isinstance(hint, type) and (
        dataclasses.is_dataclass(hint) or issubclass(hint, BaseModel)
    )
    return [hint] if model else []


def _type(hint: Any, name: str) -> str:
    plain = _plain(hint)
    unit = next((unit for ending, unit in _UNITS if name.endswith(ending)), None)
    return plain if unit is None else f"{plain}, {unit}"


def _plain(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _plain(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (types.UnionType, typing.Union):
        named = [_plain(one) for one in arguments if one is not types.NoneType]
        return " or ".join(dict.fromkeys(named)) + (
            " or null" if types.NoneType in arguments else ""
        )
    if origin is tuple:
        return f"list of {_plain(arguments[0])}"
    if origin in (dict, typing.Mapping) or (origin is not None and "apping" in str(origin)):
        return f"mapping of {_plain(arguments[0])} to {_plain(arguments[1])}"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    name = getattr(hint, "__name__", str(hint))
    return "section" if _models_in(hint) else names.get(name, name)


def _default(model: type, name: str) -> str:
    if issubclass(model, BaseModel):
        value = model.model_fields[name].get_default(call_default_factory=True)
        if value is PydanticUndefined:
            return ""
    else:
        field = next(f for f in dataclasses.fields(typing.cast("Any", model)) if f.name == name)
        if field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            return ""
    return _yaml(value)


def _yaml(value: Any) -> str:
    if dataclasses.is_dataclass(value) or isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_yaml(item) for item in typing.cast("list[Any]", value)) + "]"
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{k}: {_yaml(v)}" for k, v in typing.cast("dict[str, Any]", value).items())
            + "}"
        )
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value) or '""'
