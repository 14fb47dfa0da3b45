"""Verdicts of people as facts: what stands, what is said together, and that nothing is lost on the way."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from catalog import repair, reviews
from catalog.purge import purge
from catalog.records import ReviewRow, TombstoneRow
from catalog.removals import add_tombstones
from catalog.reviews import (
    BadReviews,
    SampleRow,
    add_reviews,
    all_reviews,
    checked,
    join_parts,
    keep_sample,
    new_id,
    read_reviews,
    read_sample,
    standing,
    words,
    write_reviews,
)
from catalog.store import Catalog

LABELS = ("blur", "noise")
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def said(what, page=1, by="Ann", label=None, why=""):
    return ReviewRow(
        page_id=page,
        sha1=f"{page:040x}",
        reviewer=by,
        what=what,
        label=label,
        why=why,
        reviewed_at=NOW,
        question="page@1",
        row_id=new_id(),
    )


def stand(catalog):
    return standing(all_reviews(catalog).to_pylist())


def test_the_last_word_stands_also_within_one_second(tmp_path):
    catalog = Catalog(tmp_path)
    for what in ("keep", "undo", "keep", "drop"):
        add_reviews(catalog, [said(what)])
    assert [row["what"] for row in stand(catalog)] == ["drop"]
    add_reviews(catalog, [said("undo")])
    assert stand(catalog) == []
    assert all_reviews(catalog).num_rows == 5  # nothing was overwritten


def test_keep_and_each_label_are_words_of_their_own():
    rows = [said("keep"), said("wrong_label", label="blur"), said("right_label", label="noise")]
    rows.append(said("undo", label="blur"))
    (word,) = words(standing(vars(row) for row in rows)).values()
    assert (word.keep, word.right, word.wrong) == ("keep", ("noise",), ())


@pytest.mark.parametrize(
    ("votes", "together"),
    [("kk", "keep"), ("kd", "drop"), ("kkd", "keep"), ("dd", "drop"), ("s", None), ("ks", "keep")],
)
def test_the_majority_decides_and_a_tie_drops(votes, together):
    what = {"k": "keep", "d": "drop", "s": "skip"}
    rows = [said(what[vote], by=f"R{i}") for i, vote in enumerate(votes)]
    (word,) = words(standing(vars(row) for row in rows)).values()
    assert word.keep == together


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_carried_out_comes_back_the_same_and_counts_once(tmp_path, ending):
    catalog, other = Catalog(tmp_path / "a"), Catalog(tmp_path / "b")
    rows = [
        said("keep", 7, 'Zoë, the "2nd"', why="=1+1\nline\ttwo, 'x'"),
        said("wrong_label", 7, label="blur", why="007"),
        said("skip", 8, by="null"),
    ]
    add_reviews(catalog, rows)
    path = tmp_path / f"verdicts.{ending}"
    write_reviews(all_reviews(catalog), path)
    for _ in range(2):
        add_reviews(other, read_reviews(path, labels=LABELS))
    assert all_reviews(other).equals(all_reviews(catalog))


def test_a_table_by_hand_needs_no_more_than_what_was_said(tmp_path):
    path = tmp_path / "hand.csv"
    path.write_text(
        f"page_id,sha1,reviewer,what,reviewed_at\n5,{5:040x},Bo,drop,2026-11-28T10:00:00Z\n"
    )
    (row,) = read_reviews(path, labels=LABELS)
    assert (row.page_id, row.what, row.label, row.question) == (5, "drop", None, "page@1")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"what": "maybe"}, "no verdict"),
        ({"what": "wrong_label"}, "needs a label"),
        ({"what": "right_label", "label": "ugly"}, "no label 'ugly'"),
        ({"label": "blur"}, "takes no label"),
        ({"reviewer": " "}, "needs the name"),
        ({"sha1": "../../etc/passwd"}, "no SHA-1"),
        ({"why": "x" * 501}, "at most 500"),
    ],
)
def test_what_cannot_be_a_verdict_is_told_with_its_row(tmp_path, change, told):
    with pytest.raises(BadReviews, match=told):
        checked(replace(said("keep"), **change), labels=LABELS)
    catalog = Catalog(tmp_path / "c")
    add_reviews(catalog, [said("keep"), replace(said("keep", 2), **change)])
    write_reviews(all_reviews(catalog), tmp_path / "x.parquet")
    with pytest.raises(BadReviews, match=rf"row 2: .*{told}"):
        read_reviews(tmp_path / "x.parquet", labels=LABELS)


def test_a_file_of_something_else_is_told(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    for name, what in (("x.csv", "no column 'page_id'"), ("x.parquet", "no file of verdicts")):
        with pytest.raises(BadReviews, match=what):
            read_reviews(tmp_path / name, labels=LABELS)


WRITER = """
import sys
from tests.catalog.test_reviews import said
from catalog.reviews import add_reviews
from catalog.store import Catalog
catalog = Catalog(sys.argv[1])
for page in range(1, 1000):
    add_reviews(catalog, [said("keep", page, by=sys.argv[2])])
    print(page, flush=True)
"""


def test_two_reviewers_at_once_and_a_kill_lose_nothing_that_was_written(tmp_path):
    catalog = Catalog(tmp_path)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), by], stdout=subprocess.PIPE, text=True
        )
        for by in ("Ann", "Bo")
    ]
    confirmed = {}
    for by, writer in zip(("Ann", "Bo"), writers, strict=True):
        for line in itertools.islice(writer.stdout, 8):
            confirmed[by] = int(line)
    for writer in writers:
        writer.kill()
        writer.wait()
    rows = all_reviews(catalog).to_pylist()
    for by, last in confirmed.items():
        assert {r["page_id"] for r in rows if r["reviewer"] == by} >= set(range(1, last + 1))


def test_many_parts_are_joined_and_a_join_that_was_cut_off_does_no_harm(tmp_path, monkeypatch):
    catalog = Catalog(tmp_path)
    monkeypatch.setattr(reviews, "MOST_PARTS", 10)
    for page in range(1, 13):
        add_reviews(catalog, [said("keep", page)])
    before = all_reviews(catalog)
    folder = catalog.parts / "review" / "all"

    class Killed(BaseException):
        pass

    calls = itertools.count()

    def delete(path, real=reviews.sums.delete):
        if next(calls) == 5:
            raise Killed
        return real(path)

    monkeypatch.setattr(reviews.sums, "delete", delete)
    with pytest.raises(Killed):
        join_parts(catalog)
    assert all_reviews(catalog).equals(before)
    join_parts(catalog)
    assert len(list(folder.glob("*.parquet"))) == 1
    assert all_reviews(catalog).equals(before)
    assert not repair.faults(catalog)


def test_a_damaged_part_comes_back_from_its_copy(tmp_path):
    catalog = Catalog(tmp_path)
    add_reviews(catalog, [said("drop")])
    (part,) = (catalog.parts / "review" / "all").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-9])
    reviews.sums.forget()
    repair.heal(catalog, lambda _: None)
    assert [row["what"] for row in stand(catalog)] == ["drop"]
    assert pq.read_table(part).num_rows == 1


def test_a_purge_removes_verdicts_their_copies_samples_and_thumbnails(tmp_path):
    catalog = Catalog(tmp_path)
    add_reviews(catalog, [said("drop", 1, why="my house"), said("keep", 2)])
    rows = [
        SampleRow(
            page_id=page,
            sha1=f"{page:040x}",
            stratum="none",
            stratum_size=2,
            keep=True,
            reason="kept",
            labels=(),
            severity=None,
            source="s",
            blind=True,
        )
        for page in (1, 2)
    ]
    keep_sample(catalog, "first", rows)
    with pytest.raises(BadReviews, match="already"):
        keep_sample(catalog, "first", rows)
    small = {page: tmp_path / "thumbnails" / "00" / f"{page:040x}-320.webp" for page in (1, 2)}
    for path in small.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    stone = TombstoneRow(page_id=1, sha1=f"{1:040x}", reason="requested", detail="", removed_at=NOW)
    add_tombstones(catalog, "asked", [stone])
    purge(catalog, dataset=None, remove_object=lambda _: False)
    assert [row["page_id"] for row in stand(catalog)] == [2]
    assert [row.page_id for row in read_sample(catalog, "first")] == [2]
    assert [path.exists() for path in small.values()] == [False, True]
    left = [*tmp_path.rglob("*review*/**/*.parquet"), *tmp_path.rglob("samples/*.parquet")]
    assert len(left) >= 3
    for path in left:
        assert "my house" not in str(pq.read_table(path, partitioning=None).to_pylist())
    assert not repair.faults(catalog)
