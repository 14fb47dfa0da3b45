"""What many tests share: an undisturbed build of the small demo, a Prefect server with a worker, a browser."""

import pytest

from tests.browser import chromium
from tests.pipelines.builds import run_demo
from tests.prefect_server import prefect_server

__all__ = ["prefect_server"]


@pytest.fixture(scope="module")
def browser():
    """Chromium. Not for the whole session: Playwright's event loop would be in the way of others'."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def small_build(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "demo"
    done = run_demo(out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out
