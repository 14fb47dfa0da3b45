"""The folder of real parts beside the checkout: recorded answers. Absent on a user's machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def lacking(reason: str) -> NoReturn:
    """Skips the test that lacks a part of this machine, or fails it with LUCIDLR_REQUIRE_SHARED=1."""
    if os.environ.get("LUCIDLR_REQUIRE_SHARED") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def shared_folder(name: str) -> Path:
    """A folder of ../shared; skips the test where it is absent, or fails it with LUCIDLR_REQUIRE_SHARED=1."""
    folder = SHARED / name
    if not folder.is_dir():
        lacking(f"../shared/{name} is not here")
    return folder


def recorded_pages() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, page) for every page object in the recorded answers of Commons."""
    folder = shared_folder("fixtures/commons")
    for file in sorted(folder.rglob("*.json")):
        for page in _pages_in(json.loads(file.read_text(encoding="utf-8"))):
            yield str(file.relative_to(folder)), page


def _pages_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "title" in value and ("pageid" in value or "missing" in value):
            yield value
        for item in value.values():
            yield from _pages_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pages_in(item)
