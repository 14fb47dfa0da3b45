"""The errors that a person can do something about: one sentence on the command line. Bugs keep their traceback.

Also what is done about each kind of failure, for the command line and for the report.

Whoever raises an error derives it from `Expected` beside the standard class that callers in Python would look for:
`class RecipeError(Expected, ValueError)`. Its message says what is wrong and what to do next.
"""

from __future__ import annotations


class Expected(Exception):
    """Something outside of the code is not as it has to be; the message says what to do next."""


class Missing(Expected, FileNotFoundError):
    """A file or folder that a person named, or that an earlier command should have left, is not there.

    A bare FileNotFoundError is a bug, and keeps its traceback.
    """


class NotAFile(Expected, ValueError):
    """A text names no file on Commons; the message is a sentence that says why."""


class NoBuild(Missing):
    """There is no build in this folder, or not as much of one as was asked for."""


ADVICE = {
    "missing": "The title does not exist on the wiki: correct the list of titles.",
    "invalid": "No such title is possible: correct the list of titles.",
    "source": "A source of the recipe holds nothing, or some of it cannot be read: correct it, or take it out.",
    "gone": "Deleted between listing and download. Nothing to do.",
    "overwritten": "The page got other bytes between listing and download. Build again to fetch them.",
    "no_sha1": "The wiki gave no SHA-1. Look at the file's page; `lucidlr refresh` asks again.",
    "damaged": "What the wiki said of the file cannot be. `--retry` asks for its page again.",
    "foreign_url": "Its original is on another host, where nothing is sent. `--retry` asks for its page again.",
    "bad_sha1": "What an older version stored is no SHA-1. `--retry` asks for its page again.",
    "corrupt": "The bytes, which are the wiki's own, do not decode as the type that it announces. It stays out.",
    "unsupported": "This software cannot decode such files, though they may be sound. Nothing to do; it stays out.",
    "unreadable": "Its metadata stops Pillow, and so the readers of a dataset. Nothing to do; it stays out.",
    "not_computed": "A fault of this software met this file. Please report it with the error text.",
    "html_instead_of_image": "The server sent a page for an image. Retry later.",
    "truncated": "The connection ended early, several times. Retry later.",
    "sha1_mismatch": "The bytes are not the announced ones: overwritten meanwhile, or damaged on the way. Retry later.",
    "refused": "The server refused this file. The error text says how it answered. Retry later.",
    "timeout": "The body stalled or came too slowly. Retry later.",
    "too_large": "More pixels than the limit allows, or than fit into memory. The error text says which.",
    "gave_up": "No answer in all attempts. Retry later.",
    "animated": "An animation is no photograph. Nothing to do; it stays out.",
    "object_missing": "The original is gone from the object store. The next build fetches it again.",
    "object_damaged": "The original had another SHA-1 and was taken away. The next build fetches it again.",
    "crashed": "The process that worked on it died: the image, or a library, or no memory. Look at it before a retry.",
}


def advice_for(kind: str) -> str:
    """What to do about a kind of failure; every kind has an answer."""
    return ADVICE.get(kind, "Read the column `error` of the table `failures` in the catalog.")
