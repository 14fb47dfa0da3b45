"""Folders of models: where they are, and a hash of their weights."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path


def folder_of(model: str, revision: str | None = None) -> Path:
    """`model` itself where it is a folder; otherwise its snapshot from the hub's cache or the hub.

    Raises:
        OSError, ValueError: what the hub's client raises when it is neither.
    """
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, revision=revision))


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, read in pieces, and once for as long as its size and time of change stay the same.

    Raises:
        OSError: it cannot be read.
    """
    about = file.stat()
    return _sha256(file.resolve(), about.st_size, about.st_mtime_ns)


@functools.cache
def _sha256(file: Path, size: int, changed_ns: int) -> str:
    del size, changed_ns  # what the answer is kept by
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def hash_of_weights(folder: Path) -> str:
    """SHA-256 over names and contents of the safetensors files in it."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()
