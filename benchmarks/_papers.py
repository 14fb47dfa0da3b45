"""Pictures whose layout is most of what a hash sees: pages, tables, forms, maps, portraits on one backdrop, fog.

Drawn from seeds, so that anybody has the same ones; texts are those of the installed packages. Pictures of one kind
share their layout and are different documents. Portraits and fog need photographs, which are given.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import distributions
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from filters.degradation.synthesis import gaussian_blur, gaussian_noise

Photo = NDArray[np.uint8]
PAGE = (620, 877)
"""Width and height, px: A4 at 75 dots an inch."""
PORTRAIT = (480, 600)
HAZE = (0.06, 0.12)
"""Share of a photograph's contrast that fog leaves, between these."""


def drawn(kind: str, count: int, seed: int = 0) -> list[Photo]:
    """`count` different papers of a kind, one of DRAWN."""
    return [DRAWN[kind](np.random.default_rng((seed, number))) for number in range(count)]


def portraits(faces: Sequence[Photo], seed: int = 0) -> list[Photo]:
    """Each face, cut out with a soft edge, above the same shoulders before the same backdrop."""
    return [_portrait(face, seed) for face in faces]


def fogged(photo: Photo, number: int, seed: int = 0) -> Photo:
    """A photograph in thick fog: what it leaves of the contrast, light grey, and a camera's grain."""
    chance = np.random.default_rng((seed, number))
    left = chance.uniform(*HAZE)
    light = chance.uniform(170, 215)
    # What is far away, mostly above, is hidden more.
    depth = np.linspace(0.7, 1.3, photo.shape[0])[:, None, None]
    hazy = photo.astype(np.float64) * left * depth + light * (1.0 - left * depth)
    return gaussian_noise(np.clip(np.rint(hazy), 0, 255).astype(np.uint8), 0.7, chance)


@cache
def _words() -> list[str]:
    """Of the descriptions of the installed packages, in the order of the packages' names."""
    found: dict[str, str] = {}
    for package in distributions():
        about: Any = package.metadata
        text = about.get_payload()
        if isinstance(text, str) and len(text) > 2000:
            found[package.name.lower()] = text
    joined = " ".join(found[name] for name in sorted(found))
    return [word for word in joined.split() if word.isascii() and len(word) < 20]


def _text(chance: np.random.Generator, words: int) -> str:
    every = _words()
    start = int(chance.integers(0, len(every) - words))
    return " ".join(every[start : start + words])


def _sheet(size: tuple[int, int] = PAGE) -> tuple[Image.Image, Any]:
    page = Image.new("L", size, 250)
    return page, ImageDraw.Draw(page)


def _done(page: Image.Image) -> Photo:
    return np.asarray(page.convert("RGB"))


def _text_page(chance: np.random.Generator) -> Photo:
    page, draw = _sheet()
    draw.text((PAGE[0] // 2 - 10, 40), str(int(chance.integers(1, 400))), fill=20, font=_font(14))
    top = 80
    while top < PAGE[1] - 80:
        lines = textwrap.wrap(_text(chance, int(chance.integers(60, 160))), 78)
        for line in lines:
            if top > PAGE[1] - 80:
                break
            draw.text((60, top), line, fill=20, font=_font(13))
            top += 17
        top += 8
    return _done(page)


def _table(chance: np.random.Generator) -> Photo:
    page, draw = _sheet()
    draw.text((60, 40), _text(chance, 5)[:50], fill=10, font=_font(18))
    for row in range(34):
        for column in range(6):
            left, top = 50 + column * 87, 90 + row * 21
            draw.rectangle((left, top, left + 87, top + 21), outline=120)
            cell = _text(chance, 1)[:10] if column == 0 else f"{chance.uniform(0, 9999):.1f}"
            draw.text((left + 4, top + 3), cell, fill=20, font=_font(12))
    return _done(page)


def _form(chance: np.random.Generator) -> Photo:
    page, draw = _sheet()
    draw.text((60, 30), "Application for a license", fill=0, font=_font(22))
    for row in range(14):
        top = 80 + row * 53
        draw.text((40, top), f"{row + 1}. Question", fill=0, font=_font(15))
        draw.rectangle((180, top - 6, 580, top + 28), outline=0)
        draw.text((190, top), _text(chance, 4)[:40], fill=40, font=_font(16))
    return _done(page)


def _map(chance: np.random.Generator) -> Photo:
    """Land in the sea, towns, roads and a legend, all maps in the same colors and frame."""
    wide, high = 720, 560
    page = Image.new("RGB", (wide, high), (170, 205, 235))
    draw = ImageDraw.Draw(page)
    for _ in range(int(chance.integers(2, 5))):
        middle = chance.uniform((150, 130), (wide - 150, high - 130))
        turns = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        reach = np.full(90, chance.uniform(80, 170))
        for wave in range(2, 9):
            reach += chance.normal(0, 40 / wave) * np.cos(wave * turns + chance.uniform(0, 6.3))
        coast = middle + reach[:, None] * np.column_stack([np.cos(turns), np.sin(turns)])
        draw.polygon(
            [tuple(at) for at in coast.tolist()], fill=(236, 229, 200), outline=(90, 90, 90)
        )
    towns = chance.uniform((40, 40), (wide - 40, high - 60), (12, 2))
    for a, b in zip(towns[:-1].tolist(), towns[1:].tolist(), strict=True):
        draw.line((*a, *b), fill=(200, 90, 60), width=2)
    for x, y in towns.tolist():
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=(40, 40, 40))
        draw.text((x + 6, y - 6), _text(chance, 1)[:12], fill=(20, 20, 20), font=_font(13))
    draw.rectangle((8, 8, wide - 9, high - 9), outline=(30, 30, 30), width=3)
    draw.rectangle((20, high - 70, 190, high - 20), fill=(255, 255, 255), outline=(30, 30, 30))
    draw.text((30, high - 60), "0      50     100 km", fill=(20, 20, 20), font=_font(13))
    return np.asarray(page)


def _portrait(face: Photo, seed: int) -> Photo:
    wide, high = PORTRAIT
    down, across = np.mgrid[0:high, 0:wide].astype(np.float64)
    glow = np.exp(-(((across - wide / 2) / 260) ** 2 + ((down - high / 3) / 320) ** 2))
    scene = np.stack([60 + 90 * glow, 66 + 96 * glow, 80 + 104 * glow], axis=2)
    shoulders = ((across - wide / 2) / 215) ** 2 + ((down - high - 30) / 190) ** 2 < 1
    scene[shoulders] = (38.0, 36.0, 44.0)
    px = 340
    small = np.asarray(Image.fromarray(face).resize((px, px), Image.Resampling.LANCZOS))
    y, x = np.mgrid[0:px, 0:px].astype(np.float64) / px - 0.5
    inside = ((x / 0.36) ** 2 + (y / 0.48) ** 2 < 1).astype(np.uint8) * 255
    soft = gaussian_blur(np.repeat(inside[:, :, None], 3, axis=2), 5.0) / 255.0
    left, top = (wide - px) // 2, 110
    window = scene[top : top + px, left : left + px]
    scene[top : top + px, left : left + px] = window * (1 - soft) + small * soft
    return gaussian_noise(np.rint(scene).astype(np.uint8), 2.0, np.random.default_rng(seed))


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


DRAWN: dict[str, Callable[[np.random.Generator], Photo]] = {
    "text pages": _text_page,
    "tables": _table,
    "forms": _form,
    "maps": _map,
}
"""Kinds of papers."""
