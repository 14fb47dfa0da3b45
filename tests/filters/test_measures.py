"""Measures order known amounts on real photographs, and do not stumble over odd images."""

import ast
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn
from PIL import Image

from filters import measures
from filters.degradation.synthesis import (
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
from filters.measures import (
    NotAnImage,
    Photo,
    UnknownMeasure,
    load_measure,
    measure_names,
    open_photo,
)
from filters.picture import open_picture
from tests.cases import every

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
    "luma_p50": ("less", lambda i, a: low_light(i, -a), (1.0, 2.0, 4.0)),
    "contrast": ("less", lambda i, a: low_light(i, -a), (1.0, 2.0, 4.0)),
    "edge_sigma_coarse": ("more", lambda i, a: gaussian_blur(i, a), (1.0, 2.0, 4.0)),
    "edge_sigma_worst": ("more", lambda i, a: motion_blur(i, a, 30.0), (5.0, 11.0, 19.0)),
    "edge_sigma_spread": ("more", lambda i, a: motion_blur(i, a, 30.0), (7.0, 15.0)),
    "effective_resolution": ("less", lambda i, a: upscale(i, a), (1.5, 2.0, 4.0)),
    "spectral_drop": ("more", lambda i, a: gaussian_blur(i, a), (1.0, 1.5, 2.0)),
    "noise_coarse": ("more", noisy, (6.0, 12.0, 25.0)),
    "noise_chroma": ("more", noisy, (6.0, 12.0, 25.0)),
    "clipped_white": ("more", lambda i, a: overexpose(i, a), (1.0, 2.0, 3.0)),
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


@pytest.mark.parametrize("photo", SHARP)
def test_cut_off_highlights_pile_up_at_white(photo):
    # Not monotone: at ever more light greys come up to just below white.
    clean = value("highlight_spike", SHARP[photo])
    assert value("highlight_spike", overexpose(SHARP[photo], 2.0)) > clean + 0.2


@pytest.mark.parametrize("photo", SHARP)
def test_motion_in_one_direction_tells_from_blur_in_all(photo):
    moved, soft = motion_blur(SHARP[photo], 13.0, 60.0), gaussian_blur(SHARP[photo], 2.5)
    for name in ("direction_contrast", "edge_sigma_spread"):
        assert value(name, moved) > value(name, soft)


@pytest.mark.parametrize("photo", SHARP)
@pytest.mark.parametrize("factor", [1.3, 1.5, 1.75])
def test_a_resized_block_grid_is_found_and_a_whole_one_is_not(photo, factor):
    import cv2

    blocky = jpeg(SHARP[photo], 25)
    size = (round(blocky.shape[1] * factor), round(blocky.shape[0] * factor))
    resized = cv2.resize(blocky, size, interpolation=cv2.INTER_CUBIC)
    clean = cv2.resize(SHARP[photo], size, interpolation=cv2.INTER_CUBIC)
    assert value("resized_grid", resized) > 2 * value("resized_grid", clean)
    assert value("resized_grid", blocky) < value("resized_grid", resized)


def test_drawn_areas_are_flat_and_photographs_are_not():
    drawn = np.full((300, 300, 3), 200, dtype=np.uint8)
    drawn[100:200, 100:200] = (30, 80, 160)
    assert value("flat_share", drawn) > 0.95
    for photo in SHARP.values():
        assert value("flat_share", photo) < 0.5


def test_texture_stays_when_a_photograph_is_blurred_and_a_wall_has_none():
    for photo in SHARP.values():
        sharp, soft = (value("textured_share", i) for i in (photo, gaussian_blur(photo, 3.0)))
        assert sharp > 0.4
        assert soft > 0.6 * sharp
    assert value("textured_share", np.full((256, 256, 3), 99, dtype=np.uint8)) == 0.0


def test_a_large_image_is_looked_at_in_patches_on_its_own_block_grid():
    tiled = np.tile(jpeg(SHARP["coffee"], 30)[:192, :288], (10, 8, 1))
    photo = Photo(tiled)
    assert len(photo.patches) == measures.MOST_PATCHES
    assert {p.shape for p in photo.patches} == {(256, 256, 3)}
    for patch in photo.patches:
        offset = patch.__array_interface__["data"][0] - tiled.__array_interface__["data"][0]
        row, column = divmod(offset // 3, tiled.shape[1])
        assert row % 8 == column % 8 == 0
    # The same picture over and over: patches see what the whole shows.
    whole = Photo(tiled, most_patches=10**6)
    assert len(whole.patches) == 1
    for name in ("jpeg_qscale", "edge_sigma", "noise_immerkaer", "luma_p95", "blockiness"):
        assert value(name, photo) == pytest.approx(value(name, whole), rel=0.15, abs=0.02), name


@pytest.mark.parametrize("shape", [(100, 9000), (9000, 100), (2600, 300), (1100, 1100)])
def test_patches_lie_within_an_image_of_any_shape_and_cover_a_megapixel_at_most(shape):
    chance = np.random.default_rng(0)
    photo = Photo(chance.integers(0, 256, (*shape, 3), dtype=np.uint8))
    for patch in photo.patches:
        assert 0 < patch.shape[0] <= max(256, shape[0])
        assert min(patch.shape[:2]) > 0
    for name in measure_names():
        result = value(name, photo)
        assert result is None or np.isfinite(result)


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
@every("shape", [(1, 1), (1, 200), (200, 1), (7, 9), (16, 16), (33, 65), (64, 300)])
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
    assert abs(float(photo.lumas[0].mean()) - 127) < 4


def test_transparency_is_laid_on_white():
    sink = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(sink, "PNG")
    assert open_photo(sink.getvalue()).rgb.min() == 255


@pytest.mark.parametrize("data", [b"", b"not an image", encode_jpeg(SHARP["coffee"], 90)[:900]])
def test_bytes_that_do_not_decode_are_a_typed_error(data):
    with pytest.raises(NotAnImage, match="do not decode" if data else "empty"):
        open_picture(data)


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


def test_measures_multiply_matrices_on_one_thread_whatever_was_set_before():
    # In a process of its own: the limit stays.
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import scipy.linalg, threadpoolctl as t; t.threadpool_limits(2, user_api='blas')\n"
            "from filters.measures import load_measure; load_measure('contrast')\n"
            "print({i['num_threads'] for i in t.threadpool_info() if i['user_api'] == 'blas'})",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert told.stdout == "{1}\n", told.stderr


def test_waves_of_any_length_are_the_beginning_of_those_that_are_kept():
    from filters.measures.resized_grid import KEPT, _made, _waves

    for length in (96, 333, 1024, KEPT, KEPT + 1):
        for found, made in zip(_waves(length), _made(length), strict=True):
            assert np.array_equal(found, made)
    # One length is kept, not one for each that was seen.
    assert _waves(96)[0].base is _waves(333)[0].base


@pytest.mark.parametrize("seed", range(3))
def test_colorfulness_is_that_of_the_opponents_in_float64(seed):
    chance = np.random.default_rng(seed)
    rgb = chance.integers(0, 256, (60 + seed, 83, 3)) * chance.integers(0, 2, 3) % 256
    red, green, blue = np.moveaxis(rgb.astype(np.float64), 2, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    wanted = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    found = load_measure("colorfulness").measure(Photo(rgb.astype(np.uint8)))
    assert found == pytest.approx(wanted, abs=1e-6)
