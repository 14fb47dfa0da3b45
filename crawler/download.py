"""Original bytes -> checked object: streamed to a temporary file, checked, renamed into a content-addressed store.

What stands under its final name is whole: it has the announced length and SHA-1, and it decodes. Thumbnails are never
fetched: Commons sharpens them, and the degradation is what the dataset is about.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from crawler.limits import BodyInterrupted, GaveUp

ATTEMPTS = 3
"""Times that a body is asked for again when it broke off or has other bytes."""
MOST_PIXELS = 200_000_000
"""Larger images are refused before they are decoded: at 3 bytes a pixel this is 600 MB of memory."""


class DownloadFailure(Exception):
    """An original that could not be fetched; `kind` is short and stable, `retryable` says whether later may help."""

    def __init__(self, kind: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable = retryable


class MediaBody(Protocol):
    """An open answer of the media host."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> Iterator[bytes]:
        """The body piece by piece; raises BodyInterrupted where it breaks off."""
        ...


class MediaDoor(Protocol):
    """What a download needs of the polite door."""

    def open_media(self, url: str) -> AbstractContextManager[MediaBody]:
        """Asks for an original."""
        ...


class ObjectStore:
    """Originals by SHA-1: `<root>/ab/cd/abcd...`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha1: str) -> Path:
        """Where the original is, or would be.

        Raises:
            ValueError: not a SHA-1; a name from elsewhere must not become a path.
        """
        if len(sha1) != 40 or not set(sha1) <= set("0123456789abcdef"):
            raise ValueError(f"{sha1!r} is not a SHA-1 in lower-case hex.")
        return self.root / sha1[:2] / sha1[2:4] / sha1

    def has(self, sha1: str) -> bool:
        """Whether the original is there, whole."""
        return self.path(sha1).is_file()

    def read(self, sha1: str) -> bytes:
        """Its bytes.

        Raises:
            FileNotFoundError: it is not there.
        """
        return self.path(sha1).read_bytes()


def fetch_original(
    door: MediaDoor,
    store: ObjectStore,
    *,
    url: str,
    sha1: str,
    size_bytes: int | None,
    mime: str | None,
) -> Path:
    """Fetches an original unless it is there, and returns its path in the store.

    Raises:
        DownloadFailure: gone, refused, html_instead_of_image, truncated, sha1_mismatch, corrupt, too_large, gave_up.
        crawler.limits.CircuitOpen, HostNotAllowed: the run cannot go on.
        OSError: the disk; a temporary file is removed first.
    """
    final = store.path(sha1)
    if final.is_file():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{sha1}.{secrets.token_hex(4)}.tmp")
    attempt = 1
    try:
        while True:
            try:
                with temporary.open("wb") as sink:
                    _stream(door, sink, url=url, sha1=sha1, size_bytes=size_bytes)
                    sink.flush()
                    os.fsync(sink.fileno())
                break
            except DownloadFailure as failure:
                if attempt >= ATTEMPTS or failure.kind not in ("truncated", "sha1_mismatch"):
                    raise
                attempt += 1
            except GaveUp as error:
                raise DownloadFailure("gave_up", str(error), retryable=True) from error
        _check_decodes(temporary, url, mime)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
    return final


def _stream(
    door: MediaDoor, sink: BinaryIO, *, url: str, sha1: str, size_bytes: int | None
) -> None:
    """One attempt at the body, checked by status, type, length and SHA-1."""
    digest = hashlib.sha1(usedforsecurity=False)
    received = 0
    with door.open_media(url) as body:
        _check_head(body, url)
        announced = body.headers.get("Content-Length")
        try:
            for chunk in body.chunks():
                received += len(chunk)
                if size_bytes is not None and received > size_bytes:
                    break
                digest.update(chunk)
                sink.write(chunk)
        except BodyInterrupted as error:
            raise DownloadFailure(
                "truncated", f"{url} broke off {error}; retry later.", retryable=True
            ) from error
    expected = size_bytes if size_bytes is not None else int(announced or received)
    if received < expected:
        raise DownloadFailure(
            "truncated", f"{url}: {received} of {expected} bytes came; retry later.", retryable=True
        )
    if received > expected or digest.hexdigest() != sha1:
        raise DownloadFailure(
            "sha1_mismatch",
            f"{url}: the bytes are not those that the wiki announced (SHA-1 {sha1}). It was overwritten since the "
            "listing, or damaged on the way; list again and retry.",
            retryable=True,
        )


def _check_head(body: MediaBody, url: str) -> None:
    if body.status in (404, 410):
        raise DownloadFailure(
            "gone", f"{url} is gone ({body.status}): deleted since the listing.", retryable=False
        )
    if body.status != 200:
        raise DownloadFailure("refused", f"{url} answered {body.status}.", retryable=False)
    kind = body.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind.startswith("text/"):
        raise DownloadFailure(
            "html_instead_of_image",
            f"{url} answered with {kind}, not an image; retry later.",
            retryable=True,
        )


def _check_decodes(path: Path, url: str, mime: str | None) -> None:
    from PIL import Image, UnidentifiedImageError

    # Pillow's decoders raise all of these for damaged files, each format its own.
    damage = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                pixels = image.width * image.height
                if pixels > MOST_PIXELS:
                    raise DownloadFailure(
                        "too_large",
                        f"{url} has {pixels} pixels, more than {MOST_PIXELS}.",
                        retryable=False,
                    )
                image.load()
    except Image.DecompressionBombError as error:
        raise DownloadFailure("too_large", f"{url}: {error}", retryable=False) from error
    except damage as error:
        raise DownloadFailure(
            "corrupt",
            f"{url} ({mime}) has the announced SHA-1 but does not decode: {error}. The wiki's own file is damaged.",
            retryable=False,
        ) from error
