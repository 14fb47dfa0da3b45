"""Which build a command means when none is named."""

import json

import pytest

from catalog.errors import NoBuild
from pipelines.last_build import NOTE_VARIABLE, build_in, last_build, note_build


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(NOTE_VARIABLE, raising=False)
    return tmp_path


def made(folder, *runs):
    (folder / "catalog" / "parts").mkdir(parents=True)
    for run_id, recipe in runs:
        file = folder / "catalog" / "runs" / f"{run_id}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"recipe": recipe, "finished_at": "2026-11-27T10:20:30+00:00"}))
    return folder


def test_the_noted_build_counts_also_outside_of_out(here, tmp_path_factory):
    made(here / "out" / "demo", ("20261127T000000Z-1", "demo"))
    elsewhere = made(tmp_path_factory.mktemp("far") / "mine", ("20200101T000000Z-1", "mine"))
    note_build(elsewhere)
    assert last_build().out == elsewhere
    assert last_build().recipe == "mine"
    assert last_build().line() == f"{elsewhere}  (recipe mine, 2026-11-27 10:20 UTC)"


def test_without_a_note_the_newest_run_under_out_counts(here):
    made(here / "out" / "old", ("20261101T000000Z-1", "old"), ("20261102T000000Z-1", "old"))
    made(here / "out" / "new", ("20261103T000000Z-1", "new"))
    assert last_build().recipe == "new"


def test_a_note_of_a_folder_that_is_gone_is_passed_over_and_told_when_nothing_is_left(here):
    gone = made(here / "elsewhere")
    note_build(gone)
    (gone / "catalog" / "parts").rmdir()
    with pytest.raises(NoBuild, match="elsewhere, noted here, is gone"):
        last_build()
    made(here / "out" / "new", ("20261103T000000Z-1", "new"))
    assert last_build().recipe == "new"


def test_an_interrupted_build_is_the_last_one_too_and_says_so(here):
    note_build(made(here / "out" / "half"))
    assert last_build().line() == f"{here / 'out' / 'half'}  (not finished yet)"
    assert build_in(here / "out" / "half").recipe is None


def test_nothing_is_noted_of_a_folder_without_a_build_and_asking_writes_nothing(here):
    note_build(here / "nothing")
    with pytest.raises(NoBuild, match="lucidlr demo"):
        last_build()
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"out": 3}', "\x00"])
def test_a_note_that_cannot_be_read_is_as_none(here, note):
    (here / ".lucidlr.json").write_text(note)
    made(here / "out" / "new", ("20261103T000000Z-1", "new"))
    assert last_build().recipe == "new"
