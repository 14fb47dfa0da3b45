"""Names of files in any spelling."""

import pytest

from crawler.names import named_file

LONG = "ß" * 118 + ".jpg"


@pytest.mark.parametrize(
    ("text", "meant"),
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
    ],
)
def test_what_a_text_names(text, meant):
    assert named_file(text) == meant
