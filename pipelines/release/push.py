"""`lucidlr push`: a release goes to a dataset repository on the Hugging Face Hub, and what was taken down leaves it.

A push compares the folder with the repository file by file, sends what differs, and makes it visible by one commit:
readers see the old release or the new one, never a mixture. What was sent before a connection broke is not sent again.
A repository is made private; `--public` opens it. The version becomes a tag.

A commit alone removes nothing: old shards stay in the history. `--purge` takes them out (hub_purge.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.release.manifest import (
    MANIFEST_NAME,
    Manifest,
    load_manifest,
    sha256_of,
    verify_dataset,
)
from catalog.release.tombstones import met, read_tombstones
from catalog.removals import released_tombstones
from catalog.store import catalog_in, holds_build
from pipelines.progress import NoProgress, Progress
from pipelines.release.hub import (
    BRANCH,
    PushError,
    Remote,
    files_at,
    look_at,
    told_errors,
    transport_error,
)
from pipelines.release.purge import Purge, carry_out_purge, plan_purge

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

_OURS = {"README.md", "CREDITS.csv", "LICENSES.md", "croissant.json", "tombstones.parquet"}
"""Files beside the shards and figures/ that an earlier release may have had; all else is somebody else's."""
_AT_ONCE = 8
"""Files sent before the next are announced; what is done is done after each such batch."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a push would do."""

    repo: str
    folder: Path
    release: Manifest
    local: dict[str, str]
    """Path -> SHA-256 of every file of the release."""
    remote: Remote
    send: tuple[str, ...]
    send_bytes: int
    drop: tuple[str, ...]
    same: int
    tag: str
    purge: Purge | None
    """None: not asked for."""


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What a push did."""

    plan: Plan
    head: str
    private: bool
    left: int
    """Large files that the Hub still lists after a purge though the release does not hold them."""


def release_in(out: Path) -> Path:
    """The folder of the release in a build's folder, or the folder itself."""
    return out / "dataset" if (out / "dataset" / MANIFEST_NAME).is_file() else out


def plan_push(
    api: HfApi, repo: str, out: Path, *, purge: bool = False, progress: Progress | None = None
) -> Plan:
    """Looks at the release and at the repository; changes neither.

    Args:
        repo: `owner/name`.
        out: a build's folder, or a released dataset's.

    Raises:
        catalog.release.manifest.DatasetError: there is no dataset.
        PushError: the release is damaged or holds what was taken down, the version is another dataset there already,
            the Hub cannot be asked, or a purge could not be complete.
    """
    if repo.count("/") != 1:
        raise PushError(f"{repo!r} is no name of a repository: write owner/name.")
    folder = release_in(out)
    release = load_manifest(folder)
    (progress or NoProgress()).say(f"checking {len(release.shards)} shards")
    wrong = verify_dataset(folder, images=False)
    if wrong:
        raise PushError(f"{wrong[0]} Export again with `lucidlr export` before it goes out.")
    _refuse_removed(folder, out, release, purge=purge)
    remote = look_at(api, repo)
    local = {entry.path: entry.sha256 for entry in (*release.shards, *release.files)}
    local[MANIFEST_NAME] = sha256_of(folder / MANIFEST_NAME)
    held = {
        path
        for path, sha256 in local.items()
        if path in remote.files and remote.files[path].holds(folder / path, sha256)
    }
    send = tuple(sorted(set(local) - held))
    ours = (p for p in remote.files if p.startswith(("data/", "figures/")) or p in _OURS)
    plan = Plan(
        repo=repo,
        folder=folder,
        release=release,
        local=local,
        remote=remote,
        send=send,
        send_bytes=sum((folder / path).stat().st_size for path in send),
        drop=tuple(sorted(set(ours) - set(local))),
        same=len(held),
        tag=f"v{release.version}",
        purge=None,
    )
    with told_errors(repo):
        _check_version(api, plan)
        if not purge:
            return plan
        stays = set(local.values()) | {
            file.sha256
            for path, file in remote.files.items()
            if path not in plan.drop and path not in local and file.sha256 is not None
        }
        changes = bool(plan.send or plan.drop)
        found = plan_purge(api, repo, remote, tag=plan.tag, stays=stays, changes=changes)
        return replace(plan, purge=found)


def _refuse_removed(folder: Path, out: Path, release: Manifest, *, purge: bool) -> None:
    """Nothing that has a tombstone goes out, also one that the catalog got after this release was made."""
    stones = read_tombstones(folder)
    if holds_build(out):
        stones = pa.concat_tables([stones, released_tombstones(catalog_in(out))])
    found = 0
    for shard in release.shards:
        rows = pq.read_table(folder / shard.path, columns=["page_id", "sha1"])
        found += sum(met(rows, stones).to_pylist())
    if found:
        raise PushError(
            f"{found} photographs of this release have been taken down since it was made: write it anew with "
            "`lucidlr export --version ... --previous ...`, then push."
        )
    if purge and stones.num_rows == 0:
        raise PushError("Nothing was taken down, so there is nothing to purge: push without it.")


def _check_version(api: HfApi, plan: Plan) -> None:
    """A version names one dataset for good."""
    if plan.tag not in plan.remote.tags:
        return
    there = files_at(api, plan.repo, plan.remote.tags[plan.tag])
    shards = {path: file.sha256 for path, file in there.items() if path.startswith("data/")}
    if shards != {shard.path: shard.sha256 for shard in plan.release.shards}:
        raise PushError(
            f"{plan.tag} of {plan.repo} is another dataset. Give this one a version of its own: "
            "`lucidlr export --version ... --previous ...`, then push."
        )


def push(
    api: HfApi, plan: Plan, *, public: bool = False, progress: Progress | None = None
) -> Pushed:
    """Does what the plan says; after an interruption make a new plan and do it again.

    Args:
        public: opens the repository at the end. Without it a new one is private, and an old one stays as it is.

    Raises:
        PushError: the Hub refused or went away; what has arrived is kept for the next try.
    """
    say = (progress or NoProgress()).say
    with told_errors(plan.repo):
        if plan.remote.head is None:
            api.create_repo(plan.repo, repo_type="dataset", private=True, exist_ok=True)
            plan = replace(plan, remote=look_at(api, plan.repo))
        if plan.send or plan.drop:
            _commit(api, plan, say)
        now = look_at(api, plan.repo)
        unlike = [path for path in plan.send if not _arrived(plan, now, path)]
        unlike += [path for path in plan.drop if path in now.files]
        if unlike:
            raise PushError(
                f"The Hub does not hold what was sent: {', '.join(unlike[:5])}. Look for a .gitignore in the "
                "repository, and whether somebody else pushes to it."
            )
        left = 0
        if plan.purge is not None:
            message = f"{plan.release.name} {plan.release.version}, without what was taken down"
            left = carry_out_purge(api, plan.repo, tag=plan.tag, message=message, say=say)
            now = look_at(api, plan.repo)
        if plan.tag not in now.tags:
            api.create_tag(
                plan.repo, tag=plan.tag, revision=now.head, repo_type="dataset", exist_ok=True
            )
        if public and now.private:
            api.update_repo_settings(plan.repo, visibility="public", repo_type="dataset")
    private = bool(now.private) and not public
    return Pushed(plan=plan, head=str(now.head), private=private, left=left)


def _arrived(plan: Plan, remote: Remote, path: str) -> bool:
    file = remote.files.get(path)
    return file is not None and file.holds(plan.folder / path, plan.local[path])


def _commit(api: HfApi, plan: Plan, say: Callable[[str], None]) -> None:
    """Sends the bytes in batches, then makes all of it visible at once."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    added = [
        CommitOperationAdd(path_in_repo=path, path_or_fileobj=plan.folder / path)
        for path in plan.send
    ]
    try:
        for begin in range(0, len(added), _AT_ONCE):
            batch = added[begin : begin + _AT_ONCE]
            api.preupload_lfs_files(plan.repo, batch, repo_type="dataset", free_memory=False)
            say(f"sent {min(begin + _AT_ONCE, len(added))} of {len(added)} files")
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *added,
            *(CommitOperationDelete(path_in_repo=path) for path in plan.drop),
        ]
        api.create_commit(
            plan.repo,
            operations,
            commit_message=f"{plan.release.name} {plan.release.version}",
            commit_description=f"dataset {plan.release.dataset_hash}\nrecipe {plan.release.recipe_hash}",
            repo_type="dataset",
            parent_commit=plan.remote.head,
        )
    except transport_error() as error:
        # The answer to a commit can get lost although the commit was made; and 412 then says that it was.
        now = look_at(api, plan.repo)
        if now.head == plan.remote.head or not all(_arrived(plan, now, p) for p in plan.send):
            raise error
    except (RuntimeError, ValueError) as error:
        # How the client tells that a file could not be sent, or that the card's header is wrong.
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise PushError(
            f"{error}{cause}\nRun the same command again: what has arrived is not sent twice."
        ) from error


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan for a terminal."""
    remote, release = plan.remote, plan.release
    where = "new, private" if remote.head is None else "private" if remote.private else "public"
    yield f"repository {plan.repo}  ({where})"
    yield f"release    {release.name} {release.version}  {release.rows:,} rows  dataset {release.dataset_hash[:16]}"
    yield f"send       {len(plan.send)} files, {plan.send_bytes / 1e6:,.1f} MB; {plan.same} are there already"
    yield f"remove     {len(plan.drop)} files from {BRANCH}"
    tagged = "is there" if plan.tag in remote.tags else "new"
    yield f"tag        {plan.tag}  ({tagged})"
    if plan.purge is None:
        return
    if not plan.purge.needed and not (plan.send or plan.drop):
        yield "purge      nothing: one commit, no other version, no large file but this release's"
        return
    yield f"purge      history of {plan.purge.commits} commits, to be squashed to one"
    if plan.purge.tags:
        yield f"           tags {', '.join(plan.purge.tags)}, to be deleted"
    size = f"{plan.purge.large_bytes / 1e6:,.1f} MB"
    yield f"           {plan.purge.large_files} large files, {size}, to be deleted for good"
    if remote.pull_requests:
        yield f"           not: {remote.pull_requests} refs of pull requests, which only the Hub's staff can delete"


def pushed_lines(done: Pushed) -> Iterator[str]:
    """The result for a terminal."""
    access = "private; open it with --public" if done.private else "public"
    yield f"pushed     {done.plan.repo} at {done.head[:12]}, {done.plan.tag}  ({access})"
    if done.plan.purge is not None:
        if done.left:
            yield f"purge      {done.left} large files are still listed: run the command again later"
        else:
            yield "purge      done: one commit, and no large file but this release's"
        yield "           Copies that others made are not reached; tombstones.parquet tells them what to delete."
