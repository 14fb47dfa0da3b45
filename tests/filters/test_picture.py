"""The one door: what is seen of every kind of file, and a sentence for what cannot be seen."""

import ast
import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from skimage import data

from filters.duplicates.hashing import hash_seen
from filters.picture import NotAnImage, header, open_picture, refusal
from filters.seen import strips
from pipelines.build.doors import look, view
from tests.cases import every
from tests.counts import rounds
from tests.shared import shared_folder

ROOT = Path(__file__).resolve().parents[2]
PHOTO = Image.fromarray(np.ascontiguousarray(data.astronaut()[60:220, 150:270]))
FIXED = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""Orientation that a file needs so that pixels turned by the key are seen as they were."""
STANDS_APART = {"training/rewards/servers/reward_server.py"}
"""Runs in a scorer's own environment, without this project; what it opens are PNGs that our client made."""


def saved(image, kind, **options):
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def stored_for(image, orientation):
    """The pixels that a file with this orientation holds when `image` is what is seen."""
    return ImageOps.exif_transpose(_with(image, FIXED[orientation]))


def _with(image, orientation):
    turned = image.copy()
    turned.getexif()[0x0112] = orientation
    return turned


def test_pictures_are_opened_in_one_module():
    calls = {("Image", "open"), ("pillow", "open"), ("Pillow", "open"), ("PIL", "open")}
    calls |= {(None, name) for name in ("imread", "imdecode", "imreadmulti", "read_image_file")}
    found = set()
    for package in ("crawler", "catalog", "filters", "training", "pipelines"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                owner = node.func.value.id if isinstance(node.func.value, ast.Name) else None
                if (owner, node.func.attr) in calls or (None, node.func.attr) in calls - {
                    (None, "open")
                }:
                    found.add(str(file.relative_to(ROOT)))
    assert found - STANDS_APART == {"filters/picture.py"}


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("L", "RGB", "RGBA", "P", "LA", "1", "I;16")),
        *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
        *(("TIFF", mode) for mode in ("L", "RGB", "RGBA", "CMYK", "I;16")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    ],
)
@every("orientation", range(1, 9))
def test_the_same_picture_is_seen_whatever_way_it_is_stored(orientation, kind, mode):
    stored = stored_for(PHOTO, orientation)
    image = (
        Image.fromarray(np.asarray(stored.convert("L")).astype(np.uint16) * 257)
        if mode == "I;16"
        else stored.convert(mode)
    )
    options = {"lossless": True} if kind == "WEBP" else {}
    options |= {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    content = saved(image, kind, exif=oriented(orientation), **options)
    with open_picture(content) as picture:
        assert picture.size == PHOTO.size == picture.rgb.shape[1::-1]
        seen = picture.rgb.astype(int)
    wanted = np.asarray(image.convert("L" if mode in ("L", "LA", "1") else "RGB").convert("RGB"))
    if mode == "I;16":
        wanted = np.asarray(stored.convert("L").convert("RGB"))
    upright = np.asarray(ImageOps.exif_transpose(_with(Image.fromarray(wanted), orientation)))
    # JPEG blocks lie otherwise in a turned file.
    assert np.abs(seen - upright).mean() < (3 if kind == "JPEG" else 0.01)


STORED = [
    *(("PNG", mode) for mode in ("L", "RGB", "RGBA", "P", "LA", "I;16")),
    *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
    *(("TIFF", mode) for mode in ("L", "RGB", "RGBA", "P", "CMYK", "I;16", "F")),
    *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    ("AVIF", "RGB"),
    ("JPEG2000", "RGB"),
    ("BMP", "RGB"),
]
"""Formats and modes that Pillow writes; LAB is refused (test_lab_is_refused_in_a_sentence)."""
GRAY = ("L", "LA", "I;16", "F")


def stored_as(image, kind, mode, orientation, quality):
    """A file in which `image` is seen, stored turned, in that mode and format."""
    turned = stored_for(image, orientation)
    if mode in ("I;16", "F"):
        grey = np.asarray(turned.convert("L"))
        wide = grey.astype(np.uint16) * 257 if mode == "I;16" else grey.astype(np.float32) / 255
        turned = Image.fromarray(wide)
    elif mode != "P":
        turned = turned.convert(mode)
    options = {"JPEG": {"quality": quality, "subsampling": 0}, "WEBP": {"quality": quality}}
    options |= {"AVIF": {"quality": quality}}
    exif = {} if kind in ("BMP", "JPEG2000") else {"exif": oriented(orientation)}
    return saved(turned, kind, **exif, **options.get(kind, {}))


@settings(max_examples=rounds(200), deadline=None, derandomize=True)
@given(
    stored=st.sampled_from(STORED),
    orientation=st.integers(1, 8),
    quality=st.integers(85, 95),
    picture=st.sampled_from([data.astronaut, data.chelsea, data.coffee, data.rocket]),
    places=st.tuples(*[st.floats(0, 0.3)] * 2),
)
def test_the_same_seen_picture_has_the_same_hashes_within_two_bits(
    stored, orientation, quality, picture, places
):
    kind, mode = stored
    if kind in ("BMP", "JPEG2000"):
        # Nowhere to write the tag.
        orientation = 1
    pixels = picture()
    top, left = (round(side * place) for side, place in zip(pixels.shape[:2], places, strict=True))
    image = Image.fromarray(np.ascontiguousarray(pixels[top:, left:]))
    if mode == "P":
        # 256 colors, dithered, are another picture: what is compared is the same one, with a palette and without.
        image = image.quantize(256)
    with open_picture(stored_as(image, kind, mode, orientation, quality)) as found:
        hashes = hash_seen(found)
    with open_picture(saved(image.convert("L" if mode in GRAY else "RGB"), "PNG")) as plain:
        wanted = hash_seen(plain)
    for ours, theirs in ((hashes.phash, wanted.phash), (hashes.dhash, wanted.dhash)):
        apart = [(a ^ b).bit_count() for a, b in zip(ours, theirs, strict=True)]
        assert max(apart) <= 2, (kind, mode, orientation, apart)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@every("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(orientation, kind):
    content = saved(PHOTO, kind, exif=oriented(orientation))
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    with open_picture(content) as picture:
        assert np.array_equal(picture.rgb, np.asarray(shown))
        assert np.array_equal(picture.grey, np.asarray(shown.convert("L")))
    with open_picture(content, upright=False) as picture:
        assert kind == "TIFF" or picture.size == PHOTO.size


@settings(max_examples=60, deadline=None)
@given(
    alpha=st.integers(0, 255),
    color=st.tuples(*[st.integers(0, 255)] * 3),
    kind=st.sampled_from(["PNG", "WEBP", "TIFF"]),
)
def test_what_shows_through_is_white(alpha, color, kind):
    content = saved(
        Image.new("RGBA", (7, 5), (*color, alpha)),
        kind,
        **({"lossless": True, "exact": True} if kind == "WEBP" else {}),
    )
    with open_picture(content) as picture:
        seen = picture.rgb[0, 0].astype(float)
    share = alpha / 255
    assert np.abs(seen - (np.array(color) * share + 255 * (1 - share))).max() <= 1.5


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_dark_scan_in_16_bits_is_seen_dark_and_a_full_one_full(kind):
    ramp = np.linspace(0, 65535, 64 * 32).reshape(32, 64).astype(np.uint16)
    for wide in (ramp, (ramp * 0.003).astype(np.uint16)):
        with open_picture(saved(Image.fromarray(wide), kind)) as picture:
            assert np.abs(picture.rgb[:, :, 0].astype(float) - wide / 257).max() <= 0.5


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floating_point_is_scaled_by_the_white_that_holds_it(top):
    ramp = np.linspace(0, top, 64 * 32, dtype=np.float32).reshape(32, 64)
    with open_picture(saved(Image.fromarray(ramp), "TIFF")) as picture:
        assert np.abs(picture.rgb[:, :, 1] - ramp * (255 / top)).max() <= 0.51


@pytest.mark.parametrize("values", [(-1.0, 5.0), (0.0, 1e9), (float("nan"), 1.0)])
def test_floating_point_without_a_known_white_is_refused(values):
    wide = np.resize(np.array(values, dtype=np.float32), (8, 8))
    with (
        open_picture(saved(Image.fromarray(wide), "TIFF")) as picture,
        pytest.raises(NotAnImage, match="not known") as caught,
    ):
        _ = picture.rgb
    assert caught.value.kind == "unsupported"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "PostScript"),
        (
            b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 30, 60, 0, 0, 0, 0) + b"%!PS-Adobe",
            "PostScript",
        ),
        (saved(PHOTO, "BMP"), "BMP"),
        (saved(PHOTO, "TIFF"), "TIFF"),
        (saved(PHOTO, "GIF"), "GIF"),
        (b"DDS " + bytes(124), "DDS"),
        (b"8BPS\0\1" + bytes(30), "Photoshop"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "HEIC"),
    ],
)
def test_what_is_announced_as_jpeg_and_is_none_is_named_and_no_decoder_started(
    body, named, monkeypatch
):
    def started(*args, **options):
        raise AssertionError("a decoder was asked")

    monkeypatch.setattr(Image, "open", started)
    kind, why, retryable = refusal(body, "image/jpeg")
    assert (kind, retryable) == ("corrupt", False)
    assert named in why


def test_a_type_that_nobody_decodes_here_is_named():
    assert refusal(saved(PHOTO, "PNG"), "image/svg+xml")[0] == "unsupported"
    assert refusal(b"DDS " + bytes(124), None)[0] == "unsupported"
    for nothing in (b"\0" * 100, b"%PDF-1.7\n", b"<svg/>", b"<!DOCTYPE html><title>404</title>"):
        kind, why, _ = refusal(nothing, "image/jpeg")
        assert kind == "corrupt"
        assert why.startswith("The bytes do not decode as an image: ")
    assert refusal(saved(PHOTO, "PNG"), "image/png") is None


def long_text_png(**info):
    from PIL import PngImagePlugin

    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("note", "x" * 3_000_000, zip=True)
    return saved(PHOTO, "PNG", pnginfo=chunks, **info)


def test_a_png_with_three_megabytes_of_compressed_text_is_still_a_picture():
    content = long_text_png()
    with pytest.raises(ValueError, match="too large"):
        Image.open(io.BytesIO(content)).load()
    with open_picture(content) as picture:
        assert np.array_equal(picture.rgb, np.asarray(PHOTO))
    assert refusal(content, "image/png") is None
    assert look(content) == (*PHOTO.size, "image/png")


def test_metadata_that_cannot_be_read_is_no_reason_to_refuse_the_pixels():
    folder = shared_folder("cases/images")
    for file in sorted([*(folder / "exif").glob("*.jpg"), *folder.glob("png*/*.png")]):
        with open_picture(file) as picture, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert picture.rgb.shape[1::-1] == picture.size, file.name
            try:
                image = Image.open(file)
                wanted = ImageOps.exif_transpose(image).convert("RGB")
            except (SyntaxError, ValueError, struct.error):
                continue
            assert np.array_equal(picture.rgb, np.asarray(wanted)), file.name


def test_lab_is_refused_in_a_sentence():
    kind, why, _ = refusal(shared_folder("cases/images/lab") / "hopper.Lab.tif", "image/tiff")
    assert kind == "unsupported"
    assert "LAB" in why


def test_messages_do_not_blame_the_wiki_for_what_this_software_cannot():
    cut = saved(PHOTO, "JPEG")[:900]
    kind, why, _ = refusal(cut, "image/jpeg")
    assert kind == "corrupt"
    assert why.startswith("The bytes do not decode as an image: ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_wiki_turns_the_size_of_a_jpeg_and_of_nothing_else(kind):
    content = saved(PHOTO, kind, exif=oriented(6))
    width, height = PHOTO.size
    told = (height, width) if kind == "JPEG" else (width, height)
    assert look(content) == (*told, f"image/{kind.lower()}")
    assert header(content).turned_size == (height, width)


def test_a_view_for_a_page_is_upright_and_may_be_reduced():
    large = PHOTO.resize((1200, 1600))
    content = saved(large, "JPEG", exif=oriented(6))
    assert view(content, None).size == (1600, 1200)
    small = view(content, 320)
    assert small.width > small.height >= 320
    assert small.width < 1600
    assert view(b"nothing", 320) is None


@pytest.mark.parametrize("size", [(320, 200), (1, 7), (1500, 900)])
def test_small_pictures_have_the_pixels_of_the_way_through_strips(size):
    rng = np.random.default_rng(0)
    sink = io.BytesIO()
    noise = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(sink, "JPEG", quality=90)
    with open_picture(sink.getvalue()) as picture:
        by_strips = np.concatenate([strip for _, strip in strips(picture.image)])
        assert np.array_equal(picture.rgb, by_strips)
        assert picture.rgb.flags.writeable and picture.rgb.flags.c_contiguous
