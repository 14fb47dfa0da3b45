"""Answers of the loopback hub as exceptions: a route raises one, the server sends it."""

from __future__ import annotations

import json
import re
from typing import Any


class Answer(Exception):
    """Status, body (JSON unless bytes) and headers."""

    def __init__(
        self, status: int, body: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status, self.headers = status, dict(headers or {})
        self.body = b"" if body is None else body
        if not isinstance(self.body, bytes):
            self.body = json.dumps(self.body).encode()
            self.headers.setdefault("Content-Type", "application/json")


def error(status: int, code: str = "", message: str = "") -> Answer:
    """An error as the Hub words it: the client looks at X-Error-Code and shows X-Error-Message."""
    told = message or code
    headers = {"X-Error-Code": code} if code else {}
    return Answer(status, {"error": told}, {**headers, "X-Error-Message": told})


def content(data: bytes, wanted_range: str, headers: dict[str, str]) -> Answer:
    """Bytes of a file, whole or a range of them (`bytes=a-b`, `a-`, `-n`)."""
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted_range)
    if found is None:
        return Answer(200, data, headers)
    low, high = found.groups()
    start = int(low) if low else max(0, len(data) - int(high))
    if start >= len(data):
        return Answer(416, headers={"Content-Range": f"bytes */{len(data)}"})
    end = min(int(high), len(data) - 1) if low and high else len(data) - 1
    headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return Answer(206, data[start : end + 1], headers)
