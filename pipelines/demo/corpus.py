"""Makes the demo corpus: small files with a known truth, cut from photographs that ship in installed packages.

    python -m pipelines.demo.corpus --out out/corpus --seed 1 [--files 250] [--sheet sheet.png]

A folder `photos/`, a `manifest.json` as the embedded Commons and the real MediaWiki of the tests read it, the tree of
categories, a list of titles, and `truth.json`: what was done to each file and what a right build makes of it. Every
file has its own tile of a photograph; no tile is used twice except for planted near-duplicates. The same seed and
number of files give the same bytes on the same versions of Pillow and OpenCV.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
from PIL import Image

from catalog.files import folder as whole_folder
from catalog.files import put, stream
from filters.picture import header, open_picture
from pipelines.demo.files import file_bytes, twin_bytes
from pipelines.demo.names import category_pages
from pipelines.demo.plan import VERSION, CorpusError, Entry, make_plan
from pipelines.demo.score import Judged, score

__all__ = [
    "Corpus",
    "CorpusError",
    "Judged",
    "contact_sheet",
    "corpus_fingerprint",
    "make_corpus",
    "score",
    "score_build",
]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Where a corpus lies."""

    root: Path

    @property
    def photos(self) -> Path:
        """Folder of the originals, by file name."""
        return self.root / "photos"

    @property
    def manifest(self) -> Path:
        """List of items: what Commons would say about each file."""
        return self.root / "manifest.json"

    @property
    def categories(self) -> Path:
        """Category -> its parents, for the pages that the manifest's items do not describe."""
        return self.root / "categories.json"

    @property
    def titles(self) -> Path:
        """Titles that only a list of titles reaches, one a line."""
        return self.root / "titles.txt"

    @property
    def truth(self) -> Path:
        """What was done to each file and what should become of it."""
        return self.root / "truth.json"


def make_corpus(out: Path, *, seed: int, files: int = 250) -> Corpus:
    """Makes the corpus in `out`, or reuses what the same seed, size and versions left there.

    The folder is built under a temporary name and renamed, so that it is never half there.

    Raises:
        CorpusError: `out` holds something that is not a corpus, or there are not enough tiles for so many files.
        ValueError: fewer than 20 files.
    """
    fingerprint = corpus_fingerprint(seed, files)
    corpus = Corpus(root=out)
    if out.exists():
        if not corpus.truth.is_file():
            raise CorpusError(f"{out} is not a demo corpus; choose another folder or remove it.")
        if _made_as(corpus) == fingerprint:
            return corpus
    with whole_folder(out, marker=corpus.truth.name) as building:
        head = {"version": VERSION, "seed": seed, "files": files, "fingerprint": fingerprint}
        with plain_opencv():
            _write(Corpus(root=building), make_plan(seed, files), head)
    return corpus


def _made_as(corpus: Corpus) -> str | None:
    """The fingerprint that it says; None where its files are damaged, which the seed draws again."""
    try:
        held = {file: json.loads(file.read_text("utf-8")) for file in corpus.root.glob("*.json")}
        names = [item["filename"] for item in held[corpus.manifest]]
        above = [one for parents in held[corpus.categories].values() for one in parents]
        whole = all(isinstance(one, str) for one in (*names, *above))
        return held[corpus.truth]["fingerprint"] if whole else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


@contextmanager
def plain_opencv() -> Generator[None]:
    """OpenCV's baseline code instead of the processor's vectors: the same seed is the same bytes anywhere."""
    before = cv2.useOptimized()
    cv2.setUseOptimized(False)
    try:
        yield
    finally:
        cv2.setUseOptimized(before)


def corpus_fingerprint(seed: int, files: int) -> str:
    """Names the corpus that this code makes of a seed with the installed versions of what draws it."""
    parts = (VERSION, seed, files, PIL.__version__, cv2.__version__, np.__version__)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


# -- making ---------------------------------------------------------------------------------------------------------


def _write(corpus: Corpus, entries: list[Entry], head: dict[str, Any]) -> None:
    """All files of the corpus; the truth comes last."""
    made: dict[int, bytes] = {}
    amounts: dict[int, float | None] = {}
    # Twins are made from the bytes of their original, as a second uploader would.
    for entry in sorted(entries, key=lambda e: e.role == "twin"):
        if entry.twin_of is None:
            made[id(entry)] = file_bytes(entry)
        else:
            made[id(entry)], amounts[id(entry)] = twin_bytes(entry, made[id(entry.twin_of)])
    for entry in entries:
        put(corpus.photos / entry.item["filename"], made[id(entry)])
    _json(corpus.manifest, [entry.item for entry in entries])
    _json(corpus.categories, category_pages())
    listed = [f"File:{e.item['filename']}\n" for e in entries if e.reach == "titles"]
    put(corpus.titles, "".join(listed))
    rows = [_truth(entry, made[id(entry)], amounts.get(id(entry))) for entry in entries]
    _json(corpus.truth, {**head, "items": rows})


def _truth(entry: Entry, content: bytes, amount: float | None) -> dict[str, Any]:
    fate = {
        "degraded": ("kept", "kept"),
        "clean": ("dropped", "clean"),
        "twin": ("dropped", "duplicate"),
        "unfree": ("dropped", "license"),
        "personality": ("dropped", "license"),
        "deletion": ("dropped", "license"),
        "no_author": ("dropped", "license"),
        "small": ("dropped", "too_small"),
        "svg": ("dropped", "mime"),
        "gif": ("dropped", "mime"),
        "corrupt": ("dropped", "failed"),
        "fault": ("dropped", "failed"),
    }[entry.role]
    size: tuple[int, int] | None = None
    if entry.role not in ("svg", "corrupt"):
        size = header(content).turned_size
    return {
        "title": f"File:{entry.item['filename']}",
        "filename": entry.item["filename"],
        "role": entry.role,
        "source": entry.tile.source.name if entry.tile else None,
        "reduced": entry.tile.source.reduce if entry.tile else None,
        "box": list(entry.tile.box) if entry.tile else None,
        "degradation": asdict(entry.degradation) if entry.degradation else None,
        "twin_of": f"File:{entry.twin_of.item['filename']}" if entry.twin_of else None,
        "transform": {"kind": entry.transform, "amount": amount} if entry.transform else None,
        "license_expected": entry.license_expected,
        "fault": entry.item.get("fault"),
        "reach": entry.reach,
        "size_px": list(size) if size else None,
        "size_bytes": len(content),
        "uploaded": entry.item["uploaded"],
        "expected": fate[0],
        "expected_reason": fate[1],
    }


def _json(path: Path, value: Any) -> None:
    put(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


# -- scoring --------------------------------------------------------------------------------------------------------


def score_build(out: Path) -> dict[str, Any]:
    """What the build under `out` decided, scored against the truth of `out/corpus`: flat, ready to print.

    Raises:
        CorpusError: there is no finished demo build under `out`.
    """
    truth, database = Corpus(root=out / "corpus").truth, out / "lucidlr.duckdb"
    for path in (truth, database):
        if not path.is_file():
            raise CorpusError(f"{path} is missing; run `lucidlr demo --out {out}` to its end.")
    result = score(json.loads(truth.read_text("utf-8")), _decisions(database))
    result.pop("wrong")
    by_kind = result.pop("by_kind")
    flat = {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}
    flat |= {f"right: {kind}": f"{n['right']}/{n['files']}" for kind, n in by_kind.items()}
    for kind, n in by_kind.items():
        borne = ", ".join(f"{label} {count}" for label, count in n["labels"].most_common())
        flat[f"labels: {kind}"] = borne or "none"
    return flat


def _decisions(database: Path) -> dict[str, Judged]:
    """Decisions and failures of a finished build, by title."""
    # DuckDB takes a while to load; making a corpus does without.
    from catalog.database import connect

    connection = connect(str(database), read_only=True)
    try:
        decisions = connection.table("decisions").to_arrow_table().to_pylist()
        failures = connection.table("failures").to_arrow_table().to_pylist()
    finally:
        connection.close()
    titles = {row["page_id"]: row["title"] for row in decisions}
    kinds = {row["key"]: row["kind"] for row in failures}
    judged: dict[str, Judged] = {}
    for row in decisions:
        # A failure is filed under whatever was known of the file when it happened.
        keys = (str(row["page_id"]), row["sha1"], row["title"])
        judged[row["title"]] = Judged(
            keep=row["keep"],
            reason=row["reason"],
            duplicate_of=titles.get(row["duplicate_of"]),
            failure=next((kinds[key] for key in keys if key in kinds), None),
            labels=tuple(row.get("labels") or ()),
        )
    return judged


# -- looking --------------------------------------------------------------------------------------------------------


def contact_sheet(corpus: Corpus, out_png: Path, *, columns: int = 15) -> None:
    """All pictures with role, damage and amount below them, grouped by role and damage, for a look by eye."""
    from PIL import ImageDraw

    items = json.loads(corpus.truth.read_text("utf-8"))["items"]
    cell_w, cell_h = 134, 160
    items.sort(
        key=lambda i: (
            i["role"],
            str(i["degradation"] and i["degradation"]["kind"]),
            str(i["source"]),
        )
    )
    rows = -(-len(items) // columns)
    sheet = Image.new("RGB", (columns * cell_w, rows * cell_h), "white")
    draw = ImageDraw.Draw(sheet)
    for place, item in enumerate(items):
        x, y = place % columns * cell_w, place // columns * cell_h
        if item["size_px"]:
            with open_picture(corpus.photos / item["filename"], frames=True) as picture:
                image = Image.fromarray(picture.rgb)
            shown = (min(image.width, cell_w - 4), min(image.height, cell_h - 28))
            sheet.paste(image.crop((0, 0, *shown)), (x, y))
        damage, change = item["degradation"], item["transform"]
        first = item["role"] + (f" {change['kind']} {change['amount']}" if change else "")
        second = f"{damage['kind']} {damage['amount']}" if damage else "-"
        draw.text((x, y + cell_h - 27), first[:22], fill="black")
        draw.text((x, y + cell_h - 15), second[:22], fill="black")
    with stream(out_png) as sink:
        sheet.save(sink, "PNG")


def summary(corpus: Corpus) -> str:
    """How many files of each role and damage the corpus has."""
    truth = json.loads(corpus.truth.read_text("utf-8"))
    lines = [f"{corpus.root}: {truth['files']} files, seed {truth['seed']}"]
    for key in ("role", "degradation", "transform", "source", "reach"):
        counts: dict[str, int] = {}
        for item in truth["items"]:
            value = item[key]["kind"] if isinstance(item[key], dict) else item[key]
            if value is not None:
                counts[value] = counts.get(value, 0) + 1
        listed = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        lines.append(f"  {key:<12}{listed}")
    return "\n".join(lines)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Make the demo corpus.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=250)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet (PNG), too")
    options = parser.parse_args()
    corpus = make_corpus(options.out, seed=options.seed, files=options.files)
    if options.sheet is not None:
        contact_sheet(corpus, options.sheet)
    print(summary(corpus))  # noqa: T201


if __name__ == "__main__":
    main()
