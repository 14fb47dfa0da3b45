"""Who is named: placeholders in many languages are nobody, names are somebody, agencies are looked at."""

from pathlib import Path

import pytest

from filters.rights.people import agency_in, is_agency, is_placeholder, names_account

LINES = Path(__file__).with_name("authors.txt").read_text("utf-8").splitlines()[1:]
NOBODY, SOMEBODY = LINES[: LINES.index("")], LINES[LINES.index("") + 1 :]


def test_a_placeholder_names_nobody_and_a_name_is_none():
    missed = [text for text in (None, "", *NOBODY) if not is_placeholder(text)]
    taken = [text for text in SOMEBODY if is_placeholder(text)]
    assert (missed, taken) == ([], [])


def test_an_account_is_a_name_and_a_lone_agency_is_none():
    commons = "https://commons.wikimedia.org/wiki/User:"
    assert names_account("The Photographer", commons + "The_Photographer")
    assert not names_account("The Photographer", commons + "Mara_Quill")
    assert not names_account("The Photographer", None)
    assert [name for name in ("Keystone", "Belga", "Photo: Imago") if not is_agency(name)] == []
    assert [name for name in ("Jo Keystone", "Imagine", None) if is_agency(name)] == []


@pytest.mark.parametrize(
    "text",
    [
        "Reuters",
        "REUTERS/Yves Herman",
        "Getty Images",
        "Photo: AFP",
        "Jo Doe (AP Photo)",
        "dpa",
        "EPA-EFE",
        "Alamy",
        "KEYSTONE/Jo Doe",
        "imago/Jo Doe",
        "Jo Doe / ANP",
        "\u0422\u0410\u0421\u0421",
        "\u65b0\u534e\u793e",
        "\u65b0\u534e\u793e\u8bb0\u8005",
        "\u5171\u540c\u901a\u4fe1\u793e",
        "\uc5f0\ud569\ub274\uc2a4",
        "Europa Press",
        "NTB Scanpix",
    ],
)
def test_agencies_are_named(text):
    assert agency_in(text)


@pytest.mark.parametrize(
    "text",
    # Some of them publish under free licenses, or are no agencies.
    [
        "Mara Quill",
        "J. Paul Getty Museum",
        "US EPA",
        "A. P. Hill",
        "Tasnim News Agency",
        "Mehr News",
        "Paul Getty",
        "Imago",
        "Keystone",
        "Jo Tasso",
        "RIA Novosti archive, image #1234 / Jo Doe / CC-BY-SA 3.0",
        "Ag\u00eancia Brasil",
    ],
)
def test_others_are_not(text):
    assert agency_in(text) is None
