"""A build from somebody's own folder and from WebDataset shards: the same gate and bytes, nothing without a license."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
import yaml
from PIL import Image
from skimage import data

from catalog.errors import Missing
from catalog.explain import explain_lines
from catalog.records import OWN_IDS
from crawler.shelves.records import license_code, own_page_id
from crawler.walkers.folder import FolderSource
from crawler.walkers.webdataset import WebDatasetSource
from pipelines.build.driver import build
from pipelines.build.refresh import refresh, take_down
from pipelines.build.runners import pool_runner
from pipelines.photos.api import open_release
from pipelines.recipe import Recipe, load_recipe
from pipelines.release.export import export_again
from tests.pipelines.builds import ENVIRONMENT, dataset_hash

BY = "https://creativecommons.org/licenses/by/2.0/"
FIELDS = {
    "license": "license",
    "license_url": "license_url",
    "attribution": "attribution",
    "source": "landing",
}
GOOD = {
    "license": "CC BY 2.0",
    "license_url": BY,
    "attribution": "Ada",
    "landing": "https://f.example/1",
}


def jpeg(rgb, quality=90):
    sink = io.BytesIO()
    Image.fromarray(rgb).save(sink, "JPEG", quality=quality)
    return sink.getvalue()


def damaged(rgb, number):
    import cv2

    noise = np.random.default_rng(number).normal(0, 25, rgb.shape)
    blurred = cv2.GaussianBlur(rgb, (0, 0), 5)
    return blurred if number % 2 else np.clip(rgb + noise, 0, 255).astype(np.uint8)


def pictures():
    """(name, bytes, what is said of it): twelve degraded photographs under a license, and what has to stay out."""
    photos = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    for number in range(12):
        photo = photos[number % 4]
        top, left = (number // 4) * 90, (number // 4) * 110
        tile = np.ascontiguousarray(photo[top : top + 110, left : left + 140])
        yield f"{number:02d}.jpg", jpeg(damaged(tile, number)), {**GOOD, "author": "x"}
    tile = photos[0][300:420, 100:260]
    for number, (name, said) in enumerate(
        [
            ("none", None),
            ("empty", {}),
            ("nc", {**GOOD, "license": "CC BY-NC 2.0"}),
            (
                "other address",
                {**GOOD, "license_url": "https://creativecommons.org/licenses/by-sa/2.0/"},
            ),
            ("nobody", {**GOOD, "attribution": "unknown"}),
            ("mark", {**GOOD, "license": "Public Domain Mark 1.0", "license_url": None}),
            ("no source", {**GOOD, "landing": "ftp://x"}),
            ("a list", ["CC BY 2.0"]),
            # The same bytes as the third, which are non-commercial there.
            ("nc elsewhere", GOOD),
        ]
    ):
        shift = 11 * (2 if name == "nc elsewhere" else number)
        yield f"out {name}.jpg", jpeg(np.roll(damaged(tile, 1), shift, axis=0)), said
    yield "broken.jpg", jpeg(tile)[:700], GOOD


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The same pictures as a folder and as two shards."""
    root = tmp_path_factory.mktemp("own")
    (root / "folder").mkdir()
    tars = [tarfile.open(root / f"s{n}.tar", "w") for n in (0, 1)]  # noqa: SIM115
    for number, (name, content, said) in enumerate(pictures()):
        (root / "folder" / name).write_bytes(content)
        members = [(name, content)]
        if said is not None:
            text = json.dumps(said).encode()
            (root / "folder" / name).with_suffix(".json").write_bytes(text)
            members.append((name.replace(".jpg", ".json"), text))
        for inner, bytes_ in members:
            about = tarfile.TarInfo(inner)
            about.size = len(bytes_)
            tars[number % 2].addfile(about, io.BytesIO(bytes_))
    for tar in tars:
        tar.close()
    return root


def recipe_of(source):
    return load_recipe("demo").model_copy(update={"corpus": None, "sources": (source,)})


def built(source, out):
    with pool_runner("threads", 1) as runner:
        return build(recipe_of(source), out=out, runner=runner)


@pytest.fixture(scope="module")
def from_folder(places, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "folder"
    return built(FolderSource(path=str(places / "folder"), fields=FIELDS), out)


@pytest.mark.slow
def test_only_what_has_a_license_and_somebody_to_credit_is_released(from_folder):
    rows = open_release(from_folder.out).table(["title", "license", "attribution_line", "page_id"])
    titles = rows.column("title").to_pylist()
    assert len(titles) >= 4
    assert all(title[5:7].isdecimal() for title in titles), titles
    assert set(rows.column("license").to_pylist()) == {"CC-BY-2.0"}
    for row in rows.to_pylist():
        assert "Ada" in row["attribution_line"] and "https://f.example/1" in row["attribution_line"]
        assert "Wikimedia" not in row["attribution_line"]
        assert row["page_id"] >= OWN_IDS


@pytest.mark.slow
def test_shards_give_the_dataset_of_the_folder(from_folder, places, tmp_path):
    other = built(WebDatasetSource(path=str(places / "s*.tar"), fields=FIELDS), tmp_path / "tars")
    assert other.dataset_hash == from_folder.dataset_hash
    # And a second build asks and changes nothing.
    again = built(WebDatasetSource(path=str(places / "s*.tar"), fields=FIELDS), tmp_path / "tars")
    assert again.dataset_hash == from_folder.dataset_hash


@pytest.mark.slow
def test_why_a_file_is_out_is_explained(from_folder):
    for name, why in (
        ("Out nc", "license_not_allowed"),
        ("Out none", "no_license"),
        ("Out mark", "pd_without"),
    ):
        told = "\n".join(explain_lines(from_folder.out, f"File:{name}.jpg"))
        assert why in told, told


@pytest.mark.slow
def test_a_license_without_fields_needs_evidence_and_then_releases(places, tmp_path):
    with pytest.raises(ValueError, match="evidence"):
        FolderSource(path="x", license="CC-BY-4.0")
    plain = built(FolderSource(path=str(places / "folder")), tmp_path / "plain")
    assert plain.dataset_hash is None and not (tmp_path / "plain" / "dataset").exists()
    stated = FolderSource(
        path=str(places / "folder"),
        license="CC-BY-4.0",
        license_url="https://creativecommons.org/licenses/by/4.0/",
        author="Ada",
        evidence="https://ada.example/photos",
    )
    done = open_release(built(stated, tmp_path / "stated").out)
    assert set(done.table(["license"]).column("license").to_pylist()) == {"CC-BY-4.0"}
    lines = done.table(["attribution_line"]).column("attribution_line").to_pylist()
    assert all("https://ada.example/photos" in line for line in lines)


@pytest.mark.slow
def test_a_takedown_takes_a_file_out_and_a_refresh_asks_nobody(from_folder, places, tmp_path):
    import shutil

    out = tmp_path / "out"
    shutil.copytree(from_folder.out, out)
    rows = open_release(out).table(["title", "sha1"]).to_pylist()
    recipe = recipe_of(FolderSource(path=str(places / "folder"), fields=FIELDS))
    # No host is there that could answer.
    assert refresh(recipe, out=out).asked == 0
    assert take_down(out, [rows[0]["title"], rows[1]["sha1"]]).pages
    export_again(out)
    left = open_release(out).table(["title"]).column("title").to_pylist()
    assert set(left) == {row["title"] for row in rows[2:]}


@pytest.mark.slow
def test_a_file_that_changed_since_it_was_listed_is_a_failure(places, tmp_path):
    import shutil

    shutil.copytree(places / "folder", tmp_path / "mine")
    source = FolderSource(path=str(tmp_path / "mine"), fields=FIELDS)
    from pipelines.build import fetched

    taken = fetched.take_in

    def changed(store, row, where):
        (tmp_path / "mine" / "00.jpg").write_bytes(b"something else")
        return taken(store, row, where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetched, "take_in", changed)
        done = built(source, tmp_path / "out")
    assert ("download", "own_file_gone", 1) in done.failures


@pytest.mark.slow
def test_killed_and_run_again_the_hash_is_the_same(from_folder, places, tmp_path):
    recipe = yaml.safe_load(
        (load_recipe.__globals__["RECIPES"] / "demo.yaml").read_text(encoding="utf-8")
    )
    del recipe["corpus"]
    recipe["sources"] = [{"kind": "folder", "path": str(places / "folder"), "fields": FIELDS}]
    recipe["batch_size"] = 4
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipelines.cli", "build", str(tmp_path / "own.yaml")]
    command += ["--out", str(out), "--workers", "1"]
    for stage in ("download", "measure"):
        process = subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 90
        parts = out / "catalog" / "parts" / stage
        while time.monotonic() < until and not list(parts.glob("*/*.parquet")):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        assert not (out / "dataset" / "manifest.json").exists()
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert dataset_hash(out) == from_folder.dataset_hash


def test_licenses_as_people_write_them():
    assert license_code("CC BY-SA 2.0", None) == "cc-by-sa-2.0"
    assert license_code("Attribution-NonCommercial-ShareAlike 3.0", None) == "cc-by-nc-sa-3.0"
    assert license_code("by", BY) == "cc-by-2.0"
    # The address is of another license: no version is taken from it.
    assert license_code("by-sa", BY) == "cc-by-sa"
    assert license_code("CC0", None) == license_code("CC0 1.0", None) == "cc0"
    assert license_code("Public Domain Mark 1.0", None) == "pd"
    assert license_code("All rights reserved", None) == "all-rights-reserved"
    assert license_code("  ", BY) is None


def test_a_number_made_of_a_sha1_is_no_page_of_a_wiki():
    assert own_page_id("0" * 40) == OWN_IDS == 2**61
    assert own_page_id("f" * 40) == 2**62 - 1
    # The same bytes under another statement are another candidate, so that the refused one can count for both.
    assert own_page_id("0" * 40, "CC BY 2.0") != own_page_id("0" * 40, "CC BY-NC 2.0") >= 2**61


def test_no_shard_is_a_sentence(tmp_path):
    from crawler.walkers.webdataset import count

    with pytest.raises(Missing, match="No shard matches"):
        count(None, WebDatasetSource(path="nothing-*.tar"), tmp_path)


def test_gpic_by_its_recipe_on_made_shards():
    (source,) = load_recipe("gpic").sources
    assert source.kind == "webdataset" and source.fields["attribution"] == "attribution"
    assert not load_recipe("gpic").asks_a_wiki


def test_names_and_texts_without_utf_8_are_listed_and_read_back(tmp_path):
    from crawler.walkers.folder import walk

    odd = os.fsdecode(b"caf\xe9")
    (tmp_path / f"{odd}.jpg").write_bytes(b"x")
    (tmp_path / f"{odd}.json").write_text(json.dumps({**GOOD, "attribution": "A\ud800da"}))
    (tmp_path / "a.jpg").symlink_to("nowhere")
    (tmp_path / "b.jpg").symlink_to("nowhere")

    class Shelf:
        def look(self, content):
            return 10, 10, "image/jpeg"

    source = FolderSource(path=str(tmp_path), fields=FIELDS)
    (batch,) = walk(Shelf(), source, None, "key", tmp_path)
    ((record, row),) = batch.files
    # What goes into Parquet is UTF-8, and the path leads to the file.
    for text in (record.title, record.attribution, row.source_path, row.raw_json):
        text.encode("utf-8")
    assert json.loads(row.source_path)["path"] == str(tmp_path / f"{odd}.jpg")
    assert json.loads(row.raw_json)["said"]["attribution"] == "A\ud800da"
    assert batch.problem.startswith("2 files cannot be read. The first is a.jpg:")


@pytest.mark.slow
def test_a_recipe_without_any_rule_releases_nothing_that_was_not_fetched(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(jpeg(data.chelsea()[:120, :160]))
    (folder / "cut.jpg").write_bytes(jpeg(data.coffee()[:120, :160])[:900])
    source = FolderSource(
        path=str(folder),
        license="CC-BY-4.0",
        license_url="https://creativecommons.org/licenses/by/4.0/",
        author="Ada",
        evidence="https://ada.example/photos",
    )
    recipe = Recipe(name="plain", sources=(source,), gate=(), rules=())
    with pool_runner("threads", 1) as runner:
        done = build(recipe, out=tmp_path / "out", runner=runner)
    assert open_release(done.out).table(["title"]).column("title").to_pylist() == ["File:Good.jpg"]
    told = "\n".join(explain_lines(done.out, "File:Cut.jpg"))
    assert "dropped: at_hand:corrupt" in told
