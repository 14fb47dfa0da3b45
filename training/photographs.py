"""Sharp photographs and what a camera would have made of them: LR-HR pairs for pretraining, seeded.

Photographs come from a folder, from an exported dataset (data/**/*.parquet), and from packages that are installed
anyway. Which of them are held out is a function of the name alone, so that no run can train on what another tests on.
Pairs are degraded by filters/degradation/synthesis.py: blur of a lens or of motion, reduction by 4, noise, JPEG.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from catalog.errors import Expected
from filters.degradation.synthesis import (
    Photo,
    defocus,
    downscale,
    gaussian_blur,
    gaussian_noise,
    jpeg,
    motion_blur,
)
from filters.picture import open_picture
from training.image_names import is_image

SCALE = 4
PACKAGED = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "camera": ("skimage", "data/camera.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "coins": ("skimage", "data/coins.png"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}
"""Photographs of scenes that installed packages ship; textures and microscopy are left out."""
PACKAGED_HELD_OUT = ("camera", "chelsea", "flower")
_VIEW_PX = 192
_SHORT_SIDE_PX = 480
"""Larger photographs are reduced to this: it makes them sharp to the pixel and equal in what 32 px show."""
_HELD_OUT_SHARE = 0.3


class NoPhotographs(Expected, ValueError):
    """Too few photographs, or none of a usable size; the message says where they were looked for."""


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """uint8 RGB [H,W,3], reduced to a short side of 480 px at most."""

    name: str
    pixels: Photo
    held_out: bool


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Degraded patches and what they came from, row by row."""

    lr: Tensor
    """[N,3,h,w] uint8."""
    hr: Tensor
    """[N,3,4h,4w] uint8."""
    photo: Tensor
    """[N] int64: index into the list of photographs."""

    def floats(self, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """LR and HR as float32 in [0,1]."""
        return self.lr[rows].float() / 255, self.hr[rows].float() / 255


def is_held_out(name: str) -> bool:
    """Three in ten, by the SHA-256 of the name; of the packaged ones those of PACKAGED_HELD_OUT."""
    if name in PACKAGED:
        return name in PACKAGED_HELD_OUT
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    return share < _HELD_OUT_SHARE


def photographs(
    folder: Path | None = None, *, packaged: bool = True, split: bool = True
) -> list[Photograph]:
    """All of a folder or dataset, and those of the packages, by name; smaller ones than a view are left out.

    `split`: some have to be held out, and some not; False for a folder that is used as a whole.

    Raises:
        NoPhotographs: the folder is not there, or there are not enough to hold some out.
    """
    if folder is not None and not folder.is_dir():
        raise NoPhotographs(f"There is no folder {folder}; `make photos` fetches photographs.")
    found = list(_packaged()) if packaged else []
    found += _of_folder(folder) if folder is not None else []
    lopsided = not any(p.held_out for p in found) or all(p.held_out for p in found)
    if not found or (split and lopsided):
        raise NoPhotographs(
            f"{folder or 'The packages'} give {len(found)} photographs of {_VIEW_PX} px or more; "
            "some to train on and some to hold out are needed."
        )
    return sorted(found, key=lambda p: p.name)


def _packaged() -> Iterator[Photograph]:
    for name, (package, path) in PACKAGED.items():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise NoPhotographs(f"{package} is not installed; run `make setup`.")
        yield from _photograph(name, (Path(spec.origin).parent / path).read_bytes())


def _of_folder(folder: Path) -> Iterator[Photograph]:
    shards = sorted(folder.glob("data/**/*.parquet"))
    if shards:
        import pyarrow.parquet as pq

        for shard in shards:
            if shard.name.startswith("test-"):
                continue  # people verified it for evaluations: nothing is trained on it
            for row in pq.read_table(shard, columns=["title", "image"]).to_pylist():
                yield from _photograph(row["title"], row["image"]["bytes"])
        return
    for path in sorted(f for f in folder.rglob("*") if is_image(f)):
        yield from _photograph(path.name, path.read_bytes())


def _photograph(name: str, content: bytes) -> Iterator[Photograph]:
    with open_picture(content) as picture:
        lossy = picture.format == "JPEG"
        pixels = picture.rgb
    # What came as JPEG is reduced a little in any case: blocks and softness go.
    factor = max(1.25 if lossy else 1.0, min(pixels.shape[:2]) / _SHORT_SIDE_PX)
    pixels = downscale(pixels, factor)
    if min(pixels.shape[:2]) >= _VIEW_PX:
        yield Photograph(name=name, pixels=pixels, held_out=is_held_out(name))


def fingerprint(photos: Sequence[Photograph]) -> str:
    """SHA-256 over names and pixels: the same photographs, wherever they lie."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(f"{photo.name} {photo.pixels.shape} {photo.held_out}\n".encode())
        digest.update(photo.pixels.tobytes())
    return digest.hexdigest()


def make_pairs(
    photos: Sequence[Photograph], *, count: int, seed: int, lr_px: int = 8, per_view: int = 16
) -> Pairs:
    """`count` pairs of patches, photographs in turn; a pure function of its arguments.

    A view of 192 px is cut out of a photograph (reduced by up to 2, turned, mirrored), degraded as a whole, and patches
    `per_view` of them, are taken from it anywhere: borders and JPEG blocks fall as they would in a whole picture.
    """
    lr, hr, photo = [], [], []
    view = 0
    while len(lr) < count:
        rng = np.random.default_rng((seed, view))
        index = view % len(photos)
        sharp = _view(photos[index].pixels, rng)
        small = degrade(sharp, rng)
        for _ in range(min(per_view, count - len(lr))):
            y, x = (int(v) for v in rng.integers(0, small.shape[0] - lr_px + 1, 2))
            lr.append(small[y : y + lr_px, x : x + lr_px])
            side = SCALE * lr_px
            hr.append(sharp[SCALE * y : SCALE * y + side, SCALE * x : SCALE * x + side])
            photo.append(index)
        view += 1
    return Pairs(lr=_channels_first(lr), hr=_channels_first(hr), photo=torch.tensor(photo))


def degrade(sharp: Photo, rng: np.random.Generator) -> Photo:
    """A quarter of the size, after blur (7 in 10) and before noise (6 in 10) and JPEG (7 in 10) of random amounts."""
    image = sharp
    if rng.random() < 0.7:
        kind = rng.integers(0, 3)
        if kind == 0:
            image = gaussian_blur(image, float(rng.uniform(0.4, 3.0)))
        elif kind == 1:
            image = defocus(image, float(rng.uniform(1.0, 4.0)))
        else:
            image = motion_blur(image, float(rng.uniform(2, 9)), float(rng.uniform(0, 180)))
    image = downscale(image, SCALE)
    if rng.random() < 0.6:
        correlated = bool(rng.random() < 0.5)
        image = gaussian_noise(image, float(rng.uniform(0, 12)), rng, correlated=correlated)
    if rng.random() < 0.7:
        image = jpeg(image, int(rng.integers(40, 96)))
    return image


def _view(pixels: Photo, rng: np.random.Generator) -> Photo:
    most = min(2.0, min(pixels.shape[:2]) / _VIEW_PX)
    pixels = downscale(pixels, float(rng.uniform(1.0, most)))
    top = int(rng.integers(0, pixels.shape[0] - _VIEW_PX + 1))
    left = int(rng.integers(0, pixels.shape[1] - _VIEW_PX + 1))
    cut = pixels[top : top + _VIEW_PX, left : left + _VIEW_PX]
    cut = np.rot90(cut, int(rng.integers(0, 4)))
    return np.ascontiguousarray(cut[:, ::-1] if rng.random() < 0.5 else cut)


def _channels_first(patches: Sequence[Photo]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(patches).transpose(0, 3, 1, 2)))
