"""The helper that opens pages notices what a page must not do; otherwise every test that uses it would pass."""

import pytest

from tests.browser import visit

pytestmark = pytest.mark.browser


def written(tmp_path, body):
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><link rel=icon href='data:,'>{body}")
    return path


def test_a_page_in_order_has_no_complaints(browser, tmp_path):
    with visit(browser, written(tmp_path, "<button id=a>A</button><img src='data:,'>")) as seen:
        seen.page.keyboard.press("Tab")
        assert seen.focused() == "a"
        assert seen.complaints == []
        assert seen.screenshot(tmp_path / "shot.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("<script>console.error('bad')</script>", "error: bad"),
        ("<script>throw new Error('thrown')</script>", "thrown"),
        ("<script>alert('ran')</script>", "alert: ran"),
        ("<img src='https://example.org/x.png'>", "asked for https://example.org/x.png"),
        ("<script>fetch('http://127.0.0.1:9/y')</script>", "asked for http://127.0.0.1:9/y"),
        (
            "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\"><script>1</script>",
            "Content Security Policy",
        ),
    ],
)
def test_what_a_page_must_not_do_is_noticed(browser, tmp_path, body, told):
    with visit(browser, written(tmp_path, body)) as seen:
        seen.page.wait_for_timeout(100)
        assert any(told in line for line in seen.complaints), seen.complaints


def test_the_page_sees_the_theme_that_was_asked_for(browser, tmp_path):
    for theme in ("light", "dark"):
        with visit(browser, written(tmp_path, ""), theme=theme) as seen:
            asked = f"matchMedia('(prefers-color-scheme: {theme})').matches"
            assert seen.page.evaluate(asked) is True
