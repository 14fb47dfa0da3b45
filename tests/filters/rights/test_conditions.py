"""Conditions beside a license, in the languages that are read; what licenses and templates say themselves is none."""

from pathlib import Path

from filters.rights.conditions import (
    condition_in,
    languages,
    unexplained_credit,
    unexplained_terms,
    without_condition,
)

LINES = Path(__file__).with_name("conditions.txt").read_text("utf-8").splitlines()[1:]
CREDITS = Path(__file__).with_name("credits.txt").read_text("utf-8").splitlines()[1:]
CONDITIONS, HARMLESS = LINES[: LINES.index("")], LINES[LINES.index("") + 1 :]


def test_conditions_are_seen_and_what_adds_nothing_is_none():
    missed = [text for text in CONDITIONS if not condition_in(text)]
    taken = [(text, said) for text in HARMLESS if (said := condition_in(text))]
    assert (missed, taken) == ([], [])


# What the fields that state the terms say, where no rule about conditions speaks.
UNEXPLAINED = """
For use in newspapers about Oslo.
Use by schools and libraries.
Zur Verwendung in Schulen.
Nutzung durch Museen.
Pour une publication dans la presse.
Para uso de la familia.
商業に関する使用
You may show it on screens up to 800 pixels wide, larger sizes are for sale at my shop
Freigabe gilt für Vereine; Verlage zahlen das übliche Honorar
L'auteur autorise la publication tant que l'image n'est pas recadrée
Разрешено только для энциклопедий и учебников
仅限个人学习与研究使用
Free for charities
Uso libre en la escuela, prohibido fuera de ella
Uso consentito fino al 31 dicembre 2025
Fotografie lze použít pouze v tisku se svolením autora.
사진은 신문에서만 사용할 수 있습니다 부탁드립니다
الصورة للاستخدام في الصحف فقط من فضلكم
"""
EXPLAINED = """
This work is free and may be used by anyone for any purpose.
You may use it; please credit me.
If you have questions about the archived correspondence, please use the VRT noticeboard.
I would be glad to hear from you if you use this picture.
Die kommerzielle Nutzung ist erlaubt.
Uso comercial permitido, com atribuição.
商用利用可。
Creative Commons Attribution-Share Alike 4.0
No known copyright restrictions
Public domain
Own work, please credit Mara Quill
Mara Quill
At the time of upload, the license was confirmed using the Flickr API.
"""


def test_a_sentence_about_use_that_nothing_frees_is_for_a_person():
    missed = [
        text
        for text in UNEXPLAINED.split("\n")
        if text and not (unexplained_terms(text) or condition_in(text))
    ]
    taken = [text for text in EXPLAINED.split("\n") if unexplained_terms(text)]
    assert (missed, taken) == ([], [])
    assert unexplained_terms(None) is None


def test_a_credit_that_speaks_to_its_reader_is_for_a_person():
    asking, plain = CREDITS[: CREDITS.index("")], CREDITS[CREDITS.index("") + 1 :]
    missed = [text for text in asking if not (condition_in(text) or unexplained_credit(text))]
    taken = [text for text in plain if condition_in(text) or unexplained_credit(text)]
    assert (missed, taken) == ([], [])


def test_beside_a_name_stand_few_other_words_and_elsewhere_no_text_that_nobody_here_reads():
    told = "Mara Quill, whose garden gate in the village stays shut"
    assert unexplained_credit(told, names=True)
    assert unexplained_credit(told) is None
    assert unexplained_credit("Fotografie lze použít pouze tisku svolením jejího držitele")
    assert unexplained_credit("Vlastní dílo") is None
    assert unexplained_credit(None) is None


def test_who_asks_to_be_credited_or_told_adds_nothing():
    for text in (
        "Please credit Mara Quill if you use it.",
        "If you use this picture, let me know.",
        "You are free to use it.",
        'Flickr: "Please ask your father"',
        "NASA, unless otherwise noted",
    ):
        assert unexplained_credit(text, names=True) is None, text
    assert unexplained_credit("Please let me know before you ask a printer")
    assert unexplained_credit("If you credit me, send a copy")


def test_english_and_ten_languages_are_read():
    assert set(languages()) == {"en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "ja", "zh"}


def test_a_credit_is_printed_without_the_condition_in_it():
    said = "Mara Quill - non-commercial use only, ask before printing"
    assert without_condition(said) == "Mara Quill"
    assert without_condition("Photo by Mara Quill. All rights reserved.") == "Photo by Mara Quill"
    assert without_condition("Mara Quill / VRT") == "Mara Quill / VRT"
    assert without_condition("All rights reserved") is None
    assert without_condition(None) is None
