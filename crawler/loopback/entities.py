"""action=wbgetentities of the embedded Commons: structured data of files, where the manifest gives some.

Shapes follow recorded answers of Commons; no MediaWiki at hand has WikibaseMediaInfo to hold it to. A manifest without
any `sdc` makes a wiki without structured data, whose API does not know the action.
"""

from __future__ import annotations

from typing import Any

from crawler.loopback.core import Wiki
from crawler.loopback.params import ApiError, Params

MOST_IDS = 50


def knows_entities(wiki: Wiki) -> bool:
    """Whether any file has structured data."""
    return any(page.file is not None and page.file.statements for page in wiki.pages.by_id.values())


def entities(wiki: Wiki, params: Params) -> dict[str, Any]:
    """The body of an answer: `entities` by id, with P275, P6216, ... as the manifest says."""
    ids = [name for name in (params.get("ids") or "").split("|") if name]
    params.read("props", "languages")
    if not ids:
        raise ApiError("param-missing", "Either provide the Item IDs or pairs of sites and titles.")
    if len(ids) > MOST_IDS:
        raise ApiError("toomanyvalues", f"Too many values supplied. The limit is {MOST_IDS}.")
    return {"entities": {name: _entity(wiki, name) for name in ids}, "success": 1}


def _entity(wiki: Wiki, name: str) -> dict[str, Any]:
    page = wiki.pages.by_id.get(int(name[1:])) if name[1:].isdigit() else None
    if page is None or page.file is None or not page.file.statements:
        return {"id": name, "missing": ""}
    return {
        "pageid": page.page_id,
        "ns": 6,
        "title": page.title.text,
        "lastrevid": page.revision_id,
        "type": "mediainfo",
        "id": name,
        "labels": {},
        "descriptions": {},
        "statements": {
            prop: [_statement(prop, item) for item in items]
            for prop, items in page.file.statements.items()
        },
    }


def _statement(prop: str, item: str) -> dict[str, Any]:
    value = {"entity-type": "item", "numeric-id": int(item[1:]), "id": item}
    snak = {
        "snaktype": "value",
        "property": prop,
        "datavalue": {"value": value, "type": "wikibase-entityid"},
    }
    return {"mainsnak": snak, "type": "statement", "rank": "normal"}
