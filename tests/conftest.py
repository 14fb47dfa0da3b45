"""What many tests share: an undisturbed build of the small demo, a Prefect server with a worker, a browser."""

import fcntl
import os

import pytest
from hypothesis import HealthCheck, settings

from tests.browser import chromium
from tests.pipelines.builds import run_demo
from tests.prefect_server import prefect_server

__all__ = ["prefect_server"]

# How long an example takes says how busy a machine is.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def heavy(path):
    """Whether tests of a file import what training does."""
    return "training" in path.parts or "metrics" in path.name or path.name == "test_piqe.py"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Over several workers, a file stays with one; so do all tests of one server, first, because they wait most."""
    for item in items:
        if "prefect_server" in item.fixturenames:
            group = "1 prefect"
        elif item.get_closest_marker("mediawiki"):
            group = "2 mediawiki"
        elif heavy(item.path) and not item.get_closest_marker("slow"):
            # Diffusers, Transformers and pyiqa take ten seconds to import, once for all of these.
            group = "3 training"
        else:
            group = f"4 {item.path.relative_to(item.config.rootpath)}"
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.get_closest_marker("xdist_group").args[0][0])


@pytest.fixture(scope="module")
def browser():
    """Chromium. Not for the whole session: Playwright's event loop would be in the way of others'."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def small_build(tmp_path_factory):
    """Made once for all workers of a run; not to be changed, so copy it first."""
    base = tmp_path_factory.getbasetemp()
    # A worker's folder lies in that of the run.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out, made = shared / "undisturbed" / "demo", shared / "undisturbed" / "made"
    out.parent.mkdir(exist_ok=True)
    with (out.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            done = run_demo(out)
            assert done.returncode == 0, done.stderr[-3000:]
            made.touch()
    return out
