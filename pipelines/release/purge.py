"""What was taken down leaves a repository on the Hub for good, its history too.

The history is squashed to one commit, the tags of other versions are deleted, and then every large file that the
present release does not hold. Large files are matched by SHA-256, never by name, because one file may have had several
names. All of them go, not only those in which a removed photograph is known to lie: nothing refers to them any more,
and an upload that was cut off is in no commit that one could look into.

Every step is skipped where it is done already, so a purge that was interrupted is done again. How the Hub rewrites
history and how long it keeps what it deletes was not seen here: afterwards it is asked again, and what is left is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.release.hub import BRANCH, PushError, Remote, look_at

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import LFSFileInfo


@dataclass(frozen=True, kw_only=True)
class Purge:
    """What a purge has to take out of a repository."""

    commits: int
    """Commits before the squash."""
    tags: tuple[str, ...]
    large_files: int
    large_bytes: int

    @property
    def needed(self) -> bool:
        return self.commits > 1 or bool(self.tags) or self.large_files > 0


def plan_purge(
    api: HfApi, repo: str, remote: Remote, *, tag: str, stays: set[str], changes: bool
) -> Purge:
    """What there is to purge.

    Args:
        tag: of the present version.
        stays: SHA-256 of the large files that will be in the release.
        changes: whether the push will add a commit.

    Raises:
        PushError: other branches keep old commits.
    """
    if remote.branches:
        raise PushError(
            f"The branches {', '.join(remote.branches)} of {repo} keep old commits, and what was removed with them: "
            "delete them first, then purge."
        )
    if remote.head is None:
        return Purge(commits=0, tags=(), large_files=0, large_bytes=0)
    commits = _commits(api, repo)
    dead = [file for file in _large_files(api, repo) if file.oid not in stays]
    # The tag of this version stays where there is no history that it could keep.
    own = {tag} if commits == 1 and not changes else set[str]()
    return Purge(
        commits=commits,
        tags=tuple(sorted(set(remote.tags) - own)),
        large_files=len(dead),
        large_bytes=sum(file.size for file in dead),
    )


def carry_out_purge(
    api: HfApi, repo: str, *, tag: str, message: str, say: Callable[[str], None]
) -> int:
    """Tags, history, large files. Returns how many large files the Hub still lists that should be gone.

    Raises:
        PushError: the Hub's list does not name the release's own files; then none was deleted.
    """
    now, commits = look_at(api, repo), _commits(api, repo)
    for name, commit in now.tags.items():
        if name != tag or commits > 1 or commit != now.head:
            api.delete_tag(repo, tag=name, repo_type="dataset")
    if commits > 1:
        api.super_squash_history(repo, branch=BRANCH, commit_message=message, repo_type="dataset")
        say(f"squashed {commits} commits")
    stays = look_at(api, repo).large
    listed = _large_files(api, repo)
    missing = stays - {file.oid for file in listed}
    if missing:
        raise PushError(
            f"The Hub's list of large files does not name {len(missing)} files of this release by their SHA-256, so "
            "what is old cannot be told from what is new. No large file was deleted: try again later, or delete the "
            "old ones in the settings of the repository."
        )
    dead = [file for file in listed if file.oid not in stays]
    if dead:
        api.permanently_delete_lfs_files(repo, dead, repo_type="dataset")
        say(f"deleted {len(dead)} large files for good")
    return sum(file.oid not in stays for file in _large_files(api, repo))


def _commits(api: HfApi, repo: str) -> int:
    return len(api.list_repo_commits(repo, repo_type="dataset", revision=BRANCH))


def _large_files(api: HfApi, repo: str) -> list[LFSFileInfo]:
    return list(api.list_lfs_files(repo, repo_type="dataset"))
