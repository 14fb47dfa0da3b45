"""A disk that loses power: what was not synced when it went is gone, halved, or as it was before."""

from __future__ import annotations

import random
import shutil
import threading
from pathlib import Path

from catalog.files import Disk


class PowerLost(BaseException):
    """The power went. Nothing is written any more, whoever catches this."""


class LosingDisk(Disk):
    """Loses power before its step number `last`; `crash` then does to the files what a power cut may do.

    A step is a sync, a rename, a link or a deletion. Content that was never synced is lost, halved or there, as chance
    will have it; so is a rename or a deletion whose folder was not synced since: it may be undone.
    """

    def __init__(self, root: Path, last: int, *, chance: random.Random) -> None:
        self.root, self.last, self.chance = root, last, chance
        self.steps = 0
        self.synced: set[int] = set()
        """Inodes of what is on the disk, content and all."""
        self.undo: list[tuple[Path, Path | None, Path | None]] = []
        """Path, what was there before (kept aside), and where it went: names that are not synced yet."""
        self.aside = root.with_name(f"{root.name}-aside")
        self.aside.mkdir(exist_ok=True)
        self.lock = threading.RLock()

    def step(self) -> None:
        """Counts; raises when the power is gone."""
        self.steps += 1
        if self.steps > self.last:
            raise PowerLost

    def sync(self, path: Path) -> None:
        """Content of a file, or the names in a folder."""
        with self.lock:
            self.step()
            if path.is_dir():
                self.undo = [entry for entry in self.undo if entry[0].parent != path]
            else:
                self.synced.add(path.stat().st_ino)
        super().sync(path)

    def rename(self, old: Path, new: Path) -> None:
        """May be undone until the folder is synced."""
        with self.lock:
            self.step()
            self.undo.append((new, self._kept(new), None if old.is_dir() else old))
            super().rename(old, new)

    def delete(self, path: Path) -> bool:
        """May be undone, too, for a file."""
        with self.lock:
            self.step()
            if path.is_file():
                self.undo.append((path, self._kept(path), None))
        return super().delete(path)

    def link(self, old: Path, new: Path) -> None:
        """As a rename."""
        with self.lock:
            self.step()
            super().link(old, new)
            self.undo.append((new, None, None))

    def _kept(self, path: Path) -> Path | None:
        if not path.is_file():
            return None
        kept = self.aside / f"{len(list(self.aside.iterdir()))}"
        kept.hardlink_to(path)
        return kept

    def crash(self) -> None:
        """What is found when the machine is up again."""
        for path, before, _ in reversed(self.undo):
            if self.chance.random() < 0.5 and not path.is_dir():
                path.unlink(missing_ok=True)
                if before is not None and path.parent.is_dir():
                    path.hardlink_to(before)
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and self._was_written(path) and path.stat().st_ino not in self.synced:
                content = path.read_bytes()
                kept = self.chance.choice([0, len(content) // 2, len(content)])
                path.unlink()
                path.write_bytes(content[:kept])
        shutil.rmtree(self.aside)

    def _was_written(self, path: Path) -> bool:
        """Not before this disk was put in, and not by a lock, which has no content."""
        return path not in self.before and path.suffix != ".lock"

    def __enter__(self) -> LosingDisk:
        self.before = (
            {p for p in self.root.rglob("*") if p.is_file()} if self.root.exists() else set()
        )
        return self

    def __exit__(self, *_: object) -> None:
        return None
