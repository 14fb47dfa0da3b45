"""The shipped recipe `gpic`, as a person runs it: shards under gpic/ in GPIC's layout, killed, resumed, released.

The shards are made here with the field names that GPIC describes; GPIC's own are not in reach of a test.
"""

import csv
import hashlib
import io
import json
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
from PIL import Image
from skimage import data

from catalog.release.formats import FORMATS, write_format
from crawler.walkers.folder import FolderSource
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.photos.api import open_release
from pipelines.recipe import load_recipe
from tests.pipelines.builds import ENVIRONMENT, dataset_hash

BY = "https://creativecommons.org/licenses/by/2.0/"
PAGE = "https://huggingface.co/datasets/stanford-vision-lab/gpic"


def pictures():
    """(key, bytes, JSON or None): sixteen degraded photographs, every fourth without one of the three fields."""
    photos = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    for number in range(16):
        photo, turn = photos[number % 4], number // 4
        height, width = photo.shape[:2]
        top, left = (height - 288) * (turn // 2), (width - 300) * (turn % 2)
        tile = np.ascontiguousarray(photo[top : top + 288, left : left + 300])
        noise = np.random.default_rng(number).normal(0, 24 + 4 * turn, tile.shape)
        damaged = np.clip(tile + noise, 0, 255).astype(np.uint8)
        sink = io.BytesIO()
        Image.fromarray(damaged).save(sink, "JPEG", quality=92)
        key = f"{number:09d}"
        said = {
            **{"key": key, "width": 300, "height": 288, "retrieved_at": "2026-01-02"},
            **{"license": "CC BY 2.0", "license_url": BY, "attribution": f"Ada {number}"},
        }
        if turn == 3:
            said.pop(("license", "license_url", "attribution", "license")[number % 4])
        yield key, sink.getvalue(), None if number == 15 else said


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A working directory with gpic/*.tar, and the same pictures as plain/."""
    root = tmp_path_factory.mktemp("gpic")
    (root / "gpic").mkdir()
    (root / "plain").mkdir()
    for shard in range(2):
        with tarfile.open(root / "gpic" / f"gpic-{shard:06d}.tar", "w") as tar:
            for key, content, said in list(pictures())[shard::2]:
                members = {f"{key}.jpg": content}
                if said is not None:
                    members[f"{key}.json"] = json.dumps(said).encode()
                for name, held in members.items():
                    (root / "plain" / name).write_bytes(held)
                    about = tarfile.TarInfo(name)
                    about.size = len(held)
                    tar.addfile(about, io.BytesIO(held))
    return root


@pytest.fixture(scope="module")
def released(home):
    """Its release, of a build that was killed while it measured and run again."""
    command = [sys.executable, "-m", "pipelines.cli", "build", "gpic", "--out", "out"]
    command += ["--workers", "1"]
    process = subprocess.Popen(
        command,
        cwd=home,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    parts = home / "out" / "catalog" / "parts" / "download"
    while time.monotonic() < until and not list(parts.glob("*/*.parquet")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert not (home / "out" / "dataset" / "manifest.json").exists()
    done = subprocess.run(
        command, cwd=home, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return open_release(home / "out")


@pytest.mark.slow
def test_gpic_shards_become_a_dataset_with_credits_and_without_what_states_no_license(released):
    rows = released.table(["title", "license", "attribution_line", "labels"]).to_pylist()
    numbers = sorted(int(row["title"].removeprefix("File:").removesuffix(".jpg")) for row in rows)
    assert len(numbers) >= 6
    # The last four lack a license, its address, a name to credit, or their JSON.
    assert max(numbers) < 12, numbers
    for row in rows:
        number = int(row["title"].removeprefix("File:").removesuffix(".jpg"))
        assert row["license"] == "CC-BY-2.0" and "noise" in row["labels"]
        assert f"Ada {number}" in row["attribution_line"] and PAGE in row["attribution_line"]
    card = (released.folder / "README.md").read_text(encoding="utf-8")
    assert card.partition("\n# ")[2].startswith("Degraded photographs of GPIC\n")
    opening = card.partition("\n# ")[2].partition("## What is in it")[0]
    assert (
        "photographs from Wikimedia Commons" not in opening and "maker of this release" in opening
    )
    # No byte of what stayed out lies in a shard.
    held = b"".join(file.read_bytes() for file in released.files())
    for key, content, _ in pictures():
        assert (content in held) == (int(key) in numbers)


@pytest.mark.slow
def test_a_folder_of_the_same_files_gives_the_hash_of_the_resumed_build(home, released, tmp_path):
    recipe = load_recipe("gpic")
    (shards,) = recipe.sources
    folder = FolderSource(path=str(home / "plain"), fields=shards.fields, evidence=shards.evidence)
    with pool_runner("threads", 1) as runner:
        done = build(
            recipe.model_copy(update={"sources": (folder,)}), out=tmp_path / "out", runner=runner
        )
    assert done.dataset_hash == released.manifest.dataset_hash == dataset_hash(home / "out")


@pytest.mark.slow
def test_exports_of_own_files_hold_the_same_bytes_and_credit_everybody(released, tmp_path):
    truth = {row["sha1"]: row for row in released.rows()}
    for form in FORMATS:
        to = tmp_path / form
        assert write_format(released.folder, to, form) == len(truth)
        with (to / "CREDITS.csv").open(newline="", encoding="utf-8") as source:
            credits_ = {row["sha1"]: row for row in csv.DictReader(source)}
        assert credits_.keys() == truth.keys()
        for sha1, credit in credits_.items():
            row = truth[sha1]
            assert row["attribution"].startswith("Ada ") and row["attribution"] in "".join(
                credit.values()
            )
            assert credit["license"] == row["license"] == "CC-BY-2.0"
            assert (
                row["file_page_url"] == PAGE and PAGE in credit.values() and BY in credit.values()
            )
        found, told = {}, {}
        for name, content in members_of(to):
            if name.endswith(".jpg"):
                found[hashlib.sha1(content).hexdigest()] = content
            elif name.endswith((".json", ".jsonl")):
                for line in content.splitlines():
                    said = json.loads(line)
                    told[said["sha1"]] = said
        assert found == {sha1: row["image"] for sha1, row in truth.items()}
        # BasicSR's list has no room for credits: they stand in CREDITS.csv.
        assert told.keys() == (set() if form == "basicsr" else truth.keys())
        for sha1, said in told.items():
            for column in (
                "license",
                "license_url",
                "attribution",
                "attribution_line",
                "file_page_url",
            ):
                assert said[column] == truth[sha1][column] and said[column]


def members_of(folder):
    """(name, bytes) of the files of the splits, of tars their members."""
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".tar":
            with tarfile.open(file) as tar:
                for member in tar:
                    yield member.name, tar.extractfile(member).read()
        elif file.is_file() and file.parent != folder:
            yield file.name, file.read_bytes()
