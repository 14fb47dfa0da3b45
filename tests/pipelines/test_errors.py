"""What the command line shows as one message, and what keeps its traceback."""

import importlib
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from catalog.errors import Expected, Missing, NoBuild
from pipelines.cli import app
from tests.test_house import HOME, MODULES

RUN = """
import sys
from pipelines import cli
def app():
    {}
cli.app = app
cli.main()
"""


def run_main(body):
    return subprocess.run(
        [sys.executable, "-c", RUN.format(body)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_expected_error_is_one_sentence_on_the_command_line():
    done = run_main(
        "from catalog.errors import Missing; raise Missing('There is no a.csv: make it.')"
    )
    assert (done.returncode, done.stderr) == (1, "lucidlr: There is no a.csv: make it.\n")


def test_a_missing_file_that_nobody_expected_keeps_its_traceback():
    done = run_main("open('/nowhere/at/all')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "FileNotFoundError" in done.stderr


def test_a_full_disk_under_standard_output_is_a_sentence():
    done = run_main("sys.stdout = open('/dev/full', 'w', buffering=1); print('a')")
    assert done.returncode == 1
    assert done.stderr.startswith("lucidlr: What this command says cannot be written where it goes")


def test_the_errors_cost_nothing_to_import():
    code = "import sys, catalog.errors; print(sorted(set(sys.modules) & {'pyarrow', 'numpy', 'duckdb', 'torch'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_class_that_is_shown_as_a_sentence_says_what_it_is():
    for module in MODULES:
        if re.search(r"^class \w+\((Expected|Missing)", module.read_text("utf-8"), re.MULTILINE):
            path = module.relative_to(HOME).with_suffix("")
            importlib.import_module(".".join(path.parts).removesuffix(".__init__"))
    kinds = every(Expected)
    assert len(kinds) > 30
    assert not [kind.__name__ for kind in kinds if not (kind.__doc__ or "").strip()]


def every(kind):
    return {kind} | {deeper for child in kind.__subclasses__() for deeper in every(child)}


@pytest.mark.parametrize("kind", [Missing, NoBuild])
def test_who_looks_for_the_standard_class_finds_it(kind):
    with pytest.raises(FileNotFoundError, match="what is wrong"):
        raise kind("what is wrong")


GONE = "/nowhere/at/all"


@pytest.mark.parametrize(
    "command",
    [
        ["build", GONE],
        ["plan", GONE],
        ["takedown", GONE, "--out", GONE],
        ["purge", "--out", GONE],
        ["refresh", GONE],
        ["refilter", GONE],
        ["whatif", "degraded.min=1", "--out", GONE],
        ["explain", "x", "--out", GONE],
        ["failures", "--out", GONE],
        ["politeness", "--out", GONE],
        ["export", "--out", GONE],
        ["push", "a/b", "--out", GONE],
        ["diff", GONE, GONE],
        ["relink", "--out", GONE],
        ["screen", GONE],
        ["fingerprint", "name", GONE],
        ["train", GONE],
        ["precompute", GONE],
        ["evaluate", GONE],
        ["gallery", GONE],
        ["restore", GONE, GONE],
        ["consistency", GONE, GONE],
        ["consistency-train", GONE],
        ["separability", "--demo", GONE],
    ],
    ids=lambda command: command[0],
)
def test_a_path_that_is_not_there_is_a_sentence_for_every_command(command):
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, Expected), done.exception
    assert GONE in str(done.exception)
