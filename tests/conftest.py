"""What many tests share: one undisturbed build of the small demo corpus, one Prefect server with a worker."""

import pytest

from tests.pipelines.builds import run_demo
from tests.prefect_server import prefect_server

__all__ = ["prefect_server"]


@pytest.fixture(scope="session")
def small_build(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "demo"
    done = run_demo(out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out
