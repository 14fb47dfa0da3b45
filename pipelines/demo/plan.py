"""What each file of the demo corpus is to be: its role, tile, damage, license, and for a twin what it is a copy of.

Pure: a seed and a number of files give the whole plan; the bytes are made in pipelines/demo/files.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from catalog.errors import Expected
from filters.degradation.synthesis import Degradation, Kind
from pipelines.demo import names
from pipelines.demo.tiles import LARGE_TILE_PX, Tile, cut_tiles

Role = Literal[
    "degraded", "clean", "twin", "unfree", "personality", "deletion", "no_author",
    "small", "svg", "gif", "corrupt", "fault",
]  # fmt: skip

_DAMAGE: tuple[tuple[Kind, float, float, int], ...] = (
    ("gaussian_blur", 1.6, 3.5, 21),
    ("defocus", 2.5, 5.0, 15),
    ("motion_blur", 9.0, 17.0, 10),
    ("jpeg", 10, 35, 19),
    ("gaussian_noise", 12.0, 30.0, 9),
    ("correlated_noise", 12.0, 30.0, 6),
    ("low_light", -4.0, -2.5, 10),
    ("upscale", 2.0, 4.0, 10),
)
"""Kind, smallest and largest amount, share in percent. A disk of radius r spreads an edge like a Gaussian of r / 2."""

VERSION = 1
"""Raised whenever the same seed would give another corpus."""
ATTEMPTS = 50
TRANSFORMS = ("resized", "reencoded", "mirrored")
FAULTS = ("gone", "html", "truncated", "sha1")
SMALLEST_KEPT_PX = 64
"""Files below it on their short side are planted as too small; twins are never made so small."""


class CorpusError(Expected, RuntimeError):
    """The corpus cannot be made as asked; the message says what to change."""


@dataclass(kw_only=True)
class Entry:
    """One planned file; `item` is what goes to the manifest. Mutable while the corpus is made, not beyond."""

    role: Role
    tile: Tile | None
    degradation: Degradation | None
    license_expected: str
    reach: names.Reach
    seed: int
    extension: str
    item: dict[str, Any]
    twin_of: Entry | None = None
    transform: str | None = None


def roles(files: int) -> list[Role]:
    """How many files of each role, as a list; all roles occur from 20 files on.

    Raises:
        ValueError: fewer than 20 files.
    """
    if files < 20:
        raise ValueError(f"A corpus has at least 20 files, so that each role occurs; not {files}.")

    def few(share: float) -> int:
        return max(1, round(share * files))

    counts: dict[Role, int] = {
        "clean": few(0.15),
        "unfree": few(0.12),
        "personality": few(0.012),
        "deletion": few(0.008),
        "no_author": few(0.008),
        "small": few(0.012),
        "gif": few(0.004),
        "svg": few(0.004),
        "corrupt": few(0.008),
        "fault": len(FAULTS),
        "twin": few(0.12),
    }
    counts["degraded"] = files - sum(counts.values())
    return [role for role, count in counts.items() for _ in range(count)]


def damages(count: int, rng: np.random.Generator) -> list[Degradation]:
    """`count` degradations in the stated shares, amounts spread evenly over their range, in random order."""
    total = sum(share for *_, share in _DAMAGE)
    edges = np.cumsum([share for *_, share in _DAMAGE]) / total
    chosen: list[Degradation] = []
    # A stratified draw: with few files the shares hold as well as they can.
    for place in (np.arange(count) + rng.uniform(0, 1, count)) / max(1, count):
        kind, low, high, _ = _DAMAGE[int(np.searchsorted(edges, place, side="right"))]
        amount = float(rng.uniform(low, high))
        chosen.append(
            Degradation(
                kind=kind, amount=float(round(amount)) if kind == "jpeg" else round(amount, 2)
            )
        )
    return [chosen[i] for i in rng.permutation(count)]


def suits(tile: Tile, degradation: Degradation | None) -> bool:
    """Whether this truth can be told about this tile."""
    if degradation is None:
        return tile.clean
    if degradation.kind == "low_light":
        return True
    if degradation.kind == "jpeg":
        return tile.detail >= 0.25
    if degradation.kind in ("gaussian_noise", "correlated_noise"):
        return tile.quiet
    return tile.sharp


def make_plan(seed: int, files: int) -> list[Entry]:
    """All entries in the order of the manifest.

    Raises:
        CorpusError: there are not enough fit tiles for so many files.
        ValueError: fewer than 20 files.
    """
    # A small corpus may by chance hold no file fit to be copied; it is then drawn once more.
    for attempt in range(ATTEMPTS):
        plan = _try_plan(np.random.default_rng([seed, files, VERSION, attempt]), files)
        if plan is not None:
            return plan
    raise CorpusError(f"No plan for seed {seed} and {files} files; try another seed or more files.")


def _try_plan(rng: np.random.Generator, files: int) -> list[Entry] | None:
    """One draw; None when there is no fit original for some twin."""
    tiles = cut_tiles(rng)
    planned = roles(files)
    undamaged = ("clean", "small", "gif", "svg", "twin")
    damage_left = iter(damages(sum(role not in undamaged for role in planned), rng))
    entries: list[Entry] = []
    for role in planned:
        damage = None if role in undamaged else next(damage_left)
        if role == "unfree" and rng.random() < 0.4:
            damage = None  # the license gate must not lean on quality
        entries.append(
            Entry(
                role=role,
                tile=None,
                degradation=damage,
                license_expected="accept",
                reach=names.reach(rng),
                seed=int(rng.integers(2**31)),
                extension=_extension(role, damage, rng),
                item={},
            )
        )
    _give_tiles(entries, tiles)
    if not _plant_twins(entries, rng):
        return None
    order = [entries[i] for i in rng.permutation(files)]
    _describe_all(order, rng)
    return order


def _give_tiles(entries: list[Entry], tiles: list[Tile]) -> None:
    """The most demanding truth chooses first: clean, then noise, blur, and what any tile can show."""

    def demand(entry: Entry) -> int:
        if entry.role in ("small", "gif"):
            return 5
        if entry.degradation is None:
            return 0
        easier = {"gaussian_noise": 1, "correlated_noise": 1, "jpeg": 3, "low_light": 4}
        return easier.get(entry.degradation.kind, 2)

    free = list(tiles)
    for entry in sorted((e for e in entries if e.role not in ("svg", "twin")), key=demand):
        anything = entry.role in ("small", "gif")
        for place, tile in enumerate(free):
            if anything or suits(tile, entry.degradation):
                entry.tile = free.pop(place)
                break
        else:
            raise CorpusError(
                f"The packaged photographs give {len(tiles)} fit tiles, too few for {len(entries)} "
                "files; ask for fewer."
            )


def _plant_twins(entries: list[Entry], rng: np.random.Generator) -> bool:
    """Gives each twin an original that is to be kept, the three transforms in turn; some originals get two.

    False when there are not enough fit originals.
    """
    twins = [e for e in entries if e.role == "twin"]
    originals = [e for e in entries if e.role == "degraded"]
    # Large tiles first: they are the ones that can be halved.
    shuffled = [originals[i] for i in rng.permutation(len(originals))]
    waiting = sorted(
        shuffled, key=lambda e: -(min(e.tile.box[2:]) // LARGE_TILE_PX if e.tile else 0)
    )
    taken: list[Entry] = []
    for i, twin in enumerate(twins):
        second = i % 10 == 9
        found = next(
            (
                (base, transform)
                # The transform whose turn it is, or with few files whichever is possible.
                for transform in (*TRANSFORMS[i % 3 :], *TRANSFORMS[: i % 3])
                for base in (taken if second else waiting)
                if transform in _transforms(base)
                and not any(t.twin_of is base and t.transform == transform for t in twins)
            ),
            None,
        )
        if found is None:
            return False
        base, twin.transform = found
        twin.twin_of, twin.tile, twin.degradation = base, base.tile, base.degradation
        if not second:
            waiting.remove(base)
            taken.append(base)
    return True


def _transforms(entry: Entry) -> list[str]:
    """What a copy of this file can have gone through and be lower in rank and still visibly degraded."""
    damage, tile = entry.degradation, entry.tile
    if damage is None or tile is None:
        return []
    low, high = resize_range(damage, tile)
    options = ["resized"] if low <= high else []
    # Small files stay small: a WebP or a strongly compressed JPEG may come out larger when encoded again.
    if entry.extension != "webp" and (damage.kind != "jpeg" or entry.extension == "png"):
        options += ["reencoded", "mirrored"]
    return options


def resize_range(damage: Degradation, tile: Tile) -> tuple[float, float]:
    """Factors that leave the copy large enough and visibly degraded; empty (low > high) where there are none."""
    enough: dict[str, tuple[float, float]] = {
        # kind: least amount that survives, least factor
        "low_light": (2.5, 0.5),
        "gaussian_blur": (2.4, 0.6),
        "defocus": (4.0, 0.6),
        "motion_blur": (13.0, 0.6),
        "upscale": (3.2, 0.65),
        "gaussian_noise": (20.0, 0.6),
        "correlated_noise": (20.0, 0.6),
    }
    amount, factor = enough.get(damage.kind, (float("inf"), 1.0))
    if abs(damage.amount) < amount:
        return 1.0, 0.0
    return max(factor, (SMALLEST_KEPT_PX + 1) / min(tile.box[2:])), 0.75


def _describe_all(order: list[Entry], rng: np.random.Generator) -> None:
    """Names, authors, licenses, times and planted faults."""
    times = names.upload_times([entry.reach for entry in order], rng)
    faults = iter(FAULTS)
    unfree = 0
    for index, (entry, time) in enumerate(zip(order, times, strict=True)):
        subject = entry.tile.source.subject if entry.tile else "coins"
        item = names.describe(index, entry.extension, subject, entry.reach, rng)
        item["uploaded"] = time
        item["license"] = names.free_license(rng)
        if entry.role == "unfree":
            item["license"], entry.license_expected = names.unfree_license(unfree)
            unfree += 1
        elif entry.role == "personality":
            item["extra"], entry.license_expected = "{{Personality rights}}", "reject"
        elif entry.role == "deletion":
            item["deletion_reason"] = (
                "per Commons:Deletion requests (no permission from the author)"
            )
            entry.license_expected = "reject"
        elif entry.role == "no_author":
            item["author"], item["license"] = "", "Cc-by-sa-4.0"
            entry.license_expected = "quarantine"
        elif entry.role == "svg":
            item["mime"] = "image/svg+xml"
        elif entry.role == "gif":
            item["mime"] = "image/gif"
        elif entry.role == "fault":
            item["fault"] = next(faults)
        entry.item = item
    longest = [e for e in order if e.role in ("degraded", "clean")][:2]
    for which, entry in enumerate(longest):
        index = order.index(entry)
        entry.item["filename"] = names.long_name(which, index, entry.extension)


def _extension(role: Role, damage: Degradation | None, rng: np.random.Generator) -> str:
    if role in ("svg", "gif"):
        return role
    if role in ("corrupt", "twin"):
        return "jpg"
    if damage is not None and damage.kind == "jpeg":
        return "jpg" if rng.random() < 0.85 else "png"
    return ("jpg", "png", "webp")[int(rng.choice(3, p=(0.72, 0.18, 0.10)))]
