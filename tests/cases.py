"""Many small cases in one test: an item of pytest costs ten milliseconds over workers, most checks cost less."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def every(names: str, cases: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As `pytest.mark.parametrize`, but one item: all cases are tried, and the failure names each that failed.

    For tests without a fixture that a case changes (`tmp_path`, `monkeypatch`): all cases get the same one.
    """
    wanted = [name.strip() for name in names.split(",")]
    rows = [case if len(wanted) > 1 else (case,) for case in cases]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(**given: Any) -> None:
            if not rows:
                pytest.skip(f"there are no cases of {names}")
            failed = []
            for row in rows:
                case = dict(zip(wanted, row, strict=True))
                try:
                    function(**given, **case)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - told below
                    told = f"{type(error).__name__}: {error}" if str(error) else repr(error)
                    failed.append(f"{case}\n    " + told.replace("\n", "\n    "))
            if failed:
                said = f"{len(failed)} of {len(rows)} cases failed:\n" + "\n".join(failed)
                raise AssertionError(said)

        rest = [p for p in inspect.signature(function).parameters.values() if p.name not in wanted]
        run.__signature__ = inspect.Signature(rest)  # pyright: ignore[reportAttributeAccessIssue]
        return run

    return decorate
