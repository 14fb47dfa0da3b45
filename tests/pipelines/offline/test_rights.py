"""The gate looked at and corrected by people, and what counts beyond the page: on the embedded Commons."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest

from catalog.cleared import all_cleared
from catalog.explain import explain_lines, failure_lines
from catalog.store import Catalog
from crawler.names import read_name
from crawler.walkers.titles import TitleSource
from filters.license import bytes_refused
from filters.rights.policy import RightsPolicy
from pipelines.build.keeper import Keeper
from pipelines.build.refresh import take_down
from pipelines.build.report.rights import creditable
from pipelines.offline.rights import NothingToClear, clear, license_lines, license_rows
from pipelines.recipe import Recipe
from tests.filters.test_license import FREE
from tests.pipelines.build.test_refresh import House

ASKED = "Commercial use only with my written permission"


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.change(0, extmetadata={"Permission": {"value": ASKED}})
    made.change(1, categories=["All", "Screenshots of harbors"])
    with made.server:
        made.build()
        yield made


def reasons(house):
    return {row.reason: row.files for row in license_rows(house.out)}


def test_reasons_are_counted_with_examples_and_a_sentence(house):
    rows = license_rows(house.out)
    assert [(row.outcome, row.reason) for row in rows] == [
        ("accept", "ok"),
        ("quarantine", "custom_permission"),
        ("reject", "screenshot"),
    ]
    assert all(row.means for row in rows)
    assert rows[1].examples[0][1] == "File:Tagged.jpg"
    assert "File:Tagged.jpg" in "\n".join(license_lines(rows))


def test_what_a_person_cleared_is_released_and_the_fact_says_who_when_and_why(house):
    done = clear(house.out, ["File:Tagged.jpg"], by="Jo", why="permission by mail")
    assert ([row.reason for row in done.rows], done.left_out) == (["custom_permission"], [])
    house.build()
    assert house.reasons()["File:Tagged.jpg"] == "kept"
    (fact,) = all_cleared(Catalog(house.out / "catalog")).to_pylist()
    assert (fact["cleared_by"], fact["why"]) == ("Jo", "permission by mail")
    assert fact["cleared_at"].tzinfo is not None
    card = (house.out / "dataset" / "README.md").read_text()
    assert "1 files were looked at by people" in card
    assert "was **not run**" in card
    assert re.search(r"\| `screenshot` \| reject \| 1 \|", card)
    assert "License gate" in (house.out / "report" / "index.html").read_text()


@pytest.mark.slow
def test_a_cleared_file_is_stopped_again_by_another_reason_and_keeps_its_place_in_a_refresh(house):
    clear(house.out, ["File:Tagged.jpg"], by="Jo", why="permission by mail")
    house.build()
    house.change(0, description="another text")
    assert house.refresh(everything=True).removed == {}
    house.change(0, deletion_reason="No source since 1 May")
    assert house.refresh(everything=True).removed == {"tagged": 1}


@pytest.mark.slow
def test_a_file_whom_no_credit_could_name_is_not_cleared_and_an_odd_name_is(tmp_path):
    house = House(tmp_path)
    for number, artist in ((2, ""), (4, "The Photographer")):
        house.change(number, extmetadata={"Artist": {"value": artist}})
    with house.server:
        house.build()
        done = clear(house.out, ["File:Gone.jpg", "File:Old.jpg"], by="Jo", why="looked")
        assert [row.reason for row in done.rows] == ["missing_author"]
        assert "names nobody" in dict(done.left_out)["File:Gone.jpg"]
        house.build()
        kept = {title for title, reason in house.reasons().items() if reason == "kept"}
        assert "File:Old.jpg" in kept
        assert "File:Gone.jpg" not in kept


@pytest.mark.slow
def test_only_quarantined_files_are_cleared_and_somebody_has_to_say_why(house):
    lines = ["\ufeffFile:Forbidden.jpg", "File:Gone.jpg", "A|B.jpg", "File:Nobody.jpg"]
    done = clear(house.out, lines, by="Jo", why="looked")
    assert done.rows == []
    told = dict(done.left_out)
    assert "reject: screenshot" in told["File:Forbidden.jpg"]
    assert "accept: ok" in told["File:Gone.jpg"]
    assert "a pipe" in told["A|B.jpg"]
    assert "not in this catalog" in told["File:Nobody.jpg"]
    with pytest.raises(NothingToClear, match="--by"):
        clear(house.out, ["1"], by=" ", why="x")


@pytest.mark.slow
def test_a_sign_that_a_recipe_switches_off_counts_no_more_and_the_card_says_why(house):
    off = RightsPolicy(off={"screenshot": "harbors on screens are wanted here"})
    house.recipe = house.recipe.model_copy(update={"rights": off})
    house.build()
    assert house.reasons()["File:Forbidden.jpg"] == "kept"
    card = (house.out / "dataset" / "README.md").read_text()
    assert "`screenshot` (harbors on screens are wanted here)" in card


@pytest.mark.parametrize(
    ("off", "sentence"),
    [({"screenshots": "x"}, "did you mean 'screenshot'"), ({"screenshot": " "}, "say why")],
)
def test_an_unknown_sign_and_a_missing_reason_are_errors(off, sentence):
    with pytest.raises(ValueError, match=sentence):
        RightsPolicy(off=off)


def test_a_classifier_that_no_rule_asks_is_an_error(house):
    content = house.recipe.model_dump() | {"rights": {"off": {}, "screen": "nudity"}}
    with pytest.raises(ValueError, match="not in scores"):
        Recipe.model_validate(content)


@pytest.mark.slow
def test_bytes_that_were_refused_under_one_title_are_released_under_none(house):
    twin = house.photos / "Twin.jpg"
    twin.write_bytes((house.photos / "Gone.jpg").read_bytes())
    house.items.append({**house.items[2], "filename": "Twin.jpg"})
    house.change(2, categories=["All", "Copyright violations"])
    house.refresh(everything=True)
    house.build()
    house.recipe = house.recipe.model_copy(update={"name": "again"})
    assert reasons(house)["deletion_tagged"] == 1
    # The twin is listed by a source that was not asked before.
    sources = (*house.recipe.sources, TitleSource(titles=("\ufeffImage:Twin.jpg", "A|B.jpg")))
    house.recipe = house.recipe.model_copy(update={"sources": sources})
    house.build()
    told = house.reasons()
    assert told["File:Twin.jpg"] == "license:same_bytes:deletion_tagged"
    assert "same_bytes:deletion_tagged" in "\n".join(
        explain_lines(house.out, "image:twin.jpg", named=read_name)
    )
    # A line that names no file is told, and the others of its list are listed.
    assert any("a pipe" in line for line in failure_lines(house.out, details=True))


def test_a_takedown_list_gets_a_sentence_for_what_names_no_file(house):
    found = take_down(house.out, ["M2", "\u0661\u0662", "Image:Stays.jpg|x"])
    assert set(found.unknown) >= {"\u0661\u0662", "Image:Stays.jpg|x"}
    assert "digits 0 to 9" in found.problems["\u0661\u0662"]
    assert "a pipe" in found.problems["Image:Stays.jpg|x"]


def test_reasons_about_the_picture_count_for_the_bytes_and_those_about_the_page_do_not():
    assert all(map(bytes_refused, ("deletion_tagged", "restricted:x", "hidden", "non_free")))
    assert bytes_refused("license_not_allowed:cc-by-nc-4.0")
    for reason in (
        "missing_author",
        "duplicate_tagged",
        "pd_without_evidence",
        "not_a_file:redirect",
    ):
        assert not bytes_refused(reason)


def test_a_keeper_heeds_what_was_cleared_for_these_bytes_only():
    file = replace(FREE, page_id=7, sha1="a" * 40, permission=ASKED)
    keeper = Keeper(cleared={(7, "a" * 40): frozenset({"custom_permission"})})
    assert keeper.judge(file).keep
    assert not keeper.judge(replace(file, sha1="b" * 40)).keep
    assert not keeper.judge(file, by_people=False).keep


def test_a_credit_is_printed_without_conditions_and_placeholders():
    said = [
        ("Mara Quill", "Mara Quill - non-commercial use only"),
        ("Mara Quill", "Own work"),
        ("Mara Quill. All rights reserved.", None),
        ("Unknown", None),
    ]
    columns = {name: [row[i] for row in said] for i, name in enumerate(("artist", "attribution"))}
    table = creditable(pa.table({k: pa.array(v, pa.string()) for k, v in columns.items()}))
    assert table.column("artist").to_pylist() == ["Mara Quill"] * 3 + ["Unknown"]
    assert table.column("attribution").to_pylist() == ["Mara Quill", None, None, None]
