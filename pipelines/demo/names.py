"""How Commons would describe the files of the demo corpus: names, people, licenses, categories, upload times.

Pure functions of a random generator. All people, places and cameras are invented.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

Reach = Literal["category", "window", "search", "titles"]

ROOT_CATEGORY = "LucidLR demo"
UPLOAD_WINDOW = ("2011-01-01T00:00:00Z", "2013-01-01T00:00:00Z")
"""Files that only an upload window finds stand in this one, among others."""
SEARCH_WORD = "snapshot"
"""Files that only a search finds have it in their description; no other file has."""

FREE: tuple[tuple[str | tuple[str, ...], float], ...] = (
    ("Cc-by-sa-4.0", 30),
    ("Cc-by-sa-3.0", 16),
    ("Cc-by-4.0", 16),
    ("Cc-zero", 14),
    ("Cc-by-2.0", 7),
    ("Cc-by-sa-2.0", 5),
    ("Cc-by-3.0", 4),
    ("Cc-by-sa-2.5", 2),
    ("Cc-by-2.5", 1),
    ("Self|Cc-by-sa-4.0", 3),
    (("GFDL", "Cc-by-sa-3.0"), 2),
)
"""Template, share. Public domain is left out: whether a bare PD-old suffices is a matter of policy, not of truth."""
UNFREE: tuple[tuple[str | tuple[str, ...], str], ...] = (
    ("Non-free_logo", "reject"),
    ("GFDL", "quarantine"),
    ("FAL", "quarantine"),
    ("", "quarantine"),
    ("Non-free_logo", "reject"),
    (("Cc-by-sa-4.0", "Non-free_logo"), "reject"),
)
_GROUPS = {
    "animals": ("cat",),
    "people": ("portrait", "cameraman"),
    "objects": ("coffee", "coins", "garage", "wall"),
    "nature": ("gravel", "meadow", "flower"),
    "science": ("microscope", "moon", "rocket"),
    "places": ("temple",),
}
_PHRASES = {
    "cat": ("Ginger cat", "Cat at rest", "Kočka doma", "Old tomcat"),
    "portrait": ("Portrait in the studio", "Test pilot", "Visit of the crew", "Orange suit"),
    "cameraman": ("Cameraman at work", "Filming outdoors", "Tripod on the lawn"),
    "coffee": ("Cup of coffee", "Espresso", "Café con leche", "Breakfast table"),
    "coins": ("Old coins", "Greek coins", "Coin collection, tray 3"),
    "garage": ("Motorcycle in the garage", "Workshop", "Moto et vélos", "Bikes & tools"),
    "wall": ("Brick wall", "Zeď domu", "Facade of a warehouse"),
    "gravel": ("Gravel path", "Gravel", "Pebbles by the track"),
    "meadow": ("Meadow", "Tall grass", "Lawn in July"),
    "flower": ("Dahlia", "Flower in the garden", "Rote Blüte"),
    "microscope": ("Stained tissue", "Microscope slide", "Section, 20x"),
    "moon": ("Moon surface", "Lunar crater", "Měsíc"),
    "rocket": ("Rocket on the pad", "Launch at dusk"),
    "temple": ("Temple roof", "Pavilion", "Summer palace, 2nd court"),
}
_PLACES = ("Brno", "Hilltown", "Zürich", "Port Alder", "São Bento", "Kjelvik", "Novo Polje", "Ryde")
_PEOPLE = (
    "Ilse Varga", "Tomas Brandl", "M. Okonjo", "Petra Lind", "Jonas Achterberg", "Chiara Vento",
    "Søren Vig", "A. K. Mehrotra", "Lucía Ferrán", "Old Town Camera Club",
)  # fmt: skip
_UPLOADERS = (
    "Harbourlight", "Petra Lind", "Kjelvik archive", "Tbrandl", "Lichtbild7", "Meadow Walker",
    "Snapdragon 1971", "Import helper",
)  # fmt: skip
CAMERAS = (
    ("Aurora Optics", "C-120"),
    ("Aurora Optics", "Zoom 70"),
    ("Nordlys", "Pocket 3"),
    ("Telefonwerk", "T9 camera phone"),
)
_LONG_NAMES = (
    "Вид на старую набережную в сумерках после дождя снятый с моста через реку ",
    "黄昏时分从桥上拍摄的旧码头雨后的街道与行人以及远处的山丘和灯光",
)


def free_license(rng: np.random.Generator) -> str | list[str]:
    """A template that the license gate has to accept."""
    shares = np.array([share for _, share in FREE])
    return _as_json(FREE[int(rng.choice(len(FREE), p=shares / shares.sum()))][0])


def unfree_license(index: int) -> tuple[str | list[str], str]:
    """A template that the gate has to stop, and the expected outcome; all kinds occur in turn."""
    template, outcome = UNFREE[index % len(UNFREE)]
    return _as_json(template), outcome


def reach(rng: np.random.Generator) -> Reach:
    """Which kind of source finds the file."""
    names: tuple[Reach, ...] = ("category", "window", "search", "titles")
    return names[int(rng.choice(4, p=(0.55, 0.25, 0.13, 0.07)))]


def category_pages() -> dict[str, list[str]]:
    """Each category of the tree with its parents. Three levels under the root, and a cycle back to it."""
    pages: dict[str, list[str]] = {ROOT_CATEGORY: []}
    for group, subjects in _GROUPS.items():
        pages[f"{ROOT_CATEGORY} {group}"] = [ROOT_CATEGORY]
        for subject in subjects:
            pages[f"{ROOT_CATEGORY} {subject}"] = [f"{ROOT_CATEGORY} {group}"]
            pages[f"{ROOT_CATEGORY} {subject} details"] = [f"{ROOT_CATEGORY} {subject}"]
    # Commons has cycles; a crawler without a visited set would not come back from here.
    pages[ROOT_CATEGORY].append(f"{ROOT_CATEGORY} cat")
    return pages


def describe(
    index: int, extension: str, subject: str, reach: Reach, rng: np.random.Generator
) -> dict[str, Any]:
    """The manifest item of file number `index`, without license and upload time."""
    phrase, place = _pick(rng, _PHRASES[subject]), _pick(rng, _PLACES)
    author = _pick(rng, _PEOPLE)
    linked = f"[[User:{author}|{author}]]" if rng.random() < 0.6 else author
    taken = datetime(2004, 1, 1) + timedelta(minutes=int(rng.integers(0, 20 * 525_600)))
    name = f"{phrase}, {place}, {taken.year} ({index:03d}).{extension}"
    text = f"{phrase} in {place}."
    if reach == "search":
        text += f" A {SEARCH_WORD} from a family album."
    item: dict[str, Any] = {
        "filename": name,
        "author": linked,
        "categories": _categories(subject, reach, rng),
        "description": text,
        "date": taken.strftime("%Y-%m-%d %H:%M:%S"),
        "uploader": _pick(rng, _UPLOADERS),
    }
    if rng.random() < 0.2:
        item["location"] = [
            round(float(rng.uniform(40, 60)), 4),
            round(float(rng.uniform(-5, 25)), 4),
        ]
    return item


def long_name(which: int, index: int, extension: str) -> str:
    """A name of exactly 240 bytes in UTF-8, the longest that MediaWiki takes."""
    tail = f"({index:03d}).{extension}"
    body = _LONG_NAMES[which % len(_LONG_NAMES)] * 4
    while len((body + tail).encode()) > 240:
        body = body[:-1]
    return body + "x" * (240 - len((body + tail).encode())) + tail


def upload_times(reaches: list[Reach], rng: np.random.Generator) -> list[str]:
    """A distinct time for each file, YYYYMMDDHHMMSS, 2005 to 2024; window files inside the window."""
    start, end = datetime(2005, 1, 1), datetime(2025, 1, 1)
    opens, closes = (datetime.fromisoformat(t).replace(tzinfo=None) for t in UPLOAD_WINDOW)
    seen: set[str] = set()
    times: list[str] = []
    for reach in reaches:
        low, high = (opens, closes) if reach == "window" else (start, end)
        while True:
            seconds = int(rng.integers(0, int((high - low).total_seconds())))
            text = (low + timedelta(seconds=seconds)).strftime("%Y%m%d%H%M%S")
            if text not in seen:
                break
        seen.add(text)
        times.append(text)
    return times


def _categories(subject: str, reach: Reach, rng: np.random.Generator) -> list[str]:
    group = next(g for g, subjects in _GROUPS.items() if subject in subjects)
    plain = [f"Photographs of {subject} subjects", f"Unsorted media {int(rng.integers(1, 5))}"]
    if reach == "category":
        levels = (ROOT_CATEGORY, f"{ROOT_CATEGORY} {group}", f"{ROOT_CATEGORY} {subject}")
        return [levels[int(rng.choice(3, p=(0.1, 0.2, 0.7)))], *plain]
    if reach == "window" and rng.random() < 0.3:
        return [f"{ROOT_CATEGORY} {subject} details", *plain]  # below depth 2
    return plain


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _as_json(template: str | tuple[str, ...]) -> str | list[str]:
    return template if isinstance(template, str) else list(template)
