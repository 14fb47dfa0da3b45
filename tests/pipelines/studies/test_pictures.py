"""What is learnt from is measured once per file, with what was made of it, and says what is true of it."""

import csv

import numpy as np
import pytest
import skimage.data
from PIL import Image

from filters.degradation.heads import HEADS, OVERALL
from filters.degradation.synthesis import downscale, gaussian_noise
from pipelines.studies.pictures import learning_jobs, measured_pictures, stamp


@pytest.fixture
def folder(tmp_path):
    """A clean picture, a noisy one and a file that is none."""
    real = tmp_path / "some"
    real.mkdir()
    coffee = downscale(skimage.data.coffee(), 3.0)
    Image.fromarray(coffee).save(real / "clean.png")
    noisy = gaussian_noise(coffee, 25.0, np.random.default_rng(0))
    Image.fromarray(noisy).save(real / "noisy.png")
    (real / "broken.png").write_bytes(b"not a picture")
    with (real / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "source", "eye_class", "degradation_seen"])
        writer.writerow(["clean.png", "one", "clean", ""])
        writer.writerow(["noisy.png", "other", "lq", "noise"])
        writer.writerow(["broken.png", "other", "lq", "noise"])
    return real


def test_rows_are_of_pictures_as_published_saved_again_and_damaged(folder, tmp_path):
    jobs = learning_jobs([folder], [], [])
    found = measured_pictures(jobs, tmp_path / "kept", workers=1)
    names = found.names.tolist()
    assert names[0] == "some/clean.png"
    assert "some/noisy.png" in names
    assert not any("broken" in name for name in names)
    assert [n for n, s in zip(names, found.stored, strict=True) if s] == [
        "some/clean.png#85",
        "some/clean.png#75",
    ]
    made = ~found.real & ~found.stored
    assert made.sum() >= 4
    # What was made of a picture is left out with its source.
    assert set(found.groups[made].tolist()) == {"one"}
    noisy = names.index("some/noisy.png")
    assert found.truth[noisy, HEADS.index("noise")] == 1
    assert found.truth[noisy, HEADS.index(OVERALL)] == 1
    noise = found.measures["noise_immerkaer"]
    assert noise[noisy] > 5 * noise[0]
    assert found.early.shape == (len(names), 1088)


def test_a_file_is_measured_once_and_where_it_lies_does_not_matter(folder, tmp_path):
    jobs = learning_jobs([folder], [], [])
    kept = tmp_path / "kept"
    measured_pictures(jobs, kept, workers=1)
    written = {f.name: f.stat().st_mtime_ns for f in kept.glob("*.parquet")}
    again = measured_pictures(jobs, kept, workers=1)
    assert {f.name: f.stat().st_mtime_ns for f in kept.glob("*.parquet")} == written
    assert len(again) > 5
    moved = tmp_path / "elsewhere" / "some"
    moved.parent.mkdir()
    folder.rename(moved)
    there = {f"{stamp(job)}.parquet" for job in learning_jobs([moved], [], [])}
    assert there == set(written)
    (moved / "noisy.png").write_bytes((moved / "clean.png").read_bytes())
    changed = {f"{stamp(job)}.parquet" for job in learning_jobs([moved], [], [])}
    assert len(changed - there) == 1
