"""Ordered rules over a table of facts, and the ledger of every single verdict.

A rule looks at one column. It is evaluated for every candidate, also after another rule has failed, so that "what does
this rule kill alone?" can be answered from the ledger. Evaluation is column by column; the ledger is wide: for each
rule the columns `<rule>:verdict`, `:value` (a number), `:text` (anything else) and `:threshold`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.errors import Expected

pc: Any = compute
"""Arrow's functions are made at run time; no type checker sees them."""


class RuleError(Expected, ValueError):
    """A rule that cannot be evaluated; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of a curation policy. Exactly one kind of condition: bounds, `one_of`, `any_match` or `none_match`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    """How the ledger calls it, and the reason given for a drop."""
    value: str
    """Column of the facts, e.g. short_side, measure.edge_sigma, score.pyiqa:piqe, severity, license_outcome."""
    why: str
    """Why this threshold: where it comes from, and whether it was tried on the data it is for."""
    min: float | None = None
    """Lowest value that passes."""
    max: float | None = None
    """Highest value that passes."""
    one_of: tuple[str, ...] = ()
    """Texts that pass."""
    any_match: tuple[str, ...] = ()
    """Regular expressions (RE2, case ignored, searched for); a text or a list with a match passes."""
    none_match: tuple[str, ...] = ()
    """Regular expressions (RE2, case ignored, searched for); a text or a list with a match fails."""
    if_missing: Literal["fail", "pass"] = "fail"
    """What a candidate without this value does; the ledger says not_measured either way."""

    def __post_init__(self) -> None:
        bounds = self.min is not None or self.max is not None
        kinds = (bounds, self.one_of, self.any_match, self.none_match)
        if sum(map(bool, kinds)) != 1:
            raise ValueError(
                f"Rule {self.name}: give min and/or max, or one_of, or any_match, or none_match."
            )
        if ":" in self.name:
            raise ValueError(f"Rule {self.name}: a name holds no colon; the ledger uses it.")

    @property
    def threshold(self) -> str:
        """The condition as text."""
        if self.one_of:
            return "one of " + ", ".join(self.one_of)
        if self.any_match:
            return "a match of " + ", ".join(self.any_match)
        if self.none_match:
            return "no match of " + ", ".join(self.none_match)
        low = "" if self.min is None else f">= {self.min:g}"
        high = "" if self.max is None else f"<= {self.max:g}"
        return " and ".join(part for part in (low, high) if part)


VERDICTS = ("pass", "fail", "not_measured")
"""What a rule says of a candidate; `Ledger.verdicts` holds positions in this."""
PASS, FAIL, NOT_MEASURED = range(3)


@dataclass(frozen=True)
class Ledger:
    """Verdicts of all rules on all candidates."""

    rules: tuple[Rule, ...]
    wide: pa.Table
    """page_id and four columns per rule; row order of the facts."""
    verdicts: np.ndarray[Any, np.dtype[np.int8]]
    """[N, rules]: positions in VERDICTS."""
    failed: np.ndarray[Any, np.dtype[np.bool_]]
    """[N, rules]: the candidate does not survive this rule (fail, or not_measured where that fails)."""

    @property
    def passed(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """[N]: survives all rules."""
        return np.logical_not(np.asarray(self.failed.any(axis=1)))

    @property
    def first(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """[N]: position of the first rule that each candidate failed, -1 where it failed none."""
        if not self.rules:
            return np.full(len(self.failed), -1)
        return np.where(self.failed.any(axis=1), self.failed.argmax(axis=1), -1)

    def first_failures(self) -> list[str | None]:
        """Name of the first rule that each candidate failed, in rule order."""
        return [self.rules[i].name if i >= 0 else None for i in self.first.tolist()]

    def failures(self) -> pa.Array:
        """Names of all rules that each candidate failed, in rule order: list<string>, [N]."""
        _, rules = np.nonzero(self.failed)
        names = pa.array([rule.name for rule in self.rules], pa.string())
        ends = np.concatenate([[0], self.failed.sum(axis=1).cumsum()])
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), names.take(pa.array(rules)))

    def effects(self) -> list[dict[str, Any]]:
        """Per rule: name, threshold, why, and counts: passes, not_measured, fails (does not survive it), alone
        (measured and failed, and measured by no other rule to fail: what would come in without this rule, or would
        at least have to be looked at), first (fails no earlier rule)."""
        said_no = self.verdicts == FAIL
        alone = said_no & (said_no.sum(axis=1) == 1)[:, None]
        first = self.first
        return [
            {
                "rule": rule.name,
                "value": rule.value,
                "threshold": rule.threshold,
                "why": rule.why,
                "passes": int((self.verdicts[:, i] == PASS).sum()),
                "not_measured": int((self.verdicts[:, i] == NOT_MEASURED).sum()),
                "fails": int(self.failed[:, i].sum()),
                "alone": int(alone[:, i].sum()),
                "first": int((first == i).sum()),
            }
            for i, rule in enumerate(self.rules)
        ]


def evaluate(facts: pa.Table, rules: Sequence[Rule]) -> Ledger:
    """Applies every rule to every row of `facts` (which has a `page_id` column).

    Raises:
        RuleError: a rule names a column that the facts do not have, or bounds a text.
    """
    columns: dict[str, pa.Array | pa.ChunkedArray] = {"page_id": facts.column("page_id")}
    shape = (facts.num_rows, len(rules))
    verdicts = np.empty(shape, dtype=np.int8)
    failed = np.zeros(shape, dtype=bool)
    # One column of nothing for all rules: it takes as much room as one of numbers.
    no_number, no_text = (pa.nulls(facts.num_rows, kind) for kind in (pa.float64(), pa.string()))
    for i, rule in enumerate(rules):
        if rule.value not in facts.column_names:
            raise RuleError(
                f"Rule {rule.name} looks at {rule.value!r}, which is not a fact of this recipe. "
                f"There are: {', '.join(sorted(facts.column_names))}."
            )
        column = facts.column(rule.value).combine_chunks()
        known = column.is_valid().to_numpy(zero_copy_only=False)
        passes = pc.fill_null(_passes(column, rule), fill_value=False).to_numpy(
            zero_copy_only=False
        )
        verdicts[:, i] = np.where(known, np.where(passes, PASS, FAIL), NOT_MEASURED)
        failed[:, i] = np.where(known, ~passes, rule.if_missing == "fail")
        numeric = _numeric(column.type)
        columns[f"{rule.name}:verdict"] = _repeating(verdicts[:, i], VERDICTS)
        columns[f"{rule.name}:value"] = column.cast(pa.float64()) if numeric else no_number
        columns[f"{rule.name}:text"] = no_text if numeric else _as_text(column)
        columns[f"{rule.name}:threshold"] = _repeating(
            np.zeros(facts.num_rows, dtype=np.int8), (rule.threshold,)
        )
    return Ledger(rules=tuple(rules), wide=pa.table(columns), verdicts=verdicts, failed=failed)


def set_aside(
    ledger: Ledger, *, rows: np.ndarray[Any, np.dtype[np.bool_]], rules: Collection[str]
) -> Ledger:
    """The ledger where these rules drop none of `rows` [N]: a person decided. What they said stays in it."""
    here = np.array([rule.name in rules for rule in ledger.rules], dtype=bool)
    return replace(ledger, failed=ledger.failed & ~(rows[:, None] & here[None, :]))


def _repeating(
    positions: np.ndarray[Any, np.dtype[np.int8]], texts: Sequence[str]
) -> pa.DictionaryArray:
    """A column of few texts, a byte a row."""
    return pa.DictionaryArray.from_arrays(
        pa.array(np.ascontiguousarray(positions)), pa.array(texts, pa.string())
    )


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        return pc.binary_join(column, "|")
    # Codes of few texts stay codes.
    return column if pa.types.is_dictionary(column.type) else column.cast(pa.string())


def _passes(column: pa.Array, rule: Rule) -> pa.Array:
    if rule.one_of:
        return pc.is_in(column.cast(pa.string()), value_set=pa.array(rule.one_of))
    if rule.any_match:
        return _any_match(column, "|".join(f"(?:{p})" for p in rule.any_match))
    if rule.none_match:
        return pc.invert(_any_match(column, "|".join(f"(?:{p})" for p in rule.none_match)))
    if not _numeric(column.type):
        raise RuleError(
            f"Rule {rule.name} bounds {rule.value!r}, which is {column.type}, not a number."
        )
    numbers = column.cast(pa.float64())
    result = pa.repeat(True, len(column))
    if rule.min is not None:
        result = pc.and_(result, pc.greater_equal(numbers, rule.min))
    if rule.max is not None:
        result = pc.and_(result, pc.less_equal(numbers, rule.max))
    return result


def _any_match(column: pa.Array, pattern: str) -> pa.Array:
    if not pa.types.is_list(column.type):
        return pc.match_substring_regex(column.cast(pa.string()), pattern, ignore_case=True)
    hits = pc.match_substring_regex(pc.list_flatten(column), pattern, ignore_case=True)
    rows = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    found = np.zeros(len(column), dtype=bool)
    found[rows[pc.fill_null(hits, False).to_numpy(zero_copy_only=False)]] = True
    return pa.array(found)
