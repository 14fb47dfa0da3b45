"""Exports for other trainers, read back by their readers: the same bytes, the same number, everybody credited."""

import csv
import hashlib
import json
import shutil

import pytest

from catalog.release.formats import FORMATS, FormatError, write_format
from catalog.release.manifest import sha256_of
from pipelines.build.refresh import take_down
from pipelines.photos.api import open_release
from pipelines.release.export import export_format


@pytest.fixture(scope="module")
def truth(small_build):
    """SHA-1 -> split of every photograph of the demo's release."""
    release = open_release(small_build)
    return {row["sha1"]: row["split"] for row in release.rows()}


@pytest.fixture(scope="module")
def exported(small_build, tmp_path_factory):
    root = tmp_path_factory.mktemp("formats")
    for form in FORMATS:
        write_format(small_build / "dataset", root / form, form, shard_bytes=400_000)
    return root


def sha1_of(content):
    return hashlib.sha1(content).hexdigest()


def parse_meta_info(path):
    """As basicsr.data: `paths = [line.rstrip().split(' ')[0] for line in fin]`, and its size `(h,w,c)`."""
    lines = path.read_text().splitlines()
    assert all(len(line.split(" ")) in (2, 3) for line in lines)
    return {
        name: tuple(map(int, size.strip("()").split(",")))
        for name, size, *_ in (line.rstrip().split(" ") for line in lines)
    }


@pytest.mark.slow
def test_each_has_credits_licenses_and_manifest_beside_it_and_says_what_it_holds(
    exported, small_build, truth
):
    for form in FORMATS:
        about = json.loads((exported / form / "export.json").read_text())
        assert about["photographs"] == len(truth) and about["format"] == form
        for name in ("CREDITS.csv", "LICENSES.md", "manifest.json"):
            assert (exported / form / name).read_bytes() == (
                small_build / "dataset" / name
            ).read_bytes()
        told = {one["path"] for one in about["files"]}
        assert {"CREDITS.csv", "LICENSES.md", "manifest.json"} <= told
        for one in about["files"]:
            assert sha256_of(exported / form / one["path"]) == one["sha256"]
        with (exported / form / "CREDITS.csv").open(newline="", encoding="utf-8") as source:
            credited = {row["sha1"]: row["attribution_line"] for row in csv.DictReader(source)}
        assert credited.keys() == truth.keys() and all(credited.values())


@pytest.mark.slow
def test_datasets_reads_the_image_folder(exported, truth, tmp_path):
    import datasets

    read = datasets.load_dataset(
        "imagefolder", data_dir=str(exported / "imagefolder"), cache_dir=str(tmp_path)
    )
    assert set(read) == set(truth.values())
    found = {}
    for split, rows in read.items():
        for row in rows.cast_column("image", datasets.Image(decode=False)):
            content = row["image"]["bytes"]
            if content is None:
                content = open(row["image"]["path"], "rb").read()  # noqa: SIM115, PTH123
            assert sha1_of(content) == row["sha1"]
            assert row["license"] and row["attribution_line"] and row["title"].startswith("File:")
            found[row["sha1"]] = split
    assert found == truth
    first = read["train"][0]["image"]
    assert first.size[0] > 0


@pytest.mark.slow
def test_basicsr_finds_every_image_of_its_list(exported, truth):
    import cv2

    found = {}
    for split in set(truth.values()):
        named = parse_meta_info(exported / "basicsr" / f"meta_info_{split}.txt")
        for name, size in named.items():
            file = exported / "basicsr" / name
            found[sha1_of(file.read_bytes())] = split
            assert cv2.imread(str(file), cv2.IMREAD_COLOR).shape == size
    assert found == truth


@pytest.mark.slow
def test_basicsr_reads_the_database(small_build, truth, tmp_path):
    lmdb = pytest.importorskip("lmdb")
    import cv2
    import numpy as np

    write_format(small_build / "dataset", tmp_path / "out", "basicsr", lmdb=True)
    found = {}
    for split in set(truth.values()):
        place = tmp_path / "out" / f"{split}.lmdb"
        named = parse_meta_info(place / "meta_info.txt")
        # basicsr.utils.FileClient opens it so; keys are names without their extensions.
        with (
            lmdb.open(
                str(place), readonly=True, lock=False, readahead=False, max_readers=1
            ) as database,
            database.begin(write=False) as transaction,
        ):
            assert transaction.stat()["entries"] == len(named)
            for name, size in named.items():
                content = bytes(transaction.get(name.split(".")[0].encode("ascii")))
                found[sha1_of(content)] = split
                assert cv2.imdecode(np.frombuffer(content, np.uint8), 1).shape == size
    assert found == truth
    told = {f["path"] for f in json.loads((tmp_path / "out" / "export.json").read_text())["files"]}
    assert {f"{split}.lmdb/data.mdb" for split in set(truth.values())} <= told


@pytest.mark.slow
def test_webdataset_reads_the_shards(exported, truth):
    wds = pytest.importorskip("webdataset")
    found = {}
    for split in set(truth.values()):
        shards = sorted(map(str, (exported / "webdataset").glob(f"{split}-*.tar")))
        for sample in wds.WebDataset(shards, shardshuffle=False):
            (extension,) = {"jpg", "png", "webp"} & set(sample)
            said = json.loads(sample["json"])
            assert sha1_of(sample[extension]) == said["sha1"] == sample["__key__"]
            assert said["license"] and said["attribution_line"]
            found[said["sha1"]] = split
    assert found == truth
    assert len(list((exported / "webdataset").glob("train-*.tar"))) > 1


@pytest.mark.slow
def test_the_same_release_gives_the_same_shards_and_lists(exported, small_build, tmp_path):
    for form in ("webdataset", "imagefolder"):
        write_format(small_build / "dataset", tmp_path / form, form, shard_bytes=400_000)
        for file in (exported / form).rglob("*"):
            if file.is_file():
                assert (tmp_path / form / file.relative_to(exported / form)).read_bytes() == (
                    file.read_bytes()
                )


@pytest.mark.slow
def test_what_was_taken_down_is_in_no_export(small_build, tmp_path):
    out = tmp_path / "build"
    shutil.copytree(small_build, out)
    gone = next(open_release(out).rows())
    assert take_down(out, [gone["title"]]).pages
    export_format(out, out / "imagefolder", "imagefolder")
    names = [f.name for f in (out / "imagefolder").rglob("*")]
    assert not [name for name in names if name.startswith(gone["sha1"])]
    assert gone["sha1"] not in (out / "imagefolder" / "CREDITS.csv").read_text()


@pytest.mark.slow
def test_a_folder_of_somebody_elses_is_not_overwritten(small_build, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(FormatError, match="something else"):
        write_format(small_build / "dataset", tmp_path / "mine", "basicsr")
    with pytest.raises(FormatError, match="--format basicsr"):
        write_format(small_build / "dataset", tmp_path / "new", "imagefolder", lmdb=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()
