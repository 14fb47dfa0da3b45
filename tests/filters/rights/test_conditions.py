"""Conditions beside a license, in the languages that are read; what licenses and templates say themselves is none."""

from pathlib import Path

from filters.rights.conditions import condition_in, languages, without_condition
from tests.cases import every

LINES = Path(__file__).with_name("conditions.txt").read_text("utf-8").splitlines()[1:]
CONDITIONS, HARMLESS = LINES[: LINES.index("")], LINES[LINES.index("") + 1 :]


@every("text", CONDITIONS)
def test_a_condition_is_seen(text):
    assert condition_in(text)


@every("text", HARMLESS)
def test_what_adds_nothing_is_no_condition(text):
    assert condition_in(text) is None


def test_english_and_ten_languages_are_read():
    assert set(languages()) == {"en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "ja", "zh"}


def test_a_credit_is_printed_without_the_condition_in_it():
    said = "Mara Quill - non-commercial use only, ask before printing"
    assert without_condition(said) == "Mara Quill"
    assert without_condition("Photo by Mara Quill. All rights reserved.") == "Photo by Mara Quill"
    assert without_condition("Mara Quill / VRT") == "Mara Quill / VRT"
    assert without_condition("All rights reserved") is None
    assert without_condition(None) is None
