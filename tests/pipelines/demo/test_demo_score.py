"""The score of a build, worked out by hand on eight files."""

import json

import pyarrow as pa
import pytest

from catalog.database import connect
from pipelines.demo.corpus import CorpusError, Judged, make_corpus, score, score_build


def item(title, role, *, kind=None, twin_of=None, license="accept"):
    return {
        "title": title,
        "role": role,
        "degradation": {"kind": kind, "amount": 1.0} if kind else None,
        "twin_of": twin_of,
        "license_expected": license,
        "expected": "kept" if role == "degraded" else "dropped",
    }


TRUTH = {
    "items": [
        item("A", "degraded", kind="jpeg"),
        item("B", "degraded", kind="jpeg"),
        item("C", "clean"),
        item("D", "twin", kind="jpeg", twin_of="A"),
        item("E", "twin", kind="jpeg", twin_of="B"),
        item("F", "unfree", license="quarantine"),
        item("G", "corrupt"),
        item("H", "fault"),
    ]
}
PERFECT = {
    "A": Judged(keep=True, reason="kept"),
    "B": Judged(keep=True, reason="kept"),
    "C": Judged(keep=False, reason="not degraded"),
    "D": Judged(keep=False, reason="duplicate", duplicate_of="A"),
    "E": Judged(keep=False, reason="duplicate", duplicate_of="B"),
    "F": Judged(keep=False, reason="license"),
    "G": Judged(keep=False, reason="failed", failure="corrupt"),
    "H": Judged(keep=False, reason="failed", failure="gone"),
}


def test_perfect_decisions_score_perfectly():
    result = score(TRUTH, PERFECT)
    assert result["non_free_in_dataset"] == 0
    assert result["twin_recall"] == result["agreement"] == result["canonical_right"] == 1.0
    assert result["false_merges"] == result["unseen"] == 0
    assert result["broken_found"] == result["broken"] == 2
    assert not any(result["wrong"].values())


def test_a_kept_unfree_file_is_counted_by_name():
    result = score(TRUTH, PERFECT | {"F": Judged(keep=True, reason="kept")})
    assert result["non_free_in_dataset"] == 1
    assert result["wrong"]["non_free"] == ["F"]


def test_one_of_three_wrong_fates_is_two_thirds_agreement():
    result = score(TRUTH, PERFECT | {"C": Judged(keep=True, reason="kept")})
    assert result["agreement"] == pytest.approx(2 / 3)
    assert result["degraded_kept"] == 1.0
    assert result["clean_dropped"] == 0.0
    assert result["by_kind"] == {
        "clean": {"files": 1, "right": 0, "labels": {}},
        "jpeg": {"files": 2, "right": 2, "labels": {}},
    }


def test_a_missed_twin_halves_recall():
    result = score(TRUTH, PERFECT | {"D": Judged(keep=True, reason="kept")})
    assert result["twin_recall"] == 0.5
    assert result["wrong"]["twins_missed"] == ["D"]


def test_keeping_the_twin_instead_finds_it_but_is_neither_canonical_nor_the_true_fate():
    swapped = PERFECT | {
        "A": Judged(keep=False, reason="duplicate", duplicate_of="D"),
        "D": Judged(keep=True, reason="kept"),
    }
    result = score(TRUTH, swapped)
    assert result["twin_recall"] == 1.0
    assert result["canonical_right"] == 0.5
    assert result["agreement"] == pytest.approx(2 / 3)


def test_a_duplicate_of_a_stranger_is_a_false_merge_and_not_a_found_twin():
    result = score(TRUTH, PERFECT | {"D": Judged(keep=False, reason="d", duplicate_of="B")})
    assert result["false_merges"] == 1
    assert result["twin_recall"] == 0.5


def test_a_file_without_decision_is_unseen_and_not_kept():
    result = score(TRUTH, {t: j for t, j in PERFECT.items() if t not in ("A", "D", "H")})
    assert result["unseen"] == 3
    assert result["degraded_kept"] == 0.5
    assert result["twin_recall"] == 0.5
    assert result["wrong"]["broken_missed"] == ["H"]


def write_build(out, *, forget=()):
    """A corpus and a database as a build without a mistake would leave them."""
    corpus = make_corpus(out / "corpus", seed=1, files=20)
    items = json.loads(corpus.truth.read_text("utf-8"))["items"]
    ids = {item["title"]: 100 + i for i, item in enumerate(items)}
    decisions = [
        {
            "page_id": ids[i["title"]],
            "title": i["title"],
            "sha1": f"{ids[i['title']]:040x}",
            "keep": i["expected"] == "kept",
            "reason": i["expected_reason"],
            "duplicate_of": ids[i["twin_of"]]
            if i["twin_of"] and i["title"] not in forget
            else None,
        }
        for i in items
    ]
    # One failure is keyed by page id, the others by SHA-1 or title, as the stages do.
    broken = [i["title"] for i in items if i["role"] in ("fault", "corrupt")]
    keys = [str(ids[broken[0]]), f"{ids[broken[1]]:040x}", *broken[2:]]
    tables = {
        "decisions": pa.Table.from_pylist(decisions),
        "failures": pa.table({"key": keys, "kind": ["gone"] * len(keys)}),
    }
    connection = connect(str(out / "lucidlr.duckdb"))
    for name, table in tables.items():
        connection.from_arrow(table).create(name)
    connection.close()
    return items


def test_a_finished_build_is_scored_from_its_database(tmp_path):
    items = write_build(tmp_path)
    result = score_build(tmp_path)
    assert result["files"] == 20
    assert result["twin_recall"] == result["agreement"] == 1.0
    assert (
        result["broken_found"]
        == result["broken"]
        == sum(i["role"] in ("fault", "corrupt") for i in items)
    )
    assert result["right: clean"] == "3/3"


def test_a_twin_that_the_build_did_not_link_is_missed(tmp_path):
    twin = make_corpus(tmp_path / "corpus", seed=1, files=20)
    items = json.loads(twin.truth.read_text("utf-8"))["items"]
    missed = next(i["title"] for i in items if i["twin_of"])
    write_build(tmp_path, forget=(missed,))
    assert score_build(tmp_path)["twin_recall"] == 0.5


def test_an_unfinished_build_says_what_to_run(tmp_path):
    with pytest.raises(CorpusError, match="lucidlr demo"):
        score_build(tmp_path)


def test_the_labels_of_each_kind_are_counted():
    said = PERFECT | {
        "A": Judged(keep=True, reason="kept", labels=("jpeg", "noise")),
        "C": Judged(keep=False, reason="degraded", labels=("noise",)),
    }
    by_kind = score(TRUTH, said)["by_kind"]
    assert by_kind["jpeg"]["labels"] == {"jpeg": 1, "noise": 1}
    assert by_kind["clean"]["labels"] == {"noise": 1}
