"""`lucidlr label` on real pictures: rows for all, twins as builds find them, the same bytes after a kill."""

import csv
import os
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage import data

from crawler.shelves import ItemGone, items_of, read_item
from filters.duplicates.dedupe import DedupePolicy
from filters.duplicates.embedding import EmbeddingPolicy
from filters.duplicates.partial import PartialPolicy
from pipelines.photos.facts import Facts
from pipelines.photos.judge import LABELS_SCHEMA, recipe_for_files, rules_for_files, wanted_by
from pipelines.photos.label import LabelError, label, label_lines
from pipelines.photos.look import look_at_items
from pipelines.recipe import load_recipe
from tests.shared import shared_folder
from tests.test_documents import ENVIRONMENT, ROOT


def save(path, rgb, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path, **options)


def blurred(rgb, sigma):
    import cv2

    return cv2.GaussianBlur(rgb, (0, 0), sigma)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of scikit-image: sharp, blurred, a copy, a copy of its bytes, and what is no picture."""
    root = tmp_path_factory.mktemp("photos") / "mine"
    save(root / "astronaut.png", data.astronaut())
    save(root / "cats" / "chelsea.png", data.chelsea())
    save(root / "cats" / "chelsea small.jpg", data.chelsea()[::2, ::2], quality=60)
    save(root / "coffee blurred.png", blurred(data.coffee(), 4))
    (root / "coffee again.png").write_bytes((root / "coffee blurred.png").read_bytes())
    (root / "broken.jpg").write_bytes((root / "cats" / "chelsea small.jpg").read_bytes()[:900])
    (root / "page.png").write_text("<!doctype html><title>not found</title>")
    (root / "notes.txt").write_text("nothing to see")
    (root / ".hidden.png").write_bytes(b"x")
    (root / "<b>odd\x1b[2J.png").write_bytes((root / "astronaut.png").read_bytes())
    return root


@pytest.fixture(scope="module")
def labelled(folder, tmp_path_factory):
    return label([folder], tmp_path_factory.mktemp("out") / "labels")


def rows_of(done):
    return {row["file"]: row for row in done.table.to_pylist()}


def test_every_picture_is_a_row_and_nothing_else(labelled):
    assert set(rows_of(labelled)) == {
        *("astronaut.png", "broken.jpg", "cats/chelsea small.jpg", "cats/chelsea.png"),
        *("coffee again.png", "coffee blurred.png", "page.png", "<b>odd\x1b[2J.png"),
    }
    assert [path.name for path in labelled.skipped] == ["notes.txt"]


def test_a_blurred_picture_is_labelled_and_a_sharp_one_is_not(labelled):
    rows = rows_of(labelled)
    assert "blur" in rows["coffee blurred.png"]["labels"].split()
    assert rows["coffee blurred.png"]["severity_blur"] > 0.9
    assert rows["astronaut.png"]["labels"] == ""
    assert rows["astronaut.png"]["severity_blur"] < rows["coffee blurred.png"]["severity_blur"]


def test_twins_are_told_and_one_of_them_is_kept(labelled):
    rows = rows_of(labelled)
    assert rows["cats/chelsea small.jpg"]["twin_of"] == "cats/chelsea.png"
    assert rows["cats/chelsea small.jpg"]["reason"].startswith("near_duplicate:copy")
    assert rows["cats/chelsea.png"]["keep"] and rows["cats/chelsea.png"]["twin_of"] is None
    # Equal bytes: the first by its name stays.
    assert rows["coffee blurred.png"]["twin_of"] == "coffee again.png"
    assert rows["coffee blurred.png"]["sha1"] == rows["coffee again.png"]["sha1"]


def test_what_cannot_be_read_is_a_row_with_an_error(labelled):
    rows = rows_of(labelled)
    assert rows["broken.jpg"]["reason"] == "object:corrupt" and rows["broken.jpg"]["error"]
    assert "HTML" in rows["page.png"]["error"]
    assert rows["page.png"]["labels"] is None and not rows["page.png"]["keep"]
    assert len(rows["broken.jpg"]["sha1"]) == 40


def test_the_files_hold_the_same_rows(labelled):
    held = pq.read_table(labelled.out / "labels.parquet")
    assert held.schema.equals(LABELS_SCHEMA, check_metadata=True)
    assert held.schema.metadata[b"lucidlr.labels"] == b"1"
    with (labelled.out / "labels.csv").open(newline="", encoding="utf-8") as source:
        told = list(csv.DictReader(source))
    assert [row["file"] for row in told] == held.column("file").to_pylist()
    assert told[0].keys() == set(LABELS_SCHEMA.names)
    for said, row in zip(told, held.to_pylist(), strict=True):
        assert said["keep"] == str(row["keep"]).lower()
        if row["severity"] is not None:
            assert float(said["severity"]) == pytest.approx(row["severity"], abs=5e-5)


def test_the_page_escapes_names_and_links_to_the_files(labelled, folder):
    page = (labelled.out / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;odd\\x1b[2J.png" in page and "<b>odd" not in page and "\x1b" not in page
    assert 'id="blur"' in page and 'id="twins"' in page and 'id="errors"' in page
    href = os.path.relpath(folder / "cats" / "chelsea.png", labelled.out)
    assert f'href="{href}"' in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")


def test_a_second_run_looks_at_nothing_and_writes_the_same_bytes(labelled, folder):
    before = {f.name: f.read_bytes() for f in labelled.out.iterdir() if f.is_file()}
    again = label([folder], labelled.out)
    assert again.looked_at == 0
    assert {f.name: f.read_bytes() for f in labelled.out.iterdir() if f.is_file()} == before


@pytest.mark.slow
def test_only_a_changed_file_is_looked_at_again(folder, labelled, tmp_path):
    import shutil

    copy = tmp_path / "mine"
    shutil.copytree(folder, copy)
    first = label([copy], tmp_path / "out")
    save(copy / "astronaut.png", blurred(data.astronaut(), 5))
    (copy / "broken.jpg").unlink()
    second = label([copy], tmp_path / "out")
    assert (first.looked_at, second.looked_at) == (8, 1)
    assert "broken.jpg" not in rows_of(second)
    assert "blur" in rows_of(second)["astronaut.png"]["labels"]


@pytest.mark.slow
def test_a_shard_and_a_table_give_the_rows_of_the_folder(folder, labelled, tmp_path):
    names = [f for f in sorted(folder.rglob("*")) if f.is_file() and f.suffix in (".png", ".jpg")]
    names = [f for f in names if not f.name.startswith(".")]
    with tarfile.open(tmp_path / "mine.tar", "w") as tar:
        for file in names:
            tar.add(file, arcname=str(file.relative_to(folder)))
        tar.add(folder / "notes.txt", arcname="notes.txt")
    images = [{"bytes": f.read_bytes(), "path": f.name} for f in names]
    pq.write_table(pa.table({"image": images}), tmp_path / "mine.parquet", row_group_size=3)
    by_sha1 = {r["sha1"]: (r["labels"], r["severity"]) for r in labelled.table.to_pylist()}
    for name in ("mine.tar", "mine.parquet"):
        done = label([tmp_path / name], tmp_path / f"{name} out", page=False)
        found = [(r["sha1"], (r["labels"], r["severity"])) for r in done.table.to_pylist()]
        assert len(found) == len(names)
        assert dict(found) == by_sha1
        assert all(row["file"].startswith(f"{name}/") for row in done.table.to_pylist())


def test_damaged_shards_are_rows_and_their_whole_members_are_read(folder, tmp_path):
    with tarfile.open(tmp_path / "cut.tar", "w") as tar:
        tar.add(folder / "cats" / "chelsea.png", arcname="a.png")
        tar.add(folder / "astronaut.png", arcname="b.png")
    whole = (tmp_path / "cut.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none.tar").write_bytes(b"no tar at all" * 100)
    (tmp_path / "small.tar.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + b"x" * 50)
    items = {item.name: item for item in items_of([tmp_path])}
    assert read_item(items["cut.tar/a.png"]) == (folder / "cats" / "chelsea.png").read_bytes()
    with pytest.raises(ItemGone, match="ends after"):
        read_item(items["cut.tar/b.png"])
    done = label([tmp_path], tmp_path / "out", page=False)
    told = {row["file"]: row["error"] or "" for row in done.table.to_pylist()}
    assert "damaged or no tar" in told["none.tar"] and "unpack it" in told["small.tar.gz"]
    assert "cannot be read" in told["bad.parquet"] and told["cut.tar/a.png"] == ""


def test_a_recipe_brings_its_rules_and_says_which_cannot_be_asked(folder, tmp_path):
    recipe = load_recipe("demo")
    asked, left = rules_for_files(recipe)
    assert {"short_side", "object", "near_duplicate", "degraded"} <= {rule.name for rule in asked}
    assert [rule.name for rule in left] == ["file", "license"]
    done = label([folder], tmp_path / "out", recipe=recipe, page=False)
    rows = rows_of(done)
    assert done.not_asked == ("file", "license")
    assert rows["astronaut.png"]["reason"].startswith(("degraded", "near_duplicate"))
    assert not rows["page.png"]["keep"]
    # What an encoder or points would find has to be built.
    policy = DedupePolicy(embedding=EmbeddingPolicy(), partial=PartialPolicy())
    more = label([folder], tmp_path / "out", recipe=recipe.model_copy(update={"dedupe": policy}))
    assert more.not_asked == ("file", "license", "dedupe.embedding", "dedupe.partial")
    assert more.table.column("keep").equals(done.table.column("keep"))


def test_nothing_to_label_is_a_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(LabelError, match="No picture in"):
        label([tmp_path], tmp_path / "out")


def test_a_row_of_facts_survives_its_part(folder, tmp_path):
    wanted = wanted_by(recipe_for_files(None))
    items = [i for i in items_of([folder]) if i.name.startswith("cats/")]
    rows = look_at_items(items, wanted)
    facts = Facts(tmp_path / "facts", wanted)
    facts.add(rows)
    held = Facts(tmp_path / "facts", wanted)
    back = held.table(["cats/chelsea.png", "cats/chelsea small.jpg"], ["sha1", "thumbnail"])
    by_name = {row["name"]: row for row in rows}
    assert back.column("sha1").to_pylist()[0] == by_name["cats/chelsea.png"]["sha1"]
    assert back.column("thumbnail").to_pylist()[1] == by_name["cats/chelsea small.jpg"]["thumbnail"]


@pytest.mark.slow
def test_killed_and_run_again_the_files_are_the_same(tmp_path):
    photos = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    for number in range(24):
        photo = np.roll(photos[number % 4], 37 * number, axis=1)
        save(tmp_path / "mine" / f"{number:02d}.png", photo, compress_level=1)
    command = [sys.executable, "-m", "pipelines.cli", "label", str(tmp_path / "mine"), "--workers"]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}

    def run(out, workers, after=None):
        done = subprocess.Popen(
            [*command, str(workers), "--out", str(out)], cwd=tmp_path, env=environment
        )
        if after is not None:
            until = time.monotonic() + 60
            while time.monotonic() < until and not list(out.glob("facts/*/*.parquet")):
                time.sleep(after)
            done.send_signal(signal.SIGKILL)
        return done.wait(120)

    assert run(tmp_path / "whole", 1) == 0
    wanted = wanted_by(recipe_for_files(None))
    # A run of which one part was committed: the kill comes while the rest is under way.
    part = sorted(items_of([tmp_path / "mine"]), key=lambda item: item.name)[:8]
    (config,) = {f.parent.name for f in (tmp_path / "whole" / "facts").glob("*/*.parquet")}
    Facts(tmp_path / "cut" / "facts" / config, wanted).add(look_at_items(part, wanted))
    assert run(tmp_path / "cut", 2, after=0.5) == -signal.SIGKILL
    assert not (tmp_path / "cut" / "labels.csv").exists()
    assert run(tmp_path / "cut", 2) == 0
    for name in ("labels.csv", "labels.parquet", "index.html"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_the_odd_files_are_rows_and_twins_as_expected(tmp_path):
    cases = shared_folder("cases/images")
    done = label(
        [cases / name for name in ("dedup-alpha", "dup-blank", "lab", "screen-dds", "exif-crash")],
        tmp_path / "out",
    )
    rows = rows_of(done)
    assert rows["lab/hopper.Lab.tif"]["reason"] == "object:unsupported"
    assert rows["screen-dds/texture named.png"]["error"]
    assert rows["exif-crash/resolution unit text.jpg"]["reason"] == "object:unreadable"
    # Readers of a dataset stop at it: nobody is its copy.
    assert all(row["twin_of"] != "exif-crash/resolution unit text.jpg" for row in rows.values())
    twins = {row["file"]: row["twin_of"] for row in rows.values() if row["twin_of"]}
    assert twins["dup-blank/fog.jpg"] == "dup-blank/fog uploaded again.jpg"
    assert twins["dedup-alpha/cut-out on white.jpg"] == "dedup-alpha/cut-out hidden photo.png"
    assert "dedup-alpha/cut-out hidden other photo.png" not in twins


def test_a_header_damaged_in_the_middle_of_a_shard_is_told(folder, tmp_path):
    with tarfile.open(tmp_path / "mine.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("a.png", "b.png", "c.png"):
            tar.add(folder / "cats" / "chelsea small.jpg", arcname=name)
    content = bytearray((tmp_path / "mine.tar").read_bytes())
    place = content.find(b"b.png")
    content[place + 148 : place + 154] = b"999999"  # its checksum
    (tmp_path / "mine.tar").write_bytes(content)
    items = {item.name: item.problem for item in items_of([tmp_path])}
    assert items["mine.tar/a.png"] is None and "mine.tar/b.png" not in items
    assert f"damaged at byte {place:,}" in items["mine.tar"]


def test_folders_that_are_links_or_closed_are_told(folder, tmp_path):
    place = tmp_path / "mine"
    save(place / "a.png", data.chelsea())
    (place / "loop").symlink_to(place)
    (place / "album").symlink_to(folder)
    unfollowed = []
    assert [item.name for item in items_of([place], unfollowed=unfollowed)] == ["a.png"]
    assert sorted(path.name for path in unfollowed) == ["album", "loop"]

    def closed(path, onerror, **options):
        onerror(PermissionError(13, "Permission denied", str(place / "shut")))
        yield str(path), [], ["a.png"]

    # Whoever runs tests as root can read everything.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crawler.shelves.items.os.walk", closed)
        told = {item.name: item.problem for item in items_of([place])}
    assert told == {"a.png": None, "shut": "This folder cannot be read: Permission denied."}


def test_the_summary_says_what_was_passed_over(folder, tmp_path):
    place = tmp_path / "mine"
    save(place / "a.png", data.chelsea()[:64, :64])
    (place / "empty.jpg").write_bytes(b"")
    (place / "=cmd|x.jpg").write_bytes(b"")
    for name in ("1.CR2", "2.cr2", "film.mp4", "Makefile"):
        (place / name).write_bytes(b"x")
    (place / "album").symlink_to(folder)
    done = label([place], tmp_path / "out", page=False)
    told = "\n".join(label_lines(done))
    assert "4 other files: 2 .cr2, 1 .mp4, 1 without suffix" in told
    assert "raw photographs are not read" in told and "1 to folders, not followed" in told
    assert rows_of(done)["empty.jpg"]["error"] == "The file is empty: 0 bytes."
    assert "./=cmd|x.jpg,da39a3ee5e6b" in (tmp_path / "out" / "labels.csv").read_text()
    assert "=cmd|x.jpg" in rows_of(done)
    for name in ("a.png", "empty.jpg", "=cmd|x.jpg"):
        (place / name).unlink()
    with pytest.raises(LabelError, match=r"There are 4 other files \(2 .cr2.*Links to folders"):
        label([place], tmp_path / "out", page=False)
