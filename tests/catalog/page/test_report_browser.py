"""The report in headless Chromium: it draws, asks nobody, works by keyboard, and runs nobody else's code."""

import json
import re

import lxml.html
import pytest

from catalog.page.report import render_report
from tests.browser import visit
from tests.catalog.page.report_tables import report_inputs

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Hostile titles among its rows, targets, a quota that was not filled."""
    path = tmp_path_factory.mktemp("report") / "index.html"
    render_report(path, **report_inputs(), shortfalls=[("mix", "jpeg <b>", 9, 7)])
    return path


@pytest.fixture(scope="module")
def figures(page):
    tree = lxml.html.fromstring(page.read_text(encoding="utf-8"))
    return json.loads(tree.get_element_by_id("figures").text)


def drawn(seen):
    return set(
        seen.page.eval_on_selector_all(".js-plotly-plot", "all => all.map(one => one.id.slice(6))")
    )


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_it_draws_every_chart_and_every_picture_without_an_error_or_a_request(
    browser, page, figures, theme, width
):
    with visit(browser, page, theme=theme, width=width) as seen:
        folded = {key for key in figures if key.startswith("measure-") and key != "measure-0"}
        assert drawn(seen) == set(figures) - folded
        seen.page.click("summary")
        seen.page.wait_for_function(
            "count => document.querySelectorAll('.js-plotly-plot').length === count",
            arg=len(figures),
        )
        widths = seen.page.eval_on_selector_all(
            ".js-plotly-plot svg.main-svg", "all => all.map(one => one.clientWidth)"
        )
        assert min(widths) > 150
        pictures = seen.page.eval_on_selector_all(
            "img.whole", "all => all.map(one => one.complete && one.naturalWidth)"
        )
        assert len(pictures) > 40
        assert min(pictures) > 20
        # Nothing pushes the page wider than the window, a name of 200 characters neither.
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert seen.complaints == []


def test_a_hostile_title_stays_text(browser, page):
    with visit(browser, page) as seen:
        names = seen.page.eval_on_selector_all("bdi", "all => all.map(one => one.textContent)")
        hostile = [name for name in names if "alert(1)" in name]
        assert hostile
        for name in hostile:
            assert name.startswith("<script>alert(1)</script>")
            assert len(name) > 180
            assert "שלום" in name
            # The character that would turn the text around is gone.
            assert "\u202e" not in name
        scripts = seen.page.eval_on_selector_all("script", "all => all.length")
        assert scripts == 3
        # Plotly reads tags in its labels; these arrive as text, too.
        labels = seen.page.eval_on_selector_all(
            "#chart-reasons .ytick text", "all => all.map(one => one.textContent)"
        )
        assert "license not free: <b>nc</b>" in labels
        assert seen.page.locator("#content td", has_text="jpeg <b>").count() == 1
        assert seen.complaints == []


def test_everything_can_be_done_by_keyboard(browser, page):
    with visit(browser, page) as seen:
        keys = seen.page.keyboard
        links = seen.page.eval_on_selector_all("nav a", "all => all.map(one => one.textContent)")
        passed = []
        for _ in range(len(links) + 2):
            keys.press("Tab")
            passed.append(seen.focused())
            # Who goes by keyboard sees where he is.
            outline = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
        assert passed == [*links, "view", "theme"]
        keys.press("Enter")
        assert seen.page.evaluate("document.documentElement.dataset.theme") == "dark"
        keys.press("Shift+Tab")
        keys.press("Space")
        assert seen.page.get_attribute("#view", "aria-pressed") == "true"
        # Every link leads to a section.
        for _ in links:
            keys.press("Shift+Tab")
            name = seen.focused()
            keys.press("Enter")
            target = seen.page.evaluate("location.hash")
            top = seen.page.evaluate(
                "document.querySelector(location.hash).getBoundingClientRect().top"
            )
            assert target.startswith("#"), name
            assert top < 900, name
            # Back to the link: following it moves the keyboard's place to the section.
            seen.page.evaluate(f"document.querySelector('nav a[href=\"{target}\"]').focus()")
        seen.page.focus("summary")
        keys.press("Enter")
        assert seen.page.evaluate("document.querySelector('details').open") is True
        assert seen.complaints == []


def test_pieces_at_their_own_pixels_take_the_place_of_the_small_pictures(browser, tmp_path):
    """The tiles of the tests are small; a page with larger photographs has two views of each."""
    import io

    import numpy as np
    from PIL import Image

    sink = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(sink, "PNG")
    inputs = {**report_inputs(), "thumbnails": lambda sha1: sink.getvalue()}
    render_report(tmp_path / "index.html", **inputs, max_images=30)
    with visit(browser, tmp_path / "index.html") as seen:
        whole = seen.page.locator("#sheets img.whole").first
        detail = seen.page.locator("#sheets img.detail").first
        assert (whole.is_visible(), detail.is_visible()) == (True, False)
        seen.page.click("#view")
        assert (whole.is_visible(), detail.is_visible()) == (False, True)
        assert seen.complaints == []


def luminance(color):
    """Relative luminance of `rgb(r, g, b)` (WCAG 2.1)."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_can_be_read_in_both_themes(browser, page, theme):
    """WCAG AA asks for a contrast of 4.5 between text and what is behind it."""
    with visit(browser, page, theme=theme) as seen:
        seen.page.click("#view")
        for selector in (
            *("h1", ".lead", "nav a", "#view", "#theme", ".figure b", ".figure span", "h3 small"),
            *("td", "th", ".tile .name", ".tile .note", ".tile.kept .note", ".tile.out .note"),
            *("summary", "footer", ".key"),
        ):
            front, back = seen.page.eval_on_selector(
                selector,
                """one => {
                  let behind = one;
                  while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
                  return [getComputedStyle(one).color, getComputedStyle(behind).backgroundColor];
                }""",
            )
            light, dark = sorted((luminance(front), luminance(back)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (selector, front, back)


def test_the_theme_is_the_systems_until_one_is_chosen_and_then_remembered(browser, page):
    def shown(seen):
        back = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        bars = seen.page.eval_on_selector(
            "#chart-funnel .point path", "one => getComputedStyle(one).fill"
        )
        return ("dark" if luminance(back) < 0.1 else "light"), bars

    with visit(browser, page, theme="dark") as dark, visit(browser, page) as light:
        assert shown(dark)[0] == "dark"
        assert shown(light)[0] == "light"
        # The charts have colours of their own in each.
        assert shown(dark)[1] != shown(light)[1]
        light.page.click("#theme")
        assert shown(light) == shown(dark)
        assert light.page.text_content("#theme") == "Light"
        light.page.reload()
        assert shown(light)[0] == "dark"


def test_pictures_come_first_and_a_click_enlarges_with_arrows(browser, page):
    with visit(browser, page, width=1440) as seen:
        looks = seen.page.locator(".look")
        count = looks.count()
        assert count >= 30
        # All of them on the first screen.
        bottoms = seen.page.eval_on_selector_all(
            ".look", "all => all.map(one => one.getBoundingClientRect().bottom)"
        )
        assert max(bottoms) <= 900
        looks.first.click()
        seen.page.wait_for_selector("#large[open]")
        names = [seen.page.text_content("#large-name bdi")]
        for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
            seen.page.keyboard.press(key)
            names.append(seen.page.text_content("#large-name bdi"))
        assert names[2] == names[0] != names[1]
        assert names[3] == looks.last.locator("img").get_attribute("alt")
        note = seen.page.text_content("#large-note")
        assert re.search(r"\d\.\d\d", note)
        seen.page.keyboard.press("Escape")
        assert not seen.page.locator("#large").is_visible()
        assert seen.complaints == []
