"""SHA-256 of a weights folder, remembered: hashing 30 GB takes minutes, and the files do not change.

`checksums.json` in the folder keeps, per file, size, time of last change and SHA-256; a file whose size or time is
another is hashed again. It is written by rename; in a folder that can't be written to, nothing is remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TypedDict

from catalog import files
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
        # A folder that may only be read is read again each time.
        with contextlib.suppress(PermissionError):
            files.put(path, json.dumps(current, indent=1) + "\n")
    return {name: entry["sha256"] for name, entry in current.items()}


def weights_sha256(folder: Path, merged: Path | None = None) -> str:
    """One SHA-256 for the folder, and for the adapter merged into it: of the lines `<sha256>  <file>`, ordered."""
    found = checksums(folder)
    if merged is not None:
        from training.backbones.lucidflux.adapters import CONFIG, WEIGHTS, find_adapters

        for kind, home in find_adapters(merged).items():
            found |= {f"{kind}/{name}": file_sha256(home / name) for name in (CONFIG, WEIGHTS)}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(found.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
