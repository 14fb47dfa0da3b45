"""A SHA-256 beside every file of the catalog, in the format of sha256sum, and the check of it before the file is read.

    parts/measure/9e.../0000-00003.parquet
    parts/measure/9e.../0000-00003.parquet.sha256      <64 hex digits>  0000-00003.parquet

The sum is there before the file is: a file without one was written by a version that had none (docs/adr/0016), or its
sum got lost. Where a file is replaced both sums stand there for a moment, so that a kill in between harms nothing.
A process checks a file once, and again when its size or time has changed. It also has to look like what stands at its
place (catalog/looks.py): a sum can be written again by whoever changes a file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
from collections.abc import Generator, Iterable
from pathlib import Path

from catalog import files
from catalog.errors import Expected
from catalog.looks import looks_right

SUFFIX = ".sha256"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO}
"""There is no file, or something else in its place, or the disk cannot give it back: all of it damage. What may not be
read is another matter, and not to be set aside."""
SMALL_BYTES = 1 << 20
"""What is not larger is read once, for its sum and for its looks."""
_checked: dict[Path, tuple[int, int, int]] = {}
"""Path -> size, time of change and inode of what was found whole by this process."""
_read: dict[Path, tuple[tuple[int, int, int], tuple[str, ...]]] = {}
"""Path of a file of sums -> the same of it, and what it says: a build asks three times for each part."""


class Damaged(Expected, OSError):
    """A file of the catalog does not hold what was written to it."""

    def __init__(self, paths: Iterable[Path], root: Path | None = None) -> None:
        self.paths = tuple(paths)
        named = ", ".join(str(path) for path in self.paths[:5])
        more = f" and {len(self.paths) - 5} more" if len(self.paths) > 5 else ""
        super().__init__(
            f"Damaged: {named}{more} (not what was written there). `lucidlr verify --repair` sets it aside; then run "
            "the build again, which makes it again."
        )


def sum_file(path: Path) -> Path:
    """Where the sum of a file stands."""
    return path.with_name(path.name + SUFFIX)


def sha256_of(path: Path, content: bytes | None = None) -> str:
    """Of a whole file, or of its bytes, where they are at hand."""
    if content is not None:
        return hashlib.sha256(content).hexdigest()
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Generator[Path]:
    """As `files.writing`, with the sum beside it.

    Raises:
        catalog.files.DiskFull: there was no room; `path` is as it was.
    """
    with files.writing(path) as temporary:
        yield temporary
        sha256 = sha256_of(temporary)
        before = known(path) if path.exists() else ()
        _note(path, (sha256, *before))
    if before:
        _note(path, (sha256,))
    _checked[path] = _state(path)


def noted(path: Path) -> None:
    """A file that was whole a moment ago was touched: it need not be read for that."""
    _checked[path] = _state(path)


def put(path: Path, content: bytes | str) -> None:
    """Bytes, or text as UTF-8, with their sum; raises as `writing`."""
    with writing(path) as temporary, temporary.open("wb") as sink:
        sink.write(content.encode() if isinstance(content, str) else content)


def delete(path: Path) -> bool:
    """A file and its sum; whether the file was there."""
    there = files.delete(path)
    files.delete(sum_file(path))
    return there


def known(path: Path) -> tuple[str, ...]:
    """The sums that a file may have; none where it has none, or they cannot be read."""
    place = sum_file(path)
    try:
        state = _state(place)
        held = _read.get(place)
        if held is not None and held[0] == state:
            return held[1]
        text = place.read_text("ascii")
    except UnicodeDecodeError:
        return ()
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return ()
    found = [_LINE.fullmatch(line) for line in text.splitlines()]
    said = tuple(m.group(1) for m in found if m is not None and m.group(2) == path.name)
    _read[place] = state, said
    return said


def is_whole(path: Path) -> bool:
    """Whether a file holds what was written to it; one without a sum only has to look right."""
    try:
        state = _state(path)
        if _checked.get(path) == state:
            return True
        sums = known(path)
        content = path.read_bytes() if state[0] <= SMALL_BYTES else None
        whole = (not sums or sha256_of(path, content) in sums) and looks_right(path, content)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return False
    if whole:
        _checked[path] = state
    return whole


def check(paths: Iterable[Path]) -> None:
    """Before they are read.

    Raises:
        Damaged: some of them are not whole.
    """
    damaged = [path for path in paths if not is_whole(path)]
    if damaged:
        raise Damaged(damaged)


@contextlib.contextmanager
def naming(root: Path, *errors: type[Exception]) -> Generator[None]:
    """Names the files of a catalog whose pages cannot be unpacked, where a library stopped at them without a name.

    Args:
        errors: what the libraries in use raise then.

    Raises:
        Damaged: there are such files.
    """
    try:
        yield
    except Expected:
        raise
    except errors as error:
        found = [path for name in ("parts", "plans") for path in (root / name).rglob("*.parquet")]
        damaged = [path for path in sorted(found) if not looks_right(path, all_of_it=True)]
        if damaged:
            raise Damaged(damaged) from error
        raise


def forget() -> None:
    """What was checked is checked again."""
    _checked.clear()
    _read.clear()


def adopt(path: Path) -> bool:
    """Gives a file of an older version its sum, if it can be read to its end; whether it is whole."""
    if known(path):
        return is_whole(path)
    # Once with sense for what is no file at all, once for every value.
    if not is_whole(path) or not looks_right(path, all_of_it=True):
        return False
    _note(path, (sha256_of(path),))
    return True


def _note(path: Path, sums: Iterable[str]) -> None:
    place = sum_file(path)
    if place.is_dir():
        files.delete(place)
    files.put(place, "".join(f"{sha256}  {path.name}\n" for sha256 in dict.fromkeys(sums)))


def _state(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
