"""Cuts photographs that ship in scikit-image and scikit-learn into disjoint tiles fit for the demo corpus.

A tile can carry a known truth only if there is something to see in it and nothing wrong with it yet. So a tile is
measured before it is used, with formulas of this module and not with those of filters/measures, which are judged by
the corpus. The rules:

- used at all: luma varies by at least 18 grey levels and its 90th percentile is at least 90 (flat and dark tiles say
  nothing about blur or light);
- `detail`: the share of its blocks of 16 px that hold a gradient above 10 grey levels per px;
- `sharp`: detail of at least 0.4, and the edges' sigma is at most 1.05 px at their sharpest quarter, for which noise
  (below 5 levels) is not the reason;
- `quiet`: less than 2.2 grey levels of noise, or of texture too fine to be told from noise;
- `clean`: sharp, quiet, 95th percentile of luma between 130 and 252, median at least 45, less than 8 % clipped.

Photographs that came as JPEG are reduced by area first, which takes most of their blocks and softness away. Left out:
the right view of the motorcycle (the same scene again), the retina (its rim gives tiles that are near-duplicates by
nature), the Hubble field (nothing in it resembles a photograph taken by hand), drawings and scans.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from catalog.errors import Missing
from filters.degradation.synthesis import Photo, downscale
from filters.picture import open_picture

TILE_PX = 96
LARGE_TILE_PX = 128
"""In one source of each corpus, so that a twin of half the size is still large enough to be kept."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One photograph of a package."""

    name: str
    package: str
    path: str
    subject: str
    reduce: float = 1.0


SOURCES = (
    Source(name="astronaut", package="skimage", path="data/astronaut.png", subject="portrait"),
    Source(name="camera", package="skimage", path="data/camera.png", subject="cameraman"),
    Source(name="chelsea", package="skimage", path="data/chelsea.png", subject="cat"),
    Source(name="coffee", package="skimage", path="data/coffee.png", subject="coffee"),
    Source(name="coins", package="skimage", path="data/coins.png", subject="coins"),
    Source(name="motorcycle", package="skimage", path="data/motorcycle_left.png", subject="garage"),
    Source(name="brick", package="skimage", path="data/brick.png", subject="wall"),
    Source(name="gravel", package="skimage", path="data/gravel.png", subject="gravel"),
    Source(name="grass", package="skimage", path="data/grass.png", subject="meadow"),
    Source(name="ihc", package="skimage", path="data/ihc.png", subject="microscope"),
    Source(name="moon", package="skimage", path="data/moon.png", subject="moon"),
    Source(name="rocket", package="skimage", path="data/rocket.jpg", subject="rocket", reduce=1.25),
    Source(
        name="china",
        package="sklearn",
        path="datasets/images/china.jpg",
        subject="temple",
        reduce=1.25,
    ),
    Source(
        name="flower",
        package="sklearn",
        path="datasets/images/flower.jpg",
        subject="flower",
        reduce=1.25,
    ),
)
_MAY_BE_LARGE = ("astronaut", "brick", "camera", "ihc")


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A piece of a photograph and what can truthfully be said of it."""

    source: Source
    box: tuple[int, int, int, int]
    """left, top, width, height in pixels of the source after its reduction."""
    pixels: Photo
    detail: float
    sharp: bool
    quiet: bool
    clean: bool


def cut_tiles(rng: np.random.Generator) -> list[Tile]:
    """Disjoint tiles of all sources in random order; grid, offsets and sizes vary with `rng`.

    Raises:
        catalog.errors.Missing: a package no longer ships one of the photographs.
    """
    large = str(rng.choice(_MAY_BE_LARGE))
    tiles: list[Tile] = []
    for source in SOURCES:
        photo = load(source)
        side = LARGE_TILE_PX if source.name == large else TILE_PX
        for box in _boxes(photo.shape[1], photo.shape[0], side, rng):
            tile = _judge(source, photo, box)
            if tile is not None:
                tiles.append(tile)
    return [tiles[i] for i in rng.permutation(len(tiles))]


def load(source: Source) -> Photo:
    """The photograph as uint8 RGB [H,W,3], after its reduction.

    Raises:
        catalog.errors.Missing: the installed package does not ship it.
    """
    # Finding the package by its spec does not import it: scikit-learn takes a second.
    spec = importlib.util.find_spec(source.package)
    if spec is None or spec.origin is None:
        raise Missing(f"{source.package} is not installed; run `make setup`.")
    path = Path(spec.origin).parent / source.path
    with open_picture(path) as picture:
        photo = picture.rgb
    return downscale(photo, source.reduce) if source.reduce > 1 else photo


def _boxes(
    width: int, height: int, side: int, rng: np.random.Generator
) -> list[tuple[int, int, int, int]]:
    """One box in each cell of a grid of cells of at least `side`; sizes fill the cell by chance."""
    cell_w, cell_h = width // (width // side), height // (height // side)
    left = int(rng.integers(0, width - cell_w * (width // side) + 1))
    top = int(rng.integers(0, height - cell_h * (height // side) + 1))
    boxes: list[tuple[int, int, int, int]] = []
    for row in range(height // side):
        for column in range(width // side):
            w = int(rng.integers(side, cell_w + 1))
            h = int(rng.integers(side, cell_h + 1))
            x = left + column * cell_w + int(rng.integers(0, cell_w - w + 1))
            y = top + row * cell_h + int(rng.integers(0, cell_h - h + 1))
            boxes.append((x, y, w, h))
    return boxes


def _judge(source: Source, photo: Photo, box: tuple[int, int, int, int]) -> Tile | None:
    """The tile with its flags, or None where there is too little to see."""
    x, y, w, h = box
    pixels = np.ascontiguousarray(photo[y : y + h, x : x + w])
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if float(luma.std()) < 18 or float(np.percentile(luma, 90)) < 90:
        return None
    noise = noise_level(luma)
    detail = detail_share(luma)
    sharp = detail >= 0.4 and edge_sigma_px(luma) <= 1.05 and noise < 5
    quiet = noise < 2.2
    clipped = float((pixels.max(axis=2) >= 253).mean())
    exposed = (
        130 <= float(np.percentile(luma, 95)) <= 252
        and float(np.median(luma)) >= 45
        and clipped < 0.08
    )
    return Tile(
        source=source,
        box=box,
        pixels=pixels,
        detail=detail,
        sharp=sharp,
        quiet=quiet,
        clean=sharp and quiet and exposed,
    )


def edge_sigma_px(luma: NDArray[np.float32]) -> float:
    """Sigma of the sharpest quarter of the strong edges, from re-blurring by 0.7 and 1.5 px (Zhuo and Sim 2011).

    An edge of sigma s has a gradient proportional to 1 / sqrt(s^2 + blur^2); the ratio of two such gradients gives s.
    """
    fine, coarse = 0.7, 1.5
    strong_fine, strong = _gradient(luma, fine), _gradient(luma, coarse)
    ridge = strong >= cv2.dilate(strong, np.ones((3, 3), np.uint8)) * 0.999
    chosen = ridge & (strong >= np.percentile(strong, 85))
    ratio = np.maximum((strong_fine[chosen] / np.maximum(strong[chosen], 1e-3)) ** 2, 1.0001)
    variance = (coarse**2 - ratio * fine**2) / (ratio - 1)
    return math.sqrt(max(0.0, float(np.percentile(variance, 25))))


def noise_level(luma: NDArray[np.float32]) -> float:
    """Noise in grey levels: Immerkaer's Laplacian difference (1996), its 10th percentile over tiles of 16 px."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = _blocks(np.abs(np.asarray(cv2.filter2D(luma, -1, kernel)))).mean((1, 3))
    return float(np.percentile(response, 10)) * math.sqrt(math.pi / 2) / 6


def detail_share(luma: NDArray[np.float32]) -> float:
    """Share of the blocks of 16 px in which the gradient exceeds 10 grey levels per px somewhere."""
    # Scharr's weights add up to 32 times the difference over one pixel.
    return float((_blocks(_gradient(luma, 0.7)).max((1, 3)) > 10 * 32).mean())


def _blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H,W] to [H/16,16,W/16,16]; what does not fill a block is left out."""
    rows, columns = plane.shape[0] // 16, plane.shape[1] // 16
    return plane[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16)


def _gradient(luma: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(luma, (0, 0), sigma_px)
    dx = np.asarray(cv2.Scharr(smooth, cv2.CV_32F, 1, 0))
    dy = np.asarray(cv2.Scharr(smooth, cv2.CV_32F, 0, 1))
    return np.hypot(dx, dy).astype(np.float32)
