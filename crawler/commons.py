"""Asks a MediaWiki for file pages: mwclient for the site and the raw call, the query loop is ours.

mwclient's own list helpers drop extmetadata, keep stale continuation keys and yield half-filled pages. Here every
request is made of the original parameters plus the latest `continue` object and nothing else, and pages are merged
over the parts of a batch until the API says `batchcomplete`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from catalog.errors import Expected
from catalog.records import FileRecord, ListingRow
from crawler.answers import ApiSession
from crawler.extmetadata import parse_page
from crawler.plausible import DAMAGED, bounded, trouble_of
from crawler.politeness import PoliteDoor
from crawler.shapes import BadAnswer, read_answer

PAGE_FIELDS: dict[str, str] = {
    "prop": "imageinfo|categories|info",
    "iiprop": "url|size|mime|mediatype|sha1|timestamp|user|extmetadata",
    "iiextmetadatalanguage": "en",
    "cllimit": "max",
    "clprop": "hidden",
}
"""What is asked about every file; one request serves 50 of them unless the answer gets too long."""
BATCH = 50
"""Titles or page ids in one request: the limit for everybody without a bot flag."""
MOST_PARTS = 200
"""Answers that one batch of pages may be continued over."""
MOST_BATCH_BYTES = 64 * 1024 * 1024
"""Of all answers of one batch."""
MOST_EMPTY = 1000
"""Batches without a page that follow each other; a wiki that skips what a query does not want gives some."""
_TRANSIENT = ("maxlag", "ratelimited", "readonly", "internal_api_error", "cirrussearch-too-busy")
"""Beginnings of API error codes that pass by themselves."""


@dataclass(frozen=True, kw_only=True)
class SiteConfig:
    """The wiki to ask, and the hosts that its originals are on; no other host is contacted."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    host: str = "commons.wikimedia.org"
    """Host of the API, with the port where it is not the usual one."""
    path: str = "/w/"
    """Path of api.php, with slashes."""
    scheme: Literal["https", "http"] = "https"
    """http is for local wikis."""
    media_hosts: tuple[str, ...] = ("upload.wikimedia.org",)
    """Hosts of the originals."""
    structured_data: bool = False
    """Ask for the license statements (P275, P6216) of files that the rest of the gate accepts: one more request for 50
    of them. Commons has structured data; a plain MediaWiki does not."""


class ListingError(Expected, RuntimeError):
    """The wiki refused a query, or answered it in part only; the message quotes it."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Pages of one completed batch, and where the query goes on."""

    pages: list[dict[str, Any]]
    carry: dict[str, Any] | None
    """The `continue` object to resume from; None: the query is at its end."""
    redirects: Mapping[str, str] = field(default_factory=dict[str, str])
    """Title of a page -> the title that was asked for and led to it, where the query follows redirects."""


class Commons:
    """A wiki behind the polite door. Not thread-safe, as mwclient is not."""

    def __init__(
        self,
        door: PoliteDoor,
        site: SiteConfig,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0),
    ) -> None:
        """Asks the wiki for its name and version: one request.

        Raises:
            crawler.limits.DoorError: the wiki cannot be reached, or refuses us.
        """
        self.door = door
        self.site = site
        self.now = now
        self.warnings: dict[str, str] = {}
        self.requests = 0
        self.answer_bytes = 0
        """Size of the last answer."""
        self._connect()
        general = (self.ask({"meta": "siteinfo", "siprop": "general"}).get("query") or {}).get(
            "general"
        )
        self.api_version = str((general or {}).get("generator", "unknown"))

    def _connect(self) -> None:
        import mwclient

        # With pool= mwclient leaves User-Agent, time-outs and retries to the session, which is our door. Its own first
        # request would not be repeated when the wiki is busy, so ours takes its place.
        self.session = ApiSession(self.door)
        self.wiki = mwclient.Site(
            self.site.host,
            path=self.site.path,
            scheme=self.site.scheme,
            pool=self.session,
            max_retries=0,
            retry_timeout=0,
            do_init=False,
        )

    def twin(self) -> Commons:
        """The same wiki for another thread, without asking it for its name again."""
        other = copy(self)
        other.warnings, other.requests = {}, 0
        other._connect()
        return other

    def ask(self, parameters: Mapping[str, Any], *, action: str = "query") -> dict[str, Any]:
        """One request of the API, repeated while the wiki is busy; long ones go by POST.

        Raises:
            ListingError: the API answered with an error, or a search with a warning.
            crawler.limits.DoorError: see there.
        """
        # A list of 50 titles of 240 bytes does not fit into a URL.
        method = "POST" if sum(len(str(v)) for v in parameters.values()) > 1500 else "GET"
        attempt, lagged_s = 1, 0.0
        while True:
            self.requests += 1
            given = {**parameters, "maxlag": str(self.door.limits.maxlag_s)}
            given |= {"action": action, "format": "json", "formatversion": "2"}
            # mwclient's own reading of answers trips over half of what proxies send; ours takes the bytes.
            self.wiki.raw_call("api", given, retry_on_error=False, http_method=method)
            body = self.session.take()
            self.answer_bytes = len(body)
            try:
                # Damaged on the way, or a page of a proxy in between.
                answer = read_answer(body, lenient=attempt > 2)
            except BadAnswer as bad:
                del body
                self.door.pause("api", attempt, f"with {bad} instead of an answer of the API")
                attempt += 1
                continue
            error = answer.get("error")
            if error is None:
                self._heed_warnings(answer, parameters)
                return answer
            code = str(error["code"])
            if not code.startswith(_TRANSIENT):
                raise ListingError(
                    f"The wiki refused a query ({code}): {error.get('info', '')} Asked: {_short(parameters)}"
                )
            # Only its body says so where a proxy took the headers off.
            lagged_s = self.door.pause("api", attempt, f"with {code}", lagged_s=lagged_s)
            attempt += code != "maxlag"

    def batches(
        self, parameters: Mapping[str, Any], carry: Mapping[str, Any] | None = None
    ) -> Generator[Batch]:
        """Runs a query to its end, or on from `carry`; each batch holds whole pages, in the order of the answers.

        Raises:
            ListingError, crawler.limits.DoorError: see `ask`.
        """
        goes_on = dict(carry or {})
        known: set[int] = {_mark(goes_on)}
        pages: dict[str, dict[str, Any]] = {}
        redirects: dict[str, str] = {}
        parts = size = empty = 0
        while True:
            answer = self.ask({**parameters, **goes_on})
            parts, size = parts + 1, size + self.answer_bytes
            for page in pages_of(answer):
                merge_page(pages.setdefault(_page_key(page), {}), page)
            redirects |= redirects_of(answer)
            goes_on = dict(answer.get("continue") or {})
            self.check_way(goes_on, known, parameters)
            if "batchcomplete" in answer or not goes_on:
                yield Batch(pages=list(pages.values()), carry=goes_on or None, redirects=redirects)
                empty = 0 if pages else empty + 1
                pages, redirects, parts, size = {}, {}, 0, 0
            if not goes_on:
                return
            if parts >= MOST_PARTS or size > MOST_BATCH_BYTES or empty >= MOST_EMPTY:
                raise ListingError(
                    f"The wiki's answer does not end: {parts} parts and {size} bytes of one batch, {empty} batches "
                    f"without a page. Asked: {_short(parameters)}"
                )

    def check_way(
        self, goes_on: Mapping[str, Any], known: set[int], parameters: Mapping[str, Any]
    ) -> None:
        """A continuation leads somewhere new, and does not change the question; `known` remembers it.

        Raises:
            ListingError: it does not.
        """
        if not goes_on:
            return
        mark = _mark(goes_on)
        if mark in known:
            # Seen on a real wiki with tied sort keys; it would never end.
            raise ListingError(
                f"The wiki continues where it was: {dict(goes_on)}. Asked: {_short(parameters)}"
            )
        known.add(mark)
        changed = sorted(set(goes_on) & set(parameters))
        if changed:
            raise ListingError(
                f"The wiki continues with another question ({', '.join(changed)}). Asked: {_short(parameters)}"
            )

    def seen(
        self, page: Mapping[str, Any], *, source: str, path: str
    ) -> tuple[FileRecord, ListingRow]:
        """A page as record and evidence."""
        row = ListingRow(
            source=source,
            source_path=path,
            fetched_at=self.now(),
            api_version=self.api_version,
            raw_json=json.dumps(page, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
        )
        record = bounded(parse_page(dict(page)))
        if trouble_of(record, page):
            record = replace(record, state=DAMAGED)
        return record, row

    def _heed_warnings(self, answer: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        for module, said in (answer.get("warnings") or {}).items():
            text = said if isinstance(said, str) else str(said.get("warnings", said.get("*", said)))
            if module in ("search", "cirrussearch") or "deepcat" in text.lower():
                raise ListingError(
                    f"A search was answered in part only ({module}: {text}). Narrow the query: {_short(parameters)}"
                )
            self.warnings[f"{module}: {text}"] = _short(parameters)


def pages_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pages of an answer of either format version, in its order."""
    return list((answer.get("query") or {}).get("pages") or [])


def redirects_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """Title -> the title that was asked for, of an answer to a query that follows redirects."""
    query = answer.get("query")
    listed = query.get("redirects") if isinstance(query, Mapping) else None
    return {
        str(item["to"]): str(item["from"])
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, Mapping) and "to" in item and "from" in item
    }


def merge_page(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Adds what another part of the same batch says about a page; lists grow, without repeating what is there."""
    for key, value in more.items():
        held = known.get(key)
        if isinstance(held, list) and isinstance(value, list):
            held.extend(item for item in value if item not in held)
        elif isinstance(held, dict) and isinstance(value, dict):
            merge_page(held, value)
        else:
            known[key] = value


def _page_key(page: Mapping[str, Any]) -> str:
    key = page.get("pageid") or page.get("title") or page.get("invalidreason")
    return str(key) if key else json.dumps(page, sort_keys=True)


def _mark(goes_on: Mapping[str, Any]) -> int:
    """Tells continuations apart."""
    text = json.dumps(goes_on, sort_keys=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def _short(parameters: Mapping[str, Any]) -> str:
    wanted = {k: str(v)[:120] for k, v in parameters.items() if k not in PAGE_FIELDS}
    return " ".join(f"{key}={value}" for key, value in wanted.items())
