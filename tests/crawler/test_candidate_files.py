"""Tables of candidates: any of the usual formats and spellings, 50 rows a request, resumable."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from crawler.commons import Commons, ListingError
from crawler.limits import Limits
from crawler.listing import list_files
from crawler.loopback import LoopbackCommons
from crawler.politeness import PoliteDoor
from crawler.sources import CandidateSource, SiteConfig
from pipelines.build.doors import look

FILES = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("candidates")
    items = []
    for i in range(FILES):
        name = f"Föto {i:03d}.png"
        Image.new("RGB", (20 + i, 30)).save(folder / name)
        items.append({"filename": name, "license": "Cc-by-4.0", "author": "A", "page_id": 1000 + i})
    with LoopbackCommons(folder, items, look=look) as running:
        yield running


@pytest.fixture(scope="module")
def commons(server):
    door = PoliteDoor(
        contact="me@lab.org",
        limits=Limits(),
        api_hosts=["commons.wikimedia.org"],
        media_hosts=["upload.wikimedia.org"],
        host_map=server.host_map,
    )
    return Commons(door, SiteConfig())


def titles():
    return [f"Föto_{i:03d}.png" for i in range(FILES)]


def write_csv(path, header, rows, opener=open):
    with opener(path, "wt", encoding="utf-8", newline="") as sink:
        writer = csv.writer(sink)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write(folder, kind):
    path = folder / f"table.{kind}"
    if kind == "csv":
        return write_csv(path, ["size", "Page_Title"], [[1, t] for t in titles()])
    if kind == "csv.gz":
        return write_csv(path, ["name"], [[t] for t in titles()], gzip.open)
    if kind == "parquet":
        columns = {"pageid": [1000 + i for i in range(FILES)], "title": titles()}
        pq.write_table(pa.table(columns), path, row_group_size=33)
        return path
    lines = [json.dumps({"title": f"File:{t}", "n": 1}) for t in titles()]
    if kind == "ndjson":
        lines = [json.dumps(1000 + i) for i in range(FILES)]
    content = "\n".join(lines) + "\n"
    (gzip.open if kind.endswith(".gz") else open)(path, "wt", encoding="utf-8").write(content)
    return path


def listed(batches):
    return [record.page_id for batch in batches for record, _ in batch.files]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl", "jsonl.gz", "ndjson"])
def test_every_format_gives_all_its_files_at_50_a_request(commons, tmp_path, kind):
    write(tmp_path, kind)
    before = commons.requests
    batches = list(list_files(commons, CandidateSource(path=f"table.{kind}"), base=tmp_path))
    assert sorted(listed(batches)) == [1000 + i for i in range(FILES)]
    assert commons.requests - before == 3
    assert [batch.problem for batch in batches if batch.problem] == []


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl.gz"])
def test_every_cursor_goes_on_exactly_behind_its_batch(commons, tmp_path, monkeypatch, kind):
    # A group of the Parquet file has 33 rows, read 8 at a time: cursors lie within both, and behind whole ones.
    monkeypatch.setattr("crawler.walkers._tables.ROWS_AT_ONCE", 8)
    write(tmp_path, kind)
    source = CandidateSource(path=f"table.{kind}")
    whole = list(list_files(commons, source, base=tmp_path))
    for number, batch in enumerate(whole[:-1]):
        rest = list_files(commons, source, json.loads(json.dumps(batch.cursor)), base=tmp_path)
        assert listed(whole[: number + 1]) + listed(rest) == listed(whole)


def test_addresses_ids_and_titles_may_stand_in_one_table_and_what_is_none_is_told(
    commons, tmp_path
):
    rows = [
        ["https://commons.wikimedia.org/wiki/File:F%C3%B6to_001.png"],
        ["https://upload.wikimedia.org/wikipedia/commons/a/ab/F%C3%B6to_002.png"],
        ["https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/F%C3%B6to_003.png/120px-x.png"],
        ["1004"],
        ["file:föto 005.png"],
        ["föto 005.png"],
        ["<script>"],
        ["https://example.org/a.png"],
    ]
    write_csv(tmp_path / "mixed.csv", ["url"], rows)
    (batch,) = list_files(commons, CandidateSource(path="mixed.csv"), base=tmp_path)
    assert sorted(listed([batch])) == [1001, 1002, 1003, 1004, 1005]
    assert "mixed.csv: 2 of 8 rows name no file, row 7 first: '<script>'" in batch.problem


def test_rows_that_name_no_file_are_told_once_and_counted_at_the_end(commons, tmp_path):
    rows = [[title if i % 40 else f"no file {i}"] for i, title in enumerate(titles())]
    write_csv(tmp_path / "t.csv", ["title"], rows)
    source = CandidateSource(path="t.csv")
    batches = list(list_files(commons, source, base=tmp_path))
    told = [
        "t.csv: 2 of 50 rows so far name no file, row 1 first: 'no file 0'",
        None,
        "t.csv: 3 of 120 rows name no file, row 1 first: 'no file 0'",
    ]
    assert [batch.problem for batch in batches] == told
    assert len(listed(batches)) == FILES - 3
    # The count goes on with the cursor.
    cursor = json.loads(json.dumps(batches[1].cursor))
    (rest,) = list_files(commons, source, cursor, base=tmp_path)
    assert rest.problem == told[2]


def test_what_is_no_page_id_is_passed_over_for_the_title_and_nothing_else_is_asked(
    commons, tmp_path
):
    rows = [
        ["a1b2", "Föto 001.png"],
        ["M1002", "whatever"],
        ["1003.0", ""],
        ["99999999999999", "Föto 004.png"],
        ["0", "Föto 005.png"],
        ["c3d4", ""],
        ["", "Some person"],
        ["", ""],
    ]
    write_csv(tmp_path / "t.csv", ["id", "name"], rows)
    before = commons.requests
    (batch,) = list_files(commons, CandidateSource(path="t.csv"), base=tmp_path)
    assert sorted(listed([batch])) == [1001, 1002, 1003, 1004, 1005]
    assert "3 of 8 rows name no file, row 6 first: 'c3d4'" in batch.problem
    assert commons.requests - before == 2  # page ids, and titles


def test_a_row_twice_in_a_slice_is_asked_for_once(commons, server, tmp_path):
    write_csv(tmp_path / "t.csv", ["title"], [["Föto 001.png"], ["file:föto_001.png"]] * 20)
    (batch,) = list_files(commons, CandidateSource(path="t.csv"), base=tmp_path)
    assert listed([batch]) == [1001]
    assert server.requests[-1].params["titles"] == "File:Föto 001.png"


def test_objects_of_json_lines_may_leave_columns_out(commons, tmp_path):
    lines = [{"n": 1}, {"title": "Föto 002.png"}, {"page_id": 1003, "title": None}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (batch,) = list_files(commons, CandidateSource(path="t.jsonl"), base=tmp_path)
    assert sorted(listed([batch])) == [1002, 1003]
    assert "1 of 3 rows name no file, row 1 first" in batch.problem


def test_a_long_field_beside_the_title_does_no_harm(commons, tmp_path):
    write_csv(tmp_path / "t.csv", ["title", "text"], [["Föto 001.png", "x" * 200_000]])
    (batch,) = list_files(commons, CandidateSource(path="t.csv"), base=tmp_path)
    assert listed([batch]) == [1001]


def test_a_table_is_read_no_further_than_it_is_asked_for(commons, tmp_path):
    lines = [json.dumps({"title": title}) for title in titles()] * 3
    (tmp_path / "t.jsonl").write_text("\n".join([*lines, "{ not JSON"]))
    batches = list_files(commons, CandidateSource(path="t.jsonl"), base=tmp_path)
    # The last line is met when the slice before it is: everything up to there was listed.
    assert len(listed(next(batches) for _ in range(6))) == 300
    with pytest.raises(ListingError, match="line 361"):
        list(batches)


def test_a_table_that_is_cut_short_is_refused(commons, tmp_path):
    whole = gzip.compress("\n".join(["title", *titles()]).encode())
    (tmp_path / "t.csv.gz").write_bytes(whole[:-30])
    pq.write_table(pa.table({"title": titles()}), tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-10])
    for name, said in (("t.csv.gz", "cut short"), ("t.parquet", "cannot be read")):
        with pytest.raises(ListingError, match=said):
            list(list_files(commons, CandidateSource(path=name), base=tmp_path))


def test_a_row_without_a_page_id_is_asked_for_by_its_title(commons, tmp_path):
    table = pa.table({"page_id": [1001, None], "title": ["whatever", "Föto 002.png"]})
    pq.write_table(table, tmp_path / "t.parquet")
    (batch,) = list_files(commons, CandidateSource(path="t.parquet"), base=tmp_path)
    assert sorted(listed([batch])) == [1001, 1002]


def test_columns_may_be_named(commons, tmp_path):
    write_csv(tmp_path / "t.csv", ["title", "datei"], [["nonsense", "Föto 007.png"]])
    source = CandidateSource(path="t.csv", title_column="datei")
    (batch,) = list_files(commons, source, base=tmp_path)
    assert listed([batch]) == [1007]


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("gone.csv", None, FileNotFoundError, "gone.csv"),
        ("t.csv", "size,weight\n1,2\n", ListingError, "there are: size, weight"),
        ("t.csv", "", ListingError, "there are: none"),
        ("t.txt", "a", ListingError, "is none of .csv"),
        ("t.jsonl", '{"title": "A"}\n{"title"\n', ListingError, "line 2, is not JSON"),
    ],
)
def test_what_is_no_table_of_candidates_is_refused_with_what_is_there(
    commons, tmp_path, name, content, error, said
):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=said):
        list(list_files(commons, CandidateSource(path=name), base=tmp_path))


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(commons, tmp_path, kind):
    write(tmp_path, kind)
    source = CandidateSource(path=f"table.{kind}", page_id_column="seite")
    with pytest.raises(ListingError, match=r"no column seite; there are: \w+, \w+"):
        list(list_files(commons, source, base=tmp_path))


def test_an_empty_table_is_told(commons, tmp_path):
    (tmp_path / "t.csv").write_text("title\n")
    (batch,) = list_files(commons, CandidateSource(path="t.csv"), base=tmp_path)
    assert "holds no rows" in batch.problem
