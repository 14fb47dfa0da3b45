"""The report on the rule for twins, on packaged photographs."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from filters.duplicates.dedupe import DedupePolicy
from filters.duplicates.quality import TRANSFORMS, Recall, copies_of, dedup_quality
from filters.measures import open_photo
from pipelines.recipe import RecipeError
from pipelines.studies.dedup_report import dedup_report, dedup_report_lines


def photos():
    named = {
        "astronaut": data.astronaut(),
        "coffee": data.coffee(),
        "chelsea": data.chelsea(),
        "rocket": data.rocket(),
    }
    return [(name, np.ascontiguousarray(image[:256, :320])) for name, image in named.items()]


def test_easy_copies_are_found_and_different_photographs_are_not_matched():
    found = dedup_quality(photos(), DedupePolicy())
    recall = {row.transform: row.found for row in found.recalls}
    for easy in ("JPEG 30", "resize 50 %", "brightness +20 %", "crop 3 %", "mirror", "grey"):
        assert recall[easy] == 4, easy
    for turned in (
        "rotation by 90 degrees",
        "rotation by 180 degrees",
        "turned by its EXIF tag alone",
    ):
        assert recall[turned] == 4, turned
    # What no hash of this kind sees: the table says so instead of leaving it out.
    assert recall["crop 30 %"] == recall["crop 50 %"] == 0
    assert (found.false, found.alike) == (0, ())
    assert found.compared == 6 * (len(TRANSFORMS) + 1) ** 2


def test_photographs_that_are_alike_are_named_and_not_counted_as_false():
    two = photos()[:2]
    again = ("astronaut, again", two[0][1] // 2 + 60)
    found = dedup_quality([*two, again], DedupePolicy())
    assert [row[:2] for row in found.alike] == [("astronaut", "astronaut, again")]
    assert found.false == 0
    assert "alike to begin with" in "\n".join(dedup_report_lines(found))


@pytest.mark.slow
def test_a_rule_that_matches_nothing_has_no_recall_and_one_that_matches_all_no_precision():
    strict = dedup_quality(photos()[:2], DedupePolicy(phash_radius=0, dhash_radius=0))
    assert {row.transform: row.found for row in strict.recalls}["JPEG 10"] < 2
    loose = dedup_quality(photos()[1:3], DedupePolicy(phash_radius=24, dhash_radius=24))
    assert loose.false + len(loose.alike) > 0


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_copy_is_an_image_of_its_own(name):
    (_, image), *_ = photos()
    copy = open_photo(TRANSFORMS[name](image)).rgb
    assert min(copy.shape[:2]) >= 64
    same = copy.shape == image.shape and np.array_equal(copy, image)
    assert not same


def test_the_interval_is_wilsons():
    low, high = Recall(transform="x", injected=74, found=74).interval
    assert (round(low, 3), round(high, 3)) == (0.951, 1.0)
    low, high = Recall(transform="x", injected=100, found=50).interval
    assert (round(low, 3), round(high, 3)) == (0.404, 0.596)


def test_a_folder_is_read_and_one_with_too_little_in_it_refused(tmp_path):
    for name, image in photos()[:2]:
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no photograph")
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    out = tmp_path / "out"
    assert dedup_report(tmp_path, out=out).photographs == 2
    (tmp_path / "coffee.png").unlink()
    with pytest.raises(RecipeError, match="at least two"):
        dedup_report(tmp_path, out=out)


@pytest.mark.slow
def test_a_report_that_ends_early_leaves_its_table_and_goes_on_from_there(tmp_path, monkeypatch):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for name, image in photos()[:3]:
        Image.fromarray(image[:160, :200]).save(folder / f"{name}.png")
    whole = dedup_report_lines(dedup_report(folder, out=tmp_path / "at once"))
    made = []

    def killed(photo, policy, embed):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(photo)
        return copies_of(photo, policy, embed)

    monkeypatch.setattr("pipelines.studies.dedup_report.copies_of", killed)
    with pytest.raises(KeyboardInterrupt):
        dedup_report(folder, out=out)
    table = (out / "table.txt").read_text()
    assert table.startswith("so far 2 of 3 photographs")
    assert "JPEG 30                                          2/2    1.000" in table
    monkeypatch.setattr(
        "pipelines.studies.dedup_report.copies_of",
        lambda photo, policy, embed: made.append(photo) or copies_of(photo, policy, embed),
    )
    assert dedup_report_lines(dedup_report(folder, out=out)) == whole
    # The two that were there were not made again.
    assert len(made) == 3
    assert (out / "table.txt").read_text().splitlines() == whole
