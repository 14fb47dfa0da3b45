"""Images that are not plain 8-bit RGB: each kind is handled by a rule, and none of them ends a build."""

import io
import struct
import zlib

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data

from filters.duplicates.hashing import hash_image, to_uint64
from filters.measures import NotAnImage, open_photo
from filters.picture import open_picture

PHOTO = Image.fromarray(np.ascontiguousarray(data.astronaut()[100:260, 150:310]))


def saved(image, kind, **options):
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def frames():
    return [PHOTO.rotate(angle) for angle in (0, 5, 10)]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_no_photograph(kind):
    first, *others = frames()
    content = saved(first, kind, save_all=True, append_images=others, duration=100)
    with pytest.raises(NotAnImage, match="3 frames") as caught:
        open_picture(content)
    assert caught.value.kind == "animated"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_a_single_frame_of_these_formats_is_one(kind):
    assert open_photo(saved(PHOTO, kind)).rgb.shape == (160, 160, 3)


def test_a_cameras_second_picture_behind_the_first_is_no_animation():
    first, *others = frames()
    content = saved(first, "MPO", save_all=True, append_images=others)
    assert open_photo(content).rgb.shape == (160, 160, 3)


def bomb(width, height):
    """A PNG of `width` x `height` black pixels, a few kilobytes long."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    row = b"\0" * (1 + -(-width // 8))
    squeeze = zlib.compressobj(9)
    body = b"".join(squeeze.compress(row) for _ in range(min(height, 2000))) + squeeze.flush()

    def chunk(name, content):
        check = zlib.crc32(name + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + name + content + check

    parts = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("size", [(60_000, 60_000), (15_000, 14_000), (13_500, 13_500)])
def test_a_decompression_bomb_is_refused_by_its_header(size):
    content = bomb(*size)
    assert len(content) < 200_000
    with pytest.raises(NotAnImage) as caught:
        open_picture(content)
    assert caught.value.kind == "too_large"


def test_a_jpeg_that_claims_absurd_dimensions_is_refused():
    content = bytearray(saved(PHOTO, "JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(NotAnImage) as caught:
        open_picture(bytes(content))
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_jpeg_is_corrupt_and_not_half_a_photograph(share, progressive):
    content = saved(PHOTO, "JPEG", progressive=progressive, quality=95)
    with pytest.raises(NotAnImage) as caught:
        open_photo(content[: int(share * len(content))])
    assert caught.value.kind == "corrupt"


def test_bytes_behind_the_end_of_a_jpeg_do_not_matter():
    content = saved(PHOTO, "JPEG")
    plain, longer = open_photo(content), open_photo(content + b"a raw file, or a video" * 100)
    assert np.array_equal(plain.rgb, longer.rgb)


def test_cmyk_of_printers_becomes_rgb():
    cmyk = saved(PHOTO.convert("CMYK"), "JPEG", quality=95)
    shown = open_photo(cmyk).rgb.astype(float)
    assert np.abs(shown - np.asarray(PHOTO)).mean() < 6


@pytest.mark.parametrize("bits", ["grey", "rgb"])
def test_sixteen_bits_are_scaled_and_not_clipped(bits):
    cv2 = pytest.importorskip("cv2")
    rgb = np.asarray(PHOTO)
    wide = rgb.astype(np.uint16) * 257
    pixels = wide[:, :, 0] if bits == "grey" else wide[:, :, ::-1]
    done, content = cv2.imencode(".png", np.ascontiguousarray(pixels))
    assert done
    shown = open_photo(content.tobytes()).rgb
    expected = np.repeat(rgb[:, :, :1], 3, axis=2) if bits == "grey" else rgb
    assert np.abs(shown.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_picture_is_measured_as_exif_says_that_it_is_seen(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(PHOTO, "JPEG", exif=exif)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert np.array_equal(open_photo(content).rgb, np.asarray(shown))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (7, 3)])
def test_tiny_and_thin_images_are_opened(size):
    photo = open_photo(saved(PHOTO.resize(size), "PNG"))
    assert photo.rgb.shape == (size[1], size[0], 3)


def test_a_broken_colour_profile_does_not_matter():
    content = saved(PHOTO, "JPEG", icc_profile=b"no profile" * 20)
    assert open_photo(content).rgb.shape == (160, 160, 3)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff", b"<!DOCTYPE html><title>404</title>", b"\0" * 5000]
)
def test_what_is_no_image_is_corrupt(content):
    with pytest.raises(NotAnImage) as caught:
        open_picture(content)
    assert caught.value.kind == "corrupt"


@pytest.mark.golden
@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA", "LA", "1", "I;16"])
def test_hashes_of_every_mode_are_imagehashs_own(mode):
    image = Image.new(mode, (96, 96)) if mode == "I;16" else PHOTO.convert(mode)
    kind = {"CMYK": "JPEG"}.get(mode, "PNG")
    content = saved(image, kind)
    with open_picture(content) as opened, Image.open(io.BytesIO(content)) as plain:
        hashes = hash_image(opened.image)
        assert hashes.phash == to_uint64(imagehash.phash(plain))
        assert hashes.dhash == to_uint64(imagehash.dhash(plain))
