"""WebDataset shards: tar files whose members that follow each other under one key are one sample.

A shard is listed by its headers alone; bytes are read at their offset, in any order and from any process.
"""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path, PurePath

COMPRESSED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")


class TarTrouble(ValueError):
    """A shard, or what is left of it, is no tar that can be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One file in a shard."""

    name: str
    offset: int
    """Of its bytes."""
    size: int

    @property
    def key(self) -> str:
        """Of its sample: the name up to the first dot behind the last slash."""
        folder, slash, file = self.name.rpartition("/")
        return f"{folder}{slash}{file.partition('.')[0]}"

    @property
    def extension(self) -> str:
        """What follows the key, in lower case, without its dot."""
        return self.name[len(self.key) + 1 :].lower()


def is_tar(path: PurePath) -> bool:
    """By its name; compressed ones are shards as well, and say what to do."""
    name = path.name.lower()
    return name.endswith((".tar", *COMPRESSED))


def members(path: Path) -> Generator[Member]:
    """The files of a shard, in their order.

    Raises:
        TarTrouble: no tar, a compressed one, or one that breaks off (after what is whole has been given).
    """
    if path.name.lower().endswith(COMPRESSED):
        raise TarTrouble(
            "A compressed shard cannot be read at any place: unpack it to a plain .tar."
        )
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isreg():
                    yield Member(
                        name=member.name.removeprefix("./"),
                        offset=member.offset_data,
                        size=member.size,
                    )
                # It keeps all headers otherwise.
                vars(tar)["members"].clear()
            # It takes a header that is damaged for the end, and says nothing.
            if _is_header(path, tar.offset):
                raise TarTrouble(
                    f"This shard is damaged at byte {tar.offset:,}: what follows was not read."
                )
    except (tarfile.TarError, EOFError) as error:
        raise TarTrouble(f"This shard is damaged or no tar: {error}.") from error
    except OSError as error:
        raise TarTrouble(f"This shard cannot be read: {error.strerror or error}.") from error


def _is_header(path: Path, offset: int) -> bool:
    """Whether anything but the zeros of a tar's end stands there."""
    with path.open("rb") as source:
        source.seek(offset)
        return any(source.read(tarfile.BLOCKSIZE))


def samples(path: Path) -> Generator[tuple[str, list[Member]]]:
    """(key, members) of each sample of a shard, as WebDataset groups them; raises as `members`."""
    for key, found in itertools.groupby(members(path), key=lambda member: member.key):
        yield key, list(found)


def tar_bytes(path: Path, offset: int, size: int) -> bytes:
    """The bytes of one member.

    Raises:
        OSError: the shard cannot be read.
        ValueError: it ends before they do.
    """
    with path.open("rb") as source:
        source.seek(offset)
        content = source.read(size)
    if len(content) < size:
        raise ValueError(f"the shard ends after {len(content)} of its {size} bytes")
    return content
