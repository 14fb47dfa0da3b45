"""Files that change on a real MediaWiki after a build: deleted, overwritten, relicensed, moved, restored."""

import hashlib
import json
import time

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from skimage import data

from crawler.limits import Limits
from crawler.sources import CategorySource, SiteConfig
from filters.degradation.synthesis import encode_jpeg, gaussian_blur
from pipelines.build.driver import build
from pipelines.build.refresh import purge_removed, refresh, take_down
from pipelines.build.runners import pool_runner
from pipelines.recipe import load_recipe
from tests.mediawiki_server import running_mediawiki
from tests.pipelines.test_recipe import DEMO

pytestmark = [pytest.mark.mediawiki, pytest.mark.slow]

NAMES = (
    "deleted",
    "overwritten",
    "nonfree",
    "moved",
    "edited",
    "asked for",
    "stays 1",
    "stays 2",
    "person",
)
CONTACT = "test@example.org"


def picture(number):
    chance = np.random.default_rng(number)
    source = data.astronaut() if number % 2 else data.coffee()
    top, left = (int(chance.integers(0, source.shape[axis] - 160)) for axis in (0, 1))
    crop = np.ascontiguousarray(source[top : top + 160, left : left + 160])
    return encode_jpeg(gaussian_blur(crop, 2.5), 92)


def sha1(content):
    return hashlib.sha1(content).hexdigest()


class House:
    """A wiki, a recipe for it, and a build's folder."""

    def __init__(self, wiki, out, photos):
        self.wiki, self.out, self.photos = wiki, out, photos
        self.recipe = load_recipe(DEMO).model_copy(
            update={
                "corpus": None,
                "site": SiteConfig(
                    host=f"127.0.0.1:{wiki.port}",
                    scheme="http",
                    media_hosts=(f"127.0.0.1:{wiki.port + 1}",),
                ),
                "sources": (CategorySource(root="Refreshed", depth=0),),
                "limits": Limits(api_per_minute=200),
                "rules": load_recipe(DEMO).rules[:2],
            }
        )

    def build(self):
        with pool_runner("threads", 1) as runner:
            return build(self.recipe, out=self.out, runner=runner, contact=CONTACT)

    def refresh(self):
        time.sleep(
            1.2
        )  # An edit in the same second as a cached reading stays unseen in extmetadata.
        return refresh(self.recipe, out=self.out, contact=CONTACT, everything=True)

    def query(self, sql):
        with duckdb.connect(str(self.out / "lucidlr.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def released(self):
        """Title -> SHA-1 of what the dataset holds, the bytes looked at."""
        found = {}
        for shard in self.out.glob("dataset/data/*/*.parquet"):
            for row in pq.read_table(shard, columns=["title", "sha1", "image"]).to_pylist():
                assert sha1(row["image"]["bytes"]) == row["sha1"]
                found[row["title"]] = row["sha1"]
        return found

    def files_with(self, needle):
        """Files below the build's folder that hold these bytes, uncompressed or in a column of a part."""
        found = []
        for file in sorted(self.out.rglob("*")):
            if not file.is_file():
                continue
            held = file.read_bytes()
            if file.suffix == ".parquet":
                rows = pq.read_table(file).to_pylist()
                held += repr(rows).encode() + b"".join(
                    row["image"]["bytes"] for row in rows if isinstance(row.get("image"), dict)
                )
            if needle in held:
                found.append(str(file.relative_to(self.out)))
        return found


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """The whole story once; the tests look at its chapters."""
    folder = tmp_path_factory.mktemp("refresh")
    photos = folder / "photos"
    photos.mkdir()
    items = []
    for number, name in enumerate(NAMES):
        (photos / f"{name}.jpg").write_bytes(picture(number))
        items.append(
            {
                "filename": f"{name}.jpg",
                "license": "Cc-by-4.0",
                # In small letters "author of ..." would be nobody's name.
                "author": f"Ann {name.title()}",
                "categories": ["Refreshed"],
                "description": "A crop",
                "date": "2019-05-06",
                "uploader": "Uploader",
            }
        )
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items))
    chapters = {}
    with running_mediawiki(photos, manifest) as wiki:
        house = House(wiki, folder / "out", photos)
        house.build()
        chapters["first"] = house.released()
        chapters["quiet"] = house.refresh()
        site = wiki.site()
        site.pages["File:Deleted.jpg"].delete(reason="No permission since May")
        new = folder / "new.jpg"
        new.write_bytes(picture(77))
        with new.open("rb") as content:
            site.upload(content, "Overwritten.jpg", comment="better scan", ignore=True)
        page = site.pages["File:Nonfree.jpg"]
        page.save(page.text().replace("Cc-by-4.0", "Non-free_logo"), "was never free")
        page = site.pages["File:Person.jpg"]
        page.save(page.text() + "\n{{Personality rights}}", "a face")
        site.pages["File:Moved.jpg"].move("File:Moved away.jpg", "clearer name", no_redirect=True)
        page = site.pages["File:Edited.jpg"]
        page.save(page.text().replace("Ann Edited", "Somebody else"), "author named")
        chapters["refreshed"] = house.refresh()
        chapters["asked"] = take_down(
            house.out,
            ["https://commons.wikimedia.org/wiki/File:Asked_for.jpg", "File:Nobody.jpg", "# note"],
        )
        house.build()
        chapters["second"] = house.released()
        chapters["decisions"] = dict(house.query("SELECT title, reason FROM decisions"))
        chapters["tombstones"] = house.query("SELECT reason, sha1, detail FROM tombstones")
        chapters["credit"] = house.query(
            "SELECT attribution_line FROM samples WHERE title = 'File:Edited.jpg'"
        )
        chapters["before purge"] = house.files_with(picture(0))
        chapters["purged"] = purge_removed(house.out)
        chapters["after purge"] = {
            name: house.files_with(needle)
            for name, needle in (
                ("bytes of deleted", picture(0)),
                ("bytes of overwritten", picture(1)),
                ("bytes of nonfree", picture(2)),
                ("bytes of asked for", picture(5)),
                ("author of deleted", b"Ann Deleted"),
                ("title of asked for", b"Asked for.jpg"),
            )
        }
        chapters["purged again"] = purge_removed(house.out)
        site.api(
            "undelete",
            title="File:Deleted.jpg",
            reason="permission came",
            token=site.get_token("csrf"),
        )
        chapters["restored"] = house.refresh()
        house.build()
        chapters["third"] = house.released()
    return chapters


def test_a_refresh_of_an_unchanged_wiki_changes_nothing(story):
    assert story["quiet"].asked == len(NAMES)
    assert story["quiet"].changes == {}
    assert story["quiet"].removed == {}


def test_every_change_is_seen_and_what_may_not_be_released_gets_a_tombstone(story):
    assert story["refreshed"].changes == {
        "deleted": 1,
        "edited": 3,  # the author of one, the license of another, a warning on a third
        "moved": 1,
        "overwritten": 1,
    }
    assert story["refreshed"].removed == {
        "deleted": 1,
        "overwritten": 1,
        "relicensed": 1,
        "restricted": 1,
    }
    stones = {(reason, digest): detail for reason, digest, detail in story["tombstones"]}
    assert "No permission since May" in stones["deleted", sha1(picture(0))]
    assert sha1(picture(77)) in stones["overwritten", sha1(picture(1))]
    assert "non_free" in stones["relicensed", sha1(picture(2))]
    assert "personality" in stones["restricted", sha1(picture(8))]
    assert ("requested", sha1(picture(5))) in stones


def test_the_next_build_releases_without_them_and_with_the_new_version_and_the_new_name(story):
    assert set(story["first"]) == {f"File:{name.capitalize()}.jpg" for name in NAMES}
    assert story["second"] == {
        "File:Overwritten.jpg": sha1(picture(77)),
        "File:Moved away.jpg": sha1(picture(3)),
        "File:Edited.jpg": sha1(picture(4)),
        "File:Stays 1.jpg": sha1(picture(6)),
        "File:Stays 2.jpg": sha1(picture(7)),
    }
    assert "Somebody else" in story["credit"][0][0]


def test_the_decisions_say_why(story):
    assert story["decisions"]["File:Deleted.jpg"] == "removed:deleted"
    assert story["decisions"]["File:Nonfree.jpg"] == "removed:relicensed"
    assert story["decisions"]["File:Asked for.jpg"] == "removed:requested"
    assert story["decisions"]["File:Stays 1.jpg"] == "kept"


def test_a_removal_list_names_files_in_any_way_and_says_what_it_does_not_know(story):
    assert list(story["asked"].pages.values()) == [
        "https://commons.wikimedia.org/wiki/File:Asked_for.jpg"
    ]
    assert story["asked"].unknown == ["File:Nobody.jpg"]


def test_after_a_purge_neither_bytes_nor_evidence_are_in_any_object_part_or_page(story):
    assert story["before purge"], "the search finds nothing even where something is"
    assert story["purged"].objects == 5
    # The tombstone itself says what was asked for; that line is the one thing that stays.
    allowed = {"title of asked for": {"catalog/parts/tombstone"}}
    for what, files in story["after purge"].items():
        left = [f for f in files if not f.startswith(tuple(allowed.get(what, ("-",))))]
        assert left == [], what
    assert (story["purged again"].objects, story["purged again"].parts) == (0, 0)


def test_what_was_restored_comes_back(story):
    assert story["restored"].changes == {"restored": 1}
    assert story["restored"].removed == {"restored": 1}
    assert story["third"] == {**story["second"], "File:Deleted.jpg": sha1(picture(0))}
