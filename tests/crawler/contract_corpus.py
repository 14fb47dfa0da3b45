"""The corpus that the contract tests put into the real MediaWiki and into the embedded Commons alike.

About sixty small files made from noise and gradients, with the odd cases that a crawler meets: tied upload times,
titles as long as MediaWiki takes them in several scripts, no license, several licenses, many categories, redirects.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = "Contract tree"
"""Category with three levels below it and a cycle back to it."""
CROWDED = "Contract crowd"
"""Category of half of the files, over several answers with small limits."""
WORD = "quokkagram"
"""Stands in the descriptions of seven files and nowhere else."""
TIED_AT = "20150601120000"
LICENSES: list[str | list[str]] = [
    "Cc-by-sa-4.0", "Cc-by-sa-3.0", "Cc-by-sa-2.5", "Cc-by-sa-2.0", "Cc-by-4.0", "Cc-by-3.0",
    "Cc-by-2.5", "Cc-by-2.0", "Cc-zero", "PD-old", "PD-USGov", "GFDL", "FAL", "Non-free_logo", "",
    "Self|Cc-by-sa-4.0", ["GFDL", "Cc-by-sa-3.0"], ["Cc-by-sa-4.0", "PD-old"], ["Cc-zero", "PD-old"],
    ["Cc-by-2.0", "Cc-by-sa-4.0"], ["FAL", "GFDL"], ["Non-free_logo", "Cc-by-4.0"],
]  # fmt: skip
AUTHORS = [
    "[[User:Ilse Varga|Ilse Varga]]",
    "[[User:Lucía Ferrán]]",
    "[https://example.org/people?id=1&x=2 Tomas Brandl]",
    "Søren Vig & daughters",
    "",
    "[[Nobody at all|Nobody]] and [[User:Ilse Varga|I. V.]]",
    "''Old Town'' '''Camera Club'''",
]
DATES = ["2011-03-02", "", "2009-12-24 17:05:00", "circa 1950", "2014"]
USERS = ["Ilse Varga", "Lucía Ferrán"]
"""Authors that have a user page."""
CATEGORY_PAGES = {
    ROOT: ["Contract tree leaf"],
    "Contract tree a": [ROOT],
    "Contract tree b": [ROOT],
    "Contract tree a 1": ["Contract tree a"],
    "Contract tree leaf": ["Contract tree a 1", "Contract tree b"],
    "Contract empty": [],
}
"""Category pages and their parents; the last one is empty, and the first is its own ancestor."""
REDIRECTS = {
    "File:Contract old name.jpg": "File:Contract photo 00.jpg",
    "File:Contract older name.jpg": "File:Contract photo 01.jpg",
}
_LONG = [
    "Вид на старую набережную в сумерках после дождя снятый с моста ",
    "黄昏时分从桥上拍摄的旧码头雨后的街道与行人以及远处的山丘",
    "منظر الميناء القديم عند الغروب بعد المطر من فوق الجسر ",
    "ทิวทัศน์ท่าเรือเก่ายามเย็นหลังฝนตกจากสะพาน",
]


def long_title(which: int, extension: str = "jpg") -> str:
    """A file name of exactly 240 bytes in UTF-8."""
    tail = f" {which}.{extension}"
    body = "".join([_LONG[which]] * 8)
    while len((body + "x" + tail).encode()) > 240:
        body = body[:-1]
    body = body.rstrip() + "x"
    return body + "x" * (240 - len((body + tail).encode())) + tail


def make(folder: Path) -> tuple[Path, Path]:
    """Writes the photos and `manifest.json` into `folder`; same bytes each time. Returns (photos, manifest)."""
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    items = _items()
    for index, item in enumerate(items):
        _photo(photos / item["filename"], index)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items, ensure_ascii=False, indent=1), "utf-8")
    return photos, manifest


def _items() -> list[dict]:
    names = [f"Contract photo {i:02d}.jpg" for i in range(36)]
    names += [f"Contract tied {'hgfedcbaijkl'[i]}.jpg" for i in range(12)]
    names += [long_title(i) for i in range(4)]
    names += [
        "contract lower case.png", "Été à Zürich (1).webp", "Contract moving.gif", "Rock & roll's \"+1\".jpg",
        "Čáp; 50% = ½, ok!.jpg", "写真 01.JPG", "Contract upper.JPEG", "Émile 𝛼 🐦.png",
    ]  # fmt: skip
    names[-5] = "Rock & roll's +1.jpg"
    items = []
    for i, name in enumerate(names):
        item: dict = {
            "filename": name,
            "license": LICENSES[i % len(LICENSES)],
            "author": AUTHORS[i % len(AUTHORS)],
            "description": f"View number {i} of the old harbour, 5 < 6 & more.",
            "categories": [f"Contract group {i % 5}"],
            "date": DATES[i % len(DATES)],
            "uploader": ("Harbourlight", "Tbrandl")[i % 2],
            "uploaded": f"2012{1 + i % 12:02d}{1 + i % 28:02d}08{i % 60:02d}00",
        }
        if i % 8 == 0:
            item["description"] += f" A {WORD} it is."
        if i % 2 == 0:
            item["categories"].append(CROWDED)
        if 36 <= i < 48:
            item["uploaded"] = TIED_AT
        if i in (3, 21, 50):
            item["categories"] += [
                f"Contract many {k:02d} {'é' * (k % 3)}".strip() for k in range(24)
            ]
        if i in (10, 11, 12):
            item["categories"].append(("Contract tree a", "Contract tree leaf", ROOT)[i - 10])
        if i % 9 == 4:
            item["source"] = ("https://example.org/archive/4711", "[https://example.org A scan]")[
                i % 2
            ]
        if i % 7 == 5:
            item["location"] = [48.1 + i / 100, -3.25]
        if i % 11 == 6:
            item["extra"] = "{{Personality rights}}"
        items.append(item)
    items[13]["categories"] = []
    return items


def _photo(path: Path, index: int) -> None:
    rng = np.random.default_rng(index)
    height, width = 40 + int(rng.integers(0, 90)), 40 + int(rng.integers(0, 90))
    ramp = np.linspace(0, 200, width)[None, :, None] + np.zeros((height, 1, 3))
    pixels = np.clip(ramp + rng.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    options: dict = {}
    if path.suffix.lower() in (".jpg", ".jpeg"):
        options["quality"] = 85
        if index % 10 == 2:
            exif = Image.Exif()
            exif[0x010F], exif[0x0110], exif[0x0132] = "Nordlys", "Pocket 3", "2008:05:06 07:08:09"
            exif.get_ifd(0x8769)[0x9003] = "2008:05:06 07:08:09"
            options["exif"] = exif
    image.save(path, **options)
