"""What goes to a terminal: titles and errors come from strangers, and a terminal obeys what stands in them."""

from __future__ import annotations

import re

import typer

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tab and line feed, those that reorder text, and halves of characters."""


def printable(text: str) -> str:
    """The text with what a terminal would obey shown as an escape: `\\x1b[2J` instead of a cleared screen."""
    return _OBEYED.sub(lambda found: ascii(found.group())[1:-1], text)


def echo(text: str = "", *, err: bool = False) -> None:
    """Prints a line, made `printable`; on standard error with `err`."""
    typer.echo(printable(text), err=err)
