"""Damaged headers and bombs: a picture or a sentence, never another exception, never more memory than is stated."""

import io
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image
from skimage import data

from filters.duplicates.hashing import hash_image, hash_seen
from filters.measures import load_measure, measure_names, photo_of
from filters.picture import WORKER_BYTES, NotAnImage, header, open_picture
from filters.screening import screen
from tests.counts import rounds

PHOTO = Image.fromarray(np.ascontiguousarray(data.astronaut()[60:124, 150:230]))


def saved(image, kind, **options):
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def oriented():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0128] = 6, "Maker", 2
    return exif


SEEDS = [
    saved(PHOTO, "JPEG", exif=oriented()),
    saved(PHOTO, "JPEG", progressive=True),
    saved(PHOTO.convert("CMYK"), "JPEG"),
    saved(PHOTO, "PNG", exif=oriented()),
    saved(PHOTO.convert("P"), "PNG", transparency=3),
    saved(PHOTO.convert("RGBA"), "PNG"),
    saved(Image.fromarray(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257), "PNG"),
    saved(PHOTO, "WEBP", exif=oriented()),
    saved(PHOTO, "TIFF", exif=oriented()),
    saved(PHOTO, "TIFF", compression="tiff_lzw"),
    saved(Image.fromarray(np.asarray(PHOTO.convert("L"), dtype=np.float32)), "TIFF"),
    saved(PHOTO, "GIF"),
    saved(PHOTO, "BMP"),
    saved(PHOTO, "AVIF"),
    saved(PHOTO, "JPEG2000"),
]


def damaged(number):
    """A file in which 1 to 8 bytes, mostly of its head, are others, are gone, or came in."""
    chance = np.random.default_rng((20261127, number))
    content = bytearray(SEEDS[number % len(SEEDS)])
    for _ in range(int(chance.integers(1, 9))):
        reach = len(content) if chance.random() < 0.2 else min(len(content), 400)
        at = int(chance.integers(4, reach))
        what = chance.random()
        if what < 0.8:
            content[at] = int(chance.choice([0, 1, 127, 128, 255, chance.integers(0, 256)]))
        elif what < 0.9:
            del content[at : at + int(chance.integers(1, 9))]
        else:
            content[at:at] = bytes(chance.integers(0, 256, int(chance.integers(1, 9))).tolist())
    return bytes(content)


def test_a_damaged_file_is_a_picture_or_a_sentence_in_every_stage():
    told = seen = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(rounds(2000)):
            content = damaged(number)
            for ask in (header, screen):
                try:
                    ask(content)
                except NotAnImage as error:
                    assert str(error)
            try:
                with open_picture(content) as picture:
                    unreadable = picture.reader_error()
                    hash_image(picture.image)
                    hash_seen(picture)
                    photo = photo_of(picture)
            except NotAnImage as error:
                assert error.kind in ("corrupt", "animated", "too_large", "unsupported"), number
                assert len(str(error).split()) > 3, number
                told += 1
                continue
            assert unreadable is None or len(unreadable.split()) > 5
            for name in measure_names():
                value = load_measure(name).measure(photo)
                assert value is None or np.isfinite(value), (number, name)
            seen += 1
    # Both ends of the road are gone.
    assert told > rounds(2000) / 10
    assert seen > rounds(2000) / 10


PEAK = """
import json, sys
import cv2, imagehash
from filters.duplicates.hashing import hash_image, hash_seen
from filters.measures import load_measure, measure_names, photo_of
from filters.metrics import Scoring, load_metric
from filters.picture import NotAnImage, open_picture
from filters.screening import screen
told = []
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    try:
        with open_picture(data) as picture:
            hash_image(picture.image)
            hash_seen(picture)
            photo = photo_of(picture)
        for name in measure_names():
            load_measure(name).measure(photo)
        if "piqe" in path:
            load_metric("piqe", Scoring()).score(photo)
        del photo, picture
        screen(data)
        told.append(None)
    except NotAnImage as error:
        told.append([error.kind, str(error)])
# Not ru_maxrss: that of the process which started this one counts in there.
told_by_kernel = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([told, int(told_by_kernel["VmHWM"].split()[0]) * 1024]))
"""


def in_a_worker(files):
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_worker_stays_under_the_stated_bound_with_bombs_among_its_files(tmp_path):
    bombs = {
        # 657 KB, 4.9 GB of memory before the mode was counted.
        "rgba.png": ("RGBA", (13_000, 13_000)),
        "largest.png": ("RGB", (10_500, 10_500)),
        "wide.png": ("I;16", (12_000, 12_000)),
        "grey, piqe.png": ("L", (6_000, 6_000)),
        "progressive.jpg": ("RGB", (9_500, 9_500)),
        "fits.jpg": ("RGB", (8_700, 8_700)),
        "largest, at once.jpg": ("RGB", (11_900, 11_900)),
        "canvas.webp": ("RGB", (6_000, 6_000)),
        "wide.webp": ("RGB", (16_000, 8_000)),
    }
    for name, (mode, size) in bombs.items():
        passes = {"progressive": True} if name in ("progressive.jpg", "fits.jpg") else {}
        fast = {"compress_level": 1} if name.endswith("png") else {}
        with Image.new(mode, size, 9) as image:
            image.save(tmp_path / name, **passes, **fast)
    names = list(bombs)
    told, peak = in_a_worker([tmp_path / name for name in names])
    refused = {name for name, error in zip(names, told, strict=True) if error}
    assert refused == {"rgba.png", "progressive.jpg", "wide.webp"}
    for error in filter(None, told):
        assert error[0] == "too_large"
        assert "GB of memory" in error[1] or "pixels" in error[1]
    assert peak < WORKER_BYTES


def packaged():
    """Every picture that the installed packages ship, by suffix."""
    home = Path(skimage.__file__).parents[1]
    suffixes = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".dds", ".ppm"}
    return sorted(f for f in home.rglob("*") if f.suffix.lower() in suffixes and f.is_file())


@pytest.mark.slow
def test_every_picture_of_the_installed_packages_is_seen_or_told():
    files = packaged()
    assert len(files) > 50
    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with open_picture(file) as picture:
                    assert picture.rgb.shape[1::-1] == picture.size
                    hash_seen(picture)
                    picture.reader_error()
            except NotAnImage as error:
                assert len(str(error).split()) > 3, file
