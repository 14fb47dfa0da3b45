"""Measures order known amounts on real photographs, and do not stumble over odd images."""

import ast
import io
from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn
from PIL import Image

from filters import measures
from filters.measures import (
    NotAnImage,
    Photo,
    UnknownMeasure,
    load_measure,
    measure_names,
    open_image,
    open_photo,
)
from filters.synthesis import (
    defocus,
    downscale,
    encode_jpeg,
    gaussian_blur,
    gaussian_noise,
    low_light,
    motion_blur,
    overexpose,
    upscale,
)

SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.__file__).parent / "datasets" / "images"
FILES = [
    SKIMAGE / "astronaut.png",
    SKIMAGE / "coffee.png",
    SKLEARN / "china.jpg",
    SKLEARN / "flower.jpg",
]
SHARP = {
    # Reduced by half: sharp to the pixel, and without the traces of their own compression.
    path.stem: downscale(np.asarray(Image.open(path).convert("RGB")), 2.0)
    for path in FILES
}


def value(name, image):
    return load_measure(name).measure(image if isinstance(image, Photo) else Photo(image))


def noisy(image, sigma):
    return gaussian_noise(image, sigma, np.random.default_rng(1))


def jpeg(image, quality):
    return open_photo(encode_jpeg(image, quality)).rgb


WORSE = {
    "edge_sigma": ("more", lambda i, a: gaussian_blur(i, a), (1.0, 2.0, 4.0)),
    "directional_detail": ("less", lambda i, a: motion_blur(i, a, 30.0), (5.0, 11.0, 19.0)),
    "laplacian_p90": ("less", lambda i, a: defocus(i, a), (1.0, 2.0, 4.0)),
    "noise_immerkaer": ("more", noisy, (6.0, 12.0, 25.0)),
    "jpeg_qscale": ("more", jpeg, (70, 40, 15)),
    "blockiness": ("more", jpeg, (50, 25, 8)),
    "luma_p95": ("less", lambda i, a: low_light(i, -a), (1.0, 2.0, 4.0)),
    "clipped_share": ("more", lambda i, a: overexpose(i, a), (0.5, 1.5, 3.0)),
    "contrast": ("less", lambda i, a: low_light(i, -a), (1.0, 2.0, 4.0)),
}


@pytest.mark.parametrize("photo", SHARP)
@pytest.mark.parametrize("name", WORSE)
def test_a_measure_grows_or_falls_with_the_known_amount(name, photo):
    direction, degrade, amounts = WORSE[name]
    values = [value(name, SHARP[photo])] + [value(name, degrade(SHARP[photo], a)) for a in amounts]
    assert None not in values
    if name in ("directional_detail", "jpeg_qscale", "clipped_share"):
        # The mildest amount may not show yet.
        values = values[:1] + values[2:]
    assert values == sorted(values, reverse=direction == "less")
    assert values[0] != values[-1]


def test_colorfulness_is_that_of_the_formula_and_nothing_for_grey():
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    assert value("colorfulness", grey) == 0.0
    red = np.zeros((8, 8, 3), dtype=np.uint8)
    red[:, :, 0] = 100
    # rg = 100 and yb = 50 everywhere: no spread, 0.3 * sqrt(100^2 + 50^2) = 33.54.
    assert value("colorfulness", red) == pytest.approx(33.541, abs=0.01)
    assert value("colorfulness", SHARP["flower"]) > value("colorfulness", SHARP["china"])


@pytest.mark.parametrize("photo", SHARP)
def test_an_enlarged_image_has_lost_what_halving_removes(photo):
    # Not monotone in the factor: at 4 the residual at a quarter falls, too.
    for factor in (2.0, 3.0, 4.0):
        enlarged = value("upscale_residual", upscale(SHARP[photo], factor))
        assert enlarged < value("upscale_residual", SHARP[photo]) - 0.2


def test_edge_sigma_reads_the_width_of_a_known_edge():
    step = np.zeros((128, 128, 3), dtype=np.uint8)
    step[:, 64:] = 200
    for sigma in (0.0, 1.0, 2.0, 3.0):
        # The central difference is as wide as a variance of 1/3 px^2, a pixel is one of 1/12.
        expected = np.sqrt(sigma**2 + 1 / 3 + 1 / 12)
        image = gaussian_blur(step, sigma) if sigma else step
        assert value("edge_sigma", image) == pytest.approx(expected, abs=0.2)


def test_noise_is_read_in_grey_levels_on_a_plain_image():
    plain = np.full((256, 256, 3), 128, dtype=np.uint8)
    # Equal weights would give sigma / sqrt(3); BT.601 luma of independent channels keeps 0.669 of it.
    expected = 10 * np.sqrt(0.299**2 + 0.587**2 + 0.114**2)
    assert value("noise_immerkaer", noisy(plain, 10.0)) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("quality", [15, 35, 50, 75, 92])
def test_jpeg_quality_is_the_one_it_was_saved_with(quality):
    assert value("jpeg_quality", open_photo(encode_jpeg(SHARP["astronaut"], quality))) == quality


def test_jpeg_history_shows_through_a_second_save_and_a_crop():
    first = jpeg(SHARP["coffee"], 30)
    again = open_photo(encode_jpeg(first, 92))
    assert value("jpeg_quality", again) == 92
    assert value("jpeg_qscale", again) > 1.2
    assert value("jpeg_qscale", np.ascontiguousarray(first[5:, 3:])) > 1.2
    assert value("jpeg_qscale", SHARP["coffee"]) < 0.5


@pytest.mark.parametrize("name", measure_names())
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 200), (200, 1), (7, 9), (16, 16), (33, 65), (64, 300)], ids=str
)
def test_small_and_flat_images_give_none_or_a_finite_number(name, shape):
    chance = np.random.default_rng(0)
    for image in (
        np.full((*shape, 3), 0, dtype=np.uint8),
        np.full((*shape, 3), 255, dtype=np.uint8),
        chance.integers(0, 256, (*shape, 3), dtype=np.uint8),
    ):
        found = value(name, image)
        assert found is None or (isinstance(found, float) and np.isfinite(found))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P", "LA", "1", "I;16", "I", "F"])
def test_every_mode_is_opened_as_rgb_of_eight_bits(mode):
    grey = Image.fromarray(np.tile(np.arange(0, 256, 2, dtype=np.uint8), (64, 1)))
    sixteen = Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257)
    image = sixteen if mode == "I;16" else grey.convert(mode)
    sink = io.BytesIO()
    image.save(sink, "JPEG" if mode == "CMYK" else "TIFF")
    photo = open_photo(sink.getvalue())
    assert photo.rgb.dtype == np.uint8
    assert photo.rgb.shape == (64, 128, 3)
    assert abs(float(photo.luma.mean()) - 127) < 4


def test_transparency_is_laid_on_white():
    sink = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(sink, "PNG")
    assert open_photo(sink.getvalue()).rgb.min() == 255


@pytest.mark.parametrize("data", [b"", b"not an image", encode_jpeg(SHARP["coffee"], 90)[:900]])
def test_bytes_that_do_not_decode_are_a_typed_error(data):
    with pytest.raises(NotAnImage, match="do not decode"):
        open_image(data)


def test_an_unknown_measure_names_the_nearest():
    with pytest.raises(UnknownMeasure, match="did you mean 'edge_sigma'"):
        load_measure("edge_sigmas")


@pytest.mark.parametrize("name", measure_names())
def test_every_file_in_the_folder_keeps_the_protocol(name):
    source = (Path(measures.__file__).parent / f"{name}.py").read_text()
    tree = ast.parse(source)
    text = ast.get_docstring(tree) or ""
    assert len(text) > 60, "a docstring that says what, unit and direction"
    assert "None" in text, "a docstring that says when there is no value"
    loaded = load_measure(name)
    assert loaded.name == name
    assert loaded.version
    assert (loaded.measure.__doc__ or "").strip()


def test_the_order_of_measures_does_not_matter():
    one, other = Photo(SHARP["china"]), Photo(SHARP["china"])
    forward = {name: value(name, one) for name in measure_names()}
    backward = {name: value(name, other) for name in reversed(measure_names())}
    assert forward == backward
