"""One build against a real MediaWiki with more than 300 files: originals, licenses, categories, continuation."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from itertools import cycle

import duckdb
import numpy as np
import pytest
from PIL import Image
from skimage import data

from crawler.download import ObjectStore
from crawler.limits import Limits
from crawler.sources import CategorySource, SiteConfig, UploadWindowSource
from filters.degradation.synthesis import encode_jpeg, gaussian_blur
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.recipe import load_recipe
from tests.mediawiki_server import running_mediawiki
from tests.pipelines.test_recipe import DEMO

pytestmark = [pytest.mark.mediawiki, pytest.mark.slow]

FILES = 320
ROOT, BELOW = "MediaWiki build", "MediaWiki build below"
# License template -> (SPDX id of the accepted, or None; what the decision says of the license).
LICENSES = {
    "Cc-by-sa-4.0": ("CC-BY-SA-4.0", "ok"),
    "Cc-by-4.0": ("CC-BY-4.0", "ok"),
    "Cc-zero": ("CC0-1.0", "ok"),
    "Cc-by-2.0": ("CC-BY-2.0", "ok"),
    "Self|Cc-by-sa-3.0": ("CC-BY-SA-3.0", "ok"),
    "PD-old": ("LicenseRef-PD-old", "ok"),
    "GFDL": (None, "license_not_allowed:gfdl"),
    "Non-free_logo": (None, "non_free"),
    "": (None, "no_license"),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Blurred crops, one per file, no two alike, with licenses in turn."""
    folder = tmp_path_factory.mktemp("mediawiki-build")
    photos = folder / "photos"
    photos.mkdir()
    sources = [
        data.astronaut(),
        data.coffee(),
        data.chelsea(),
        np.stack([data.camera()] * 3, axis=2),
    ]
    chance = np.random.default_rng(5)
    items = []
    for i, (template, image) in enumerate(zip(cycle(LICENSES), cycle(sources), strict=False)):
        if i == FILES:
            break
        size = int(chance.integers(128, 200))
        top = int(chance.integers(0, image.shape[0] - size))
        left = int(chance.integers(0, image.shape[1] - size))
        crop = np.ascontiguousarray(image[top : top + size, left : left + size])
        name = f"Crop {i:03d} ünïcode.jpg"
        (photos / name).write_bytes(encode_jpeg(gaussian_blur(crop, 2.5), 92))
        items.append(
            {
                "filename": name,
                "license": template,
                "author": f"[[User:Painter {i % 4}|Painter {i % 4}]]",
                "categories": [BELOW if i % 10 == 0 else ROOT, f"Crops of photograph {i % 4}"],
                "description": f"Crop number {i}",
                "date": "2019-05-06",
                "uploader": f"Uploader {i % 3}",
            }
        )
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items), encoding="utf-8")
    return photos, manifest, items


@pytest.fixture(scope="module")
def built(corpus, tmp_path_factory):
    photos, manifest, _ = corpus
    out = tmp_path_factory.mktemp("build-against-mediawiki")
    with running_mediawiki(photos, manifest) as wiki:
        wiki.site().pages[f"Category:{BELOW}"].save(f"[[Category:{ROOT}]]")
        recipe = load_recipe(DEMO).model_copy(
            update={
                "corpus": None,
                "site": SiteConfig(
                    host=f"127.0.0.1:{wiki.port}",
                    scheme="http",
                    media_hosts=(f"127.0.0.1:{wiki.port + 1}",),
                ),
                "sources": (
                    CategorySource(root=ROOT, depth=1),
                    _window(),
                ),
                "limits": Limits(api_per_minute=200),
                "rules": load_recipe(DEMO).rules[:2],
            }
        )
        with pool_runner("threads", 2) as runner:
            result = build(recipe, out=out, runner=runner, contact="test@example.org")
    return out, result


def _window():
    return UploadWindowSource(
        start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2021, 1, 1, tzinfo=UTC)
    )


def query(out, sql):
    with duckdb.connect(str(out / "lucidlr.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_every_file_is_listed_once_although_the_listing_continues_and_sources_overlap(
    built, corpus
):
    out, result = built
    assert result.funnel[0] == ("listed", FILES)
    titles = {title for (title,) in query(out, "SELECT title FROM files")}
    assert titles == {f"File:{item['filename']}" for item in corpus[2]}
    listing = query(out, "SELECT source_path, count(*) FROM listing GROUP BY 1 ORDER BY 1")
    assert dict(listing)[f"Category:{ROOT}"] == FILES * 9 // 10
    assert dict(listing)[f"Category:{ROOT} > Category:{BELOW}"] == FILES // 10
    assert sum(count for path, count in listing if path.startswith("uploads")) == FILES
    pages = query(out, "SELECT count(*) FROM requests WHERE kind = 'api'")
    assert pages[0][0] > 2 * FILES / 50


def test_sizes_hashes_and_categories_are_those_of_the_files(built, corpus):
    out, _ = built
    photos, _, items = corpus
    said = {
        row[0]: row[1:]
        for row in query(
            out,
            "SELECT title, sha1, width, height, size_bytes, categories, uploader, artist FROM files",
        )
    }
    for item in items:
        path = photos / item["filename"]
        content = path.read_bytes()
        with Image.open(path) as image:
            width, height = image.size
        sha1, *geometry, size, categories, uploader, artist = said[f"File:{item['filename']}"]
        assert sha1 == hashlib.sha1(content).hexdigest()
        assert (*geometry, size) == (width, height, len(content))
        assert set(item["categories"]) <= set(categories)
        assert uploader == item["uploader"]
        assert artist == item["author"].split("|")[1].rstrip("]")


def test_every_license_gets_its_verdict_and_only_free_files_are_fetched(built, corpus):
    out, _ = built
    said = {
        row[0]: row[1:]
        for row in query(out, "SELECT title, license, license_reason, keep, reason FROM decisions")
    }
    fetched = {sha1 for (sha1,) in query(out, "SELECT sha1 FROM objects")}
    store = ObjectStore(out / "catalog" / "objects")
    for item in corpus[2]:
        spdx, reason = LICENSES[item["license"]]
        license_, license_reason, _keep, _ = said[f"File:{item['filename']}"]
        assert license_reason == reason, item["license"]
        content = (corpus[0] / item["filename"]).read_bytes()
        sha1 = hashlib.sha1(content).hexdigest()
        assert (sha1 in fetched) == (spdx is not None)
        if spdx is not None:
            assert license_ == spdx
            assert store.read(sha1) == content


def test_the_dataset_holds_free_files_with_attribution_and_the_evidence_says_where_from(built):
    out, result = built
    kept = dict(result.funnel)["near_duplicate"]
    assert kept > 150
    rows = query(out, "SELECT license, attribution_line FROM samples")
    assert len(rows) == kept
    free = {spdx for spdx, _ in LICENSES.values() if spdx}
    assert {license_ for license_, _ in rows} <= free
    assert all("File:Crop" in line and "unmodified" in line for _, line in rows)
    versions = Counter(v for (v,) in query(out, "SELECT api_version FROM evidence"))
    assert [version.rpartition(".")[0] for version in versions] == ["MediaWiki 1.39"]
    (worst,) = query(out, "SELECT max(in_flight) FROM requests WHERE kind = 'media'")
    assert worst[0] <= 2
