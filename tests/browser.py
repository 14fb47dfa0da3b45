"""Pages opened in a real browser: Debian's headless Chromium, driven by Playwright (no browser of its own).

What the page says on its console, throws, or asks of the network is noted from the first moment on. Tests that use it
carry the marker `browser`; without Chromium they are skipped, or fail where LUCIDLR_REQUIRE_SHARED is set.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.shared import lacking

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FLAGS = (
    "--no-sandbox",  # tests may run as root in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    # Whatever asks for an outside host gets no answer, and its request is noted all the same.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@dataclass
class Visit:
    """One page in one tab, and what it did."""

    page: Page
    """Playwright's; `goto` has been called and the page has loaded."""
    console: list[str] = field(default_factory=list)
    """Errors and warnings; violations of the content security policy are among them."""
    thrown: list[str] = field(default_factory=list)
    """Exceptions that no script caught."""
    requests: list[str] = field(default_factory=list)
    """Addresses that were asked for, the page's own first; `data:` and `blob:` ask nobody and are left out."""
    dialogs: list[str] = field(default_factory=list)
    """alert, confirm, prompt: a hostile text that runs shows here. Dismissed at once."""

    @property
    def outside(self) -> list[str]:
        """Requests but for the page itself."""
        return self.requests[1:]

    @property
    def complaints(self) -> list[str]:
        """All that should not happen in a page that is in order."""
        asked = [f"asked for {address}" for address in self.outside]
        return [*self.console, *self.thrown, *self.dialogs, *asked]

    def focused(self) -> str:
        """What has the keyboard: the element's id, else its text, else its tag."""
        return self.page.evaluate(
            "(() => { const e = document.activeElement;"
            " return e.id || e.textContent.trim().slice(0, 60) || e.tagName.toLowerCase(); })()"
        )

    def screenshot(self, path: Path, *, whole: bool = True) -> Path:
        """A PNG of the page (or of what is in view), for people to look at."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=whole)
        return path


@contextmanager
def chromium() -> Generator[Browser]:
    """The browser, for a block of visits; starting it takes about a second."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        lacking("no Chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(
    browser: Browser,
    address: Path | str,
    *,
    theme: Literal["light", "dark"] = "light",
    width: int = 1280,
    height: int = 900,
) -> Generator[Visit]:
    """Opens a file or an address in a fresh profile (no storage, no cache) and waits until it has loaded.

    Args:
        theme: what the system prefers, as the page's style sees it.
    """
    context = browser.new_context(
        color_scheme=theme, viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    seen = Visit(page)
    page.on(
        "console",
        lambda message: (
            seen.console.append(f"{message.type}: {message.text}")
            if message.type in ("error", "warning")
            else None
        ),
    )
    page.on("pageerror", lambda error: seen.thrown.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("data:", "blob:"))
            else seen.requests.append(request.url)
        ),
    )

    def note(dialog: object) -> None:
        seen.dialogs.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", note)
    try:
        page.goto(address.resolve().as_uri() if isinstance(address, Path) else address)
        yield seen
    finally:
        context.close()
