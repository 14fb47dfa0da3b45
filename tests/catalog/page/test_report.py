"""The report: one page that asks nothing of the network, shows what the tables hold, and runs nobody else's code."""

from __future__ import annotations

import base64
import hashlib
import io
import json

import lxml.html
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from catalog.page import charts
from catalog.page.galleries import BANDS, clusters, contact_sheets, spread
from catalog.page.report import RuleSummary, render_report
from catalog.page.thumbnails import EDGE_PX, PictureBook, picture
from pipelines.build.doors import view
from tests.catalog.page.report_tables import FUNNEL, report_inputs
from tests.catalog.release.release_samples import jpeg_tiles


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report/index.html"
    render_report(path, **report_inputs())
    return path


@pytest.fixture(scope="module")
def tree(page):
    return lxml.html.fromstring(page.read_text(encoding="utf-8"))


def figures(tree):
    return json.loads(tree.get_element_by_id("figures").text)


def decoded(address):
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1])))


def test_the_page_asks_nothing_of_the_network(page, tree):
    assert [p.name for p in page.parent.iterdir()] == ["index.html"]
    assert not tree.xpath("//script[@src] | //iframe | //object | //embed | //form | //base")
    assert all(src.startswith("data:image/jpeg;base64,") for src in tree.xpath("//img/@src"))
    assert tree.xpath("//link/@href") == ["data:,"]
    (style,) = tree.xpath("//style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    for link in tree.xpath("//a/@href"):
        assert link.startswith(("#", "https://commons.wikimedia.org/"))
    assert page.stat().st_size < 8_000_000


def test_only_the_two_scripts_of_the_page_may_run(tree):
    (policy,) = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    scripts = [script.text for script in tree.xpath("//script[not(@type)]")]
    assert len(scripts) == 2
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
        for text in scripts
    ]
    assert f"script-src {' '.join(hashes)};" in policy
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy


def test_a_hostile_title_stays_text(page, tree):
    text = page.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert "<b>nc</b>" not in text
    assert "\u202e" not in text
    names = [name.text_content() for name in tree.xpath("//bdi")]
    assert any(name.startswith("<script>alert(1)</script>") and len(name) > 180 for name in names)
    assert tree.findtext(".//title") == "lucidlr <tiny> · build report"
    # In charts Plotly would read tags, so they hold entities.
    assert (
        "license not free: &lt;b&gt;nc&lt;/b&gt;"
        in figures(tree)["reasons"]["layout"]["yaxis"]["ticktext"]
    )


def test_an_address_that_is_not_of_the_web_is_no_link(tmp_path):
    inputs = report_inputs()
    bad = pa.array(["javascript:alert(1)"] * inputs["candidates"].num_rows)
    inputs["candidates"] = inputs["candidates"].append_column("file_page_url", bad)
    render_report(tmp_path / "index.html", **inputs)
    tree = lxml.html.parse(str(tmp_path / "index.html")).getroot()
    assert not tree.xpath("//a[starts-with(@href, 'javascript')]")


def test_the_funnel_and_the_reasons_are_those_of_the_tables(tree):
    drawn = figures(tree)
    (funnel,) = drawn["funnel"]["traces"]
    assert funnel["x"] == [count for _, count in FUNNEL]
    # 24 of 64 are 37.5 %; the last step lost 34 - 24.
    assert funnel["text"][-1] == "24 · 38 % · −10"
    reasons = drawn["reasons"]
    assert reasons["traces"][0]["x"] == [12, 10, 8, 6]
    assert reasons["layout"]["yaxis"]["ticktext"][1:] == [
        "too clean",
        "too small",
        "near-duplicate",
    ]


def test_every_measure_has_a_histogram_with_its_threshold_and_every_value_in_a_bar(tree):
    drawn = figures(tree)
    headings = [node.text for node in tree.xpath("//section[@id='measures']//h3")]
    # The one that a rule looks at comes first.
    assert headings == ["laplacian", "jpeg_quality", "noise"]
    kept, dropped = drawn["measure-0"]["traces"]
    assert (sum(kept["y"]), sum(dropped["y"])) == (24, 16)
    assert [shape["x0"] for shape in drawn["measure-0"]["layout"]["shapes"]] == [60.0]
    # Of 40 measured candidates every fifth has no noise value.
    assert sum(sum(trace["y"]) for trace in drawn["measure-2"]["traces"]) == 32
    assert drawn["measure-2"]["layout"]["xaxis"]["type"] == "log"


def test_the_mix_is_drawn_against_the_target_and_the_map_counts_every_sample(tree):
    drawn = figures(tree)
    bars, marks, _ = drawn["mix"]["traces"]
    labels = drawn["mix"]["layout"]["yaxis"]["ticktext"]
    # Shares of the main degradation add up; a label without a sample has a bar of no length, and its target.
    assert sum(bars["x"]) == pytest.approx(100)
    assert dict(zip((labels[y] for y in marks["y"]), marks["x"], strict=True)) == {
        "blur": 40.0,
        "jpeg": 30.0,
        "noise": 10.0,
    }
    (cells,) = drawn["year-map"]["traces"]
    held = report_inputs()["samples"]
    assert sum(map(sum, cells["z"])) == sum(max(1, len(row)) for row in held["labels"].to_pylist())
    years = [time.year for time in held["uploaded_at"].to_pylist()]
    assert (cells["x"][0], cells["x"][-1]) == (min(years), max(years))


def test_a_quota_that_was_not_filled_is_told(tmp_path):
    render_report(tmp_path / "i.html", **report_inputs(), shortfalls=[("mix", "jpeg", 1200, 7)])
    tree = lxml.html.parse(str(tmp_path / "i.html"))
    (row,) = tree.xpath("//section[@id='content']//tbody/tr")
    assert [cell.text_content() for cell in row] == ["mix", "jpeg", "1,200", "7"]


def test_every_figure_has_its_place_in_the_page(tree):
    places = {node.get("id").removeprefix("chart-") for node in tree.xpath("//div[@class='chart']")}
    assert places == set(figures(tree))


def test_rules_and_failures_say_why_and_what_to_do(tree):
    rules = tree.xpath("//section[@id='rules']//tbody/tr")
    assert [cell.text_content() for cell in rules[1]] == [
        *(
            "not_too_sharp",
            "<= 60",
            "A clean photograph teaches a restorer nothing about damage <script>.",
        ),
        *("30", "10", "10", "20"),
    ]
    failures = {
        row[0].text_content(): row for row in tree.xpath("//section[@id='failures']//tbody/tr")
    }
    assert failures["corrupt"][1].text_content() == "2"
    assert "Retry later" in failures["truncated"][2].text_content()
    assert "failures" in failures["odd<kind>"][2].text_content()


def test_the_number_of_pictures_is_bounded(tmp_path):
    inputs = report_inputs()
    render_report(tmp_path / "few.html", **inputs, max_images=20)
    few = lxml.html.parse(str(tmp_path / "few.html")).xpath("//img[contains(@class, 'whole')]")
    assert 8 <= len(few) <= 20
    render_report(tmp_path / "none.html", **{**inputs, "thumbnails": lambda sha1: None})
    assert not lxml.html.parse(str(tmp_path / "none.html")).xpath("//img")


def test_the_same_tables_give_the_same_page(page, tmp_path):
    render_report(tmp_path / "again.html", **report_inputs())
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_an_empty_build_gives_a_page_too(tmp_path):
    inputs = report_inputs()
    inputs |= {"rules": [], "funnel": [("listed", 0)], "target_mix": None}
    for key in ("candidates", "samples", "failures"):
        inputs[key] = inputs[key].slice(0, 0)
    render_report(tmp_path / "index.html", **inputs)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    for line in (
        "Nothing failed.",
        "No sample carries a label.",
        "Nothing was rejected.",
        "Nothing was measured.",
    ):
        assert line in text
    with pytest.raises(ValueError, match="no column reason"):
        render_report(
            tmp_path / "x.html",
            **{**inputs, "candidates": inputs["candidates"].drop_columns(["reason"])},
        )


def test_a_rule_on_a_whole_number_or_an_unknown_column_does_no_harm(tmp_path):
    inputs = report_inputs()
    counts = {
        "name": "r",
        "threshold": ">= 1",
        "why": "",
        "passed": 1,
        "failed": 1,
        "failed_alone": 1,
    }
    inputs["rules"] = [
        RuleSummary(**counts, column="cluster_id", bounds=(1000.0,)),
        RuleSummary(**counts, column="no_such_measure", bounds=(1.0,)),
    ]
    render_report(tmp_path / "index.html", **inputs)
    tree = lxml.html.parse(str(tmp_path / "index.html"))
    assert tree.xpath("string(//section[@id='measures']//h3)") == "cluster_id"


def test_a_small_photograph_is_shown_at_its_own_size_and_a_large_one_scaled_with_a_piece_beside_it():
    (small,) = jpeg_tiles(1)
    made = picture(small, view)
    assert made.detail is None
    assert decoded(made.whole).size == (140, 140)
    sink = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (300, 640, 3), dtype=np.uint8)
    noise[:, :400] = 128
    Image.fromarray(noise).save(sink, "PNG")
    made = picture(sink.getvalue(), view)
    assert decoded(made.whole).size == (EDGE_PX, 75)
    assert (made.width, made.height) == (640, 300)
    piece = decoded(made.detail)
    assert piece.size == (EDGE_PX, EDGE_PX)
    # The left part is plain grey: the piece is taken where there is something to see.
    assert np.asarray(piece.convert("L")).std() > 20


@pytest.mark.parametrize("content", [b"", b"<html>", jpeg_tiles(1)[0][:900]])
def test_what_cannot_be_decoded_has_no_picture(content):
    assert picture(content, view) is None


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_every_pixel_format_has_a_picture(mode):
    sink = io.BytesIO()
    image = Image.new(mode, (20, 10))
    image.save(sink, "TIFF")
    assert decoded(picture(sink.getvalue(), view).whole).size == (20, 10)


def test_contact_sheets_put_each_photograph_into_its_severity_band():
    rows = [
        {
            "page_id": n,
            "title": f"File:{n}",
            "labels": ["blur"],
            "severities": {"blur": level},
            "severity": 1.0,
        }
        for n, level in enumerate([0.0, 0.19, 0.2, 0.79, 0.8, 1.0])
    ]
    (sheet,) = contact_sheets(
        pa.Table.from_pylist(rows),
        PictureBook(read=lambda sha1: None, decode=view, max_images=50, max_bytes=10**6),
    )
    assert [strip.count for strip in sheet.strips] == [2, 1, 0, 1, 2]
    assert len(sheet.strips) == len(BANDS)


def test_the_kept_copy_of_a_cluster_comes_first_and_lonely_files_are_no_cluster():
    rows = [
        {
            "page_id": n,
            "title": f"File:{n}",
            "cluster_id": cluster,
            "keep": n == 3,
            "reason": "near-duplicate",
        }
        for n, cluster in [(1, 1), (2, 2), (3, 1), (4, None)]
    ]
    (strip,) = clusters(
        pa.Table.from_pylist(rows),
        PictureBook(read=lambda sha1: None, decode=view, max_images=5, max_bytes=10**6),
    )
    assert [tile.title for tile in strip.tiles] == ["3", "1"]
    assert [tile.kept for tile in strip.tiles] == [True, False]


@pytest.mark.parametrize(
    ("count", "picked"), [(0, []), (1, [5]), (2, [0, 9]), (4, [0, 3, 6, 9]), (99, list(range(10)))]
)
def test_a_spread_has_first_and_last_and_is_even(count, picked):
    assert spread(list(range(10)), count) == picked


def test_a_histogram_of_one_value_or_none_does_not_fail():
    kept = np.array([True, False, True])
    figure = charts.histogram(np.array([3.0, 3.0, np.nan]), kept, [3.0])
    assert [sum(trace["y"]) for trace in figure["traces"]] == [1, 1]
    assert charts.histogram(np.full(3, np.nan), kept) is None


def people(page):
    (section,) = lxml.html.fromstring(page.read_text("utf-8")).xpath("//section[@id='people']")
    return " ".join(section.text_content().split())


def test_the_page_says_whether_people_looked_and_what_they_measured(page, tmp_path):
    assert people(page).startswith("Looked at by people Not reviewed")
    share = {"name": "filter precision", "estimate": 0.912, "low": 0.85, "high": 0.96}
    reviews = {
        "verdicts": 120,
        "labels": 960,
        "reviewers": 2,
        "pictures": 120,
        "kept": 70,
        "dropped": 50,
        "kappa": 0.8125,
        "test": 30,
        "measured": {
            "told": "measured by 120 verdicts of 2 reviewers",
            "sample": "sample-1",
            "drawn": 200,
            "rows": [{**share, "verdicts": 64}],
        },
    }
    path = tmp_path / "reviewed.html"
    render_report(path, **report_inputs(), reviews=reviews)
    told = people(path)
    for words in (
        "2 reviewers looked at 120 of the candidates: 70 kept and 50 dropped",
        "(Cohen's kappa) 0.81",
        "30 are frozen as the split test",
        "measured by 120 verdicts of 2 reviewers on a stratified sample of 200",
        "filter precision0.910.85 to 0.9664",
    ):
        assert words in told
    assert "not measured" not in told
    render_report(path, **report_inputs(), reviews={**reviews, "measured": None})
    assert "was not measured: no sample was answered" in people(path)
