"""A quick look comes near to what a whole one says, under names of its own."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage import data

from filters.degradation.synthesis import gaussian_blur
from filters.duplicates.hashing import hash_image
from filters.measures import NotAnImage, Photo, load_measure
from filters.picture import open_picture
from filters.screening import MEASURES, GreyPhoto, screen
from pipelines.recipe import RecipeError
from pipelines.studies.screen import screen_folder


def jpeg(rgb, quality=90):
    sink = io.BytesIO()
    Image.fromarray(rgb).save(sink, "JPEG", quality=quality)
    return sink.getvalue()


PHOTOS = {"astronaut": data.astronaut(), "coffee": data.coffee(), "chelsea": data.chelsea()}


@pytest.mark.parametrize("name", PHOTOS)
def test_hashes_are_near_those_of_the_whole_image(name):
    content = jpeg(PHOTOS[name])
    quick = screen(content)
    with open_picture(content) as picture:
        whole = hash_image(picture.image)
    assert (quick.width, quick.height) == PHOTOS[name].shape[1::-1]
    assert (quick.screen_phash ^ whole.phash).bit_count() <= 10
    assert (quick.screen_dhash ^ whole.dhash).bit_count() <= 10


@pytest.mark.parametrize("measure", MEASURES)
def test_of_a_grey_picture_each_measure_is_that_of_its_luma(measure):
    grey = np.asarray(Image.fromarray(data.coffee()).convert("L"))
    quick = load_measure(measure).measure(GreyPhoto(grey))
    whole = Photo(np.repeat(grey[:, :, None], 3, axis=2), most_patches=4)
    assert quick == pytest.approx(load_measure(measure).measure(whole), rel=0.02, abs=0.02)


def test_it_tells_blurred_from_sharp_and_saved_badly_from_saved_well():
    sharp = data.chelsea()
    said = screen(jpeg(sharp)).measures
    blurred = screen(jpeg(gaussian_blur(sharp, 3.0))).measures
    saved_badly = screen(jpeg(sharp, quality=12)).measures
    assert blurred["edge_sigma"] > said["edge_sigma"] + 0.5
    assert blurred["laplacian_p90"] < said["laplacian_p90"]
    assert saved_badly["blockiness"] > said["blockiness"] + 0.02


def test_what_does_not_decode_is_said_to():
    with pytest.raises(NotAnImage):
        screen(b"no image")
    with pytest.raises(NotAnImage):
        screen(jpeg(data.coffee())[:2000])


def test_a_folder_becomes_a_table_in_which_the_broken_file_has_a_reason(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jpg").write_bytes(jpeg(data.coffee()))
    (tmp_path / "b.jpg").write_bytes(b"broken")
    to = tmp_path / "screened.parquet"
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (tmp_path / "d.jpg").write_bytes(b"")
    Image.fromarray(data.coffee()).save(tmp_path / "e.gif")
    assert screen_folder(tmp_path, to) == (5, 3)
    rows = {row["path"]: row for row in pq.read_table(to).to_pylist()}
    assert rows["b.jpg"]["error"] == "The bytes do not decode as an image: no format that is known"
    assert rows["b.jpg"]["screen_phash"] is None
    assert rows["c.heic"]["error"] == "This is a HEIC file, which this software does not decode."
    assert rows["d.jpg"]["error"] == "The file is empty: 0 bytes."
    assert rows["e.gif"]["error"] is None
    assert rows["deep/a.jpg"]["error"] is None
    assert rows["deep/a.jpg"]["screen_edge_sigma"] > 0
    assert not {"phash", "dhash", "measure"} & set(pq.read_schema(to).names)


def test_an_empty_folder_is_an_error_that_says_so(tmp_path):
    with pytest.raises(RecipeError, match="holds no image"):
        screen_folder(tmp_path, tmp_path / "screened.parquet")
