"""The local disk, and what it may refuse, as errors that say what to do. Behind catalog/files.py; nobody else's."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Generator
from pathlib import Path

from catalog.errors import Expected, Missing

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


class DiskFull(Expected, RuntimeError):
    """There was no room to write a file; what was committed before is whole."""


class ReadOnly(Expected, PermissionError):
    """A folder may not be written to."""


class InTheWay(Expected, OSError):
    """A folder stands where a file is to be written, or a file where a folder is."""


class FolderGone(Missing):
    """A folder that was there when a command began was removed or unmounted meanwhile."""


class DiskBroken(Expected, OSError):
    """The disk itself failed."""


@contextlib.contextmanager
def room_for(path: Path) -> Generator[None]:
    """Turns what a disk may refuse into errors that say what to do.

    Raises:
        DiskFull, ReadOnly, FolderGone, InTheWay, DiskBroken: while something under `path` was written.
    """
    try:
        yield
    except Expected:
        raise
    except OSError as error:
        refused = refusal(error, path)
        if refused is None:
            raise
        raise refused from error


def refusal(error: OSError, path: Path) -> Expected | None:
    """The sentence for what the system said while `path` was written; None where it is no matter of the disk."""
    whole = "Everything committed so far is whole:"
    match error.errno:
        case errno.EISDIR | errno.EEXIST | errno.ENOTDIR if (
            in_the_way := _in_the_way(path, error)
        ) is not None:
            what = "a folder" if in_the_way.is_dir() else "a file"
            return InTheWay(
                f"{in_the_way} is {what}, and cannot be while {path} is written. {whole} move it away and run the "
                "same command again."
            )
        case errno.ENOSPC:
            return DiskFull(
                f"No space left while writing {path}. {whole} make room and run the same command again. (Where "
                "`df -h` shows room, `df -i` shows whether the inodes are used up.)"
            )
        case errno.EFBIG:
            return DiskFull(
                f"{path} would be larger than this file system or a limit on files (`ulimit -f`) allows. {whole} "
                "use another folder, or lift the limit, and run the same command again."
            )
        case errno.EDQUOT:
            return DiskFull(
                f"No space left within your quota while writing {path}. {whole} make room and run the same command "
                "again."
            )
        case errno.EROFS:
            return ReadOnly(
                f"{path} is on a file system that is mounted read-only. {whole} mount it for writing, or name another "
                "folder with --out."
            )
        case errno.EACCES | errno.EPERM:
            return ReadOnly(
                f"{path} may not be written: {error.strerror}. {whole} give this user the right to write there, or "
                "name another folder with --out."
            )
        case errno.ENOENT | errno.ENOTDIR | errno.ESTALE if not path.parent.is_dir():
            return FolderGone(
                f"{path.parent} was there and is gone: removed or unmounted while the command ran. Put it back and "
                "run the same command again."
            )
        case errno.EIO:
            return DiskBroken(
                f"The disk failed while writing {path} (input/output error). Look at the disk before you go on; then "
                "`lucidlr verify` says what is whole."
            )
        case _:
            return None


def is_temporary(path: Path) -> bool:
    """Whether its name is one of a file that is being written, or was when its process was killed."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _in_the_way(path: Path, error: OSError) -> Path | None:
    """What the error is about: the folder under that name, or the file where a folder above it should be."""
    there = next((place for place in (path, *path.parents) if os.path.lexists(place)), path)
    wanted_folder = there != path or error.errno == errno.EEXIST
    wrong = there.is_dir() != wanted_folder
    named = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return there if wrong and any(name.startswith(str(there)) for name in named) else None


class Disk:
    """The local disk, as the verbs see it."""

    def temporary(self, path: Path) -> Path:
        """A fresh name beside `path`, whose folder is made."""
        self.make_folder(path.parent)
        return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")

    def publish(self, temporary: Path, path: Path) -> None:
        """A finished temporary file takes its place."""
        self.sync(temporary)
        self.rename(temporary, path)
        self.sync(path.parent)

    def publish_if_absent(self, temporary: Path, path: Path) -> bool:
        """The same, unless something is there; whether it was published."""
        self.sync(temporary)
        try:
            self.link(temporary, path)
        except FileExistsError:
            return False
        self.sync(path.parent)
        return True

    def publish_folder(self, temporary: Path, path: Path) -> None:
        """A finished folder takes its place; the one that was there goes. Killed in between, `settle` helps."""
        for inner in sorted(temporary.rglob("*"), reverse=True):
            self.sync(inner)
        self.sync(temporary)
        retired = self.temporary(path) if path.exists() else None
        if retired is not None:
            self.rename(path, retired)
        self.rename(temporary, path)
        self.sync(path.parent)
        if retired is not None:
            # A file, where somebody put one in the folder's place.
            self.delete(retired)

    def get(self, path: Path) -> bytes:
        """The bytes under a path; FileNotFoundError where there is nothing."""
        return path.read_bytes()

    def listed(self, folder: Path, pattern: str) -> list[Path]:
        """Sorted paths under a folder; none where there is no folder."""
        return sorted(path for path in folder.glob(pattern) if not is_temporary(path))

    def delete(self, path: Path) -> bool:
        """Takes a file or a whole folder away; whether it was there."""
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            return False
        self.sync(path.parent)
        return True

    def make_folder(self, folder: Path) -> None:
        """With all its parents, each of them synced into the one above it."""
        missing: list[Path] = []
        while not folder.is_dir() and folder != folder.parent:
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(exist_ok=True)
            self.sync(new.parent)

    def sync(self, path: Path) -> None:
        """Waits until a file's bytes, or a folder's names, are on the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Within a file system, in one step."""
        old.replace(new)

    def link(self, old: Path, new: Path) -> None:
        """A second name; FileExistsError where the name is taken."""
        try:
            new.hardlink_to(old)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
            # No hard links here (FAT, some network disks): nearly the same, but for two writers at one moment.
            if new.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from None
            old.replace(new)
