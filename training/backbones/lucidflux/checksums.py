"""SHA-256 of a weights folder, remembered: hashing 30 GB takes minutes, and the files do not change.

`checksums.json` in the folder keeps, per file, size, time of last change and SHA-256; a file whose size or time is
another is hashed again. It is written by rename; in a folder that can't be written to, nothing is remembered.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypedDict

from training.backbones.lucidflux.folder import FILES

NAME = "checksums.json"


class Remembered(TypedDict):
    """One file."""

    bytes: int
    changed_ns: int
    sha256: str


def file_sha256(path: Path) -> str:
    """Of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """File -> SHA-256 for the weight files that are there."""
    path = folder / NAME
    try:
        remembered: dict[str, Remembered] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        remembered = {}
    current: dict[str, Remembered] = {}
    for name in (*FILES, "sizes.json"):
        if not (folder / name).is_file():
            continue
        stat = (folder / name).stat()
        known = remembered.get(name)
        if known and (known["bytes"], known["changed_ns"]) == (stat.st_size, stat.st_mtime_ns):
            current[name] = known
        else:
            current[name] = {
                "bytes": stat.st_size,
                "changed_ns": stat.st_mtime_ns,
                "sha256": file_sha256(folder / name),
            }
    if current != remembered:
        part = path.with_suffix(".part")
        try:
            part.write_text(json.dumps(current, indent=1) + "\n", encoding="utf-8")
            part.rename(path)
        except PermissionError:
            pass
    return {name: entry["sha256"] for name, entry in current.items()}


def weights_sha256(folder: Path) -> str:
    """One SHA-256 for the folder: of its lines `<sha256>  <file>`, ordered by file."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(checksums(folder).items()))
    return hashlib.sha256(lines.encode()).hexdigest()
