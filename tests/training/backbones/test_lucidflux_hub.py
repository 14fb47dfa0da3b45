"""Downloads from a hub on loopback: pinned, checked, continued; and what is said when it cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.backbones.lucidflux_tiny import tiny
from tests.training.backbones.model_hub import COMMIT, ModelHub, model_hub
from training.backbones import BackboneError
from training.backbones.lucidflux.hub import ASSETS, Asset, download


def asset(repo: str, path: str, **pins: str) -> Asset:
    return Asset(repo=repo, path=path, target=f"in/{path}", **pins)


OPEN, GATED = asset("lab/open", "a.bin"), asset("lab/gated", "b.bin")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[ModelHub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    files = {"lab/open/a.bin": b"a" * 1000, "lab/gated/b.bin": b"b" * 10}
    with model_hub(ModelHub(files, gated={"lab/gated"})) as running:
        yield running


def test_files_come_once_checked_and_noted_with_their_commit(hub: ModelHub, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    done = download(folder, (OPEN,), endpoint=hub.url)
    assert [(fetch.state, fetch.bytes) for fetch in done] == [("fetched", 1000)]
    assert (folder / "in" / "a.bin").read_bytes() == hub.files["lab/open/a.bin"]
    noted = json.loads((folder / "sources.json").read_text())["in/a.bin"]
    assert noted["revision"] == COMMIT
    assert noted["sha256"] == hashlib.sha256(b"a" * 1000).hexdigest()
    assert not (folder / ".download").exists()
    count = len(hub.requests)
    assert [fetch.state for fetch in download(folder, (OPEN,), endpoint=hub.url)] == ["there"]
    assert len(hub.requests) == count


def test_a_noted_commit_and_checksum_hold_for_later_downloads(
    hub: ModelHub, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    download(first, (OPEN,), endpoint=hub.url)
    (second / "sources.json").write_text((first / "sources.json").read_text())
    download(second, (OPEN,), endpoint=hub.url)
    assert any(f"/resolve/{COMMIT}/a.bin" in request for request in hub.requests[-2:])
    # The hub's file is another one now: not fetched.
    (second / "in" / "a.bin").unlink()
    hub.files["lab/open/a.bin"] = b"c" * 1000
    with pytest.raises(BackboneError, match=r"pinned is .*: not fetched"):
        download(second, (OPEN,), endpoint=hub.url)


def test_a_dry_run_tells_sizes_and_writes_nothing(hub: ModelHub, tmp_path: Path) -> None:
    said: list[str] = []
    done = download(tmp_path / "weights", (OPEN,), endpoint=hub.url, dry_run=True, say=said.append)
    assert [(fetch.state, fetch.bytes) for fetch in done] == [("to fetch", 1000)]
    assert COMMIT[:12] in said[0] and "lab/open" in said[0]
    assert not (tmp_path / "weights").exists()
    assert not [request for request in hub.requests if request.startswith("GET")]


def test_a_dry_run_tells_everything_that_is_in_the_way(hub: ModelHub, tmp_path: Path) -> None:
    nowhere = asset("lab/nowhere", "a.bin")
    done = download(tmp_path, (GATED, nowhere, OPEN), endpoint=hub.url, dry_run=True)
    assert [fetch.state for fetch in done] == ["refused", "refused", "to fetch"]
    assert "gated" in done[0].why and "does not show" in done[1].why


def test_a_gated_repository_without_a_token_names_the_page_and_the_login(
    hub: ModelHub, tmp_path: Path
) -> None:
    with pytest.raises(BackboneError, match="gated and there is no token") as caught:
        download(tmp_path, (GATED,), endpoint=hub.url)
    assert f"{hub.url}/lab/gated" in str(caught.value) and "HF_TOKEN" in str(caught.value)


def test_a_gated_repository_with_a_token_that_was_not_let_in_says_so(
    hub: ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "somebody")
    with pytest.raises(BackboneError, match="gated and your account has no access"):
        download(tmp_path, (GATED,), endpoint=hub.url)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert download(tmp_path, (GATED,), endpoint=hub.url)[0].state == "fetched"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (asset("lab/nowhere", "a.bin"), "does not show lab/nowhere to you"),
        (asset("lab/open", "c.bin"), r"has no lab/open/c\.bin"),
        (asset("lab/open", "a.bin", revision="1" * 40), "the pinned commit is gone"),
        (asset("lab/open", "a.bin", sha256="2" * 64), "pinned is 2222"),
    ],
)
def test_what_is_not_there_or_another_than_pinned_is_said(
    wanted: Asset, said: str, hub: ModelHub, tmp_path: Path
) -> None:
    with pytest.raises(BackboneError, match=said):
        download(tmp_path, (wanted,), endpoint=hub.url)
    assert not (tmp_path / "in").exists()


def test_bytes_that_do_not_have_their_checksum_are_deleted(hub: ModelHub, tmp_path: Path) -> None:
    hub.lie["lab/open/a.bin"] = b"x" * 1000
    with pytest.raises(BackboneError, match=r"what arrived has SHA-256 .*; deleted, try again"):
        download(tmp_path, (OPEN,), endpoint=hub.url)
    assert not (tmp_path / "in" / "a.bin").exists()
    hub.lie.clear()
    assert download(tmp_path, (OPEN,), endpoint=hub.url)[0].state == "fetched"


def test_a_hub_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="is there a connection"):
        download(tmp_path, (OPEN,), endpoint="http://127.0.0.1:9")


@pytest.mark.slow
def test_the_command_makes_a_weights_folder_that_loads(
    hub: ModelHub, lucidflux_weights: Path, tmp_path: Path
) -> None:
    """Its pins are for the real files: the tiny ones stand at the same places, so the pins are the ones to miss."""
    hub.files = {f"{a.repo}/{a.path}": (lucidflux_weights / a.target).read_bytes() for a in ASSETS}
    env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "lucidflux-download",
        "--to",
        str(tmp_path / "w"),
    ]
    run = subprocess.run(
        command, env=env, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False
    )
    assert run.returncode == 1 and "pinned commit is gone" in run.stderr
    assert "Non-Commercial License" in run.stderr and "Traceback" not in run.stderr

    unpinned = tuple(replace(one, revision=None, sha256=None) for one in ASSETS)
    folder = tmp_path / "weights"
    folder.mkdir()
    download(folder, unpinned, endpoint=hub.url)
    (folder / "sizes.json").write_bytes((lucidflux_weights / "sizes.json").read_bytes())
    tiny(folder)
