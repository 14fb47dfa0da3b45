"""What the name of a category leads to: redirects of both kinds, emptied and missing categories.

Soft redirects are held against a real MediaWiki; the same cases run fast against a few scripted pages.
"""

import json
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from crawler.commons import Commons
from crawler.limits import Limits
from crawler.listing import list_files
from crawler.loopback import LoopbackCommons
from crawler.politeness import PoliteDoor
from crawler.sources import CategorySource, SiteConfig
from crawler.walkers.category import category_title, resolve_categories
from filters.degradation.synthesis import encode_jpeg
from pipelines.build.doors import look
from tests.crawler import contract_corpus
from tests.crawler.servers import answer, scripted
from tests.mediawiki_server import running_mediawiki


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("blurred images", "Category:Blurred images"),
        ("Category:blurred_images ", "Category:Blurred images"),
        ("category: x  y", "Category:X y"),
    ],
)
def test_a_category_may_be_spelled_in_any_way(name, title):
    assert category_title(name) == title


TEXTS = {
    "Target": "A category",
    "Target child": "[[Category:Target]]",
    "Plain": "A category",
    "Root": "A category",
    "Old name": "{{Category redirect|Target}}",
    "Older name": "<!-- {{cat redirect|Plain}} -->{{cat redirect|1=:Category:Old name}} kept for links",
    "Oldest name": "{{Category redirect|[[:Category:Older name]]}}",
    "Too old": "{{category_redirect|Oldest name}}",
    "Moved": "#REDIRECT [[Category:Target]]",
    "Moved to nothing": "{{Category redirect|Never made}}",
    "Loop a": "{{Category redirect|Loop b}}",
    "Loop b": "{{Category redirect|Loop a}}",
    "Left behind": "{{Category redirect|Target}}",
    "In use": "{{category move|Target}} is a proposal",
    "Soft child": "{{Category redirect|Plain}}\n[[Category:Root]]",
    "Emptied": "Nothing here any more",
    "Emptied child": "Nothing here any more\n[[Category:Root]]",
    "Gallery": "#REDIRECT [[Some gallery]]",
}
HELD = ["Target", "Target", "Target child", "Plain", "Left behind", "In use"]
"""Category of each file."""


@pytest.fixture(scope="module")
def wiki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resolver")
    photos = folder / "photos"
    photos.mkdir()
    chance = np.random.default_rng(1)
    items = []
    for i, category in enumerate(HELD):
        pixels = chance.integers(0, 255, (48, 48, 3)).astype(np.uint8)
        (photos / f"Photo {i}.jpg").write_bytes(encode_jpeg(pixels, 90))
        items.append(
            {
                "filename": f"Photo {i}.jpg",
                "license": "Cc-by-4.0",
                "author": "A",
                "categories": [category],
                "description": "x",
            }
        )
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(items))
    with running_mediawiki(photos, manifest) as running:
        site = running.site()
        for title, text in TEXTS.items():
            site.pages[f"Category:{title}"].save(text)
        site.pages["Some gallery"].save("Pictures")
        yield running


@pytest.fixture(params=["scripted", pytest.param("mediawiki", marks=pytest.mark.mediawiki)])
def commons(request):
    """A wiki with these categories: a real one, and one that only knows what the resolver asks."""
    if request.param == "scripted":
        with scripted(few_pages) as server:
            yield commons_at(server.netloc, server.netloc, server.base)
    else:
        wiki = request.getfixturevalue("wiki")
        host, media = (f"127.0.0.1:{port}" for port in (wiki.port, wiki.port + 1))
        yield commons_at(host, media, wiki.base_url)


def commons_at(host, media, base):
    door = PoliteDoor(
        contact="test@example.org",
        limits=Limits(),
        api_hosts=[host],
        media_hosts=[media],
        host_map={host: base},
    )
    return Commons(door, SiteConfig(host=host, scheme="http"))


def few_pages(handler):
    """Answers as MediaWiki does about the text of categories and what is in them; asserts what the resolver asks."""
    asked = urlsplit(handler.path).query
    if handler.command == "POST":
        asked = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
    params = {key: values[0] for key, values in parse_qs(asked).items()}
    members = {title: HELD.count(title) for title in TEXTS}
    subcats = {"Target": 1, "Root": 2}
    if params.get("meta"):
        general = {"generator": "MediaWiki 1.45.0", "case": "first-letter"}
        query = {"general": general, "namespaces": {}, "userinfo": {"name": "x", "groups": []}}
    elif params.get("list") == "allcategories":
        found = [n for n in TEXTS if n.startswith(params["acprefix"]) and members[n]]
        query = {"allcategories": [{"category": n, "size": members[n]} for n in sorted(found)]}
    else:
        assert (params["prop"], params["rvslots"]) == ("categoryinfo|revisions", "main")
        titles = params["titles"].split("|")
        assert len(titles) <= 50
        query = {"pages": [], "redirects": []}
        for title in titles:
            name = title.removeprefix("Category:")
            text = TEXTS.get(name)
            if text and text.startswith("#REDIRECT"):
                target = text.split("[[")[1].rstrip("]")
                query["redirects"].append({"from": title, "to": target})
                title, name = target, target.removeprefix("Category:")
                text = TEXTS.get(name)
            page = {"ns": 14 if title.startswith("Category:") else 0, "title": title}
            if name not in TEXTS and page["ns"] == 14:
                query["pages"].append({**page, "missing": True})
                continue
            size = members.get(name, 0) + subcats.get(name, 0)
            held = {"size": size, "files": members.get(name, 0), "subcats": subcats.get(name, 0)}
            page["revisions"] = [{"slots": {"main": {"content": text or "Pictures"}}}]
            query["pages"].append({**page, "categoryinfo": held} if page["ns"] == 14 else page)
    body = {"batchcomplete": True, "query": query}
    answer(200, json.dumps(body).encode(), Content_Type="application/json")(handler)


def test_names_are_followed_over_redirects_of_both_kinds_to_where_the_files_are(commons):
    names = ["target", "Moved", "Old name", "Older name", "Oldest name", "Left behind"]
    before = commons.requests
    found = resolve_categories(commons, names)
    assert [resolved.name for resolved in found] == names
    assert [resolved.title for resolved in found] == ["Category:Target"] * 6
    assert {(resolved.files, resolved.subcats) for resolved in found} == {(2, 1)}
    assert [resolved.problem for resolved in found] == [None] * 6
    assert commons.requests - before == 4, "one for all the names, and one for each of 3 steps"


@pytest.mark.parametrize(
    ("name", "title", "problem"),
    [
        ("Plain", "Category:Plain", None),
        ("In use", "Category:In use", None),
        ("Emptied", "Category:Emptied", "Category:Emptied is empty on the wiki: take it out"),
        ("Tar get", None, "Category:Tar get does not exist on the wiki: take it out"),
        (
            "Moved to nothing",
            None,
            "Category:Moved to nothing leads to Category:Never made: does not",
        ),
        ("Loop a", "Category:Loop b", "its redirects go round in a circle"),
        ("Too old", "Category:Old name", "more than 3 redirects follow each other"),
        ("Gallery", None, "Category:Gallery leads to Some gallery: is no category"),
        ("a|b", None, "Category:A|b cannot be the name of a category"),
        ("", None, "cannot be the name of a category"),
        ("x" * 300, None, "cannot be the name of a category"),
        ("Target children", None, "take it out of the recipe, or take one of Target child."),
    ],
)
def test_what_leads_nowhere_is_told_with_the_reason(commons, name, title, problem):
    (found,) = resolve_categories(commons, [name])
    assert found.title == title
    assert (found.problem is None) == (problem is None)
    assert (problem or "") in (found.problem or "")


def test_names_that_no_category_can_have_are_not_asked_for(commons):
    # A | would make two titles of one name, and more than 50 in a request.
    before = commons.requests
    found = resolve_categories(commons, ["a|b", "", "[[x]]", "y" * 300, "Category:"])
    assert [resolved.title for resolved in found] == [None] * 5
    assert commons.requests == before


def test_names_are_looked_up_fifty_in_a_request(commons):
    names = [f"Nothing {i:03d}" for i in range(120)]
    before = commons.requests
    found = resolve_categories(commons, [*names, "Old name", *names], suggest=False)
    assert len(found) == 241
    assert [r.title for r in found if r.problem is None] == ["Category:Target"]
    assert commons.requests - before == 3 + 1, "121 names, and one soft redirect"


@pytest.mark.parametrize("commons", ["mediawiki"], indirect=True)
@pytest.mark.mediawiki
@pytest.mark.slow
def test_a_tree_is_walked_over_redirects_at_the_root_and_below(commons):
    def walked(root):
        batches = list(list_files(commons, CategorySource(root=root, depth=1)))
        problems = [batch.problem for batch in batches if batch.problem]
        return {record.title: row.source_path for b in batches for record, row in b.files}, problems

    assert walked("Older name") == (
        {
            "File:Photo 0.jpg": "Category:Older name > Category:Target",
            "File:Photo 1.jpg": "Category:Older name > Category:Target",
            "File:Photo 2.jpg": "Category:Older name > Category:Target > Category:Target child",
        },
        [],
    )
    assert walked("Root") == (
        {"File:Photo 3.jpg": "Category:Root > Category:Plain"},
        ["Subcategories of Category:Root that hold nothing were left out: Category:Emptied child."],
    )


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """A tree with a category that was moved, a moved one below it, and emptied ones, on the embedded Commons."""
    folder = tmp_path_factory.mktemp("embedded")
    items = []
    for i, category in enumerate(["Trams", "Trams at night", "Trams by day", "Buses"]):
        (folder / f"Photo {i}.jpg").write_bytes(encode_jpeg(np.full((16, 16, 3), i, np.uint8), 90))
        items.append({"filename": f"Photo {i}.jpg", "author": "A", "categories": [category]})
    tree = {"Trams": [], "Trams at night": ["Trams"], "Buses": []}
    tree |= {f"Trams of type {i}": ["Trams"] for i in range(60)}
    redirects = {"Category:Tramways": "Category:Trams", "Category:Lost": "Category:Never made"}
    with LoopbackCommons(folder, items, categories=tree, redirects=redirects, look=look) as server:
        yield server


@pytest.fixture
def embedded_commons_of(embedded):
    hosts = ("commons.wikimedia.org", "upload.wikimedia.org")
    door = PoliteDoor(
        contact="me@lab.org",
        limits=Limits(),
        api_hosts=hosts[:1],
        media_hosts=hosts[1:],
        host_map=embedded.host_map,
    )
    return Commons(door, SiteConfig())


def test_a_moved_root_is_walked_and_sixty_empty_subcategories_are_told_in_one_sentence(
    embedded_commons_of,
):
    commons = embedded_commons_of
    before = commons.requests
    batches = list(list_files(commons, CategorySource(root="tramways", depth=1)))
    paths = {record.title: row.source_path for b in batches for record, row in b.files}
    assert paths == {
        "File:Photo 0.jpg": "Category:Tramways > Category:Trams",
        "File:Photo 1.jpg": "Category:Tramways > Category:Trams > Category:Trams at night",
    }
    (problem,) = [batch.problem for batch in batches if batch.problem]
    assert problem.startswith("Subcategories of Category:Trams that hold nothing were left out: ")
    assert problem.endswith("Category:Trams of type 12 and 55 more.")
    # The root, its files, its subcategories (50 rows an answer here), the empty ones (50 at a time), files of one.
    assert commons.requests - before == 1 + 1 + 2 + 2 + 1
    assert commons.warnings == {}, "all that is asked for is known"


def test_denied_and_known_subcategories_are_not_even_looked_up(embedded_commons_of):
    commons = embedded_commons_of
    before = commons.requests
    source = CategorySource(root="Trams", depth=1, deny=("of type",))
    batches = list(list_files(commons, source))
    assert [batch.problem for batch in batches] == [None, None]
    assert commons.requests - before == 1 + 1 + 2 + 1


def test_nothing_is_listed_of_what_leads_nowhere_and_larger_names_are_offered_first(
    embedded_commons_of,
):
    (batch,) = list_files(embedded_commons_of, CategorySource(root="Trams by dawn"))
    assert (batch.files, batch.cursor) == ((), None)
    assert batch.problem == (
        "Category:Trams by dawn does not exist on the wiki: take it out of the recipe, or take one of Trams by day."
    )
    (batch,) = list_files(embedded_commons_of, CategorySource(root="Tram"))
    assert batch.problem.endswith("or take one of Trams, Trams at night, Trams by day.")
    # Only empty ones begin like this.
    (batch,) = list_files(embedded_commons_of, CategorySource(root="Trams of types"))
    assert batch.problem.endswith("take it out of the recipe.")


def test_the_text_of_categories_and_redirects_is_told_as_by_mediawiki(commons_server):
    (old, target), *_ = contract_corpus.REDIRECTS.items()
    titles = f"Category:Contract tree a|{old}|Category:No such category"
    pages = commons_server.pages(
        titles=titles, prop="revisions", rvprop="content", rvslots="main", formatversion=2
    )
    assert "revisions" not in pages["Category:No such category"]
    assert pages["Category:No such category"]["missing"] is True
    for title, text in {
        "Category:Contract tree a": f"[[Category:{contract_corpus.ROOT}]]",
        old: f"#REDIRECT [[{target}]]",
    }.items():
        (revision,) = pages[title]["revisions"]
        assert set(revision) == {"slots"}
        main = dict(revision["slots"]["main"])
        assert text in main.pop("content")
        assert main == {"contentmodel": "wikitext", "contentformat": "text/x-wiki"}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "given",
    [
        {"acprefix": "contract t", "aclimit": 500},
        {"acprefix": "Contract tree", "aclimit": 2, "acprop": "size"},
        {"acprefix": "Contract_", "aclimit": 7, "acprop": "size|hidden", "acdir": "descending"},
        {"acprefix": "Contract", "acmin": 2, "acmax": 20, "aclimit": "max"},
        {"acfrom": "Contract many 03", "acto": "Contract tree a", "aclimit": 9, "acprop": "size"},
        {"acprefix": "No such"},
    ],
)
def test_all_categories_are_listed_as_by_mediawiki(
    commons_server, embedded_commons, given, version
):
    def listed(server):
        params = {"list": "allcategories", "formatversion": version, **given}
        return [
            (answer["query"]["allcategories"], answer.get("continue"))
            for answer in server.answers(**params)
        ]

    found = listed(commons_server)
    assert found == listed(embedded_commons)
    rows = [row for some, _ in found for row in some]
    assert bool(rows) == (given.get("acprefix") != "No such")
    if given.get("acprop") == "size":
        root = "Contract tree a"
        (row,) = [row for row in rows if root in row.values()]
        assert (row["size"], row["files"], row["subcats"], row["pages"]) == (2, 1, 1, 0)
