"""Every query of docs/catalog.md runs on a demo build and answers something."""

import re
from pathlib import Path

import duckdb
import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "catalog.md"
# A question in bold at the start of a line, prose, and its query.
BLOCKS = re.findall(
    r"^\*\*(.+?)\*\*(?:(?!^\*\*).)*?```sql\n(.+?)```", GUIDE.read_text(), re.DOTALL | re.MULTILINE
)
# On a build from which nothing was taken down.
EMPTY = {"What was taken down since?"}


@pytest.fixture(scope="module")
def connection(small_build):
    with duckdb.connect(str(small_build / "lucidlr.duckdb"), read_only=True) as opened:
        yield opened


def test_the_guide_has_a_dozen_queries():
    assert len(BLOCKS) >= 12
    assert len(BLOCKS) == GUIDE.read_text().count("```sql")


@pytest.mark.parametrize(("question", "query"), BLOCKS, ids=[q for q, _ in BLOCKS])
def test_a_query_of_the_guide_answers(connection, question, query):
    found = connection.execute(query).fetchall()
    assert bool(found) != (question in EMPTY)


def test_the_guide_names_every_table_and_view(connection):
    named = set(re.findall(r"`(\w+)`", GUIDE.read_text().split("**Why")[0]))
    tables = "SELECT table_name FROM information_schema.tables"
    there = {name for (name,) in connection.execute(tables).fetchall()}
    assert there == named & there
