"""What the embedded Commons' API says about the site and about who asks."""

from __future__ import annotations

from typing import Any

from crawler.loopback.core import Module, Wiki, named
from crawler.loopback.pages import NAMESPACES
from crawler.loopback.params import Params


def _site_info(wiki: Wiki, params: Params) -> dict[str, Any]:
    wanted = params.many(
        "siprop", ("general", "namespaces", "statistics"), "siteinfo", ("general",)
    )
    v2 = params.get("formatversion") in ("2", "latest")
    out: dict[str, Any] = {}
    if "general" in wanted:
        out["general"] = {
            "mainpage": "Main Page",
            "base": f"{wiki.site}/wiki/Main_Page",
            "sitename": "Embedded Commons",
            # Old enough for every client, and honest about what the shapes were compared with.
            "generator": "MediaWiki 1.39.17",
            "case": "first-letter",
            "lang": "en",
            "timezone": "UTC",
            "articlepath": "/wiki/$1",
            "scriptpath": "/w",
            "script": "/w/index.php",
            "server": wiki.site,
            "servername": wiki.site.partition("//")[2],
            "wikiid": "commonswiki",
            "categorycollation": "uppercase",
            "writeapi": False,
        }
    if "namespaces" in wanted:
        name_key = "name" if v2 else "*"
        out["namespaces"] = {
            str(number): {
                "id": number,
                "case": "first-letter",
                name_key: name,
                **({"canonical": name} if name else {"content": True}),
            }
            for number, name in NAMESPACES.items()
        }
    if "statistics" in wanted:
        count = len(wiki.pages.files)
        out["statistics"] = {"pages": len(wiki.pages.by_id), "images": count, "jobs": 0}
    return out


def _user_info(wiki: Wiki, params: Params) -> dict[str, Any]:
    known = ("groups", "rights", "blockinfo", "hasmsg")
    wanted = params.many("uiprop", known, "userinfo")
    user: dict[str, Any] = {"id": 0, "name": "127.0.0.1", "anon": True}
    if "groups" in wanted:
        user["groups"] = ["*"]
    if "rights" in wanted:
        user["rights"] = ["read"]
    return {"userinfo": user}


META = named(
    Module(name="siteinfo", code="si", meta=_site_info, keys=("prop",)),
    Module(name="userinfo", code="ui", meta=_user_info, keys=("prop",)),
)
