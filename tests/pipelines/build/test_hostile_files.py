"""Single files of which the wiki says what cannot be: rows, the others go on, and `--retry` heals them afterwards."""

import json
from datetime import UTC, datetime
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from catalog import views
from crawler.limits import CircuitOpen, ComeBack, Limits
from crawler.loopback import LoopbackCommons, server
from crawler.sources import CategorySource, TitleSource, UploadWindowSource
from pipelines.build.again import ask_again
from pipelines.build.crawl import download_originals, list_sources, opened_door, retry_failures
from pipelines.build.doors import look
from pipelines.build.gate import gated, with_geometry
from pipelines.build.run import start_run
from pipelines.build.runners import pool_runner
from pipelines.recipe import load_recipe
from tests.pipelines.test_recipe import DEMO

FILES = 14
LIMITS = Limits(
    backoff_s=0.001, backoff_429_s=0.001, backoff_max_s=0.01, max_attempts=2, patience_s=5.0
)
CATEGORY = CategorySource(root="Hostile", depth=0)


def of_info(**wrong):
    return lambda page: page["imageinfo"][0].update(wrong)


def without_id(page):
    del page["pageid"]
    page.update(missing=True, known=True)


WRONG_PAGES = {
    0: of_info(width=2**62),
    1: of_info(height=-1),
    2: of_info(sha1="../../../etc/passwd"),
    3: of_info(sha1=None),
    4: of_info(url="https://[upload.wikimedia.org/x.png"),
    5: of_info(url="https://169.254.169.254/latest"),
    6: of_info(url=None),
    7: lambda page: page.update(title=None),
    8: without_id,
    9: of_info(size=10**30),
}
"""Number of a photo -> what the wiki says of its page."""
REFUSED, REDIRECTED, PUT_OFF = 10, 11, 12
"""Photos whose original is always refused, redirected to another host, or asked for in a day."""


class Wiki:
    """An embedded Commons that can be hostile for a while."""

    def __init__(self, commons, monkeypatch):
        self.commons, self.hostile, self.asked = commons, set(), []
        real_answer, real_original = server.answer, server._Handler._answer

        def answer(wiki, params, *, lag_s):
            reply = real_answer(wiki, params, lag_s=lag_s)
            for page in reply.body.get("query", {}).get("pages", []):
                number = self.number(page.get("title", ""))
                if number in self.hostile & set(WRONG_PAGES) and "imageinfo" in page:
                    WRONG_PAGES[number](page)
            return reply

        def original(handler, commons, path, params):
            number = self.number(path) if path.startswith(server.MEDIA_PATH) else None
            if number is not None:
                self.asked.append(number)
            if number not in self.hostile:
                return real_original(handler, commons, path, params)
            if number == REFUSED:
                return handler._page(403, "No")
            if number == REDIRECTED:
                return handler._send(302, {"Location": "https://elsewhere.test/x"}, b"", 0)
            if number == PUT_OFF:
                return handler._send(503, {"Retry-After": "86400"}, b"", 0)
            return real_original(handler, commons, path, params)

        monkeypatch.setattr(server, "answer", answer)
        monkeypatch.setattr(server._Handler, "_answer", original)

    @staticmethod
    def number(text):
        name = unquote(text).replace("_", " ").rpartition("Photo ")[2]
        return int(name.removesuffix(".png")) if name[:1].isdigit() else None


@pytest.fixture
def wiki(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    folder.mkdir()
    chance = np.random.default_rng(4)
    items = []
    for i in range(FILES):
        pixels = chance.integers(0, 255, (80, 90, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"Photo {i}.png")
        items.append(
            {
                "filename": f"Photo {i}.png",
                "license": "Cc-by-4.0",
                "author": "A",
                "categories": ["Hostile"],
                "uploaded": f"202001010000{i:02d}",
            }
        )
    (folder / "manifest.json").write_text(json.dumps(items))
    with LoopbackCommons(folder, folder / "manifest.json", look=look) as commons:
        yield Wiki(commons, monkeypatch)


class Crawl:
    """The crawling half of a build, again and again into one folder."""

    def __init__(self, wiki, out, source=CATEGORY):
        recipe = load_recipe(DEMO)
        self.recipe = recipe.model_copy(
            update={
                "corpus": None,
                "limits": LIMITS,
                "sources": (source,),
                "gate": recipe.gate[:4],
                "batch_size": 4,
            }
        )
        self.wiki, self.out = wiki, out

    def run(self, *, retry=False):
        with pool_runner("threads", 1) as runner:
            run = start_run(self.recipe, out=self.out, runner=runner, limit=None, progress=None)
        with (
            run.catalog.locked(),
            opened_door(run, "me@lab.org", self.wiki.commons.host_map) as door,
        ):
            if retry:
                ask_again(run, door)
                retry_failures(run)
            list_sources(run, door)
            download_originals(run, door)
        self.catalog = run.catalog
        table, passing = gated(run)
        return {
            title
            for title, ok in zip(table.column("title").to_pylist(), passing.tolist(), strict=True)
            if ok
        }

    @property
    def failures(self):
        """Key -> kind, of what is open."""
        return {row["key"]: row["kind"] for row in views.failures(self.catalog).to_pylist()}

    @property
    def objects(self):
        """How many originals there are."""
        return sum(path.is_file() for path in (self.out / "catalog" / "objects").glob("*/*/*"))


SOURCES = {
    "category": CATEGORY,
    "titles": TitleSource(titles=tuple(f"Photo {i}.png" for i in range(FILES))),
    "window": UploadWindowSource(
        start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2020, 1, 2, tzinfo=UTC)
    ),
}


@pytest.mark.parametrize(
    "kind",
    ["category", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("titles", "window"))],
)
def test_files_of_which_the_wiki_says_what_cannot_be_are_rows_and_heal(wiki, tmp_path, kind):
    crawl = Crawl(wiki, tmp_path / "out", SOURCES[kind])
    wiki.hostile = {*WRONG_PAGES, REFUSED, REDIRECTED}
    crawl.run()
    bad = len(wiki.hostile)
    assert crawl.objects == FILES - bad
    assert len(crawl.failures) == bad
    assert set(crawl.failures.values()) == {"damaged", "foreign_url", "refused"}
    said = [row["error"] for row in views.failures(crawl.catalog).to_pylist()]
    assert not any("name it under site" in text for text in said)
    # The same command again asks for none of them; --retry while nothing is mended changes nothing.
    asked = len(wiki.asked)
    crawl.run()
    assert (crawl.objects, len(wiki.asked)) == (FILES - bad, asked)
    crawl.run(retry=True)
    assert (crawl.objects, len(crawl.failures)) == (FILES - bad, bad)
    wiki.hostile = set()
    passing = crawl.run(retry=True)
    assert crawl.failures == {}
    assert crawl.objects == FILES
    assert passing == {f"File:Photo {i}.png" for i in range(FILES)}


def test_a_wait_for_a_day_ends_the_run_and_the_file_behind_it_does_not_end_every_run(
    wiki, tmp_path
):
    crawl = Crawl(wiki, tmp_path / "out")
    wiki.hostile = {PUT_OFF}
    ended = 0
    for _ in range(6):
        try:
            crawl.run()
        except ComeBack as error:
            ended += 1
            assert "asks to wait until" in str(error)
        else:
            break
    # Asked last in its batch, it is a row; what comes behind it is asked for on the next day.
    assert 1 <= ended <= 3
    assert crawl.objects == FILES - 1
    assert list(crawl.failures.values()) == ["gave_up"]
    wiki.hostile = set()
    crawl.run(retry=True)
    assert (crawl.objects, crawl.failures) == (FILES, {})


def test_many_different_refused_files_in_a_row_end_the_run_and_nothing_is_lost(
    wiki, tmp_path, monkeypatch
):
    crawl = Crawl(wiki, tmp_path / "out")
    real = server._Handler._page
    refusing = True

    def refused(handler, commons, path, params):
        if refusing and path.startswith(server.MEDIA_PATH):
            return real(handler, 403, "No")
        return previous(handler, commons, path, params)

    previous = server._Handler._answer
    monkeypatch.setattr(server._Handler, "_answer", refused)
    with pytest.raises(CircuitOpen, match="different originals in a row"):
        crawl.run()
    refusing = False
    # A batch of four was whole before the fifth refusal: those are rows, and --retry asks for them again.
    crawl.run(retry=True)
    assert (crawl.objects, crawl.failures) == (FILES, {})


def test_a_number_that_an_older_version_stored_does_not_poison_the_catalog():
    table = pa.table(
        {
            "width": pa.array([2**62, 100], pa.int64()),
            "height": pa.array([2**62, 50], pa.int64()),
            "size_bytes": pa.array([2**62, 5000], pa.int64()),
            "uploaded_at": pa.array([None, None], pa.timestamp("us", "UTC")),
        }
    )
    assert with_geometry(table).column("short_side").to_pylist() == [float(2**62), 50.0]
