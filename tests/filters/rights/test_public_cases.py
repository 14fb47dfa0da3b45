"""Cases from public bug reports (../shared/cases): each page through the parser and the gate."""

from __future__ import annotations

import csv
import json
from typing import Any

from crawler.extmetadata import parse_page
from filters.license import judge
from tests.cases import every
from tests.shared import SHARED, shared_folder

FOLDER = SHARED / "cases" / "commons"


def rows() -> list[dict[str, str]]:
    """The rows with an input, whatever their topic; none where the folder is absent."""
    table = FOLDER / "cases.csv"
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["input"]]


def page(name: str) -> dict[str, Any]:
    return json.loads((shared_folder("cases/commons") / name).read_text(encoding="utf-8"))


JUDGED = [row for row in rows() if row["judge"]]


@every("row", JUDGED)
def test_the_gate_says_of_a_public_case_what_it_has_to(row: dict[str, str]) -> None:
    verdict = judge(parse_page(page(row["input"])))
    if row["judge"] == "not accept":
        assert verdict.outcome != "accept", row["kind"]
    else:
        assert verdict.outcome == row["judge"], (row["kind"], verdict.reason)


# What the cases without a verdict expect of the author, or of the state of the page.
AUTHORS = {
    "U28_no_machine_readable_author.json": ("Mara Quill", None),
    "U04_icon_link_first.json": (
        "Mara Quill",
        "https://commons.wikimedia.org/wiki/User:Mara_Quill",
    ),
    "U06_templatestyles_class_hidden.json": ("Mara Quill", None),
    "U08_creator_table.json": ("Mara Quill", None),
    "U10_deep_nesting.json": ("Mara Quill", None),
    "U11_rtl.json": ("\u05de\u05e8\u05d4 \u05e7\u05d5\u05d5\u05d9\u05dc", None),
    "U21_link_deed_only.json": ("Mara Quill", None),
}


@every("name", AUTHORS)
def test_the_author_of_a_public_case_is_the_name_that_a_reader_sees(name: str) -> None:
    record = parse_page(page(name))
    assert (record.artist, record.artist_url) == AUTHORS[name]
    assert judge(record).keep


def test_a_placeholder_in_another_language_is_no_author() -> None:
    assert judge(parse_page(page("U22_multilang.json"))).reason == "missing_author"


def test_an_author_of_half_a_megabyte_is_cut_and_looked_at() -> None:
    record = parse_page(page("U23_huge_artist.json"))
    assert len(record.artist or "") <= 2000
    assert len(record.artist_html or "") <= 20_000
    assert judge(record).reason == "author_unclear"


@every(
    "name, state",
    [
        ("S01_filehidden.json", "hidden"),
        ("S02_suppressed_user_only.json", "ok"),
        ("S05_redirect_page.json", "redirect"),
        ("S06_empty_imageinfo.json", "no_file"),
    ],
)
def test_the_state_of_a_public_case(name: str, state: str) -> None:
    record = parse_page(page(name))
    assert record.state == state
    assert judge(record).keep == (state == "ok")
