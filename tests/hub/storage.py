"""What the loopback hub keeps: repositories of datasets with commits, branches, tags and large files, in a folder.

A commit is a whole tree (path -> entry) and its parent. Small files lie under their git blob SHA-1, large ones under
their SHA-256, each as one file below `root`, so that a test can look whether bytes are really gone.

What no ref reaches any more is collected at once, as a git server does at some time; large files stay until they are
deleted one by one. That, and how history is rewritten, are assumptions about the real Hub.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


def git_sha1(content: bytes) -> str:
    """Name of a blob in git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file in a tree: git SHA-1 of a small one, SHA-256 of a large one."""

    oid: str
    size: int
    large: bool


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    tree: dict[str, Entry]


@dataclass
class Repository:
    """One dataset repository; begins with `.gitattributes` in an initial commit, as on the Hub."""

    root: Path
    private: bool = True
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in ("small", "large"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        attributes = self.keep_small(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")
        first = self._new(None, "initial commit", {".gitattributes": attributes})
        self.branches["main"] = first.oid

    def _new(self, parent: str | None, title: str, tree: dict[str, Entry]) -> Commit:
        content = f"{parent} {title} {len(self.commits)} {sorted(tree.items())}"
        commit = Commit(hashlib.sha1(content.encode()).hexdigest(), parent, title, dict(tree))
        self.commits[commit.oid] = commit
        return commit

    def commit(self, branch: str, title: str, tree: dict[str, Entry]) -> Commit:
        made = self._new(self.branches[branch], title, tree)
        self.branches[branch] = made.oid
        return made

    def head(self, branch: str = "main") -> Commit:
        return self.commits[self.branches[branch]]

    def at(self, revision: str) -> Commit | None:
        """The commit of a branch, a tag, a SHA-1 or the beginning of one."""
        named = self.branches.get(revision) or self.tags.get(revision)
        if named is not None:
            return self.commits[named]
        return next((c for oid, c in self.commits.items() if oid.startswith(revision)), None)

    def history(self, commit: Commit) -> Iterator[Commit]:
        """The commit and what came before it, newest first."""
        yield commit
        while commit.parent is not None:
            commit = self.commits[commit.parent]
            yield commit

    def path_of(self, entry: Entry) -> Path:
        return self.large(entry.oid) if entry.large else self.root / "small" / entry.oid

    def large(self, sha256: str) -> Path:
        return self.root / "large" / sha256

    def keep_small(self, content: bytes) -> Entry:
        entry = Entry(git_sha1(content), len(content), large=False)
        self.path_of(entry).write_bytes(content)
        return entry

    def squash(self, branch: str, message: str) -> None:
        """The branch becomes one commit without a past."""
        self.branches[branch] = self._new(None, message, self.head(branch).tree).oid
        self.collect()

    def collect(self) -> None:
        """Forgets commits that no branch or tag reaches, and their small files."""
        tips = {*self.branches.values(), *self.tags.values()}
        reached = {c.oid for tip in tips for c in self.history(self.commits[tip])}
        self.commits = {oid: c for oid, c in self.commits.items() if oid in reached}
        used = {e.oid for c in self.commits.values() for e in c.tree.values()}
        for blob in (self.root / "small").iterdir():
            if blob.name not in used:
                blob.unlink()

    def large_files(self) -> list[dict[str, object]]:
        """As `lfs-files` lists them; one name each, though several paths may have the same bytes."""
        names = {e.oid: p for c in self.commits.values() for p, e in c.tree.items() if e.large}
        return [
            {
                "fileOid": f"id-{path.name}",
                "oid": path.name,
                "filename": names.get(path.name, "unknown"),
                "pushedAt": "2026-01-01T00:00:00.000Z",
                "size": path.stat().st_size,
            }
            for path in sorted((self.root / "large").iterdir())
        ]

    def delete_large(self, oids: set[str], *, rewrite: bool) -> None:
        """Deletes large files; with `rewrite` every commit is made anew without them, and refs move along."""
        for oid in oids:
            self.large(oid).unlink(missing_ok=True)
        if not rewrite:
            return
        renewed: dict[str, str] = {}
        for tip in {*self.branches.values(), *self.tags.values()}:
            for old in reversed(list(self.history(self.commits[tip]))):
                if old.oid not in renewed:
                    tree = {p: e for p, e in old.tree.items() if e.oid not in oids}
                    parent = None if old.parent is None else renewed[old.parent]
                    renewed[old.oid] = self._new(parent, old.title, tree).oid
        self.branches = {name: renewed[oid] for name, oid in self.branches.items()}
        self.tags = {name: renewed[oid] for name, oid in self.tags.items()}
        self.collect()
