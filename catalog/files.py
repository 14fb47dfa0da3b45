"""The only way to write a file: under a temporary name, synced to the disk, renamed, the folder synced.

After a kill or a power cut a path holds what it held before, or what was written, whole; never half of it. Verbs:

    put, put_if_absent, get, listed, delete    bytes under a path
    writing, stream, text, folder              for libraries that want a path, a stream or a whole folder
    named_text                                 what a person named
    adopt, growing, sweep                      of another program; a log read while it grows; what a kill left
    shared, alone                              a lock between who reads and who changes
    share, fill, touch                         a second name; the same bytes; written again without being written

What touches the disk is `Disk` (catalog/disk.py); `using` puts another layer in its place, in tests one that loses what
was not synced. A bucket would be another one: it gets a local temporary file and uploads it in `publish`.
Every temporary is named `.<name>.<8 hex digits>.tmp`, in the same folder as what it becomes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO

from catalog.disk import Disk as Disk
from catalog.disk import DiskBroken as DiskBroken
from catalog.disk import DiskFull as DiskFull
from catalog.disk import FolderGone as FolderGone
from catalog.disk import InTheWay as InTheWay
from catalog.disk import ReadOnly as ReadOnly
from catalog.disk import is_temporary as is_temporary
from catalog.disk import refusal as refusal
from catalog.disk import room_for as room_for
from catalog.errors import Expected, Missing

_LEFT = re.compile(r"\..+\.tmp(\.wal)?")
"""What a killed process may leave: also the names of older versions, and DuckDB's log beside a temporary database."""


class NotHere(Expected, ValueError):
    """An address of a bucket or a site, or a name that no folder can have, where a folder of this machine is needed."""


_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]+:/")


def local(path: Path | str) -> Path:
    """A folder of this machine.

    Raises:
        NotHere: it is the address of something else: `Path` would make a folder named `s3:` of it; or no name of one.
    """
    if _ADDRESS.match(str(path)):
        raise NotHere(
            f"{path} is an address, and a build needs a folder on a disk of this machine, or on one that all workers "
            "mount. Buckets are not supported: build into a folder and copy dataset/ there, for example with "
            "`aws s3 sync`."
        )
    try:
        Path(path).stat()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise NotHere(
                f"{str(path)[:200]} can be no folder: {error.strerror}. Name another."
            ) from error
    return Path(path)


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
    """Takes a file or a whole folder away; whether it was there. Raises as `writing`."""
    with room_for(path):
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


def share(existing: Path, path: Path) -> None:
    """A second name for a file that nobody changes in place, or a copy where there can be none; raises as `writing`."""
    with writing(path) as temporary:
        try:
            temporary.hardlink_to(existing)
        except OSError:
            shutil.copyfile(existing, temporary)


def fill(temporary: Path, existing: Path) -> None:
    """The bytes of a file into a temporary that `writing` gave, for who changes a few of them."""
    shutil.copyfile(existing, temporary)


def touch(path: Path) -> None:
    """It says what it said, as of now; raises as `writing`."""
    with room_for(path):
        os.utime(path)


@contextlib.contextmanager
def growing(path: Path) -> Generator[IO[str]]:
    """A log that a person follows while it grows: there from the start, and after a kill as far as it came."""
    make_folder(path.parent)
    with room_for(path), path.open("w", encoding="utf-8") as sink:
        yield sink


@contextlib.contextmanager
def shared(lock: Path) -> Generator[bool]:
    """Held beside others that share it, for who reads several files that belong together; waits for who is `alone`.

    Where there is no lock to take (no folder, a disk without locks) it just goes on.
    """
    with _flocked(lock, os.O_RDONLY, fcntl.LOCK_SH) as held:
        yield held


@contextlib.contextmanager
def alone(lock: Path, wait_s: float) -> Generator[bool]:
    """The opposite, for who changes them: whether nobody shares it, and nobody will before the end."""
    end = time.monotonic() + wait_s
    while True:
        with _flocked(lock, os.O_RDWR, fcntl.LOCK_EX | fcntl.LOCK_NB) as held:
            if held or time.monotonic() >= end:
                yield held
                return
        time.sleep(0.2)


@contextlib.contextmanager
def _flocked(lock: Path, access: int, kind: int) -> Generator[bool]:
    try:
        descriptor = os.open(lock, access | os.O_CREAT, 0o666)
    except OSError:
        yield True
        return
    try:
        fcntl.flock(descriptor, kind)
        held = True
    except OSError as error:
        held = error.errno not in (errno.EAGAIN, errno.EACCES)
    try:
        yield held
    finally:
        with contextlib.suppress(OSError):
            # Also where a child process has the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


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
