"""Names of files in any spelling."""

import pytest

from catalog.errors import NotAFile
from crawler.names import named_file, read_name
from tests.cases import every

LONG = "ß" * 118 + ".jpg"


@every(
    "text, meant",
    [
        ("12", 12),
        ("file:a_b.jpg", "File:A b.jpg"),
        ("  a   b.jpg ", "File:A b.jpg"),
        ("Datei:Ä.jpg", "File:Ä.jpg"),
        ("//commons.wikimedia.org/wiki/File:A.jpg", "File:A.jpg"),
        ("https://commons.wikimedia.org/w/index.php?title=File:A_b.jpg&oldid=3", "File:A b.jpg"),
        ("https://commons.wikimedia.org/?curid=77", 77),
        ("https://upload.wikimedia.org/wikipedia/commons/1/12/A_b.jpg", "File:A b.jpg"),
        (
            "https://upload.wikimedia.org/wikipedia/commons/thumb/1/12/A_b.jpg/120px-A_b.jpg",
            "File:A b.jpg",
        ),
        ("http://commons.wikimedia.org/wiki/Special:FilePath/A%20b.jpg", "File:A b.jpg"),
        (
            "https://upload.wikimedia.org/wikipedia/commons/archive/1/12/20120102030405%21A_b.jpg",
            "File:A b.jpg",
        ),
        (LONG, f"File:{LONG}"),
        ("نظام.jpg", "File:نظام.jpg"),
        ("", None),
        ("0", None),
        ("a|b.jpg", None),
        ("a<b>.jpg", None),
        ("ß" * 121, None),
        ("https://example.org/wiki/Other", None),
        ("https://commons.wikimedia.org/wiki/Category:X", None),
        # Structured data, entities, the media viewer, thumbnails of both hosts, other names of the namespace.
        ("M1234", 1234),
        ("https://commons.wikimedia.org/entity/M77", 77),
        ("https://commons.wikimedia.org/wiki/Special:EntityData/M77.json", 77),
        ("https://commons.wikimedia.org/wiki/Special:Redirect/page/77", 77),
        ("https://en.wikipedia.org/wiki/Oslo#/media/File:A_b.jpg", "File:A b.jpg"),
        ("https://de.wikipedia.org/wiki/Oslo#/media/Datei:A_%C3%84.jpg", "File:A Ä.jpg"),
        ("https://commons.wikimedia.org/wiki/Category:X#/media/File:A.jpg", "File:A.jpg"),
        ("https://commons.m.wikimedia.org/wiki/File:A.jpg?uselang=de", "File:A.jpg"),
        (
            "https://thumb.wikimedia.org/wikipedia/commons/thumb/1/12/A_b.jpg/250px-A_b.jpg",
            "File:A b.jpg",
        ),
        (
            "https://thumb.wikimedia.org/wikipedia/commons/1/12/A_b.jpg/960px-A_b.jpg",
            "File:A b.jpg",
        ),
        ("https://upload.wikimedia.org/wikipedia/en/1/12/A.jpg", None),
        ("commons.wikimedia.org/wiki/File:A.jpg", "File:A.jpg"),
        ("Image:A.jpg", "File:A.jpg"),
        ("<https://commons.wikimedia.org/wiki/File:A_b.jpg>", "File:A b.jpg"),
        ("https://commons.wikimedia.org/w/thumb.php?f=A_b.jpg&width=300", "File:A b.jpg"),
        ("https://commons.wikimedia.org/wiki/Special:WhatLinksHere/File:A_b.jpg", "File:A b.jpg"),
        ("https://commons.wikimedia.org/wiki/Special:WhatLinksHere/Category:A", None),
        # Numbers that are no page id, and would be taken for a title.
        ("M0", None),
        ("-5", None),
        ("12 34", None),
        ("12,345", None),
        ("12345.jpg", "File:12345.jpg"),
        ("Файл:A.jpg", "File:A.jpg"),
        ("ファイル:A.jpg", "File:A.jpg"),
        (":c:File:A.jpg", "File:A.jpg"),
        ("File talk:A.jpg", "File:A.jpg"),
        ("[[File:A.jpg|thumb|a wall]]", "File:A.jpg"),
        ("File:A%20b.jpg", "File:A b.jpg"),
        ("File:A &amp; b.jpg", "File:A & b.jpg"),
        ("File:A.jpg#filehistory", "File:A.jpg"),
        ("\ufeffFile:A.jpg", "File:A.jpg"),
        ("File:Image 1.jpg", "File:Image 1.jpg"),
        ("100% of.jpg", "File:100% of.jpg"),
        ("99999999999", None),
        ("١٢", None),
        ("²", None),
    ],
)
def test_what_a_text_names(text, meant):
    assert named_file(text) == meant


@every(
    "text, sentence",
    [
        ("", "nothing in this line"),
        ("A.jpg|B.jpg", "a pipe"),
        ("١٢", "digits 0 to 9"),
        ("²", "digits 0 to 9"),
        ("99999999999", "no page id"),
        ("https://upload.wikimedia.org/wikipedia/en/1/12/A.jpg", "not on Commons"),
        ("https://example.org/wiki/Other", "not the address of a file"),
        ("https://[example.org/File:A.jpg", "no address"),
        ("ß" * 121, "longer than"),
    ],
)
def test_what_names_no_file_gets_a_sentence(text, sentence):
    with pytest.raises(NotAFile, match=sentence):
        read_name(text)
