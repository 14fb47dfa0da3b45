"""Freezes a small catalog and its release as a fixture that every later version has to open, migrate and finish.

    python scripts/freeze_catalog.py freeze tests/frozen/2027-03     # a new fixture, by the code that stands here
    python scripts/freeze_catalog.py expect tests/frozen/2026-11     # what the code of today makes of an old one

`freeze` writes <name>.tar.xz and <name>.json. In the archive, all of one recipe (`recipe.yaml`, a demo corpus) and made
by the commands that users type:

    finished/             built, refiltered by `stricter.yaml`; two takedowns, export, purge; a refresh that finds one
                          file deleted and one tagged for deletion; one more takedown, export
    killed-in-download/   killed while the third batch of originals was renamed into place
    killed-in-measure/    killed while the third batch of measures was renamed into place
    killed-in-export/     killed before the manifest: everything is known, nothing is released

The database (lucidlr.duckdb) is left out: it holds views by absolute path, and `lucidlr relink` makes it from the rest.
So are locks, which belong to a process. The JSON says what stood in it (`stood`, never changed) and what a version
makes of it (`expected`, one entry for each set of versions; `expect` adds one). See docs/adr/0014.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.frozen import (  # noqa: E402
    dataset_hash,
    outcome,
    rows_of,
    unpack,
    versions_in_force,
    what_stands,
    what_was_done,
)

CORPUS = {"seed": 2026, "files": 40, "page_size": 7}
BATCH = 8
KILLS = {
    "killed-in-download": ("*/catalog/parts/download/*/*.parquet", 3),
    "killed-in-measure": ("*/catalog/parts/measure/*/*.parquet", 3),
    "killed-in-export": ("*/manifest.json", 1),
}
"""Folder -> which rename kills the build, and the how-manieth such rename."""

# Runs a command of ours and kills itself, as a power cut would, at the n-th rename to a path that matches.
KILLER = """
import fnmatch, os, pathlib, signal, sys
pattern, nth = sys.argv[1], int(sys.argv[2])
rename, seen = pathlib.Path.replace, 0
def replace(self, target):
    global seen
    if fnmatch.fnmatch(str(target), pattern) and "/corpus/" not in str(target):
        seen += 1
        if seen == nth:
            os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
pathlib.Path.replace = replace
sys.argv = ["lucidlr", *sys.argv[3:]]
from pipelines.cli import main
main()
"""
PICTURES = {"image", "vector", "thumbnail"}
BUILD = ("build", "recipe.yaml", "--runner", "threads", "--workers", "1", "--out")


def lucidlr(folder: Path, *arguments: str, kill: tuple[str, int] | None = None) -> str:
    """Runs a command in `folder`; what it printed.

    Raises:
        RuntimeError: it failed, or was not killed where it should be.
    """
    killer = ["-c", KILLER, kill[0], str(kill[1])] if kill else ["-m", "pipelines.cli"]
    done = subprocess.run(
        [sys.executable, *killer, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != (-signal.SIGKILL if kill else 0):
        raise RuntimeError(f"lucidlr {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
    return done.stdout


# -- freezing -------------------------------------------------------------------------------------------------------


def freeze(target: Path) -> None:
    """Makes <target>.tar.xz and <target>.json."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_recipes(folder)
        lucidlr(folder, *BUILD, "finished")
        first = rows_of(folder / "finished" / "dataset")
        first_hash = dataset_hash(folder / "finished")
        for name, kill in KILLS.items():
            lucidlr(folder, *BUILD, name, kill=kill)
        said = take_down_and_purge(folder, first)
        stood = {
            "commit": git("rev-parse", "HEAD"),
            "software": software(),
            "first_release": {"dataset_hash": first_hash, "rows": first},
            "finished": {**said, **what_stands(folder / "finished")},
            **{name: what_was_done(folder / name) for name in KILLS},
        }
        clean(folder)
        check_that_nothing_is_of_this_machine(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        pack(folder, target.with_name(target.name + ".tar.xz"))
        write_json(target, {"stood": stood, "expected": []})
    expect(target, why="as frozen")


def write_recipes(folder: Path) -> None:
    """recipe.yaml and stricter.yaml: the demo's of today, every default written out, so that they stay as they are."""
    from pipelines.recipe import load_recipe

    recipe = load_recipe(ROOT / "pipelines" / "recipes" / "demo.yaml").model_dump(mode="json")
    recipe |= {"name": "frozen", "corpus": CORPUS, "batch_size": BATCH}
    strict = [{**r, "min": 0.7} if r["name"] == "degraded" else r for r in recipe["rules"]]
    for name, content in (("recipe", recipe), ("stricter", {**recipe, "rules": strict})):
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def take_down_and_purge(folder: Path, first: list[dict[str, Any]]) -> dict[str, Any]:
    """The story of `finished`; the page ids of what was removed, and how."""
    lucidlr(folder, "refilter", "stricter.yaml", "--out", "finished")
    strict = rows_of(folder / "finished" / "dataset")
    chosen = {row["page_id"] for row in strict}
    dropped = [row for row in first if row["page_id"] not in chosen]
    if len(dropped) < 3 or len(strict) < 6:
        raise RuntimeError(f"{len(strict)} rows, {len(dropped)} less than before: another seed")
    # By title, and by SHA-1 where it is about the bytes.
    take_down(folder, [strict[0]["title"], dropped[0]["sha1"]])
    lucidlr(folder, "purge", "--out", "finished")
    change_commons(folder / "finished" / "corpus", deleted=dropped[1], tagged=dropped[2])
    lucidlr(folder, "refresh", "recipe.yaml", "--all", "--out", "finished")
    take_down(folder, [strict[-1]["title"]])
    return {
        "purged_page_ids": sorted(row["page_id"] for row in (strict[0], dropped[0])),
        "taken_down_page_ids": [strict[-1]["page_id"]],
        "deleted_page_ids": [dropped[1]["page_id"]],
        "tagged_page_ids": [dropped[2]["page_id"]],
    }


def take_down(folder: Path, names: list[str]) -> None:
    """A removal list, and the release without it."""
    (folder / "list.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    lucidlr(folder, "takedown", "list.txt", "--out", "finished", "--why", "the owner wrote")
    lucidlr(folder, "export", "--out", "finished", "--version", "0.2.0")
    (folder / "list.txt").unlink()


def change_commons(corpus: Path, *, deleted: dict[str, Any], tagged: dict[str, Any]) -> None:
    """What the embedded Commons says from now on."""
    items = json.loads((corpus / "manifest.json").read_text("utf-8"))
    items = [item for item in items if f"File:{item['filename']}" != deleted["title"]]
    for item in items:
        if f"File:{item['filename']}" == tagged["title"]:
            item["deletion_reason"] = "No source since 1 May"
    text = json.dumps(items, ensure_ascii=False, indent=1)
    (corpus / "manifest.json").write_text(text + "\n", encoding="utf-8")


def clean(folder: Path) -> None:
    """Leaves out what belongs to a process or is made from the rest."""
    for out in (folder / "finished", *(folder / name for name in KILLS)):
        shutil.rmtree(out / "catalog" / "locks", ignore_errors=True)
        (out / "lucidlr.duckdb").unlink(missing_ok=True)
        shutil.rmtree(out / "report", ignore_errors=True)


def check_that_nothing_is_of_this_machine(folder: Path) -> None:
    """Raises RuntimeError where a file tells of a folder or the name of the machine that froze it."""
    words = re.compile(
        "|".join([str(folder), str(ROOT), rf"\\b{re.escape(socket.gethostname())}\\b"])
    )
    for file in (f for f in folder.rglob("*") if f.is_file()):
        if "photos" in file.parts or "objects" in file.parts:
            continue  # pictures
        if file.suffix == ".parquet" or ".parquet." in file.name:
            table = pq.read_table(io.BytesIO(file.read_bytes()))
            text = str(
                [
                    table.schema,
                    *(table.drop_columns([*PICTURES & {*table.column_names}]).to_pylist()),
                ]
            )
        else:
            text = file.read_text("utf-8")
        if found := words.search(text):
            raise RuntimeError(f"{file} tells of {found[0]}")


def pack(folder: Path, archive: Path) -> None:
    """Everything under `folder`, in the order of its names, without dates and owners: the same files give the same
    bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            info = tar.gettarinfo(path, path.relative_to(folder).as_posix())
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime, info.mode = 0, 0o755 if path.is_dir() else 0o644
            if path.is_file():
                with path.open("rb") as content:
                    tar.addfile(info, content)
            else:
                tar.addfile(info)
    archive.write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def software() -> dict[str, str]:
    """What the bytes of a shard depend on."""
    return {"pyarrow": pa.__version__}


def git(*arguments: str) -> str:
    """What git says of this checkout."""
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


# -- what a version makes of it -------------------------------------------------------------------------------------


def expect(target: Path, *, why: str) -> None:
    """Adds what the present code makes of a frozen catalog to <target>.json, in the place of an entry of the same
    versions."""
    held = json.loads(json_of(target).read_text("utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        unpack(target, folder)
        shutil.copytree(folder / "finished", folder / "again")
        shutil.copytree(folder / "finished", folder / "rebuilt")
        lucidlr(folder, "refilter", "stricter.yaml", "--out", "finished")
        lucidlr(folder, "refilter", "recipe.yaml", "--out", "again")
        lucidlr(folder, *BUILD, "rebuilt")
        lucidlr(folder, *BUILD, "killed-in-export")
        found = {
            "refilter stricter.yaml": outcome(folder / "finished"),
            "refilter recipe.yaml": outcome(folder / "again"),
            "build recipe.yaml over the finished": outcome(folder / "rebuilt"),
            "build recipe.yaml over the killed": outcome(folder / "killed-in-export"),
        }
        versions = versions_in_force(folder / "recipe.yaml")
    others = [entry for entry in held["expected"] if entry["versions"] != versions]
    entry = {"why": why, "versions": versions, "software": software(), **found}
    write_json(target, {**held, "expected": [*others, entry]})


def json_of(target: Path) -> Path:
    """The JSON beside an archive."""
    return target.with_name(target.name + ".json")


def write_json(target: Path, content: dict[str, Any]) -> None:
    """Readable, a line for each short list."""
    about = (
        "Made by scripts/freeze_catalog.py; docs/adr/0014 says what may change here. `stood` never changes. `expected` "
        "has one entry for each set of versions: a change that raises a version adds one with `expect`, and its reason."
    )
    text = json.dumps({"about": about, **content}, indent=1, ensure_ascii=False)
    json_of(target).write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(description="Freeze a small catalog as a fixture.")
    parser.add_argument("verb", choices=("freeze", "expect"))
    parser.add_argument("target", type=Path, help="e.g. tests/frozen/2026-11")
    parser.add_argument("--why", help="expect: which change of versions makes a new entry")
    options = parser.parse_args()
    target = options.target.resolve()
    if options.verb == "freeze":
        freeze(target)
    elif options.why:
        expect(target, why=options.why)
    else:
        parser.error("--why is missing: say which change of versions makes a new entry")


if __name__ == "__main__":
    main()
