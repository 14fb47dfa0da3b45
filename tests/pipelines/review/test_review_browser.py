"""The review page in Chromium, by what a person does: keys and clicks, never by posting to the server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from catalog.explain import explain_lines
from catalog.reviews import all_reviews, standing
from catalog.store import Catalog
from tests.browser import visit
from tests.pipelines.builds import ENVIRONMENT, run_demo
from tests.pipelines.review.pages import HOSTILE, collection, served

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "vendor" / "axe-core" / "axe.min.js"
SERIOUS = {"serious", "critical"}


def until(page, expression, arg=None):
    """Waits until an expression is true. Playwright's own way evaluates text, which the page's policy refuses."""
    end = time.monotonic() + 20
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, f"{expression} did not come true"
        page.wait_for_timeout(20)


def ready(seen):
    seen.page.wait_for_selector("body[data-ready=yes]")
    seen.page.wait_for_selector(".tile")
    return seen.page


def quiet(seen, address):
    """Nothing went wrong in the page, and nothing was asked of anybody but its own server."""
    home = re.match(r"http://127\.0\.0\.1:\d+/", address).group()
    assert [url for url in seen.requests if not url.startswith(home)] == []
    assert [*seen.console, *seen.thrown, *seen.dialogs] == []


def toasted(page, text):
    until(page, "text => document.getElementById('toast').textContent.includes(text)", arg=text)


def axe(page):
    # Not by add_script_tag, which the page's policy refuses.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:150]}: {v['nodes'][0].get('failureSummary', '')[:200]}"
        for v in found["violations"]
        if v["impact"] in SERIOUS
    ]


def test_titles_of_strangers_stay_text(browser, tmp_path):
    with (
        served(collection(60, folder=tmp_path)) as (address, _),
        visit(browser, address, width=1440) as seen,
    ):
        page = ready(seen)
        names = page.locator(".tile .name").all_text_contents()
        assert [f"File:{name}" for name in names[: len(HOSTILE)]] == list(HOSTILE)
        page.keyboard.press("Enter")
        page.wait_for_selector("#viewer[open]")
        assert page.locator("#viewer-title").text_content() == HOSTILE[0].removeprefix("File:")
        # The address of its page is no address of the web, and so no link.
        assert page.locator("#viewer a").count() == 0
        page.keyboard.press("ArrowRight")
        until(page, "document.querySelector('.where').textContent.startsWith('2 of')")
        assert page.locator("#viewer a").get_attribute("href").startswith("https://commons")
        assert page.locator("script").count() == 1
        quiet(seen, address)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_no_serious_findings_of_axe(browser, tmp_path, theme, width, height):
    with (
        served(collection(60, folder=tmp_path)) as (address, _),
        visit(browser, address, theme=theme, width=width, height=height) as seen,
    ):
        page = ready(seen)
        assert axe(page) == []
        page.keyboard.press("Enter")
        page.wait_for_selector("#viewer[open] .measures")
        assert axe(page) == []
        # Nothing is wider than the screen.
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_of_twenty_thousand_rows_few_are_elements_and_scrolling_reaches_the_last(browser, tmp_path):
    with (
        served(collection(20_000, folder=tmp_path)) as (address, _),
        visit(browser, address, width=1440) as seen,
    ):
        page = ready(seen)
        assert page.locator("#count").text_content() == "20,000 of 20,000"
        most = 0
        for share in (0.1, 0.5, 0.9, 0.3):
            page.evaluate(
                "share => { const g = document.getElementById('grid'); g.scrollTop = share * g.scrollHeight; }",
                share,
            )
            until(
                page,
                "share => [...document.querySelectorAll('.tile')].some("
                "t => Math.abs(Number(t.dataset.at) / 20000 - share) < 0.01)",
                arg=share,
            )
            most = max(most, page.locator("*").count())
        assert most < 1500
        page.keyboard.press("End")
        page.wait_for_selector("#tile-19999.cursor")
        # How soon answers come is measured by `python -m benchmarks pages`.
        page.fill("#text", "photograph 1999")
        until(page, "document.getElementById('count').textContent.startsWith('13 of')")
        quiet(seen, address)


@pytest.mark.slow
def test_a_question_is_answered_while_thumbnails_are_being_made(browser, tmp_path):
    shown, made = collection(200, folder=tmp_path, hostile=False), threading.Event()

    def slowly(sha1):
        assert made.wait(60)
        return shown.read(sha1)

    with (
        served(replace(shown, read=slowly)) as (address, _),
        visit(browser, address, width=1440) as seen,
    ):
        page = ready(seen)
        page.fill("#text", "photograph 197")
        # No picture has come yet.
        until(page, "document.getElementById('count').textContent.startsWith('1 of')")
        assert not made.is_set()
        made.set()
        until(
            page,
            "[...document.querySelectorAll('.tile img')].filter(i => i.naturalWidth).length === 1",
        )
        page.fill("#text", "")
        until(
            page,
            "document.querySelectorAll('.tile').length > 20 &&"
            " [...document.querySelectorAll('.tile img')].every(i => i.naturalWidth)",
        )
        quiet(seen, address)


@pytest.mark.slow
def test_a_condition_with_a_mistake_is_told_and_mended(browser, tmp_path):
    with (
        served(collection(200, folder=tmp_path)) as (address, _),
        visit(browser, address, width=1440) as seen,
    ):
        page = ready(seen)
        page.click("#where-part summary")
        page.fill("#where", "sevrity > 0.9")
        page.wait_for_selector("#problem:not([hidden])")
        assert "sevrity" in page.locator("#problem").text_content()
        page.fill("#where", "severity > 0.9")
        page.wait_for_selector("#problem", state="hidden")
        assert 0 < page.locator(".tile").count() < 60
        # The failed question is told by the browser, too, and nothing else.
        assert len(seen.console) == 1
        assert seen.thrown == []


@pytest.mark.slow
def test_twins_zoom_and_move_together(browser, tmp_path):
    with (
        served(collection(60, folder=tmp_path)) as (address, _),
        visit(browser, address, width=1440) as seen,
    ):
        page = ready(seen)
        page.keyboard.press("Enter")
        page.wait_for_selector(".twin")
        page.keyboard.press("t")
        until(page, "document.querySelectorAll('.pane').length === 2")
        until(page, "[...document.querySelectorAll('.pane')].every(p => p.dataset.zoom)")
        page.keyboard.press("z")
        places = "[...document.querySelectorAll('.pane')].map(p => [p.dataset.zoom, p.firstChild.style.left])"
        until(page, "document.querySelector('.pane').dataset.zoom === '1.000'")
        page.keyboard.press("+")
        page.keyboard.press("+")
        before = page.evaluate(places)
        box = page.locator(".pane").first.bounding_box()
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 140, box["y"] + 100, steps=4)
        page.mouse.up()
        after = page.evaluate(places)
        assert [zoom for zoom, _ in after] == ["2.250", "2.250"]
        moved = [
            float(b[:-2]) - float(a[:-2]) for (_, a), (_, b) in zip(before, after, strict=True)
        ]
        assert moved == pytest.approx([40, 40], abs=1)


def test_bulk_and_undo_by_keys(browser, tmp_path):
    with (
        served(collection(60, folder=tmp_path)) as (address, state),
        visit(browser, address, width=1440) as seen,
    ):
        page = ready(seen)
        page.locator("input[data-facet=labels][value=noise]").check()
        until(page, "document.getElementById('count').textContent.startsWith('9 of')")
        page.locator("#grid").focus()
        page.keyboard.press("a")
        until(page, "document.getElementById('chosen-count').textContent === '9 chosen'")
        page.keyboard.press("d")
        toasted(page, "drop: 9 pictures")
        until(page, "document.querySelectorAll('.said.drop').length === 9")
        assert len(standing(all_reviews(state.collection.catalog).to_pylist())) == 9
        page.keyboard.press("u")
        toasted(page, "Taken back")
        until(page, "document.querySelectorAll('.said').length === 0")
        assert standing(all_reviews(state.collection.catalog).to_pylist()) == []
        quiet(seen, address)


# -- the whole way, over a real build --------------------------------------------------------------


def review(out, *options):
    """`lucidlr review` in a process of its own: the process, and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "review", "--out", str(out), *options],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    for line in process.stdout:
        if line.startswith("Open "):
            return process, line.split()[1]
    raise AssertionError("the server ended before it said where it is")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("review") / "demo"
    assert run_demo(out).returncode == 0
    return out


@pytest.mark.slow
def test_sixty_pictures_by_keys_then_a_build_that_obeys_explains_and_tells(browser, built):
    out = built
    process, address = review(out, "--by", "Ann")
    said = {}
    try:
        with visit(browser, address, width=1440) as seen:
            page = ready(seen)
            # Only what can be kept or dropped by what is seen.
            page.click("#where-part summary")
            page.fill("#where", "keep OR reason = 'degraded'")
            until(page, "document.getElementById('count').textContent.endsWith('of 120')")
            page.wait_for_timeout(300)
            page.locator("#grid").focus()
            page.keyboard.press("Enter")
            page.wait_for_selector("#viewer[open]")
            for i in range(60):
                title = page.locator("#viewer-title").text_content()
                key, what = [("d", "drop"), ("k", "keep"), ("s", "skip")][i % 3]
                said[title] = what
                page.keyboard.press(key)
                until(
                    page,
                    "title => document.getElementById('viewer-title').textContent !== title",
                    arg=title,
                )
            quiet(seen, address)
    finally:
        # In the middle of its work, as a power cut would.
        process.send_signal(signal.SIGKILL)
        process.wait()
    catalog = Catalog(out / "catalog")
    rows = standing(all_reviews(catalog).to_pylist())
    assert len(rows) == 60
    assert run_demo(out).returncode == 0
    database = duckdb.connect(str(out / "lucidlr.duckdb"), read_only=True)
    decided = {
        title.removeprefix("File:"): (keep, reason, page)
        for title, keep, reason, page in database.execute(
            "SELECT title, keep, reason, page_id FROM decisions"
        ).fetchall()
    }
    database.close()
    for title, what in said.items():
        keep, reason, page = decided[title]
        if what == "drop":
            assert (keep, reason) == (False, "review")
        if what == "keep":
            assert keep
        if what != "skip":
            told = explain_lines(out, str(page))
            assert any(line.startswith(f"  Ann said {what} on") for line in told)
            assert any("review" in line and f"{what} " in line for line in told)
    card = (out / "dataset" / "README.md").read_text()
    assert "1 reviewer looked at 60 of the candidates" in card
    manifest = json.loads((out / "dataset" / "manifest.json").read_text())
    assert manifest["rows"] == sum(keep for keep, _, _ in decided.values())


@pytest.mark.slow
def test_a_blind_sample_is_answered_by_keys_and_measures_labels_and_filter(browser, built):
    out = built
    process, address = review(out, "--draw", "12", "--by", "Bo")
    try:
        with visit(browser, address, width=1440) as seen:
            page = ready(seen)
            # Blind: neither labels nor the filter's verdict are in the page.
            assert page.locator(".tile.kept, .tile.dropped").count() == 0
            page.keyboard.press("Enter")
            page.wait_for_selector("#viewer[open]")
            assert page.locator("#viewer .ledger, #viewer .fate").count() == 0
            for i in range(12):
                page.keyboard.press("1")
                page.wait_for_selector('.chip.picked[data-label="blur"]')
                page.keyboard.press("k" if i % 2 else "d")
                until(page, "n => document.querySelectorAll('.tile .said').length === n", arg=i + 1)
            quiet(seen, address)
    finally:
        process.terminate()
        process.wait()
    shown = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "review", "--out", str(out), "--measure"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    ).stdout
    assert "sample sample-1: 12 of 12 answered by 1 reviewers" in shown
    # Everybody was said to be blurred: whatever was labelled so is right.
    assert re.search(r"blur precision\s+1\.000", shown)
