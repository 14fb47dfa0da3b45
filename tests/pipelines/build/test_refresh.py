"""Refresh, schedule and removal on the embedded Commons; the story on a real MediaWiki is in its own file."""

import json
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pytest

from catalog.explain import explain_lines
from catalog.store import Catalog
from crawler.loopback import LoopbackCommons
from crawler.recheck import RefreshPolicy
from crawler.sources import CategorySource
from filters.degradation.synthesis import encode_jpeg, gaussian_blur
from pipelines.build import refresh as refreshing
from pipelines.build.doors import look
from pipelines.build.driver import build
from pipelines.build.refresh import purge_removed, refresh, take_down
from pipelines.build.runners import pool_runner
from pipelines.recipe import load_recipe
from tests.pipelines.test_recipe import DEMO

NAMES = ("Tagged", "Forbidden", "Gone", "Young", "Old")
CONTACT = "test@example.org"


class House:
    def __init__(self, folder):
        from skimage import data

        self.photos, self.out = folder / "photos", folder / "out"
        self.photos.mkdir()
        self.items = []
        for i, name in enumerate(NAMES):
            crop = np.ascontiguousarray(
                data.astronaut()[40 * i : 40 * i + 140, 60 * i : 60 * i + 160]
            )
            (self.photos / f"{name}.jpg").write_bytes(encode_jpeg(gaussian_blur(crop, 2.5), 92))
            self.items.append(
                {
                    "filename": f"{name}.jpg",
                    "license": "Cc-by-4.0",
                    "author": "A",
                    "categories": ["All"],
                    "description": "x",
                    "uploaded": "20100101000000",
                }
            )
        young = datetime.now(UTC) - timedelta(days=3)
        self.items[3]["uploaded"] = f"{young:%Y%m%d%H%M%S}"
        self.recipe = load_recipe(DEMO).model_copy(
            update={
                "corpus": None,
                "sources": (CategorySource(root="All", depth=0),),
                "rules": load_recipe(DEMO).rules[:2],
            }
        )
        self.server = LoopbackCommons(self.photos, self.write(), look=look)

    def write(self):
        manifest = self.photos.parent / "manifest.json"
        manifest.write_text(json.dumps(self.items))
        return manifest

    def change(self, number, **fields):
        self.items[number].update(fields)
        self.write()
        self.server.reload()

    def build(self):
        with pool_runner("threads", 1) as runner:
            return build(
                self.recipe,
                out=self.out,
                runner=runner,
                contact=CONTACT,
                host_map=self.server.host_map,
            )

    def refresh(self, **options):
        return refresh(
            self.recipe,
            out=self.out,
            contact=CONTACT,
            host_map=self.server.host_map,
            **options,
        )

    def reasons(self):
        with duckdb.connect(str(self.out / "lucidlr.duckdb"), read_only=True) as connection:
            return dict(connection.execute("SELECT title, reason FROM decisions").fetchall())


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    with made.server:
        made.build()
        yield made


def test_a_deletion_tag_and_a_license_that_forbids_give_tombstones_of_their_own(house):
    house.change(0, deletion_reason="No source since 1 May")
    house.change(1, license="Cc-by-nc-4.0", extmetadata={"License": {"value": "cc-by-nc-4.0"}})
    found = house.refresh(everything=True)
    assert found.changes == {"edited": 2}
    assert found.removed == {"relicensed": 1, "tagged": 1}
    assert house.build().funnel[1] == ("removed", 3)
    reasons = house.reasons()
    assert reasons["File:Tagged.jpg"] == "removed:tagged"
    assert reasons["File:Forbidden.jpg"] == "removed:relicensed"


@pytest.mark.slow
def test_a_tag_that_is_taken_back_lifts_its_tombstone(house):
    house.change(0, deletion_reason="No source since 1 May")
    house.refresh(everything=True)
    house.change(0, deletion_reason=None)
    assert house.refresh(everything=True).removed == {"restored": 1}
    house.build()
    assert house.reasons()["File:Tagged.jpg"] == "kept"


def test_a_file_that_is_gone_and_comes_back(house):
    item = house.items.pop(2)
    house.write()
    house.server.reload()
    assert house.refresh(everything=True).changes == {"deleted": 1}
    # Asked again it is no news, and gets no second tombstone.
    again = house.refresh(everything=True)
    assert (again.changes, again.removed) == ({}, {})
    house.build()
    assert house.reasons()["File:Gone.jpg"] == "removed:deleted"
    del item


@pytest.mark.slow
def test_what_was_seen_today_is_not_due_and_young_files_are_due_first(house, monkeypatch):
    assert (house.refresh().asked, house.refresh().not_due) == (0, len(NAMES))

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=2)

    monkeypatch.setattr(refreshing, "datetime", Later)
    found = house.refresh()
    assert (found.asked, found.not_due) == (1, len(NAMES) - 1)
    monthly = house.recipe.model_copy(update={"refresh": RefreshPolicy(old_every_days=1)})
    house.recipe = monthly
    assert house.refresh(most=2).asked == 2


@pytest.mark.slow
def test_a_refresh_that_is_killed_between_two_answers_is_only_asked_again(house, monkeypatch):
    house.change(0, deletion_reason="x")
    real = Catalog.write_rows

    def killed(self, stage, *rest):
        if stage == "check":
            raise KeyboardInterrupt
        real(self, stage, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "write_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            house.refresh(everything=True)
    house.refresh(everything=True)
    house.build()
    assert house.reasons()["File:Tagged.jpg"] == "removed:tagged"


@pytest.mark.slow
def test_a_person_who_asked_is_heeded_for_ever(house):
    found = take_down(house.out, ["File:Old.jpg", "https://example.org/x"])
    assert (list(found.pages.values()), found.unknown) == (
        ["File:Old.jpg"],
        ["https://example.org/x"],
    )
    house.build()
    assert house.reasons()["File:Old.jpg"] == "removed:requested"
    told = "\n".join(explain_lines(house.out, "File:Old.jpg"))
    assert "asked for: File:Old.jpg" in told
    assert purge_removed(house.out).objects == 1
    # It is still on Commons and free; that changes nothing.
    assert house.refresh(everything=True).removed == {}
    house.build()
    assert house.reasons()["(purged)"] == "removed:requested"


def test_where_nothing_was_built_there_is_nothing_to_refresh(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no build"):
        refresh(load_recipe(DEMO), out=tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no build"):
        take_down(tmp_path, ["1"])
    with pytest.raises(FileNotFoundError, match="holds no build"):
        purge_removed(tmp_path)
