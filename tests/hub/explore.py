"""python -m tests.hub.explore REPO OTHER: what `lucidlr explore` shows of a repository, as JSON. In a process
of its own: the client reads the hub's address when it is imported."""

from __future__ import annotations

import hashlib
import json
import sys

from pipelines.review.folders import NothingToExplore, of_repository


def main(repo: str, other: str) -> None:
    """Reads every picture, and asks for a repository that is not there."""
    shown = of_repository(repo)
    sha1s = shown.rows.column("sha1").to_pylist()
    wrong = [sha1 for sha1 in sha1s if hashlib.sha1(shown.read(sha1) or b"").hexdigest() != sha1]
    nothing = ""
    try:
        of_repository(other)
    except NothingToExplore as error:
        nothing = str(error)
    told = {"rows": len(sha1s), "wrong": wrong, "writable": shown.catalog is not None}
    print(json.dumps({**told, "nothing": nothing}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
