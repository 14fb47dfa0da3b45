"""A dataset repository on the Hugging Face Hub, as `lucidlr push` sees it: what lies there, and what went wrong.

Nothing here knows of a release. The address of the Hub and the token are huggingface_hub's affair (HF_ENDPOINT,
HF_TOKEN, `hf auth login`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import Expected

if TYPE_CHECKING:
    from huggingface_hub import HfApi

BRANCH = "main"


class PushError(Expected):
    """A release that cannot be pushed, or a hub that did not take it; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file on the Hub."""

    size_bytes: int
    sha256: str | None
    """Of a large file (LFS or Xet)."""
    blob: str
    """Git blob SHA-1 of a small file; of a large one, of its pointer."""

    def holds(self, path: Path, sha256: str) -> bool:
        """Whether it has the bytes of the file at `path`, whose SHA-256 is known."""
        if self.sha256 is not None:
            return self.sha256 == sha256
        return self.size_bytes == path.stat().st_size and self.blob == git_blob(path)


@dataclass(frozen=True, kw_only=True)
class Remote:
    """The branch `main` of a repository; all empty where there is no such repository."""

    head: str | None = None
    """Commit id; None where there is no repository."""
    private: bool | None = None
    files: dict[str, RemoteFile] = field(default_factory=dict[str, RemoteFile])
    tags: dict[str, str] = field(default_factory=dict[str, str])
    """Tag -> commit id."""
    branches: tuple[str, ...] = ()
    """Other branches than `main`."""
    pull_requests: int = 0
    """Refs of pull requests; the Hub keeps their commits and offers no way to delete them."""

    @property
    def large(self) -> set[str]:
        """SHA-256 of the large files of `main`."""
        return {file.sha256 for file in self.files.values() if file.sha256 is not None}


def git_blob(path: Path) -> str:
    """Git's blob SHA-1 of a file, 40 hex digits; the file is read whole."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def look_at(api: HfApi, repo: str) -> Remote:
    """What the repository holds now.

    Raises:
        PushError: the Hub could not be asked, or refused.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    with told_errors(repo):
        try:
            info = api.repo_info(repo, repo_type="dataset")
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return Remote()
        refs = api.list_repo_refs(repo, repo_type="dataset", include_pull_requests=True)
        return Remote(
            head=info.sha,
            private=info.private,
            files=files_at(api, repo, str(info.sha)),
            tags={ref.name: ref.target_commit for ref in refs.tags},
            branches=tuple(sorted(ref.name for ref in refs.branches if ref.name != BRANCH)),
            pull_requests=len(refs.pull_requests or ()),
        )


def files_at(api: HfApi, repo: str, revision: str) -> dict[str, RemoteFile]:
    """Path -> file at a revision."""
    from huggingface_hub import RepoFile

    return {
        file.path: RemoteFile(
            size_bytes=file.size, sha256=file.lfs.sha256 if file.lfs else None, blob=file.blob_id
        )
        for file in api.list_repo_tree(repo, recursive=True, revision=revision, repo_type="dataset")
        if isinstance(file, RepoFile)
    }


def transport_error() -> type[Exception]:
    """The base of what the client raises when a connection fails; which HTTP library it uses is its own affair."""
    from huggingface_hub.errors import HfHubHTTPError

    base = HfHubHTTPError.__bases__[0]
    assert issubclass(base, Exception)
    return base


@contextmanager
def told_errors(repo: str) -> Generator[None]:
    """Errors of the Hub and of the connection become a PushError that says what to do."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise PushError(f"{repo!r} is no name of a repository: {error}") from error
    except HfHubHTTPError as error:
        raise PushError(_advice(repo, error.response.status_code, str(error))) from error
    except (transport_error(), OSError) as error:
        why = re.sub(r"\[Errno -?\d+\] ", "", str(error))
        raise PushError(
            f"The connection to the Hub failed ({type(error).__name__}: {why}). Run the same command again: what has "
            "arrived is not sent twice, and nobody sees a half release."
        ) from error


def _advice(repo: str, status: int, told: str) -> str:
    match status:
        case 401:
            what = "No valid token: run `hf auth login`, or set HF_TOKEN to a token that may write."
        case 403:
            what = (
                f"This token may not write to {repo}: take one with write access to that namespace."
            )
        case 412:
            what = "Somebody changed the repository in between: look at it, then run the command again."
        case 413 | 429:
            what = "The Hub takes no more at the moment: wait, then run the same command again."
        case _ if status >= 500:
            what = "The Hub has a problem: run the same command again; what has arrived is not sent twice."
        case _:
            what = f"The Hub refused (HTTP {status})."
    return f"{what}\n{told}"
