"""What measuring costs: each measure per megapixel, all together, and images a second beside a naive stack.

The naive stack decodes for each library by itself: skimage's blur_effect and estimate_sigma, OpenCV's variance of the
Laplacian, imagehash's pHash and dHash. Ours: two decodes, all measures, four hashes. CPU time.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import cv2
import imagehash
import numpy as np
from PIL import Image
from skimage import data
from skimage.measure import blur_effect
from skimage.restoration import estimate_sigma

from filters.hashing import hash_image
from filters.measures import load_measure, measure_names, open_image, open_photo
from filters.synthesis import encode_jpeg


def images(count: int = 12) -> list[bytes]:
    """JPEGs of 1280 x 960, cut from enlarged packaged photographs."""
    chance = np.random.default_rng(0)
    sources = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    made = []
    for i in range(count):
        source = sources[i % len(sources)]
        large = cv2.resize(source, (1600, 1200), interpolation=cv2.INTER_CUBIC)
        top, left = int(chance.integers(0, 240)), int(chance.integers(0, 320))
        made.append(
            encode_jpeg(np.ascontiguousarray(large[top : top + 960, left : left + 1280]), 88)
        )
    return made


def naive(content: bytes) -> None:
    """Each library opens the file for itself."""

    def grey() -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(content)).convert("L"))

    blur_effect(grey())
    estimate_sigma(grey())
    cv2.Laplacian(grey(), cv2.CV_64F).var()
    imagehash.phash(Image.open(io.BytesIO(content)))
    imagehash.dhash(Image.open(io.BytesIO(content)))


def ours(content: bytes) -> None:
    """What the stages hash and measure do."""
    with open_image(content) as image:
        hash_image(image)
    photo = open_photo(content)
    for name in measure_names():
        load_measure(name).measure(photo)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Process time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Prints the table."""
    cv2.setNumThreads(1)
    contents = images()
    megapixels = len(contents) * 1280 * 960 / 1e6
    ours(contents[0])
    print(f"{'measure':<24}{'ms per megapixel':>18}")
    for name in measure_names():
        photos = [open_photo(content) for content in contents]
        for photo in photos:
            _ = photo.luma
        seconds = cpu_seconds(lambda n=name, p=photos: [load_measure(n).measure(x) for x in p])
        print(f"{name:<24}{1000 * seconds / megapixels:>18.1f}")
    whole = cpu_seconds(lambda: [ours(content) for content in contents])
    plain = cpu_seconds(lambda: [naive(content) for content in contents])
    print(f"{'all, with decoding':<24}{1000 * whole / megapixels:>18.1f}")
    print(
        f"ours  {len(contents) / whole:>8.1f} images/s ({len(measure_names())} measures, 4 hashes)"
    )
    print(
        f"naive {len(contents) / plain:>8.1f} images/s (3 measures, 2 hashes); ours / naive {plain / whole:.2f}"
    )
