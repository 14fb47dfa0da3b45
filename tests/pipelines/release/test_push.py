"""Pushing to a loopback hub: private first, by one commit, resumable, and what was taken down leaves the history."""

import os
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from catalog.release.manifest import sha256_of
from pipelines.release.hub import PushError, git_blob
from pipelines.release.push import plan_lines, plan_push, push, pushed_lines
from tests.counts import rounds
from tests.hub.api import RepositoryApi
from tests.hub.releases import make_release
from tests.hub.server import Fault, running_hub
from tests.hub.storage import git_sha1
from tests.pipelines.builds import ENVIRONMENT

REPO = "lab/lucidlr"
# The client hands its own library the bodies in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Two releases: of the second three photographs were taken down."""
    folder = tmp_path_factory.mktemp("releases")
    first = make_release(folder / "one")
    make_release(folder / "two", version="0.2.0", without=1, previous=first.dataset_hash)
    return folder / "one", folder / "two"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    # Read by the client when it is imported, which has happened already.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with running_hub(tmp_path / "hub") as running:
        yield running


def client(hub, token="owner"):
    return HfApi(endpoint=hub.url, token=token)


def pushed(hub, folder, **options):
    """One push, planned and done; the log begins with it."""
    hub.log.clear()
    api = client(hub)
    public = options.pop("public", False)
    return push(api, plan_push(api, REPO, folder, **options), public=public)


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}


def held(hub, revision="main"):
    """Path -> name of the content, but for what the hub itself made."""
    tree = hub.repositories[REPO].at(revision).tree
    return {path: entry.oid for path, entry in tree.items() if path != ".gitattributes"}


def named(folder):
    """As `held` should be for this release."""
    return {
        path: sha256_of(file) if path.endswith(".parquet") else git_blob(file)
        for path, file in files_of(folder).items()
    }


def test_the_first_push_makes_a_private_repository_and_sends_every_file_in_one_commit(
    hub, releases
):
    done = pushed(hub, releases[0])
    repository = hub.repositories[REPO]
    assert repository.private is done.private is True
    assert held(hub) == named(releases[0])
    assert [c.title for c in repository.history(repository.head())] == [
        "lucidlr_tiles 0.1.0",
        "initial commit",
    ]
    assert repository.tags == {"v0.1.0": done.head}
    large = [path for path in named(releases[0]) if path.endswith(".parquet")]
    assert len(large) > 9
    assert len(hub.requests("PUT", "/store/")) == len(large)
    assert "private; open it with --public" in "\n".join(pushed_lines(done))


def test_a_dry_run_only_asks_and_tells_what_would_be_done(hub, releases):
    lines = "\n".join(plan_lines(plan_push(client(hub), REPO, releases[0])))
    assert "(new, private)" in lines
    assert f"send       {len(files_of(releases[0]))} files" in lines
    assert hub.repositories == {}
    pushed(hub, releases[0])
    hub.log.clear()
    told = "\n".join(plan_lines(plan_push(client(hub), REPO, releases[1], purge=True)))
    assert {method for method, _ in hub.log} == {"GET"}
    assert "history of 2 commits" in told
    assert "tags v0.1.0, to be deleted" in told
    assert held(hub) == named(releases[0])


def test_the_same_release_again_sends_nothing(hub, releases):
    first = pushed(hub, releases[0])
    again = pushed(hub, releases[0])
    assert {method for method, _ in hub.log} == {"GET"}
    assert again.head == first.head
    assert again.plan.same == len(files_of(releases[0]))


def test_a_new_version_replaces_the_shards_keeps_what_is_not_ours_and_leaves_the_old_tag(
    hub, releases
):
    pushed(hub, releases[0])
    notes = CommitOperationAdd("notes/why.txt", b"somebody's")
    client(hub).create_commit(REPO, [notes], commit_message="notes", repo_type="dataset")
    pushed(hub, releases[1])
    now = held(hub)
    assert now.pop("notes/why.txt") == git_sha1(b"somebody's")
    assert now == named(releases[1])
    assert held(hub, "v0.1.0") == named(releases[0])
    assert held(hub, "v0.2.0") == held(hub)
    # Shards that both releases have are not sent again.
    both = set(named(releases[0]).values()) & set(named(releases[1]).values())
    assert [path for path in hub.requests("PUT", "/store/") if path[-64:] in both] == []


def test_a_version_is_the_name_of_one_dataset(hub, releases, tmp_path):
    pushed(hub, releases[0])
    make_release(tmp_path / "other", version="0.1.0", without=1)
    with pytest.raises(PushError, match=r"v0\.1\.0 of lab/lucidlr is another dataset.*export"):
        pushed(hub, tmp_path / "other")
    assert {method for method, _ in hub.log} == {"GET"}


def test_a_cut_connection_is_tried_again_by_itself(hub, releases):
    hub.faults.append(Fault("PUT", "/store/", after=2))
    pushed(hub, releases[0])
    assert held(hub) == named(releases[0])
    assert len(hub.requests("PUT", "/store/")) == 1 + len({*named_large(releases[0])})


def named_large(folder):
    return [oid for path, oid in named(folder).items() if path.endswith(".parquet")]


@pytest.mark.slow
def test_a_push_that_was_killed_in_the_middle_shows_nothing_and_goes_on_where_it_was(
    hub, releases, tmp_path
):
    command = [sys.executable, "-m", "pipelines.cli", "push", REPO, "--out", str(releases[0])]
    environment = {**ENVIRONMENT, **hub.environment(tmp_path / "home")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    hub.faults.append(
        Fault("PUT", "/store/", after=4, call=lambda: os.kill(process.pid, signal.SIGKILL))
    )
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert held(hub) == {}
    arrived = {path.name for path in hub.repositories[REPO].large("").iterdir()}
    assert 0 < len(arrived) < len(named_large(releases[0]))
    hub.log.clear()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert held(hub) == named(releases[0])
    assert {path[-64:] for path in hub.requests("PUT", "/store/")} == {
        oid for oid in named_large(releases[0]) if oid not in arrived
    }


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(rounds(10, least=1)))
def test_a_push_that_is_killed_at_any_request_and_done_again_shows_the_release_once(
    hub, releases, tmp_path, kill
):
    """Half of the kills come before the hub has done what it was asked, half after it, before the answer."""
    api = client(hub)
    push(api, plan_push(api, "lab/undisturbed", releases[0]))
    asked, wanted = list(hub.log), named(releases[0])
    place = int((kill + 0.5) * len(asked) / rounds(10, least=1))
    method, before = asked[place][0], asked[:place]
    after = sum(one == method for one, _ in before)
    command = [sys.executable, "-m", "pipelines.cli", "push", REPO, "--out", str(releases[0])]
    environment = {**ENVIRONMENT, **hub.environment(tmp_path / "home")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    hub.faults.append(
        Fault(
            method,
            "",
            after=after,
            late=kill % 2 == 1,
            call=lambda: os.kill(process.pid, signal.SIGKILL),
        )
    )
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert REPO not in hub.repositories or held(hub) in ({}, wanted), "all of it or nothing"
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert held(hub) == wanted
    assert hub.repositories[REPO].private


def test_a_commit_that_was_refused_loses_nothing_that_was_sent(hub, releases):
    hub.faults.append(Fault("POST", "/commit/", status=503))
    with pytest.raises(PushError, match="run the same command again"):
        pushed(hub, releases[0])
    assert held(hub) == {}
    pushed(hub, releases[0])
    assert hub.requests("PUT", "/store/") == []
    assert held(hub) == named(releases[0])


def test_a_commit_whose_answer_was_lost_is_not_made_twice(hub, releases):
    hub.faults.append(Fault("POST", "/commit/", late=True))
    done = pushed(hub, releases[0])
    repository = hub.repositories[REPO]
    assert len(list(repository.history(repository.head()))) == 2
    assert repository.tags == {"v0.1.0": done.head}


def test_somebody_who_pushes_in_between_is_not_overwritten(hub, releases):
    pushed(hub, releases[0])
    api = client(hub)
    plan = plan_push(api, REPO, releases[1])
    more = CommitOperationAdd("README.md", b"mine")
    api.create_commit(REPO, [more], commit_message="mine", repo_type="dataset")
    with pytest.raises(PushError, match="in between"):
        push(api, plan)
    assert held(hub)["README.md"] == git_sha1(b"mine")


def test_public_is_said_and_comes_last(hub, releases):
    done = pushed(hub, releases[0], public=True)
    assert done.private is hub.repositories[REPO].private is False
    changes = [path for method, path in hub.log if method in ("POST", "PUT", "DELETE")]
    assert changes[-1].endswith("/settings")
    # Without it a later push leaves the repository as it is.
    assert pushed(hub, releases[1]).private is False


def rows_taken_down(releases):
    """(bytes, title) of what the second release does not hold any more."""
    one, two = (
        {
            row["page_id"]: row
            for path in sorted(folder.glob("data/*/*.parquet"))
            for row in pq.read_table(path, columns=["page_id", "title", "image"]).to_pylist()
        }
        for folder in releases
    )
    gone = [row for page, row in one.items() if page not in two]
    assert len(gone) == 3
    return [(row["image"]["bytes"], row["title"].encode()) for row in gone]


def test_after_a_purge_the_bytes_are_nowhere_in_the_hub_and_the_rest_is_whole(hub, releases):
    pushed(hub, releases[0])
    # An upload that was cut off before its commit leaves bytes that are in no commit.
    stray = b"PAR1" + rows_taken_down(releases)[0][0]
    operation = CommitOperationAdd("data/stray.parquet", stray)
    client(hub).preupload_lfs_files(REPO, [operation], repo_type="dataset")
    pushed(hub, releases[1])
    for content, title in rows_taken_down(releases):
        # Without a purge they are still there: the scan can find them.
        assert len(hub.holding(content)) >= 1
        assert len(hub.holding(title)) >= 1
    done = pushed(hub, releases[1], purge=True)
    assert done.left == 0
    repository = hub.repositories[REPO]
    for content, title in rows_taken_down(releases):
        assert hub.holding(content) == []
        assert hub.holding(title) == []
    assert held(hub) == named(releases[1])
    assert len(list(repository.history(repository.head()))) == 1
    assert repository.tags == {"v0.2.0": done.head}
    assert {f["oid"] for f in repository.large_files()} == set(named_large(releases[1]))
    # Once more: nothing to do, nothing done.
    again = pushed(hub, releases[1], purge=True)
    assert "purge      nothing" in "\n".join(plan_lines(again.plan))
    assert {method for method, _ in hub.log} == {"GET"}


def test_new_version_and_purge_in_one_command(hub, releases):
    pushed(hub, releases[0])
    done = pushed(hub, releases[1], purge=True)
    assert held(hub) == named(releases[1])
    assert hub.repositories[REPO].tags == {"v0.2.0": done.head}
    assert [hub.holding(content) for content, _ in rows_taken_down(releases)] == [[], [], []]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/tag/v0"),
        ("POST", "/super-squash/"),
        ("POST", "/lfs-files/batch"),
        ("POST", "/tag/"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_purge_that_was_interrupted_is_done_again_to_its_end(hub, releases, method, path, late):
    pushed(hub, releases[0])
    hub.faults.append(Fault(method, path, late=late))
    with pytest.raises(PushError, match="same command again"):
        pushed(hub, releases[1], purge=True)
    done = pushed(hub, releases[1], purge=True)
    assert done.left == 0
    assert held(hub) == named(releases[1])
    assert [hub.holding(content) for content, _ in rows_taken_down(releases)] == [[], [], []]
    repository = hub.repositories[REPO]
    assert repository.tags == {"v0.2.0": repository.head().oid}
    assert len(list(repository.history(repository.head()))) == 1


def test_a_purge_that_could_not_be_complete_is_refused_before_anything_is_done(hub, releases):
    with pytest.raises(PushError, match="Nothing was taken down"):
        pushed(hub, releases[0], purge=True)
    pushed(hub, releases[0])
    client(hub).create_branch(REPO, branch="draft", repo_type="dataset")
    with pytest.raises(PushError, match="branches draft of lab/lucidlr keep old commits"):
        pushed(hub, releases[1], purge=True)
    assert held(hub) == named(releases[0])


def test_large_files_that_cannot_be_told_apart_are_not_deleted(hub, releases, monkeypatch):
    """Should the Hub name large files by something else than their SHA-256, all would look like old ones."""
    pushed(hub, releases[0])
    repository = hub.repositories[REPO]
    listed = repository.large_files
    monkeypatch.setattr(
        repository, "large_files", lambda: [{**f, "oid": "x" + f["oid"]} for f in listed()]
    )
    with pytest.raises(PushError, match="No large file was deleted"):
        pushed(hub, releases[1], purge=True)
    assert hub.requests("POST", "/lfs-files/batch") == []


def test_a_gitignore_in_the_repository_that_swallows_files_is_noticed(hub, releases, monkeypatch):
    told = RepositoryApi._mode

    def ignoring(self, branch, file):
        return {**told(self, branch, file), "shouldIgnore": file["path"] == "CREDITS.csv"}

    monkeypatch.setattr(RepositoryApi, "_mode", ignoring)
    with pytest.raises(PushError, match=r"does not hold what was sent: CREDITS\.csv.*gitignore"):
        pushed(hub, releases[0])


def test_who_may_not_write_is_told_what_to_do(hub, releases, tmp_path):
    for token, told in ((False, "hf auth login"), ("wrong", "hf auth login"), ("reader", "write")):
        api = client(hub, token)
        with pytest.raises(PushError, match=told):
            push(api, plan_push(api, REPO, releases[0]))
    api = client(hub)
    with pytest.raises(PushError, match="take one with write access to that namespace"):
        push(api, plan_push(api, "elsewhere/lucidlr", releases[0]))
    assert hub.repositories == {}
    for odd in ("lucidlr", "a/b/c", "lab/lu cid", "lab/-"):
        with pytest.raises(PushError, match="no name of a repository"):
            plan_push(api, odd, releases[0])


def test_a_hub_that_is_not_there_is_one_message(releases):
    api = HfApi(endpoint="http://127.0.0.1:9", token="owner")
    with pytest.raises(PushError, match="connection to the Hub failed"):
        plan_push(api, REPO, releases[0])


def test_a_damaged_release_or_card_does_not_go_out(hub, tmp_path):
    make_release(tmp_path / "d")
    card = tmp_path / "d/README.md"
    text = card.read_text()
    card.write_text(text + "changed by hand")
    with pytest.raises(PushError, match=r"README\.md was changed.*Export again"):
        pushed(hub, tmp_path / "d")
    assert hub.log == []
