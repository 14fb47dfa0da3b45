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

FILES = 120


@pytest.fixture(scope="module")
def commons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("candidates")
    items = []
    for i in range(FILES):
        name = f"Föto {i:03d}.png"
        Image.new("RGB", (20 + i, 30)).save(folder / name)
        items.append({"filename": name, "license": "Cc-by-4.0", "author": "A", "page_id": 1000 + i})
    with LoopbackCommons(folder, items) as server:
        door = PoliteDoor(
            contact="me@lab.org",
            limits=Limits(),
            api_hosts=["commons.wikimedia.org"],
            media_hosts=["upload.wikimedia.org"],
            host_map=server.host_map,
        )
        yield Commons(door, SiteConfig())


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


def test_every_cursor_goes_on_exactly_behind_its_batch(commons, tmp_path):
    write(tmp_path, "csv")
    source = CandidateSource(path="table.csv")
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
    assert "2 of the rows 1 to 8 name no file, row 7 first: '<script>'" in batch.problem


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


def test_an_empty_table_is_told(commons, tmp_path):
    (tmp_path / "t.csv").write_text("title\n")
    (batch,) = list_files(commons, CandidateSource(path="t.csv"), base=tmp_path)
    assert "holds no rows" in batch.problem
