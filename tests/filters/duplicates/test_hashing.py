"""Stored hashes equal the imagehash library's, bit for bit, from the file."""

import io
from pathlib import Path

import imagehash
import numpy as np
import pytest
import skimage
import sklearn
from PIL import Image, ImageOps

from filters.duplicates.hashing import (
    LOOKS,
    hash_image,
    hash_picture,
    hash_pixels,
    hash_seen,
    to_uint64,
)
from filters.picture import open_picture

pytestmark = pytest.mark.golden

FOLDER = Path(skimage.__file__).parent / "data"
PHOTOS = [
    *(FOLDER / name for name in ("astronaut.png", "coffee.png", "chelsea.png", "camera.png")),
    *(FOLDER / name for name in ("rocket.jpg", "horse.png", "clock_motion.png")),
    *sorted((Path(sklearn.__file__).parent / "datasets" / "images").glob("*.jpg")),
]


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_hashes_equal_imagehash_of_the_opened_file(path):
    hashes = hash_image(Image.open(path))
    assert hashes.phash == to_uint64(imagehash.phash(Image.open(path)))
    assert hashes.dhash == to_uint64(imagehash.dhash(Image.open(path)))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P", "LA", "1", "I;16", "YCbCr"])
def test_hashes_equal_imagehash_in_every_mode(mode):
    image = Image.open(PHOTOS[0])
    image = image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
    hashes = hash_image(image)
    assert hashes.phash == to_uint64(imagehash.phash(image))
    assert hashes.dhash == to_uint64(imagehash.dhash(image))


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *((mode, ".png") for mode in ("L", "RGB", "RGBA", "P", "LA", "I;16", "1")),
        *((mode, ".tif") for mode in ("CMYK", "I;16", "1")),
        *((mode, ".jpg") for mode in ("L", "RGB", "CMYK")),
    ],
)
def test_hashes_equal_imagehash_of_a_file_of_every_mode(tmp_path, mode, suffix):
    image = Image.open(PHOTOS[0])
    # A ramp up to 65,535, so that 16 bits hold more than 8 would.
    image = (
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        if mode == "I;16"
        else image.convert(mode)
    )
    file = tmp_path / f"photo{suffix}"
    image.save(file)
    assert Image.open(file).mode == mode
    hashes = hash_image(Image.open(file))
    assert hashes.phash == to_uint64(imagehash.phash(Image.open(file)))
    assert hashes.dhash == to_uint64(imagehash.dhash(Image.open(file)))


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_the_mirrored_hashes_are_those_of_the_flipped_thumbnail(path):
    grey = Image.open(path).convert("L")
    square, strip = (
        ImageOps.mirror(grey.resize(size, Image.Resampling.LANCZOS)) for size in ((32, 32), (9, 8))
    )
    hashes = hash_image(Image.open(path))
    assert hashes.phash_mirror == to_uint64(imagehash.phash(square))
    assert hashes.dhash_mirror == to_uint64(imagehash.dhash(strip))


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_the_mirrored_hashes_are_near_those_of_the_mirrored_image(path):
    image = Image.open(path).convert("RGB")
    mirrored = hash_image(ImageOps.mirror(image))
    plain = hash_image(image)
    # The flipped thumbnail and the thumbnail of the flipped image differ by rounding at most.
    assert (plain.phash_mirror ^ mirrored.phash).bit_count() <= 2
    assert (plain.dhash_mirror ^ mirrored.dhash).bit_count() <= 2


def test_the_first_bit_is_the_highest():
    bits = np.zeros((8, 8), dtype=bool)
    bits[0, 0] = True
    assert to_uint64(imagehash.ImageHash(bits)) == 1 << 63


def test_a_blank_image_has_no_spread():
    assert hash_image(Image.new("RGB", (100, 80), (200, 200, 200))).spread == 0.0
    assert hash_image(Image.open(PHOTOS[0])).spread > 20


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "I;16"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("levels", [1.0, 0.05])
def test_both_kinds_of_hashes_at_once_are_those_that_each_has_alone(mode, orientation, levels):
    photo = Image.open(PHOTOS[0]).convert("L").resize((300, 211))
    image = photo.point(lambda level: min(255, round(100 + levels * level))).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    sink = io.BytesIO()
    image.save(sink, "PNG", exif=exif)
    with open_picture(sink.getvalue()) as picture:
        alone = hash_image(picture.image), hash_seen(picture)
    with open_picture(sink.getvalue()) as picture:
        assert hash_picture(picture) == alone
    assert alone[0].phash == to_uint64(imagehash.phash(image))


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_hashes_in_every_look_are_those_imagehash_has_of_the_turned_thumbnails(path):
    grey = Image.open(path).convert("L")
    found = hash_pixels(np.asarray(grey))
    filtered, ways = Image.Resampling.LANCZOS, Image.Transpose
    square = grey.resize((32, 32), filtered)
    across, down = grey.resize((9, 8), filtered), grey.resize((8, 9), filtered)
    turns = {
        "mirrored": ways.FLIP_LEFT_RIGHT,
        "180": ways.ROTATE_180,
        "flipped": ways.FLIP_TOP_BOTTOM,
        "90": ways.ROTATE_90,
        "270": ways.ROTATE_270,
        "transposed": ways.TRANSPOSE,
        "transverse": ways.TRANSVERSE,
    }
    for number, look in enumerate(LOOKS[1:], start=1):
        strip = across if number < 4 else down
        assert found.phash[number] == to_uint64(imagehash.phash(square.transpose(turns[look])))
        assert found.dhash[number] == to_uint64(imagehash.dhash(strip.transpose(turns[look])))
