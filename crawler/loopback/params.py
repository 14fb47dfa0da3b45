"""Reads the parameters of an API request as MediaWiki does: limits, enumerations, lists, warnings for the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

MOST_ROWS = 500


class ApiError(Exception):
    """An error that the API answers with, code and text."""

    def __init__(
        self,
        code: str,
        info: str,
        *,
        more: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(info)
        self.code, self.info = code, info
        self.more, self.headers = more or {}, headers or {}


def bad_continue() -> ApiError:
    """The error for a continuation that no answer gave."""
    return ApiError("badcontinue", "Invalid continue param. Pass what the previous answer gave.")


class Params:
    """The parameters of one request; remembers which were read, so that unknown ones can be named."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)
        self._read: set[str] = set()
        self.warnings: dict[str, list[str]] = {}
        self.maximum_used = 0
        """What the last limit of `max` came to; 0: the limit was not `max`."""

    def read(self, *names: str) -> None:
        """Takes note that these are known, whatever they hold."""
        self._read.update(names)

    def unread(self) -> list[str]:
        """Parameters that nothing knows."""
        return [name for name in self._given if name not in self._read]

    def warn(self, module: str, text: str) -> None:
        """A warning beside the answer, said once."""
        lines = self.warnings.setdefault(module, [])
        if text not in lines:
            lines.append(text)

    def get(self, name: str) -> str | None:
        """The text as given."""
        self._read.add(name)
        return self._given.get(name)

    def flag(self, name: str) -> bool:
        """True when the parameter is there at all, even empty."""
        return self.get(name) is not None

    def integer(self, name: str) -> int | None:
        """A whole number, or the error `badinteger`."""
        text = self.get(name)
        if text is None or text == "":
            return None
        if not re.fullmatch(r"[+-]?\d+", text.strip()):
            raise ApiError("badinteger", f'Invalid value "{text}" for integer parameter "{name}".')
        return int(text)

    def limit(self, name: str, module: str, default: int = 10) -> int:
        """Rows of an answer: 1 to 500, `max`; what is out of range is moved into it with a warning."""
        self.maximum_used = 0
        if self.get(name) == "max":
            self.maximum_used = MOST_ROWS
            return MOST_ROWS
        number = self.integer(name)
        if number is None:
            return default
        if not 1 <= number <= MOST_ROWS:
            text = f'The value "{number}" for parameter "{name}" must be between 1 and {MOST_ROWS}.'
            self.warn(module, text)
        return min(max(number, 1), MOST_ROWS)

    def one_of(self, name: str, known: tuple[str, ...], default: str) -> str:
        """One value of an enumeration, or the error `badvalue`."""
        text = self.get(name)
        if text is None or text == "":
            return default
        if text not in known:
            raise ApiError("badvalue", f'Unrecognized value for parameter "{name}": {text}.')
        return text

    def values(self, name: str, most: int = 50) -> list[str]:
        """A list joined by | (or by U+001F when it starts with that), or the error `toomanyvalues`."""
        text = self.get(name) or ""
        if not text:
            return []
        parts = text[1:].split("\x1f") if text.startswith("\x1f") else text.split("|")
        if len(parts) > most:
            raise ApiError(
                "toomanyvalues",
                f'Too many values supplied for parameter "{name}". The limit is {most}.',
                more={"limit": most, "lowlimit": most, "highlimit": 10 * most},
            )
        return parts

    def many(
        self, name: str, known: tuple[str, ...], module: str, default: tuple[str, ...] = ()
    ) -> list[str]:
        """A list of an enumeration; unknown ones are named in a warning and left out."""
        if self.get(name) is None:
            return list(default)
        given = dict.fromkeys(part for part in self.values(name) if part)
        unknown = [part for part in given if part not in known]
        if unknown:
            plural = "s" if len(unknown) > 1 else ""
            text = f'Unrecognized value{plural} for parameter "{name}": {", ".join(unknown)}'
            self.warn(module, text)
        return [part for part in given if part in known]

    def timestamp(self, name: str) -> str | None:
        """A time as YYYYMMDDHHMMSS, or the error `badtimestamp`; ISO 8601 and the bare digits are understood."""
        text = self.get(name)
        if not text:
            return None
        digits = re.sub(r"[-:TZ ]", "", text)
        try:
            datetime.strptime(digits, "%Y%m%d%H%M%S")
        except ValueError:
            info = f'Invalid value "{text}" for timestamp parameter "{name}".'
            raise ApiError("badtimestamp", info) from None
        return digits
