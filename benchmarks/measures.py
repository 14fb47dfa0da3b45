"""What measuring costs: each measure per megapixel, all together, and images a second beside a naive stack.

The naive stack opens the file again for each library: scikit-image's blur_effect and estimate_sigma, OpenCV's variance
of the Laplacian, a block-grid measure in NumPy, imagehash's pHash and dHash. `exact` gives the same kinds of values
from one decode: pHash and dHash of the whole image, equal to imagehash's bit for bit, and blur, noise, Laplacian and
blockiness on 4 patches of 256 px. `screening` decodes grey (filters/screening.py). `build` is what the stages do: a
decode for hashes and one for measures, every measure on up to 16 patches, plain and mirrored hashes. CPU time of one
thread. wHash, which nobody here uses, is left out of the naive stack (imagehash takes some 30 ms for it).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import imagehash
import numpy as np
from PIL import Image
from skimage import data
from skimage.measure import blur_effect
from skimage.restoration import estimate_sigma
from threadpoolctl import threadpool_limits

from filters.degradation import DEFAULT_CLASSIFIER, PLAIN_CLASSIFIER
from filters.degradation.classifier import load_classifier
from filters.degradation.synthesis import encode_jpeg
from filters.duplicates.hashing import hash_image
from filters.measures import load_measure, measure_names, open_photo, photo_of
from filters.picture import open_picture
from filters.screening import screen

COMPARABLE = ("edge_sigma", "noise_immerkaer", "laplacian_p90", "blockiness")
EDGES = ("reblur", "narrow_edges", "edge_run_ratio")
ENCODED = ("early_", "layers_")
PHOTOS = Path(".photos")


def images(count: int = 24) -> list[bytes]:
    """JPEGs of 1280 x 960: from `make photos` where they are, else cut from enlarged packaged photographs."""
    chance = np.random.default_rng(0)
    files = sorted(PHOTOS.rglob("*.jpg"))
    sources = [np.asarray(Image.open(f).convert("RGB")) for f in files]
    sources = [s for s in sources if s.shape[0] >= 960 and s.shape[1] >= 1280][:count]
    if not sources:
        packaged = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
        sources = [cv2.resize(s, (1600, 1200), interpolation=cv2.INTER_CUBIC) for s in packaged]
    made = []
    for i in range(count):
        large = sources[i % len(sources)]
        top = int(chance.integers(0, large.shape[0] - 960 + 1))
        left = int(chance.integers(0, large.shape[1] - 1280 + 1))
        cut = np.ascontiguousarray(large[top : top + 960, left : left + 1280])
        made.append(encode_jpeg(cut, 88))
    return made


def naive(content: bytes) -> None:
    """Each library opens the file for itself."""

    def grey() -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(content)).convert("L"))

    blur_effect(grey())
    estimate_sigma(grey())
    cv2.Laplacian(grey(), cv2.CV_64F).var()
    steps = np.abs(np.diff(grey().astype(np.float64), axis=1))
    steps[:, 7::8].mean() / (steps.mean() + 1e-9)
    imagehash.phash(Image.open(io.BytesIO(content)))
    imagehash.dhash(Image.open(io.BytesIO(content)))


def exact(content: bytes) -> None:
    """One decode for the same kinds of values."""
    with open_picture(content) as picture:
        hash_image(picture.image)
        photo = photo_of(picture, most_patches=4)
    for name in COMPARABLE:
        load_measure(name).measure(photo)


def build(content: bytes) -> None:
    """What the stages hash and measure do."""
    with open_picture(content) as picture:
        hash_image(picture.image)
    photo = open_photo(content)
    for name in _plain():
        load_measure(name).measure(photo)


def _plain() -> list[str]:
    """All but those of the encoder, which is told apart."""
    return [name for name in measure_names() if not name.startswith(ENCODED)]


def cpu_seconds(work: Callable[[], object]) -> float:
    """Process time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Prints the tables."""
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        contents = images()
        _costs(contents)
        _ratios(contents)


def _costs(contents: list[bytes]) -> None:
    megapixels = len(contents) * 1280 * 960 / 1e6
    build(contents[0])
    print(f"{'':<24}{'ms per megapixel':>18}")
    decoding = cpu_seconds(lambda: [open_photo(content) for content in contents])
    print(f"{'decode':<24}{1000 * decoding / megapixels:>18.1f}")
    with_hashes = cpu_seconds(
        lambda: [hash_image(open_picture(content).image) for content in contents]
    )
    print(f"{'four hashes':<24}{1000 * (with_hashes - decoding) / megapixels:>18.1f}")
    photos = [open_photo(content) for content in contents]
    total = 0.0
    # One after the other on the same photographs: what several share is counted where it is first needed.
    for name in _plain():
        seconds = cpu_seconds(lambda n=name: [load_measure(n).measure(x) for x in photos])
        total += seconds
        print(f"{name:<24}{1000 * seconds / megapixels:>18.1f}")
    print(f"{'all measures':<24}{1000 * total / megapixels:>18.1f}")
    for classifier in (PLAIN_CLASSIFIER, DEFAULT_CLASSIFIER):
        needed = sorted(
            n for n in load_classifier(classifier).measures if not n.startswith(ENCODED)
        )
        rounds: list[float] = []
        for _ in range(3):
            fresh = [open_photo(content) for content in contents]
            rounds.append(
                cpu_seconds(
                    lambda a=fresh, ns=needed: [load_measure(n).measure(x) for x in a for n in ns]
                )
            )
        told = f"{classifier}, {len(needed)} without encoder, best of 3"
        print(f"{told}\n{'':<24}{1000 * min(rounds) / megapixels:>18.1f}")
    # With the gradients that edge_sigma needs anyway already there: what these three add.
    fresh = [open_photo(content) for content in contents]
    for photo in fresh:
        load_measure("edge_sigma").measure(photo)
    edges = cpu_seconds(lambda: [load_measure(n).measure(x) for x in fresh for n in EDGES])
    print(f"{'of these ' + ', '.join(EDGES):<24}\n{'':<24}{1000 * edges / megapixels:>18.1f}")
    heads = [name for name in measure_names() if name.startswith("layers_")]
    seconds = cpu_seconds(lambda: [load_measure(n).measure(x) for x in photos for n in heads])
    print(
        f"{f'encoder, {len(heads)} measures':<24}{1000 * seconds / len(photos):>18.1f} an image of any size"
    )


def _ratios(contents: list[bytes]) -> None:
    peers = {
        "naive": naive,
        f"exact ({len(COMPARABLE)} measures, 4 hashes)": exact,
        "screening (5 measures, 2 hashes)": screen,
        f"build ({len(_plain())} measures, 4 hashes)": build,
    }
    # In turn, image by image, so that whatever else the machine does touches all alike; the best of three rounds.
    best = dict.fromkeys(peers, float("inf"))
    for _ in range(3):
        spent = dict.fromkeys(peers, 0.0)
        for content in contents:
            for name, work in peers.items():
                spent[name] += cpu_seconds(lambda w=work, c=content: w(c))
        best = {name: min(best[name], spent[name]) for name in peers}
    slowest = best["naive"]
    print(f"\n{'1280 x 960 JPEG':<36}{'ms':>8}{'images/s':>10}{'times naive':>13}")
    for name, seconds in best.items():
        print(
            f"{name:<36}{1000 * seconds / len(contents):>8.1f}{len(contents) / seconds:>10.1f}"
            f"{slowest / seconds:>13.1f}"
        )
