"""The page over a release and over a labelled folder: rows, pictures, and no way to write."""

from __future__ import annotations

import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.errors import Expected
from pipelines.review.folders import NothingToExplore, of_folder, of_labels
from pipelines.review.state import ReadOnlyPage, State
from tests.catalog.release.release_samples import release
from tests.pipelines.review.pages import png


@pytest.fixture
def exported(tmp_path):
    from catalog.release.export import export_dataset

    samples, store = release(12)
    export_dataset(
        samples,
        read_bytes=store.__getitem__,
        out=tmp_path / "release",
        recipe={},
        recipe_hash="0" * 12,
        name="test",
        version="1.0.0",
        row_group_rows=5,
    )
    return tmp_path / "release", samples, store


def test_a_release_is_shown_with_its_pictures_and_credits(exported):
    folder, samples, store = exported
    collection = of_folder(folder)
    assert collection.rows.num_rows == 12
    assert collection.title == "test 1.0.0"
    for sha1 in samples.column("sha1").to_pylist():
        assert collection.read(sha1) == store[sha1]
    state = State(collection, reviewer="Ann")
    item = state.item(3)
    assert item["credit"] == item["row"]["attribution_line"]
    assert item["credit"].startswith('"')
    assert "severity_blur" in state.browser.numbers or "laplacian" in state.browser.numbers
    with pytest.raises(ReadOnlyPage):
        state.say([0], [("keep", None)])
    with pytest.raises(Expected):
        state.moved(["degraded.min=0.5"])


def test_a_labelled_folder_is_shown_with_twins_and_what_cannot_be_read(tmp_path):
    (tmp_path / "mine").mkdir()
    for n in range(3):
        (tmp_path / "mine" / f"{n}.png").write_bytes(png(n))
    table = pa.table(
        {
            "file": ["0.png", "1.png", "2.png", "gone.jpg"],
            "sha1": [*(f"{n:040x}" for n in range(3)), None],
            "error": [None, None, None, "not an image"],
            "labels": pa.array([["blur"], [], ["noise"], None], pa.list_(pa.string())),
            "severity": [0.9, 0.1, 0.6, None],
            "severity_blur": [0.9, 0.1, 0.0, None],
            "twin_of": [None, "0.png", None, None],
            "keep": [True, False, True, False],
            "reason": ["kept", "near_duplicate", "kept", "unreadable"],
        }
    )
    pq.write_table(table, tmp_path / "labels.parquet")
    assert of_folder(tmp_path).read(f"{1:040x}") is None  # not told where they are
    state = State(of_labels(tmp_path, tmp_path / "mine"), reviewer="Ann")
    assert state.browser.ask({"labels": ["blur"]}).rows[0]["n"] == 0
    assert [twin["n"] for twin in state.item(0)["twins"]] == [1]
    assert state.pictures.original(f"{1:040x}") == (png(1), "image/png")
    assert state.browser.row(3)["object"] == "unreadable"
    assert state.collection.catalog is None


def test_what_was_labelled_is_shown_from_where_it_lies_in_shards_too(tmp_path):
    from pipelines.photos.label import label

    (tmp_path / "mine" / "deep").mkdir(parents=True)
    for n in range(2):
        (tmp_path / "mine" / "deep" / f"{n}.png").write_bytes(png(n))
    with tarfile.open(tmp_path / "mine" / "shard.tar", "w") as shard:
        told = tarfile.TarInfo("2.png")
        told.size = len(png(2))
        shard.addfile(told, io.BytesIO(png(2)))
    label([tmp_path / "mine"], tmp_path / "out" / "labels", page=False)
    shown = of_labels(tmp_path / "out" / "labels")
    assert {shown.read(sha1) for sha1 in shown.rows.column("sha1").to_pylist()} == {
        png(n) for n in range(3)
    }
    # Moved since: they are found where somebody says, and else there is no picture.
    (tmp_path / "mine").rename(tmp_path / "moved")
    sha1s = shown.rows.column("sha1").to_pylist()
    assert [of_labels(tmp_path / "out" / "labels").read(sha1) for sha1 in sha1s] == [None] * 3
    moved = of_labels(tmp_path / "out" / "labels", tmp_path / "moved")
    assert all(moved.read(sha1) for sha1 in sha1s)


def test_a_table_from_elsewhere_names_no_file_outside_of_the_folder(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(1))
    (tmp_path / "labels" / "in").mkdir(parents=True)
    table = pa.table(
        {
            "file": ["../secret.png", str(tmp_path / "secret.png")],
            "sha1": [f"{n:040x}" for n in range(2)],
            "labels": pa.array([[], []], pa.list_(pa.string())),
            "severity": [0.0, 0.0],
            "keep": [True, True],
            "reason": ["kept", "kept"],
        }
    )
    pq.write_table(table, tmp_path / "labels" / "labels.parquet")
    for shown in (
        of_labels(tmp_path / "labels"),
        of_labels(tmp_path / "labels", tmp_path / "labels" / "in"),
    ):
        assert [shown.read(f"{n:040x}") for n in range(2)] == [None, None]


def test_a_folder_of_something_else_is_told(tmp_path):
    with pytest.raises(NothingToExplore, match="neither a release"):
        of_folder(tmp_path)
    (tmp_path / "data" / "x").mkdir(parents=True)
    (tmp_path / "data" / "x" / "y.parquet").write_bytes(b"nothing")
    with pytest.raises(NothingToExplore, match="no release"):
        of_folder(tmp_path)
