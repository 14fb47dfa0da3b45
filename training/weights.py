"""Folders of models: where they are, and a hash of their weights."""

from __future__ import annotations

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


def hash_of_weights(folder: Path) -> str:
    """SHA-256 over names and contents of the safetensors files in it."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as opened:
            inner = hashlib.file_digest(opened, "sha256").hexdigest()
        digest.update(f"{file.name} {inner}\n".encode())
    return digest.hexdigest()
