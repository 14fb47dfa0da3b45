"""Changes of a recipe in a few words: `<rule>.<field>=<value>` or `<section>.<field>=<value>`."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from catalog import files
from catalog.errors import Expected
from filters.policy import Rule
from pipelines.recipe import Recipe, RecipeError
from pipelines.recipe_problems import problems_of


def changed_recipe(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """The recipe with some values changed: `<rule>.<field>=<value>` or `<section>.<field>=<value>`.

    A rule may be named by its name, by what it looks at, or by the last part of that (`piqe` for `score.pyiqa:piqe`).
    Values are JSON, or text.

    Raises:
        RecipeError: it names nothing, or the value does not fit.
    """
    for change in changes:
        left, equals, text = change.partition("=")
        target, dot, field = left.strip().rpartition(".")
        if not (equals and dot):
            raise RecipeError(
                f"Not a valid change: {change!r}. Use RULE.FIELD=VALUE, for example degraded.min=0.6."
            )
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text.strip()
        recipe = _with(recipe, target, field, value, change)
    return recipe


def _with(recipe: Recipe, target: str, field: str, value: Any, change: str) -> Recipe:
    for group in ("gate", "rules"):
        rules: tuple[Rule, ...] = getattr(recipe, group)
        hits = [i for i, rule in enumerate(rules) if _is_called(rule, target)]
        if len(hits) > 1:
            names = ", ".join(rules[i].name for i in hits)
            raise RecipeError(f"{change!r}: {target!r} may be {names}; name one of them.")
        if hits:
            rule = _replaced(rules[hits[0]], field, value, change)
            changed = (*rules[: hits[0]], rule, *rules[hits[0] + 1 :])
            return _validated(recipe, {group: changed}, change)
    measured = [f"measure.{name}" for name in recipe.measures]
    measured += [f"score.{name}" for name in recipe.scores]
    values = [value for value in measured if target in (value, _tail(value))]
    if len(values) == 1 and field in ("min", "max"):
        # Nothing looks at this value yet: what if something did?
        rule = Rule(name=_tail(values[0]), value=values[0], why="asked what if", **{field: value})
        return _validated(recipe, {"rules": (*recipe.rules, rule)}, change)
    outer, _, inner = target.partition(".")
    section = getattr(recipe, outer, None) if outer in type(recipe).model_fields else None
    if dataclasses.is_dataclass(section) and not isinstance(section, type):
        if inner:
            within = getattr(section, inner, None)
            if not dataclasses.is_dataclass(within) or isinstance(within, type):
                raise RecipeError(f"{change!r}: the recipe has no section {target!r}.")
            field, value = inner, _replaced(within, field, value, change)
        return _validated(recipe, {outer: _replaced(section, field, value, change)}, change)
    names = [rule.name for rule in (*recipe.gate, *recipe.rules)]
    known = [*names, *(_tail(value) for value in measured)]
    near = difflib.get_close_matches(target, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise RecipeError(
        f"{change!r}: the recipe has no rule or section {target!r}.{hint} Rules: {', '.join(names)}. "
        f"Values without a rule take min or max: {', '.join(_tail(value) for value in measured)}."
    )


def _is_called(rule: Rule, target: str) -> bool:
    return target in (rule.name, rule.value, _tail(rule.value))


def _tail(value: str) -> str:
    """`piqe` of `score.pyiqa:piqe`."""
    return value.rpartition(":")[2].rpartition(".")[2]


def _replaced(section: Any, field: str, value: Any, change: str) -> Any:
    names = [f.name for f in dataclasses.fields(section)]
    if field not in names:
        near = difflib.get_close_matches(field, names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise RecipeError(
            f"{change!r}: there is no field {field!r}.{hint} Fields: {', '.join(names)}."
        )
    if isinstance(value, list):
        value = tuple(value)
    try:
        return dataclasses.replace(section, **{field: value})
    except (ValueError, TypeError) as error:
        raise RecipeError(f"{change!r}: {error}") from error


def _validated(recipe: Recipe, update: dict[str, Any], change: str) -> Recipe:
    """Through the recipe's own checks, so that a text in the place of a number is refused."""
    content = recipe.model_copy(update=update).model_dump(mode="json", warnings=False)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        said = "; ".join(problems_of(error, Recipe))
        raise RecipeError(f"{change!r}: {_by_name(said, content)}") from error


def _by_name(said: str, content: dict[str, Any]) -> str:
    """`degraded.min` instead of `rules.2.min`: nobody who typed a change counts the recipe's rules."""

    def name(found: re.Match[str]) -> str:
        rule = content[found[1]][int(found[2])]
        return str(rule.get("name") or _tail(str(rule.get("value"))))

    return re.sub(r"\b(rules|gate)\.(\d+)\b", name, said)


def save_recipe(recipe: Recipe, out: Path, name: str) -> Path:
    """Writes a recipe as YAML to <out>/recipes/<name>.yaml.

    Raises:
        Expected: there is such a file, or the name is none.
    """
    if not name or set(name.lower()) - set("abcdefghijklmnopqrstuvwxyz0123456789_-"):
        raise Expected(f"{name[:60]!r} is no name for a recipe: use a to z, 0 to 9, - and _.")
    path = out / "recipes" / f"{name}.yaml"
    if path.exists():
        raise Expected(f"There is {path} already: use another name.")
    content = recipe.model_dump(mode="json", exclude_defaults=True)
    for source, given in zip(content.get("sources", []), recipe.sources, strict=False):
        source["kind"] = given.kind
    files.put(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path
