"""The demo corpus is what its truth says: disjoint tiles, honest twins, planted trouble, the same bytes every time."""

import hashlib
import io
import itertools
import json

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from pipelines.demo.corpus import CorpusError, _made_as, contact_sheet, make_corpus
from pipelines.demo.names import (
    FREE,
    ROOT_CATEGORY,
    SEARCH_WORD,
    UNFREE,
    UPLOAD_WINDOW,
    category_pages,
)
from pipelines.demo.plan import FAULTS, make_plan
from pipelines.demo.tiles import SOURCES, edge_sigma_px, load, noise_level

FILES = 60
TEMPLATES = {
    "Cc-by-2.0", "Cc-by-2.5", "Cc-by-3.0", "Cc-by-4.0", "Cc-by-sa-2.0", "Cc-by-sa-2.5", "Cc-by-sa-3.0",
    "Cc-by-sa-4.0", "Cc-zero", "FAL", "GFDL", "Non-free_logo", "PD-old", "PD-USGov", "Self",
}  # fmt: skip
"""The license templates of the real MediaWiki that the same manifest can be loaded into."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("demo") / "corpus", seed=1, files=FILES)


@pytest.fixture(scope="module")
def truth(corpus):
    return json.loads(corpus.truth.read_text("utf-8"))["items"]


@pytest.fixture(scope="module")
def manifest(corpus):
    return json.loads(corpus.manifest.read_text("utf-8"))


def tree_digest(root):
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def luma(image):
    return np.asarray(image.convert("L"), np.float32)


def overlap(a, b):
    (ax, ay, aw, ah), (bx, by, bw, bh) = a["box"], b["box"]
    return ax < bx + bw and bx < ax + aw and ay < by + bh and by < ay + ah


def assert_disjoint(items):
    own = [i for i in items if i["box"] and not i["twin_of"]]
    for a, b in itertools.combinations(own, 2):
        assert a["source"] != b["source"] or not overlap(a, b), (a["title"], b["title"])


def test_two_makes_are_equal_byte_for_byte_and_another_seed_is_not(corpus, tmp_path):
    again = make_corpus(tmp_path / "again", seed=1, files=FILES)
    other = make_corpus(tmp_path / "other", seed=2, files=FILES)
    assert tree_digest(again.root) == tree_digest(corpus.root)
    assert tree_digest(other.root) != tree_digest(corpus.root)


@pytest.mark.slow
def test_a_corpus_that_is_there_is_reused_and_a_damaged_one_or_one_of_another_seed_replaced(
    tmp_path,
):
    made = make_corpus(tmp_path / "corpus", seed=3, files=20)
    whole = tree_digest(made.root)
    mark = made.root / "left-by-the-test"
    mark.touch()
    assert make_corpus(tmp_path / "corpus", seed=3, files=20) == made
    assert mark.exists()
    for names in (["manifest.json"], ["truth.json", "categories.json"]):
        for name in names:
            file = made.root / name
            file.write_bytes(file.read_bytes()[:-9])
        assert tree_digest(make_corpus(tmp_path / "corpus", seed=3, files=20).root) == whole
    for name, said in (
        ("manifest.json", '[{"filename": 5}]'),
        ("categories.json", '{"a": 5}'),
        ("truth.json", "[]"),
    ):
        kept = (made.root / name).read_bytes()
        (made.root / name).write_text(said)
        assert _made_as(made) is None, said
        (made.root / name).write_bytes(kept)
    make_corpus(tmp_path / "corpus", seed=4, files=20)
    assert tree_digest(made.root) != whole
    assert [p.name for p in tmp_path.iterdir()] == ["corpus"]


def test_a_folder_that_is_no_corpus_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(CorpusError, match="not a demo corpus"):
        make_corpus(tmp_path, seed=1, files=20)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(("files", "says"), [(19, "at least 20"), (2000, "too few for 2000")])
def test_an_impossible_size_is_an_error_and_leaves_nothing(tmp_path, files, says):
    with pytest.raises((ValueError, CorpusError), match=says):
        make_corpus(tmp_path / "corpus", seed=1, files=files)
    assert list(tmp_path.iterdir()) == []


def test_photos_manifest_and_truth_name_the_same_files(corpus, manifest, truth):
    names = [item["filename"] for item in manifest]
    assert len(set(names)) == FILES
    assert names == [item["filename"] for item in truth]
    assert sorted(names) == sorted(p.name for p in corpus.photos.iterdir())


def test_no_tile_is_used_twice_but_for_twins(truth):
    assert_disjoint(truth)


def test_a_tile_is_the_piece_of_the_photograph_that_its_box_says(corpus, truth):
    item = next(i for i in truth if i["role"] == "clean" and i["filename"].endswith("png"))
    source = next(s for s in SOURCES if s.name == item["source"])
    x, y, w, h = item["box"]
    with Image.open(corpus.photos / item["filename"]) as image:
        assert np.array_equal(np.array(image.convert("RGB")), load(source)[y : y + h, x : x + w])


def test_clean_files_are_sharp_and_quiet_as_saved(corpus, truth):
    for item in (i for i in truth if i["role"] == "clean"):
        with Image.open(corpus.photos / item["filename"]) as image:
            # Saving at quality 92 adds a little to both limits of the tiles, 1.05 px and 2.2 levels.
            assert edge_sigma_px(luma(image)) < 1.15, item["title"]
            assert noise_level(luma(image)) < 2.6, item["title"]


def test_blurred_files_are_blurred_as_saved(corpus, truth):
    for item in (i for i in truth if i["role"] == "degraded"):
        if item["degradation"]["kind"] == "gaussian_blur":
            with Image.open(corpus.photos / item["filename"]) as image:
                assert edge_sigma_px(luma(image)) > 1.2, item["title"]


def test_a_twin_looks_like_its_original_and_ranks_below_it(corpus, truth):
    by_title = {i["title"]: i for i in truth}
    twins = [i for i in truth if i["twin_of"]]
    assert {t["transform"]["kind"] for t in twins} == {"resized", "reencoded", "mirrored"}
    for twin in twins:
        original = by_title[twin["twin_of"]]
        assert original["expected"] == "kept"
        assert twin["license_expected"] == "accept"
        assert min(twin["size_px"]) >= 64

        def rank(item):
            width, height = item["size_px"]
            return (width * height, item["size_bytes"])

        assert rank(twin) < rank(original)
        with (
            Image.open(corpus.photos / twin["filename"]) as a,
            Image.open(corpus.photos / original["filename"]) as b,
        ):
            if twin["transform"]["kind"] == "mirrored":
                a = ImageOps.mirror(a)
            small = [
                np.asarray(i.convert("L").resize((24, 24), Image.Resampling.BOX)) for i in (a, b)
            ]
        assert np.abs(small[0].astype(float) - small[1]).mean() < 6


def test_the_corrupt_file_has_a_good_header_and_does_not_decode(corpus, truth):
    for item in (i for i in truth if i["role"] == "corrupt"):
        content = (corpus.photos / item["filename"]).read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "JPEG"
            assert list(image.size) == item["box"][2:]
            with pytest.raises(OSError, match="truncated"):
                image.load()


def test_every_other_picture_decodes_to_its_recorded_size(corpus, truth):
    for item in truth:
        if item["size_px"]:
            content = np.frombuffer((corpus.photos / item["filename"]).read_bytes(), np.uint8)
            if item["role"] != "gif":  # not every OpenCV build reads GIF
                height, width = cv2.imdecode(content, cv2.IMREAD_COLOR).shape[:2]
                assert [width, height] == item["size_px"]


def test_every_license_is_a_template_that_the_wiki_has(manifest):
    for item in manifest:
        listed = item["license"] if isinstance(item["license"], list) else [item["license"]]
        for template in filter(None, itertools.chain(*(t.split("|") for t in listed))):
            assert template in TEMPLATES


def test_what_is_to_be_kept_is_free_and_what_is_not_free_is_never_kept(manifest, truth):
    free = [t if isinstance(t, str) else list(t) for t, _ in FREE]
    unfree = [t if isinstance(t, str) else list(t) for t, _ in UNFREE]
    for item, known in zip(manifest, truth, strict=True):
        if known["expected"] == "kept":
            assert known["license_expected"] == "accept"
            assert item["license"] in free
            assert item["author"]
            assert "extra" not in item and "deletion_reason" not in item
        if item["license"] in unfree:
            assert known["license_expected"] != "accept"


def test_each_kind_of_trouble_is_planted(manifest, truth):
    assert sorted(i["fault"] for i in manifest if "fault" in i) == sorted(FAULTS)
    assert any(i.get("extra") == "{{Personality rights}}" for i in manifest)
    assert any("deletion_reason" in i for i in manifest)
    assert any(i["author"] == "" for i in manifest)
    assert {i.get("mime") for i in manifest} >= {"image/svg+xml", "image/gif"}
    assert all(min(i["size_px"]) < 64 for i in truth if i["role"] == "small")
    assert all(min(i["size_px"]) >= 90 for i in truth if i["role"] in ("degraded", "clean"))


def test_names_are_legal_on_commons_and_two_are_as_long_as_can_be(manifest):
    names = [i["filename"] for i in manifest]
    assert not any(set(name) & set("#<>[]|{}/:_") for name in names)
    assert all(name[0] == name[0].upper() for name in names)
    assert sorted(len(name.encode()) for name in names)[-2:] == [240, 240]


def test_upload_times_are_distinct_and_each_source_finds_its_files(corpus, manifest, truth):
    times = [i["uploaded"] for i in manifest]
    assert len(set(times)) == FILES
    pages = category_pages()
    near = {c for c in pages if c == ROOT_CATEGORY or not c.endswith("details")}
    opens, closes = (
        t.replace("-", "").replace(":", "").replace("T", "")[:14] for t in UPLOAD_WINDOW
    )
    listed = corpus.titles.read_text("utf-8").splitlines()
    for item, known in zip(manifest, truth, strict=True):
        assert (known["reach"] == "category") == bool(near & set(item["categories"]))
        assert (known["reach"] == "search") == (SEARCH_WORD in item["description"])
        assert (known["reach"] == "titles") == (known["title"] in listed)
        if known["reach"] == "window":
            assert opens <= item["uploaded"] < closes


def test_the_category_tree_is_closed_and_has_a_cycle():
    pages = category_pages()
    assert all(parent in pages for parents in pages.values() for parent in parents)
    seen, place = set(), ROOT_CATEGORY
    while place not in seen and pages[place]:
        seen.add(place)
        place = pages[place][0]
    assert place == ROOT_CATEGORY


def test_a_contact_sheet_shows_every_file(corpus, tmp_path):
    contact_sheet(corpus, tmp_path / "sheet.png", columns=10)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (10 * 134, 6 * 160)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_full_corpus_has_the_stated_proportions(tmp_path, seed):
    corpus = make_corpus(tmp_path / "corpus", seed=seed)
    items = json.loads(corpus.truth.read_text("utf-8"))["items"]
    roles = [i["role"] for i in items]
    assert len(items) == 250
    assert 0.5 <= roles.count("degraded") / 250 <= 0.58
    assert 0.14 <= roles.count("clean") / 250 <= 0.16
    assert roles.count("twin") == 30
    assert roles.count("unfree") == 30
    kinds = [i["transform"]["kind"] for i in items if i["transform"]]
    assert all(kinds.count(k) >= 8 for k in ("resized", "reencoded", "mirrored"))
    assert len({i["degradation"]["kind"] for i in items if i["role"] == "degraded"}) == 8
    assert_disjoint(items)


@pytest.mark.slow
def test_small_corpora_can_be_planned_whatever_the_seed():
    for seed in range(5, 15):
        assert len(make_plan(seed, 20)) == 20
