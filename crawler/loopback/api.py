"""action=query of the embedded Commons: parameters, the set of pages, and MediaWiki's way of continuing an answer.

The modules themselves are in lists/, props.py and meta.py. Shapes follow MediaWiki 1.39
and are held to it by tests/crawler/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from crawler.loopback.core import Module, Wiki
from crawler.loopback.entities import entities, knows_entities
from crawler.loopback.lists import LISTS
from crawler.loopback.meta import META
from crawler.loopback.pages import Page, Title, parse_title
from crawler.loopback.params import ApiError, Params, bad_continue
from crawler.loopback.props import PROPS

MOST_TITLES = 50
"""Titles or page ids in one request, for readers who are not bots."""


class Answer(NamedTuple):
    """What goes over the wire."""

    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(kw_only=True)
class PageSet:
    """The pages that property modules speak about: what was asked for, found or not."""

    heads: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Key -> what every answer says about the page; not found pages have keys below 0."""
    pages: dict[int, Page] = field(default_factory=dict)
    titles: dict[int, Title] = field(default_factory=dict)
    """Titles of pages that do not exist."""
    normalized: list[dict[str, Any]] = field(default_factory=list)
    redirects: list[dict[str, str]] = field(default_factory=list)

    def add(self, page: Page, **more: Any) -> None:
        """Adds a page that exists."""
        title = page.title
        head = {"pageid": page.page_id, "ns": title.namespace, "title": title.text}
        self.heads.setdefault(page.page_id, head).update(more)
        self.pages[page.page_id] = page

    def absent(self, head: dict[str, Any], title: Title | None = None) -> None:
        """Adds a page that does not."""
        key = min(0, *self.heads, 0) - 1
        self.heads[key] = head
        if title is not None:
            self.titles[key] = title


def answer(wiki: Wiki, given: Mapping[str, str], *, lag_s: float) -> Answer:
    """Answers one request of api.php; errors come as MediaWiki's, with HTTP status 200."""
    v2 = given.get("formatversion") in ("2", "latest")
    params = Params(given)
    try:
        params.read("format", "requestid", "utf8", "ascii", "origin", "curtimestamp", "servedby")
        params.one_of("formatversion", ("1", "2", "latest"), "1")
        params.one_of("errorformat", ("bc",), "bc")
        _check_lag(params, lag_s)
        asked = given.get("action") == "wbgetentities"
        known = ("query", "wbgetentities") if asked and knows_entities(wiki) else ("query",)
        action = params.one_of("action", known, "help")
        if action not in known:
            raise ApiError("badvalue", f"The embedded Commons only knows action={known[0]}.")
        body = _query(wiki, params) if action == "query" else entities(wiki, params)
        unknown = params.unread()
        if unknown:
            plural = "s" if len(unknown) > 1 else ""
            params.warn("main", f"Unrecognized parameter{plural}: {', '.join(unknown)}.")
    except ApiError as error:
        hint = {"docref" if v2 else "*": f"See {wiki.site}/w/api.php for API usage."}
        shape = {"code": error.code, "info": error.info, **error.more, **hint}
        headers = {"MediaWiki-API-Error": error.code, **error.headers}
        return Answer({"error": shape, "servedby": "loopback"}, headers)
    if params.warnings:
        text = "warnings" if v2 else "*"
        body["warnings"] = {k: {text: "\n".join(lines)} for k, lines in params.warnings.items()}
    if "requestid" in given:
        body["requestid"] = given["requestid"]
    return Answer(body if v2 else as_v1(body), {})


def as_v1(value: Any) -> Any:
    """The older format: true is an empty string, false is left out."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if v is not False}
        return {k: "" if v is True else as_v1(v) for k, v in kept.items()}
    return [as_v1(v) for v in value] if isinstance(value, list) else value


def _check_lag(params: Params, lag_s: float) -> None:
    most = params.integer("maxlag")
    # A wiki without replicas reports -1: maxlag=-1 passes there, and only -2 is refused.
    lag = lag_s if lag_s > 0 else -1
    if most is None or lag <= most:
        return
    host = "db1" if lag_s > 0 else ""
    raise ApiError(
        "maxlag",
        f"Waiting for {host}: {lag} second{'' if abs(lag) == 1 else 's'} lagged.",
        more={"host": host, "lag": lag, "type": "db"},
        headers={"Retry-After": "5", "X-Database-Lag": str(int(lag))},
    )


class _Continued(NamedTuple):
    """The `continue` parameter of a request, taken apart."""

    generator_done: bool
    generator_keys: list[str]
    finished: set[str]


def _continued(params: Params) -> _Continued:
    given = params.get("continue")
    if not given:
        return _Continued(False, [], set())
    parts = given.split("||")
    if len(parts) != 2:
        raise bad_continue()
    finished = {name for name in parts[1].split("|") if name}
    keys = [name for name in parts[0].split("|") if name and name != "-"]
    return _Continued(parts[0] == "-", keys, finished)


def _query(wiki: Wiki, params: Params) -> dict[str, Any]:
    names = {
        kind: params.many(kind, tuple(known), "query")
        for kind, known in (("prop", PROPS), ("list", LISTS), ("meta", META))
    }
    continued = _continued(params)
    follow_redirects = params.flag("redirects")
    params.flag("indexpageids")
    query: dict[str, Any] = {}
    generator_next: dict[str, Any] = {}
    limits: dict[str, int] = {}
    pages = PageSet()
    generator = params.get("generator")
    if continued.generator_done:
        params.read("titles", "pageids")
        if generator is not None and generator in LISTS:
            LISTS[generator].read_only(params, prefix="g")
    elif generator:
        generator_next = _generate(wiki, params, generator, pages, limits)
    else:
        _asked_for(wiki, params, pages, follow_redirects)
    # What is said about the pages.
    prop_next: dict[str, Any] = {}
    other_next: dict[str, Any] = {}
    finished: list[str] = []
    ran_props: list[str] = []
    values = {key: dict(head) for key, head in pages.heads.items()}
    for name in names["prop"]:
        module = PROPS[name]
        if name in continued.finished or continued.generator_done:
            module.read_only(params)
            finished.append(name)
            continue
        more = module.run_prop(wiki, params, pages.pages, pages.titles, values)
        ran_props.append(name)
        _note_limit(params, module, limits)
        prop_next.update(more)
        if not more:
            finished.append(name)
    for name in names["list"]:
        module = LISTS[name]
        if name in continued.finished:
            module.read_only(params)
            finished.append(name)
            continue
        listed = module.run_list(wiki, params)
        _note_limit(params, module, limits)
        query |= listed.extra
        query[name] = listed.shown
        other_next.update(listed.next)
        if not listed.next:
            finished.append(name)
    for name in names["meta"]:
        if name in continued.finished:
            META[name].read_only(params)
        else:
            query |= META[name].run_meta(wiki, params)
        finished.append(name)
    _put_pages(query, pages, values, v2=params.get("formatversion") in ("2", "latest"))
    return _assembled(
        params, query, limits, prop_next, other_next, generator_next, continued, finished, ran_props
    )


def _assembled(
    params: Params,
    query: dict[str, Any],
    limits: dict[str, int],
    prop_next: dict[str, Any],
    other_next: dict[str, Any],
    generator_next: dict[str, Any],
    continued: _Continued,
    finished: list[str],
    ran_props: list[str],
) -> dict[str, Any]:
    """Batch first: as long as a property has more to say about these pages, the generator stands still."""
    data = dict(other_next)
    batch_complete = not prop_next
    if prop_next:
        here = {key: params.get(key) for key in continued.generator_keys if params.get(key)}
        data |= prop_next | here
        front = "|".join(here)
    elif generator_next:
        data |= generator_next
        front = "|".join(generator_next)
        finished = [name for name in finished if name not in PROPS]
    else:
        front = "-"
    body: dict[str, Any] = {"batchcomplete": True} if batch_complete else {}
    if data:
        body["continue"] = {**data, "continue": f"{front}||{'|'.join(finished)}"}
    if query:
        body["query"] = query
    if limits:
        body["limits"] = limits
    return body


def _note_limit(params: Params, module: Module, limits: dict[str, int]) -> None:
    if params.maximum_used:
        limits[module.name] = params.maximum_used
        params.maximum_used = 0


def _generate(
    wiki: Wiki, params: Params, name: str, pages: PageSet, limits: dict[str, int]
) -> dict[str, Any]:
    if name not in LISTS:
        raise ApiError("badgenerator", f'Unknown "generator={name}".')
    params.read("titles", "pageids")
    module = LISTS[name]
    listed = module.run_list(wiki, params, prefix="g")
    _note_limit(params, module, limits)
    for place, page in enumerate(listed.pages):
        pages.add(page, **({"index": listed.first + place} if name == "search" else {}))
    return listed.next


def _asked_for(wiki: Wiki, params: Params, pages: PageSet, follow: bool) -> None:
    titles, ids = params.get("titles"), params.get("pageids")
    if titles and ids:
        raise ApiError("multisource", 'The "pageids" parameter cannot be used with "titles".')
    if titles:
        _by_titles(wiki, params.values("titles", MOST_TITLES), pages, follow)
    for text in params.values("pageids", MOST_TITLES):
        if not text.strip().lstrip("-").isdigit():
            raise ApiError("badinteger", f'Invalid value "{text}" for integer parameter "pageids".')
        page = wiki.pages.by_id.get(int(text))
        if page is None:
            pages.heads[int(text)] = {"pageid": int(text), "missing": True}
        else:
            _resolve(wiki, page, pages, follow)


def _by_titles(wiki: Wiki, asked: list[str], pages: PageSet, follow: bool) -> None:
    parsed = [(text, parse_title(text)) for text in dict.fromkeys(asked)]
    for text, title in parsed:
        if title.reason:
            pages.absent({"title": text, "invalidreason": title.reason, "invalid": True})
    for text, title in parsed:
        if title.reason:
            continue
        if title.text != text:
            pages.normalized.append({"fromencoded": False, "from": text, "to": title.text})
        page = wiki.pages.by_title.get(title.text)
        head = {"ns": title.namespace, "title": title.text}
        if page is not None:
            _resolve(wiki, page, pages, follow)
        elif all(known.get("title") != title.text for known in pages.heads.values()):
            if title.namespace < 0:
                # A Media: title stands for a file, and says whether there is one.
                there = f"File:{title.name}" in wiki.pages.by_title
                lost = title.namespace == -2 and not there
                pages.absent({**head, "special": True, **({"missing": True} if lost else {})})
            else:
                pages.absent({**head, "missing": True}, title)


def _resolve(wiki: Wiki, page: Page, pages: PageSet, follow: bool) -> None:
    if not follow or page.redirect is None:
        pages.add(page)
        return
    if all(known["from"] != page.title.text for known in pages.redirects):
        pages.redirects.append({"from": page.title.text, "to": page.redirect})
    target = wiki.pages.by_title.get(page.redirect)
    if target is not None:
        pages.add(target)
    else:
        title = parse_title(page.redirect)
        pages.absent({"ns": title.namespace, "title": title.text, "missing": True}, title)


def _put_pages(
    query: dict[str, Any], pages: PageSet, values: dict[int, dict[str, Any]], *, v2: bool
) -> None:
    if pages.normalized:
        query["normalized"] = pages.normalized
    if pages.redirects:
        query["redirects"] = pages.redirects
    if values and v2:
        query["pages"] = [values[key] for key in sorted(values)]
    elif values:
        # Not in the generator's order: pages that are not there first, then by title.
        def place(key: int) -> tuple[bool, int, bytes]:
            page = pages.pages.get(key)
            where = page.title if page else Title(0, "")
            return page is not None, where.namespace, where.name.replace(" ", "_").encode()

        query["pages"] = {str(key): values[key] for key in sorted(values, key=place)}
