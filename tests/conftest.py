"""One undisturbed build of the small demo corpus, shared by the tests that compare with it."""

import pytest

from tests.pipelines.builds import run_demo


@pytest.fixture(scope="session")
def small_build(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "demo"
    done = run_demo(out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out
