"""The two Commons that the contract tests run against, with the same corpus: the embedded one and a real MediaWiki."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from crawler.loopback import LoopbackCommons
from pipelines.build.doors import look
from tests.crawler import contract_corpus
from tests.mediawiki_server import RESULT_LIMIT_BYTES, running_mediawiki


@dataclass(frozen=True, kw_only=True)
class CommonsUnderTest:
    """One of the two, with what a test needs to know of it."""

    name: str
    base_url: str
    upload_url: str
    set_lag: Callable[[float], None]
    limit_result: Callable[[int], None]
    session: requests.Session

    @property
    def api_url(self) -> str:
        """Of api.php."""
        return f"{self.base_url}/w/api.php"

    def raw(self, **params: Any) -> requests.Response:
        """One request of action=query."""
        given = {"action": "query", "format": "json", **params}
        return self.session.get(self.api_url, params=given, timeout=60)

    def ask(self, **params: Any) -> dict[str, Any]:
        """Its answer."""
        answer = self.raw(**params)
        assert answer.status_code == 200
        return answer.json()

    def answers(self, most: int = 300, **params: Any) -> list[dict[str, Any]]:
        """All answers to the end of the continuation: the original parameters and the latest `continue`, no more."""
        found = [self.ask(**params)]
        while "continue" in found[-1]:
            assert len(found) < most, "the continuation does not end"
            found.append(self.ask(**params, **found[-1]["continue"]))
        return found

    def pages(self, **params: Any) -> dict[str, dict[str, Any]]:
        """Pages by title, merged over the whole continuation."""
        merged: dict[str, dict[str, Any]] = {}
        for answer in self.answers(**params):
            assert "error" not in answer, answer["error"]
            listed = answer.get("query", {}).get("pages", [])
            for page in listed.values() if isinstance(listed, dict) else listed:
                known = merged.setdefault(page.get("title", str(page.get("pageid"))), {})
                for key, value in page.items():
                    if key == "categories":
                        known[key] = [*known.get(key, []), *value]
                    else:
                        known[key] = value
        return merged

    def original(self, url: str) -> requests.Response:
        """The bytes behind a URL of an answer."""
        here = re.sub(r"^https?://[^/]+", self.upload_url, url)
        return self.session.get(here, timeout=60)


@pytest.fixture(scope="session")
def contract_folder(tmp_path_factory):
    """(photos, manifest) of the corpus that both hold."""
    return contract_corpus.make(tmp_path_factory.mktemp("contract"))


@pytest.fixture(scope="session")
def embedded_commons(contract_folder) -> Iterator[CommonsUnderTest]:
    """The embedded Commons."""
    photos, manifest = contract_folder
    commons = LoopbackCommons(
        photos,
        manifest,
        page_size=500,
        categories=contract_corpus.CATEGORY_PAGES,
        redirects=contract_corpus.REDIRECTS,
        look=look,
    )

    def limit_result(most_bytes: int) -> None:
        commons.wiki.max_result_bytes = most_bytes

    with commons, requests.Session() as session:
        yield CommonsUnderTest(
            name="loopback",
            base_url=commons.base_url,
            upload_url=commons.base_url,
            set_lag=lambda seconds: setattr(commons, "lag_s", seconds),
            limit_result=limit_result,
            session=session,
        )


@pytest.fixture(scope="session")
def real_mediawiki(contract_folder) -> Iterator[CommonsUnderTest]:
    """The real MediaWiki with the same corpus; what its seeding cannot make is made through the API."""
    with running_mediawiki(*contract_folder) as wiki, requests.Session() as session:
        site = wiki.site()
        for name in contract_corpus.USERS:
            site.pages[f"User:{name}"].edit("Takes photographs.", "seed")
        for name, parents in contract_corpus.CATEGORY_PAGES.items():
            text = "\n".join(["A category.", *(f"[[Category:{parent}]]" for parent in parents)])
            site.pages[f"Category:{name}"].edit(text, "seed")
        for title, target in contract_corpus.REDIRECTS.items():
            site.pages[title].edit(f"#REDIRECT [[{target}]]", "seed")
        wiki.limit_result(RESULT_LIMIT_BYTES)
        yield CommonsUnderTest(
            name="mediawiki",
            base_url=wiki.base_url,
            upload_url=wiki.host_map["upload.wikimedia.org"],
            set_lag=wiki.set_lag,
            limit_result=wiki.limit_result,
            session=session,
        )


@pytest.fixture(params=["loopback", pytest.param("mediawiki", marks=pytest.mark.mediawiki)])
def commons_server(request) -> CommonsUnderTest:
    """Each of the two in turn."""
    name = "embedded_commons" if request.param == "loopback" else "real_mediawiki"
    return request.getfixturevalue(name)
