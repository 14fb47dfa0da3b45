"""Figures of a build: all of them, in every format, the same bytes twice, with every credit."""

from __future__ import annotations

import re

import duckdb
import pytest

from catalog.page.figures import SHEET, UnknownFormat, draw_figures
from crawler.download import ObjectStore
from pipelines.build.doors import view

ALL = {
    *("funnel", "degradations", "severity", "licenses", "years", "resolution", "duplicates"),
    "contact_sheet",
}


@pytest.mark.slow
def test_every_figure_of_a_build_the_same_twice_and_with_the_credits(small_build, tmp_path):
    read = ObjectStore(small_build / "catalog" / "objects").read

    def drawn(name, formats):
        found = draw_figures(small_build, tmp_path / name, formats, read=read, decode=view)
        return {path.name: path.read_bytes() for path in found}

    first = drawn("a", ["svg", "png", "pdf"])
    assert set(first) == {f"{name}.{ending}" for name in ALL for ending in ("svg", "png", "pdf")}
    assert first["funnel.pdf"].startswith(b"%PDF")
    assert first["funnel.png"].startswith(b"\x89PNG")
    again = drawn("b", ["svg", "pdf"])
    assert all(first[name] == content for name, content in again.items())
    # Texts are texts: the numbers of the build stand in the file.
    with duckdb.connect(str(small_build / "lucidlr.duckdb"), read_only=True) as connection:
        kept = connection.execute("SELECT count(*) FROM samples").fetchall()[0][0]
    assert f">{kept}<" in first["funnel.svg"].decode()
    sheet = first["contact_sheet.svg"].decode()
    assert len(re.findall(r"<image ", sheet)) == SHEET
    assert len(re.findall(r"via Wikimedia", sheet)) + len(re.findall(r"Commons,", sheet)) >= SHEET


def test_an_unknown_format_is_told(tmp_path):
    with pytest.raises(UnknownFormat, match="No format bmp"):
        draw_figures(tmp_path, tmp_path, ["bmp"], read=lambda _: None, decode=view)
