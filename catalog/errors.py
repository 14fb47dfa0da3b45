"""The errors that a person can do something about: one sentence on the command line. Bugs keep their traceback.

Whoever raises one derives it from `Expected` beside the standard class that callers in Python would look for:
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
