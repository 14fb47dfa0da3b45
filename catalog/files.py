"""The only way to write a file: under a temporary name, synced to the disk, renamed, the folder synced.

After a kill or a power cut a path holds what it held before, or what was written, whole; never half of it. Verbs:

    put, put_if_absent, get, listed, delete    bytes under a path
    writing, stream, text, folder              for libraries that want a path, a stream or a whole folder
    named_text                                 what a person named
    adopt, growing, sweep                      of another program; a log read while it grows; what a kill left

What touches the disk is in `Disk`; `using` puts another layer in its place, in tests one that loses what was not
synced. A bucket would be another one: it gets a local temporary file and uploads it in `publish`.
Every temporary is named `.<name>.<8 hex digits>.tmp`, in the same folder as what it becomes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO

from catalog.errors import Expected, Missing

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_LEFT = re.compile(r"\..+\.tmp(\.wal)?")
"""What a killed process may leave: also the names of older versions, and DuckDB's log beside a temporary database."""


class DiskFull(Expected, RuntimeError):
    """There was no room to write a file; what was committed before is whole."""


class ReadOnly(Expected, PermissionError):
    """A folder may not be written to."""


class NotHere(Expected, ValueError):
    """An address of a bucket or a site where a folder of this machine is needed."""


_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]+:/")


def local(path: Path | str) -> Path:
    """A folder of this machine.

    Raises:
        NotHere: it is the address of something else: `Path` would make a folder named `s3:` of it.
    """
    if _ADDRESS.match(str(path)):
        raise NotHere(
            f"{path} is an address, and a build needs a folder on a disk of this machine, or on one that all workers "
            "mount. Buckets are not supported: build into a folder and copy dataset/ there, for example with "
            "`aws s3 sync`."
        )
    return Path(path)


class FolderGone(Missing):
    """A folder that was there when a command began was removed or unmounted meanwhile."""


class DiskBroken(Expected, OSError):
    """The disk itself failed."""


@contextlib.contextmanager
def room_for(path: Path) -> Generator[None]:
    """Turns what a disk may refuse into errors that say what to do.

    Raises:
        DiskFull, ReadOnly, FolderGone, DiskBroken: while something under `path` was written.
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
        case errno.ENOSPC:
            return DiskFull(
                f"No space left while writing {path}. {whole} make room and run the same command again. (Where "
                "`df -h` shows room, `df -i` shows whether the inodes are used up.)"
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
            shutil.rmtree(retired)

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


_layers: list[Disk] = [Disk()]


@contextlib.contextmanager
def using(layer: Disk) -> Generator[None]:
    """Puts another layer in the disk's place, in this process."""
    _layers.append(layer)
    try:
        yield
    finally:
        _layers.remove(layer)


@contextlib.contextmanager
def writing(path: Path) -> Generator[Path]:
    """A temporary path for a library that wants one; it becomes `path` when the block ends well, else it goes.

    Raises:
        DiskFull: there was no room; `path` is as it was.
    """
    disk = _layers[-1]
    with room_for(path):
        temporary = disk.temporary(path)
        try:
            yield temporary
            disk.publish(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def stream(path: Path) -> Generator[IO[bytes]]:
    """An open binary file that becomes `path` when the block ends well; raises as `writing`."""
    with writing(path) as temporary, temporary.open("wb") as sink:
        yield sink
        sink.flush()


@contextlib.contextmanager
def text(path: Path, *, newline: str | None = None) -> Generator[IO[str]]:
    """An open UTF-8 file that becomes `path` when the block ends well; raises as `writing`."""
    with writing(path) as temporary, temporary.open("w", encoding="utf-8", newline=newline) as sink:
        yield sink
        sink.flush()


@contextlib.contextmanager
def folder(path: Path, *, marker: str) -> Generator[Path]:
    """A temporary folder that takes the place of `path`, whole, when the block ends well.

    Args:
        marker: the file in it that is written last, by which `settle` knows a whole folder.

    Raises:
        DiskFull: there was no room; the folder that was there stays.
    """
    disk = _layers[-1]
    with room_for(path):
        settle(path, marker=marker)
        temporary = disk.temporary(path)
        temporary.mkdir()
        try:
            yield temporary
            disk.publish_folder(temporary, path)
        finally:
            settle(path, marker=marker)


def settle(path: Path, *, marker: str) -> None:
    """Clears up what a killed `folder` left: afterwards `path` is a whole folder or does not exist.

    Killed between its two renames, there is nothing under `path`; of the whole folders beside it the newest takes
    the place.
    """
    left = [
        p for p in path.parent.glob(f".{path.name}.*") if is_temporary(p) and _of(p) == path.name
    ]
    if not path.exists():
        whole = [p for p in left if (p / marker).is_file()]
        if whole:
            newest = max(whole, key=lambda p: (p / marker).stat().st_mtime_ns)
            _layers[-1].rename(newest, path)
            _layers[-1].sync(path.parent)
            left.remove(newest)
    for rest in left:
        delete(rest)


def put(path: Path, content: bytes | str) -> None:
    """Writes bytes, or text as UTF-8; raises as `writing`."""
    with stream(path) as sink:
        sink.write(content.encode() if isinstance(content, str) else content)


def put_if_absent(path: Path, content: bytes | str) -> bool:
    """Writes unless there is something under `path`; whether it wrote. Of two writers at once one wins.

    Raises:
        DiskFull: there was no room.
    """
    disk = _layers[-1]
    with room_for(path):
        temporary = disk.temporary(path)
        try:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            return disk.publish_if_absent(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def get(path: Path) -> bytes:
    """The bytes under a path.

    Raises:
        FileNotFoundError: there is nothing.
    """
    return _layers[-1].get(path)


def listed(folder: Path, pattern: str = "*") -> list[Path]:
    """Sorted paths under a folder, without temporaries; none where there is no folder."""
    return _layers[-1].listed(folder, pattern)


def delete(path: Path) -> bool:
    """Takes a file or a whole folder away; whether it was there."""
    return _layers[-1].delete(path)


def make_folder(path: Path) -> None:
    """A folder with all its parents, unless it is there."""
    with room_for(path):
        _layers[-1].make_folder(path)


def adopt(made: Path, path: Path) -> None:
    """A file that another program made, on the same file system, becomes `path`; raises as `writing`."""
    with room_for(path):
        _layers[-1].make_folder(path.parent)
        _layers[-1].publish(made, path)


@contextlib.contextmanager
def growing(path: Path) -> Generator[IO[str]]:
    """A log that a person follows while it grows: there from the start, and after a kill as far as it came."""
    make_folder(path.parent)
    with room_for(path), path.open("w", encoding="utf-8") as sink:
        yield sink


def is_temporary(path: Path) -> bool:
    """Whether its name is one of a file that is being written, or was when its process was killed."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _of(temporary: Path) -> str:
    """The name that a temporary would get."""
    return temporary.name[1:].rsplit(".", 2)[0]


def sweep(folder: Path, *, deep: bool = True, skip: Sequence[str] = (), idle_s: float = 0.0) -> int:
    """Takes away what killed processes left in a folder, `deep` also below it; how many. Only while nobody else writes
    there, or with `idle_s`.

    Args:
        skip: names of folders directly in `folder` that are not looked into.
        idle_s: only what was not written to for so many seconds.
    """
    below = [path for path in folder.glob("*") if path.is_dir() and path.name not in skip]
    found = [*folder.glob(".*"), *(path for one in below if deep for path in one.rglob(".*"))]
    left = [path for path in found if _LEFT.fullmatch(path.name)]
    return sum(delete(path) for path in left if idle_s <= 0 or _idle(path, idle_s))


def _idle(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime >= seconds
    except FileNotFoundError:
        return False


def named_text(path: Path, what: str) -> str:
    """The text of a file that a person named.

    Args:
        what: what it has to be, for the message: "a list of removals".

    Raises:
        Missing: it is not there, cannot be read, or is no UTF-8 text.
    """
    try:
        # A byte order mark is no part of the first line.
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise Missing(f"There is no {path}. It has to be {what}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Missing(f"{path} cannot be read ({error}). It has to be {what}.") from error
