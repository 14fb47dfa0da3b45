"""Typical mistakes: what is printed, the exit code, and that nothing is left behind. Never a traceback."""

import os
import pty
import signal
import subprocess
import sys

import pytest
import yaml

from tests.pipelines.builds import ENVIRONMENT, dataset_hash, demo_command, run_demo
from tests.pipelines.test_recipe import DEMO, FOLDER

RAW = ("Traceback", "[Errno", "pydantic", "validation error", "type=")
"""What belongs to programmers."""


def lucidlr(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        env={**own(cwd), **environment},
        check=False,
        timeout=600,
    )


def own(cwd):
    """With the note of the last build in the working directory, where users have it."""
    here = {
        **ENVIRONMENT,
        "LUCIDLR_CONTACT": "",
        "COLUMNS": "200",
        "PYTHONPATH": str(FOLDER.parents[1]),
    }
    return {**here, "LUCIDLR_LAST_BUILD": str(cwd / ".lucidlr.json")}


@pytest.fixture
def here(tmp_path):
    """A working directory with recipes that are wrong in one way each."""

    def write(name, **changes):
        content = {**yaml.safe_load(DEMO.read_text()), **changes}
        (tmp_path / name).write_text(yaml.safe_dump(content))

    write("key.yaml", extra_mesures=[])
    write("value.yaml", seed="many")
    write("kind.yaml", sources=[{"kind": "categry", "root": "Category:X"}])
    write("measure.yaml", extra_measures=["edge_sigmas"])
    write("metric.yaml", scores=["piqee"])
    (tmp_path / "text.yaml").write_text("name: [")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


MISTAKES = [
    # a wrong path, name, key or value of a recipe
    ("build nosuch/recipe.yaml", 1, "There is no recipe: nosuch/recipe.yaml."),
    ("build lucidlr_2k", 1, "Did you mean 'lucidlr_20k'?"),
    ("build folder", 1, "This is a folder, not a recipe: folder."),
    ("build text.yaml", 1, "text.yaml is not valid YAML"),
    ("build list.yaml", 1, "list.yaml holds no recipe: a mapping with name, sources, gate"),
    (
        "build key.yaml",
        1,
        "unknown key 'extra_mesures' at extra_mesures; did you mean 'extra_measures'?",
    ),
    ("build value.yaml", 1, "seed: input should be a valid integer"),
    ("build kind.yaml", 1, "did you mean 'category'?"),
    ("build measure.yaml", 1, "there is no measure 'edge_sigmas'; did you mean 'edge_sigma'?"),
    ("build metric.yaml", 1, "did you mean 'piqe'?"),
    ("evaluate paper", 1, "Did you mean 'evaluate_paper'?"),
    ("train tinny", 1, "Did you mean 'tiny'?"),
    # no contact
    ("build lucidlr_20k", 1, "Pass --contact with your e-mail address"),
    # before a build, in the wrong folder, from another directory
    ("whatif degraded.min=0.7", 1, "There is no build in this directory. Run `lucidlr demo`"),
    ("explain Brick", 1, "There is no build in this directory."),
    ("failures", 1, "There is no build in this directory."),
    ("verify", 1, "There is no build in this directory."),
    ("politeness", 1, "There is no build in this directory."),
    ("licenses", 1, "There is no build in this directory."),
    ("refilter demo", 1, "There is no build in this directory."),
    ("purge", 1, "There is no build in this directory."),
    ("whatif degraded.min=0.7 --out folder", 1, "folder"),
    ("explain Brick --out nowhere", 1, "nowhere"),
    ("relink --out folder", 1, "folder"),
    ("purge --out folder", 1, "folder"),
    ("push lab/set --out folder", 1, "folder"),
    ("diff folder nowhere", 1, "folder"),
    # files that are not there
    ("takedown removals.txt --out folder", 1, "removals.txt"),
    ("dedup-report nowhere", 1, "nowhere"),
    ("screen nowhere", 1, "nowhere"),
    # usage
    ("demo --files 2000", 2, "20 to 250 files, not of 2000"),
    ("build", 2, "Missing argument"),
    ("biuld demo", 2, "No such command"),
    ("build demo --workers none", 2, "--workers"),
    ("whatif --otu folder degraded.min=1", 2, "No such option"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "code", "said"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_told_in_a_sentence_and_leaves_nothing_behind(here, command, code, said):
    before = sorted(here.rglob("*"))
    done = lucidlr(*command.split(), cwd=here)
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == code, told[-1500:]
    assert said in told
    assert not [raw for raw in RAW if raw in told], told[-1500:]
    assert sorted(here.rglob("*")) == before


IN_A_BUILD = [
    (
        "whatif nonsense",
        1,
        "Not a valid change: 'nonsense'. Use RULE.FIELD=VALUE, for example degraded.min=0.6.",
    ),
    ("whatif degradedd.min=0.4", 1, "Did you mean 'degraded'?"),
    ("whatif degraded.mix=1", 1, "Did you mean 'min'?"),
    (
        "whatif degraded.min=abc",
        1,
        "'degraded.min=abc': degraded.min: input should be a valid number",
    ),
    ("whatif piqe.max=60 --recipe lucidlr_2k", 1, "Did you mean 'lucidlr_20k'?"),
    ("explain File:Nobody.jpg", 1, "File:Nobody.jpg is no candidate of the build in out/demo."),
    (
        "explain https://commons.wikimedia.org/wiki/File:Nobody.jpg",
        1,
        "is no candidate of the build",
    ),
    ("explain e", 1, "candidates have 'e' in their title"),
    ("purge", 2, "name the build's folder, for example --out out/demo"),
    ("takedown removals.txt", 2, "--out out/demo"),
    ("push lab/set", 2, "--out out/demo"),
    ("push notaname --out out/demo", 1, "write owner/name"),
    ("refilter demo --to out/demo", 1, "is a build of its own"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "code", "said"), IN_A_BUILD, ids=[m[0] for m in IN_A_BUILD])
def test_a_mistake_after_a_build(small_build, tmp_path, command, code, said):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "demo").symlink_to(small_build)
    done = lucidlr(*command.split(), cwd=tmp_path)
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == code, told[-1500:]
    assert said in told
    assert not [raw for raw in RAW if raw in told], told[-1500:]


@pytest.mark.slow
def test_the_default_is_told_on_the_first_line_with_its_recipe(small_build, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "demo").symlink_to(small_build)
    done = lucidlr("failures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("build      out/demo  (recipe lucidlr_demo, 20")
    named = lucidlr("failures", "--out", "out/demo", cwd=tmp_path)
    assert named.stdout.splitlines() == done.stdout.splitlines()[1:]
    assert "lucidlr demo --files 120 --seed 7 --out out/demo --retry" in named.stdout


@pytest.mark.slow
def test_without_a_network_the_first_failure_is_told_and_so_is_each_retry(tmp_path):
    content = yaml.safe_load((FOLDER / "lucidlr_20k.yaml").read_text())
    content["site"] = {"host": "127.0.0.1:9", "scheme": "http", "media_hosts": ["127.0.0.1:9"]}
    content["limits"] = {"max_attempts": 3, "backoff_s": 0.6}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    done = lucidlr("build", "mine.yaml", "--contact", "me@example.org", cwd=tmp_path)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "lucidlr build: starting"
    assert lines[1].startswith("building   lucidlr_20k into out/lucidlr_20k")
    told = [
        line for line in lines if "no connection (the connection was refused); next attempt" in line
    ]
    assert len(told) == 2
    assert lines[-1].startswith("lucidlr: No connection to 127.0.0.1:9 in 3 attempts")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_in_order_with_130_and_the_same_command_resumes(tmp_path):
    # The command is interrupted as soon as it downloads; then it runs to its end, and the dataset is the usual one.
    running = subprocess.Popen(
        demo_command(tmp_path / "cut", "--runner", "processes", "--workers", "2"),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=own(tmp_path),
        cwd=tmp_path,
    )
    said = []
    for line in running.stderr:
        said.append(line)
        if line.startswith("download: started"):
            running.send_signal(signal.SIGINT)
            break
    said += running.stderr.readlines()
    assert running.wait(timeout=300) == 130
    told = "".join(said)
    assert "interrupted. What was done is kept: run the same command again to resume." in told
    assert "Traceback" not in told, told[-2000:]
    done = run_demo(tmp_path / "cut")
    assert done.returncode == 0, done.stderr[-2000:]
    whole = run_demo(tmp_path / "whole")
    assert whole.returncode == 0
    assert dataset_hash(tmp_path / "cut") == dataset_hash(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"y\n", 0)])
def test_a_person_at_a_terminal_is_asked_before_anything_is_deleted(
    small_build, tmp_path, answer, code
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "demo").symlink_to(small_build)
    person, terminal = pty.openpty()
    os.write(person, answer)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "purge"],
        stdin=terminal,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=own(tmp_path),
        check=False,
        timeout=300,
    )
    os.close(terminal)
    os.close(person)
    assert done.returncode == code, done.stderr
    assert "deletes removed files for good. Go on?" in done.stdout + done.stderr
    assert ("Nothing was changed." in done.stdout) == (code == 1)
    assert "0 removed pages" in done.stdout or code == 1


@pytest.mark.slow
def test_a_file_is_explained_by_address_and_by_a_part_of_its_title(small_build, tmp_path):
    import duckdb

    with duckdb.connect(str(small_build / "lucidlr.duckdb"), read_only=True) as c:
        (title,) = c.execute(
            "select title from decisions where keep order by page_id limit 1"
        ).fetchone()
    address = "https://commons.wikimedia.org/wiki/" + title.replace(" ", "_")
    part = title.removeprefix("File:").lower()[2:-4]
    answers = [
        lucidlr("explain", text, "--out", small_build, cwd=tmp_path).stdout
        for text in (title, address, part)
    ]
    assert answers[0].startswith(title)
    assert answers[0] == answers[1] == answers[2]
