"""The page as files: nothing but a web server that knows nothing, 20,000 rows, in Chromium."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.review.site import NotOurs, write_site
from tests.browser import visit
from tests.pipelines.review.pages import HOSTILE, collection
from tests.pipelines.review.test_review_browser import SERIOUS, axe, quiet, ready, until

ROWS = 20_000


class Quiet(SimpleHTTPRequestHandler):
    """Python's own, without its log."""

    def log_message(self, format, *args):
        pass


@contextmanager
def served(folder) -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.browser
@pytest.mark.slow
def test_twenty_thousand_rows_are_filtered_in_the_browser_and_nothing_is_asked_of_others(
    browser, tmp_path
):
    shown = collection(ROWS)
    write_site(shown, tmp_path / "site")
    severe = sum(level >= 0.9 for level in shown.rows.column("severity").to_pylist())
    with (
        served(tmp_path / "site") as address,
        visit(browser, address, width=1440, height=900) as seen,
    ):
        page = ready(seen)
        until(page, "document.querySelector('.tile img').naturalWidth > 0")
        assert page.locator("#title").text_content() == "<u>Test</u>"
        # Titles of strangers are text, in tiles and in the large view.
        for n, title in enumerate(HOSTILE):
            assert title.removeprefix("File:") in page.locator(f"#tile-{n}").text_content()
        page.keyboard.press("Enter")
        page.wait_for_selector("#viewer[open]")
        assert page.locator("#viewer-title").text_content() == HOSTILE[0].removeprefix("File:")
        assert page.locator("#viewer a").count() == 0  # its address was javascript:
        assert page.locator("#act-keep").count() == 0  # nobody can write here
        page.keyboard.press("ArrowRight")
        until(page, "document.getElementById('viewer').textContent.includes('2 of 20,000')")
        page.keyboard.press("t")
        until(page, "document.querySelectorAll('.pane img').length === 2")
        page.keyboard.press("Escape")
        # Filters answer at once, and add up to what is there.
        page.evaluate("document.getElementById('low-severity').value = '0.9'")
        page.locator("#low-severity").dispatch_event("input")
        until(page, f"document.getElementById('count').textContent === '{severe:,} of 20,000'")
        page.locator("input[data-facet=license][value='CC0-1.0']").evaluate("box => box.click()")
        wanted = sum(
            level >= 0.9 and name == "CC0-1.0"
            for level, name in zip(
                *(shown.rows.column(n).to_pylist() for n in ("severity", "license")), strict=True
            )
        )
        until(page, f"document.getElementById('count').textContent === '{wanted:,} of 20,000'")
        page.evaluate("document.getElementById('clear-filters').click()")
        page.locator("#text").fill("photograph 19998.jpg")
        until(page, "document.getElementById('count').textContent === '1 of 20,000'")
        page.locator("#text").fill("")
        until(page, "document.getElementById('count').textContent === '20,000 of 20,000'")
        took = page.evaluate(
            "import('./page/tools.js').then(async ({source}) => { const t = performance.now(); "
            "await source.ask('/api/rows', {chosen: JSON.stringify({text: 'photo', labels: ['blur'], "
            "low: {width: 900}}), sort: 'severity', desc: true}); return performance.now() - t; })"
        )
        assert took < 300, f"{took:.0f} ms"
        page.locator("#sort").select_option("severity")
        page.locator("#direction").click()
        until(page, "document.querySelector('#tile-0 .note').textContent.includes('1.00')")
        # The last row is reached, and no more than what is in view are elements.
        page.evaluate("document.getElementById('grid').focus()")
        page.keyboard.press("End")
        page.wait_for_selector("#tile-19999")
        assert page.evaluate("document.querySelectorAll('*').length") < 2500
        assert axe(page) == [], SERIOUS
        quiet(seen, address)


def test_what_left_the_release_leaves_the_page_and_what_stays_is_not_made_twice(tmp_path):
    shown, asked = collection(30), []

    def read(sha1):
        asked.append(sha1)
        return shown.read(sha1)

    done = write_site(replace(shown, read=read), tmp_path / "site", originals=True)
    assert (done.rows, done.pictures, done.deleted) == (30, 30, 0)
    index = pq.read_table(tmp_path / "site" / "index.parquet")
    row = index.slice(7, 1).to_pylist()[0]
    assert (tmp_path / "site" / row["image"]).read_bytes() == shown.read(row["sha1"])
    asked.clear()
    fewer = replace(shown, rows=shown.rows.slice(10), read=read)
    done = write_site(fewer, tmp_path / "site")
    # Ten photographs left, and without --originals no original stays.
    assert (done.rows, done.pictures, done.deleted) == (20, 20, 10 + 30)
    assert asked == []
    assert len(list((tmp_path / "site").glob("thumbnails/*/*"))) == 20
    assert pq.read_table(tmp_path / "site" / "index.parquet").num_rows == 20


def test_a_folder_of_somebody_else_is_left_alone_and_what_has_no_picture_is_a_row(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    with pytest.raises(NotOurs):
        write_site(collection(4), tmp_path / "mine")
    assert (tmp_path / "mine" / "index.html").read_text() == "mine"
    shown = collection(4)
    at = shown.rows.column_names.index("sha1")
    sha1s = pa.array([shown.rows.column("sha1")[0].as_py(), None, f"{0:040x}", None])
    rows = shown.rows.set_column(at, "sha1", sha1s)
    done = write_site(replace(shown, rows=rows), tmp_path / "site")
    assert (done.rows, done.pictures) == (4, 1)
