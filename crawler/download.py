"""Original bytes -> checked object: streamed to a temporary file, checked, renamed into a content-addressed store.

What stands under its final name is whole: it has the announced length and SHA-1, and it decodes. Thumbnails are never
fetched: Commons sharpens them, and the degradation is what the dataset is about.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import urllib3

from catalog import files
from catalog.errors import Missing
from crawler.limits import BodyInterrupted, GaveUp, HostNotAllowed

ATTEMPTS = 3
"""Times that a body is asked for again when it broke off or has other bytes."""
MOST_BYTES = 5 * 2**30
"""Read of an original whose size nobody told: the largest file that Commons takes."""
Refusal = tuple[str, str, bool]
"""Why a file is not taken: kind, sentence, whether a retry may help."""
Check = Callable[[Path, str | None], Refusal | None]
"""A fetched file and its announced MIME type -> why it is not taken; None: it decodes as that type."""


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


class OriginalMissing(Missing):
    """An original that was fetched is lost, or its bytes are not what they were."""

    def __init__(self, kind: Literal["object_missing", "object_damaged"], sha1: str) -> None:
        what = "lost from" if kind == "object_missing" else "damaged in"
        super().__init__(
            f"The original {sha1} is {what} the store; the next build fetches it again."
        )
        self.kind = kind


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

    def size(self, sha1: str) -> int | None:
        """Bytes of an original that a part speaks of; None: it is not there. Quick: a build asks for all of them."""
        try:
            return os.stat(f"{self.root}/{sha1[:2]}/{sha1[2:4]}/{sha1}").st_size  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, sha1: str) -> bytes:
        """Its bytes, which have this SHA-1. A damaged file is taken away, so that it is fetched again.

        Raises:
            OriginalMissing: it is not there, or it was damaged.
        """
        path = self.path(sha1)
        try:
            content = files.get(path)
        except FileNotFoundError:
            raise OriginalMissing("object_missing", sha1) from None
        if hashlib.sha1(content).hexdigest() != sha1:
            files.delete(path)
            raise OriginalMissing("object_damaged", sha1)
        return content

    def remove(self, sha1: str) -> bool:
        """Takes an original out; whether it was there."""
        return files.delete(self.path(sha1))


def fetch_original(
    door: MediaDoor,
    store: ObjectStore,
    *,
    url: str,
    sha1: str,
    size_bytes: int | None,
    mime: str | None,
    check: Check,
) -> Path:
    """Fetches an original unless it is there, and returns its path in the store.

    Args:
        check: says of the fetched file why it is not taken (`filters.picture.refusal`).

    Raises:
        ValueError: `sha1` is not a SHA-1.
        DownloadFailure: gone, refused, foreign_url, html_instead_of_image, truncated, timeout, sha1_mismatch, gave_up,
            or a kind of the check: corrupt, too_large, animated, unsupported.
        crawler.limits.CircuitOpen: the run cannot go on.
        OSError: the disk; a temporary file is removed first.
    """
    final = store.path(sha1)
    if final.is_file():
        return final
    attempt = 1
    with files.writing(final) as temporary:
        while True:
            try:
                with temporary.open("wb") as sink:
                    _stream(door, sink, url=url, sha1=sha1, size_bytes=size_bytes, mime=mime)
                break
            except DownloadFailure as failure:
                if attempt >= ATTEMPTS or failure.kind not in ("truncated", "sha1_mismatch"):
                    raise
                attempt += 1
            except GaveUp as error:
                raise DownloadFailure("gave_up", str(error), retryable=True) from error
            except HostNotAllowed as error:
                # What a page says of one file must not end the crawl of the others.
                raise DownloadFailure("foreign_url", str(error), retryable=True) from error
        refused = check(temporary, mime)
        if refused is not None:
            kind, why, retryable = refused
            raise DownloadFailure(
                kind,
                f"{url} came whole, with the announced SHA-1, and is not taken: {why}",
                retryable=retryable,
            )
    return final


def _stream(
    door: MediaDoor,
    sink: BinaryIO,
    *,
    url: str,
    sha1: str,
    size_bytes: int | None,
    mime: str | None,
) -> None:
    """One attempt at the body, checked by status, type, length and SHA-1."""
    digest = hashlib.sha1(usedforsecurity=False)
    received = 0
    with door.open_media(url) as body:
        _check_head(body, url, mime)
        announced = _announced_bytes(body.headers)
        most = MOST_BYTES if size_bytes is None else size_bytes
        try:
            for chunk in body.chunks():
                received += len(chunk)
                if received > most:
                    break
                digest.update(chunk)
                sink.write(chunk)
        except BodyInterrupted as error:
            kind, said = (
                ("timeout", "stalled") if _is_timeout(error) else ("truncated", "broke off")
            )
            raise DownloadFailure(
                kind, f"{url} {said}: {error}; retry later.", retryable=True
            ) from error
    expected = next(n for n in (size_bytes, announced, received) if n is not None)
    # A body as long as its own head says is whole; then it is another file, not a part of this one.
    whole = announced is not None and received == announced
    if received < expected and not whole:
        raise DownloadFailure(
            "truncated", f"{url}: {received} of {expected} bytes came; retry later.", retryable=True
        )
    if received != expected or digest.hexdigest() != sha1:
        raise DownloadFailure(
            "sha1_mismatch",
            f"{url}: the bytes are not those that the wiki announced (SHA-1 {sha1}). It was overwritten since the "
            "listing, or damaged on the way; list again and retry.",
            retryable=True,
        )


def _announced_bytes(headers: Mapping[str, str]) -> int | None:
    """Content-Length, where it can be read and counts the bytes that we will see."""
    text = headers.get("Content-Length", "").strip()
    encoded = headers.get("Content-Encoding", "identity").lower() != "identity"
    return int(text) if text.isascii() and text.isdigit() and not encoded else None


def _is_timeout(error: BodyInterrupted) -> bool:
    """Without a cause, the door itself ended a body that dripped; a wait that long is not repeated at once."""
    cause = error.__cause__
    return cause is None or isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError)


def _check_head(body: MediaBody, url: str, mime: str | None) -> None:
    if body.status in (404, 410):
        raise DownloadFailure(
            "gone", f"{url} is gone ({body.status}): deleted since the listing.", retryable=False
        )
    if body.status != 200:
        raise DownloadFailure(
            "refused", f"{url} answered {body.status}; retry later.", retryable=True
        )
    kind = body.headers.get("Content-Type", "").split(";")[0].strip().lower()
    # Some servers do not know an image's type; the SHA-1 will tell.
    if not (kind.startswith("image/") or kind in ("", "application/octet-stream", mime)):
        raise DownloadFailure(
            "html_instead_of_image",
            f"{url} answered with {kind}, not an image; retry later.",
            retryable=True,
        )
