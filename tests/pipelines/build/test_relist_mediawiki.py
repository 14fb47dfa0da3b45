"""Five weekly builds against a real MediaWiki that grows, with a deletion and a move in between."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from skimage import data

from crawler.limits import Limits
from crawler.relist import Relist
from crawler.sources import CategorySource, SiteConfig, UploadWindowSource
from filters.degradation.synthesis import encode_jpeg, gaussian_blur
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.recipe import load_recipe
from tests.mediawiki_server import running_mediawiki
from tests.pipelines.test_recipe import DEMO

pytestmark = [pytest.mark.mediawiki, pytest.mark.slow]
WEEKLY = Relist(every_days=6, whole_every_days=20)
SOURCES = (CategorySource(root="Grown", depth=0, relist=WEEKLY), UploadWindowSource(last="60d"))


def picture(number):
    chance = np.random.default_rng(number)
    top, left = (int(n) for n in chance.integers(0, 350, 2))
    crop = np.ascontiguousarray(data.astronaut()[top : top + 140, left : left + 140])
    return encode_jpeg(gaussian_blur(crop, 2.0), 90)


def test_weekly_builds_on_a_real_mediawiki_see_what_came_and_what_moved(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    text = "{{Information|description=Crop|author=A|source=own|date=2019}}\n{{Cc-by-4.0}}\n[[Category:Grown]]"
    manifest = tmp_path / "manifest.json"
    items = []
    for number in range(6):
        name = f"Grown {number}.jpg"
        (photos / name).write_bytes(picture(number))
        items.append(
            {
                "filename": name,
                "license": "Cc-by-4.0",
                "author": "A",
                "categories": ["Grown"],
                "description": "Crop",
                "date": "2019-05-06",
                "uploader": "Uploader",
            }
        )
    import json

    manifest.write_text(json.dumps(items))
    with running_mediawiki(photos, manifest) as wiki:
        recipe = load_recipe(DEMO).model_copy(
            update={
                "corpus": None,
                "site": SiteConfig(
                    host=f"127.0.0.1:{wiki.port}",
                    scheme="http",
                    media_hosts=(f"127.0.0.1:{wiki.port + 1}",),
                ),
                "sources": SOURCES,
                "limits": Limits(api_per_minute=200),
                "rules": load_recipe(DEMO).rules[:2],
            }
        )
        site = wiki.site()
        began = datetime.now(UTC)
        out = tmp_path / "out"

        def listed(week):
            with pool_runner("threads", 1) as runner:
                result = build(
                    recipe,
                    out=out,
                    runner=runner,
                    contact="test@example.org",
                    now=began + timedelta(weeks=week),
                )
            return dict(result.funnel)["listed"]

        def add(*numbers):
            for number in numbers:
                file = tmp_path / f"Grown {number}.jpg"
                file.write_bytes(picture(number))
                with file.open("rb") as source:
                    site.upload(source, f"Grown {number}.jpg", text, ignore=True)

        counts = [listed(0)]
        add(10, 11, 12)
        counts.append(listed(1))
        site.pages["File:Grown 1.jpg"].delete("gone")
        site.pages["File:Grown 2.jpg"].move("File:Moved 2.jpg", no_redirect=True)
        add(13)
        counts.append(listed(2))
        counts.append(listed(3))
        add(14)
        counts.append(listed(4))
        assert counts == [6, 9, 10, 10, 11]
        titles = set()
        for part in (out / "catalog/parts/listing").rglob("0*.parquet"):
            titles |= set(pq.read_table(part).column("title").to_pylist())
        assert "File:Moved 2.jpg" in titles
