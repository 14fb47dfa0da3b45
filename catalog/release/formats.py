"""A release in the forms that other trainers read: image folders, BasicSR's lists, WebDataset shards.

    imagefolder   <split>/<sha1>.<ext>, <split>/metadata.jsonl                     `datasets`, torchvision
    basicsr       <split>/<sha1>.<ext>, meta_info_<split>.txt, or <split>.lmdb     BasicSR, Real-ESRGAN
    webdataset    <split>-000000.tar with <sha1>.<ext> and <sha1>.json             webdataset, img2dataset's readers

The photographs are the original bytes. CREDITS.csv, LICENSES.md, tombstones.parquet and the release's manifest.json lie
beside them, and export.json, written last, lists every file that is no photograph with its SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from catalog import files
from catalog.errors import Expected
from catalog.release.licenses import LICENSES_NAME
from catalog.release.manifest import MANIFEST_NAME, Manifest, load_manifest, sha256_of

Format = Literal["imagefolder", "basicsr", "webdataset"]
FORMATS: tuple[Format, ...] = ("imagefolder", "basicsr", "webdataset")
MARKER = "export.json"
BESIDE = ("CREDITS.csv", LICENSES_NAME, "tombstones.parquet", MANIFEST_NAME)
SHARD_BYTES = 300_000_000
_HASHES = ("phash", "dhash")
Row = tuple[dict[str, Any], str, bytes]
"""What a release says of a photograph, its file name, its bytes."""


class FormatError(Expected, ValueError):
    """A release cannot be written in this form."""


def write_format(
    release: Path,
    to: Path,
    form: Format,
    *,
    lmdb: bool = False,
    shard_bytes: int = SHARD_BYTES,
    advance: Callable[[int], None] = lambda count: None,
) -> int:
    """Writes a release in another form, in the place of the one that is there; how many photographs.

    Args:
        lmdb: with `basicsr`: databases instead of folders (needs the package lmdb).
        shard_bytes: of a WebDataset shard at most, a larger photograph aside.

    Raises:
        catalog.release.manifest.DatasetError: `release` is no released dataset.
        FormatError: a photograph's bytes are not the ones that its row names, or lmdb without basicsr.
        ImportError: lmdb is not installed.
    """
    if lmdb and form != "basicsr":
        raise FormatError("--lmdb goes with --format basicsr.")
    if lmdb:
        import lmdb as _  # noqa: F401 # before anything is written
    manifest = load_manifest(release)
    if to.exists() and not (to / MARKER).is_file() and any(to.iterdir()):
        raise FormatError(f"{to} holds something else than an export; name an empty folder.")
    splits = sorted({shard.split for shard in manifest.shards})
    count = 0
    with files.folder(to, marker=MARKER) as new:
        for name in BESIDE:
            if (release / name).is_file():
                files.put(new / name, (release / name).read_bytes())
        for split in splits:
            rows = _rows(release, manifest, split)
            if form == "imagefolder":
                count += _imagefolder(new, split, rows, advance)
            elif form == "webdataset":
                count += _webdataset(new, split, rows, shard_bytes, advance)
            elif lmdb:
                total = sum(s.image_bytes for s in manifest.shards if s.split == split)
                count += _lmdb(new, split, rows, total, advance)
            else:
                count += _basicsr(new, split, rows, advance)
        photographs = {f"{split}/" for split in splits}
        others = [path for path in sorted(new.rglob("*")) if path.is_file()]
        others = [path for path in others if path.name != "lock.mdb"]
        told = [
            {"path": name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in others
            if (name := path.relative_to(new).as_posix()).endswith((".jsonl", ".txt", ".mdb"))
            or not name.startswith(tuple(photographs))
        ]
        about = {
            "format": f"{form}, lmdb" if lmdb else form,
            "name": manifest.name,
            "version": manifest.version,
            "dataset_hash": manifest.dataset_hash,
            "photographs": count,
            "files": told,
        }
        files.put(new / MARKER, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    return count


def _rows(release: Path, manifest: Manifest, split: str) -> Iterator[Row]:
    """The photographs of a split in the order of the shards, their SHA-1 checked; a row group is in memory at a time.

    Two pages may hold the same bytes; then each has a file of its own.
    """
    seen: dict[str, int] = {}
    for shard in manifest.shards:
        if shard.split != split:
            continue
        with pq.ParquetFile(release / shard.path) as source:
            for group in range(source.num_row_groups):
                for row in source.read_row_group(group).to_pylist():
                    image = row.pop("image")
                    content: bytes = image["bytes"]
                    if hashlib.sha1(content, usedforsecurity=False).hexdigest() != row["sha1"]:
                        raise FormatError(
                            f"{row['title']!r} in {shard.path} does not have its SHA-1: `lucidlr verify` says what is "
                            "damaged."
                        )
                    stem, _, extension = Path(image["path"]).name.rpartition(".")
                    seen[stem] = seen.get(stem, 0) + 1
                    if seen[stem] > 1:
                        stem = f"{stem}-{row['page_id']}"
                    yield row, f"{stem}.{extension}", content


def plain_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON: times in ISO 8601, hashes as 16 hex digits (JSON has no unsigned 64 bits)."""

    def plain(name: str, value: Any) -> Any:
        if isinstance(value, datetime | date):
            return value.isoformat()
        return f"{value:016x}" if name in _HASHES and value is not None else value

    return {name: plain(name, value) for name, value in row.items()}


def _imagefolder(new: Path, split: str, rows: Iterator[Row], advance: Callable[[int], None]) -> int:
    count = 0
    files.make_folder(new / split)
    with files.text(new / split / "metadata.jsonl") as sink:
        for row, name, content in rows:
            files.put(new / split / name, content)
            line = {"file_name": name, **plain_row(row)}
            sink.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
            advance(1)
    return count


def _info(row: dict[str, Any], name: str) -> str:
    """BasicSR's line: name, (height,width,channels)."""
    return f"{name} ({row['height']},{row['width']},3)"


def _basicsr(new: Path, split: str, rows: Iterator[Row], advance: Callable[[int], None]) -> int:
    count = 0
    with files.text(new / f"meta_info_{split}.txt") as sink:
        for row, name, content in rows:
            files.put(new / split / name, content)
            sink.write(_info(row, f"{split}/{name}") + "\n")
            count += 1
            advance(1)
    return count


def _lmdb(
    new: Path, split: str, rows: Iterator[Row], total: int, advance: Callable[[int], None]
) -> int:
    """BasicSR's database: key is the name without its extension, meta_info.txt lists `name (h,w,c) 1`."""
    import lmdb

    count = 0
    place = new / f"{split}.lmdb"
    files.make_folder(place)
    # Pages of 4 KiB, each photograph on pages of its own; the file grows only as far as it is used.
    room = 4 * total + (1 << 28)
    with (
        lmdb.open(str(place), map_size=room) as database,
        files.text(place / "meta_info.txt") as sink,
    ):
        for row, name, content in rows:
            with database.begin(write=True) as transaction:
                transaction.put(name.rpartition(".")[0].encode("ascii"), content)
            # The number is a compression level of PNG; these bytes are the photograph's own.
            sink.write(_info(row, name) + " 1\n")
            count += 1
            advance(1)
    return count


def _webdataset(
    new: Path, split: str, rows: Iterator[Row], most: int, advance: Callable[[int], None]
) -> int:
    count = number = 0
    waiting: list[tuple[str, bytes]] = []
    held = 0

    def flush() -> None:
        nonlocal number, waiting, held
        with (
            files.stream(new / f"{split}-{number:06d}.tar") as sink,
            tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for name, content in waiting:
                # No time and no owner: the same release gives the same bytes.
                about = tarfile.TarInfo(name)
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))
        number, waiting, held = number + 1, [], 0

    for row, name, content in rows:
        said = json.dumps(plain_row(row), ensure_ascii=False).encode()
        if waiting and held + len(content) + len(said) > most:
            flush()
        waiting += [(name, content), (f"{name.rpartition('.')[0]}.json", said)]
        held += len(content) + len(said)
        count += 1
        advance(1)
    if waiting:
        flush()
    return count
