"""The whole way of a release: built, pushed by `lucidlr push`, loaded, taken down, purged, loaded again."""

import json
import re
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from pipelines.build.refresh import take_down
from pipelines.release.export import export_again
from tests.hub.server import running_hub
from tests.pipelines.builds import ENVIRONMENT

REPO = "lab/lucidlr-demo"

pytestmark = pytest.mark.slow


def run(hub, home, *command):
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **hub.environment(home)},
        check=False,
        timeout=300,
    )


def loaded(hub, home, *revision):
    """What `datasets` makes of the repository, with an empty cache."""
    done = run(hub, home, "tests.hub.load", REPO, *revision)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def expected(dataset):
    """The same, read from the folder by pyarrow."""
    told = {}
    for path in sorted(dataset.glob("data/*/*.parquet")):
        rows = pq.read_table(path, columns=["sha1", "width", "height"]).to_pylist()
        for config in ("all", path.parent.name):
            split = told.setdefault(config, {}).setdefault(path.name.split("-")[0], {})
            for way in ("full", "streaming"):
                split.setdefault(way, []).extend(row["sha1"] for row in rows)
                split.setdefault(f"sizes {way}", []).extend(
                    [row["width"], row["height"]] for row in rows
                )
    return told


@pytest.fixture(scope="module")
def story(small_build, tmp_path_factory):
    """Chapters of one release's life; the tests look at them."""
    folder = tmp_path_factory.mktemp("story")
    out = folder / "build"
    shutil.copytree(small_build, out)
    shutil.copytree(out / "dataset", folder / "old")
    with running_hub(folder / "hub") as hub:
        told = {"hub": hub, "folder": folder}
        told["push 1"] = run(hub, folder / "h1", "pipelines.cli", "push", REPO, "--out", out)
        told["private 1"] = hub.repositories[REPO].private
        told["load 1"] = loaded(hub, folder / "h2")
        told["tree 1"] = sorted(hub.repositories[REPO].at("main").tree)
        told["card 1"] = (out / "dataset" / "README.md").read_text()
        told["explored"] = run(hub, folder / "h2", "tests.hub.explore", REPO, "lab/nothing")
        rows = [
            pq.read_table(path).slice(0, 1).to_pylist()[0]
            for path in sorted(out.glob("dataset/data/*/train-*.parquet"))
        ]
        told["rows"] = rows
        take_down(out, [row["title"] for row in rows], why="the author asked")
        told["too early"] = run(hub, folder / "h1", "pipelines.cli", "push", REPO, "--out", out)
        export_again(out, version="0.2.0", previous=str(folder / "old"))
        told["dry"] = run(
            hub, folder / "h1", *("pipelines.cli", "push", REPO, "--out", out),
            *("--purge", "--dry-run"),
        )  # fmt: skip
        told["before"] = [len(hub.holding(row["image"]["bytes"])) for row in rows]
        told["push 2"] = run(
            hub, folder / "h1", *("pipelines.cli", "push", REPO, "--out", out),
            *("--purge", "--public"),
        )  # fmt: skip
        told["load 2"] = loaded(hub, folder / "h3", "v0.2.0")
        yield told


def test_every_configuration_loads_from_the_hub_whole_and_streaming(story):
    assert story["push 1"].returncode == 0, story["push 1"].stderr
    assert story["private 1"] is True
    held = story["load 1"]
    assert set(held) == {"all", "pd_cc0", "cc_by", "cc_by_sa"}
    assert held == expected(story["folder"] / "old")
    assert len(held["all"]["train"]["full"]) > 30


def test_the_card_on_the_hub_shows_figures_that_lie_beside_it(story):
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", story["card 1"])
    assert {"figures/contact_sheet.png", "figures/funnel.png", "figures/severity.png"} <= set(shown)
    assert set(shown) == {path for path in story["tree 1"] if path.startswith("figures/")}
    # What was taken down is in no figure of the next version either: all are drawn again.
    assert "figures in" in story["push 2"].stdout


def test_a_repository_is_explored_with_its_pictures_and_one_that_is_not_there_is_told(story):
    assert story["explored"].returncode == 0, story["explored"].stderr[-2000:]
    told = json.loads(story["explored"].stdout)
    held = story["load 1"]["all"]
    assert told["rows"] == sum(len(split["full"]) for split in held.values())
    assert told["wrong"] == []
    assert told["writable"] is False
    assert "lab/nothing is no folder here" in told["nothing"]


def test_what_was_taken_down_since_the_export_does_not_go_out(story):
    assert story["too early"].returncode == 1
    assert "3 photographs of this release have been taken down since" in story["too early"].stderr
    assert "Traceback" not in story["too early"].stderr


def test_a_dry_run_of_a_purge_tells_what_goes_for_good(story):
    assert story["dry"].returncode == 0, story["dry"].stderr
    for line in (
        "history of 2 commits, to be squashed to one",
        "tags v0.1.0, to be deleted",
        "nothing was changed (--dry-run)",
    ):
        assert line in story["dry"].stdout


def test_after_the_purge_the_bytes_are_not_in_the_hub_and_the_new_version_loads(story):
    assert story["push 2"].returncode == 0, story["push 2"].stderr
    # Small photographs are whole in a shard, so the search finds them where they are.
    assert all(count == 1 for count in story["before"])
    hub = story["hub"]
    for row in story["rows"]:
        for needle in (row["image"]["bytes"], row["title"].encode(), row["sha1"].encode()):
            found = hub.holding(needle)
            # Tombstones name pages and SHA-1s, so that copies can be put right.
            assert found == [] or (needle == row["sha1"].encode() and len(found) == 1)
    repository = hub.repositories[REPO]
    assert [c.title for c in repository.history(repository.head())] == [
        "lucidlr_demo 0.2.0, without what was taken down"
    ]
    assert story["load 2"] == expected(story["folder"] / "build" / "dataset")
    gone = {row["sha1"] for row in story["rows"]}
    assert gone.isdisjoint(story["load 2"]["all"]["train"]["full"])


def test_the_repository_is_open_only_after_it_was_asked_for(story):
    assert story["hub"].repositories[REPO].private is False
    assert "(public)" in story["push 2"].stdout
