"""What the embedded Commons says about a file: wikitext of a manifest item -> categories and extmetadata.

Commons derives extmetadata from the rendered description page. Here the few constructs that a manifest may hold are
turned into the HTML that MediaWiki makes of them, and the license templates stand in a table. The contract tests
compare every field with a real MediaWiki. Other wikitext (tables, HTML tags, nested templates) is out of scope: it
comes out escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote


class LicenseBox(NamedTuple):
    """What one license template shows to machines."""

    short: str
    terms: str
    attribution: bool
    url: str
    category: str


def _cc(kind: str, version: str) -> LicenseBox:
    words = {"by": "Attribution", "by-sa": "Attribution-Share Alike"}[kind]
    return LicenseBox(
        short=f"CC {kind.upper()} {version}",
        terms=f"Creative Commons {words} {version}",
        attribution=True,
        url=f"https://creativecommons.org/licenses/{kind}/{version}",
        category=f"CC-{kind.upper()}-{version}",
    )


LICENSES: dict[str, LicenseBox] = {
    **{f"Cc-{k}-{v}": _cc(k, v) for k in ("by", "by-sa") for v in ("2.0", "2.5", "3.0", "4.0")},
    "Cc-zero": LicenseBox(
        "CC0",
        "Creative Commons Zero, Public Domain Dedication",
        False,
        "http://creativecommons.org/publicdomain/zero/1.0/deed.en",
        "CC-Zero",
    ),
    "PD-old": LicenseBox("Public domain", "Public domain", False, "", "PD-old"),
    "PD-USGov": LicenseBox("Public domain", "Public domain", False, "", "PD US Government"),
    "GFDL": LicenseBox(
        "GFDL",
        "GNU Free Documentation License",
        True,
        "http://www.gnu.org/copyleft/fdl.html",
        "License migration candidates",
    ),
    "FAL": LicenseBox("FAL", "Free Art License", True, "http://artlibre.org/licence/lal/en", "FAL"),
    "Non-free logo": LicenseBox("Fair use", "Fair use of a logo", True, "", "Non-free files"),
}
"""Template -> what it says. Templates that are not here say nothing, as a missing template does on a wiki."""

RESTRICTIONS = {"Personality rights": "personality"}
_ASSESSED = re.compile(r"(featured|quality|valued) (pictures|images)", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{([^{}|]+)((?:\|[^{}]*)?)\}\}")
_MARKUP = re.compile(
    r"\{\{\s*(?P<template>[^{}|]+?)\s*(?:\|[^{}]*)?\}\}"
    r"|\[\[(?P<target>[^\[\]|]+)(?:\|(?P<label>[^\[\]]*))?\]\](?P<trail>[a-z]*)"
    r"|\[(?P<url>https?://[^\s\[\]]+)\s+(?P<words>[^\[\]]+)\]"
    r"|(?P<bare>https?://[^\s\[\]<>\"]*[^\s\[\]<>\".,;:!?])"
    r"|'''(?P<bold>.+?)'''|''(?P<italic>.+?)''"
)
OWN_WORK = '<span class="int-own-work" lang="en">Own work</span>'


def first_upper(text: str) -> str:
    """MediaWiki's first letter, by the full rules of Unicode: ß becomes SS."""
    return text[:1].upper() + text[1:]


def wiki_quote(title: str) -> str:
    """A title as it stands in links to its page."""
    return quote(title.replace(" ", "_"), safe=";@$!*(),/~:-_.")


def to_html(text: str, site: str, exists: Callable[[str], bool]) -> str:
    """One line of wikitext as MediaWiki renders it: links, bold and italic text, {{own}}.

    `site` is what links start with; `exists` tells blue from red links.
    """
    out: list[str] = []
    done = 0
    for found in _MARKUP.finditer(text):
        out.append(_plain(text[done : found.start()]))
        out.append(_markup(found, site, exists))
        done = found.end()
    return ("".join(out) + _plain(text[done:])).strip()


def _plain(text: str) -> str:
    return html.escape(html.unescape(text), quote=False)


def _markup(found: re.Match[str], site: str, exists: Callable[[str], bool]) -> str:
    part = found.groupdict()
    if part["template"] is not None:
        return OWN_WORK if part["template"].lower() == "own" else ""
    if part["target"] is not None:
        title = first_upper(part["target"].replace("_", " ").strip())
        namespace, colon, rest = title.partition(":")
        title = f"{namespace}:{first_upper(rest.strip())}" if colon else title
        label = _plain((part["label"] or part["target"]) + part["trail"])
        shown = html.escape(title, quote=True).replace("&#x27;", "&#039;")
        if exists(title):
            return f'<a href="{site}/wiki/{wiki_quote(title)}" title="{shown}">{label}</a>'
        edit = f"{site}/w/index.php?title={wiki_quote(title)}&amp;action=edit&amp;redlink=1"
        return f'<a href="{edit}" class="new" title="{shown} (page does not exist)">{label}</a>'
    if part["url"] is not None or part["bare"] is not None:
        kind, url = ("text", part["url"]) if part["url"] else ("free", part["bare"])
        href = _plain(url)
        label = _plain(part["words"]) if part["url"] else href
        return f'<a rel="nofollow" class="external {kind}" href="{href}">{label}</a>'
    if part["bold"] is not None:
        return f"<b>{to_html(part['bold'], site, exists)}</b>"
    return f"<i>{to_html(part['italic'], site, exists)}</i>"


def templates(item: Mapping[str, Any]) -> Iterator[str]:
    """Names of the license and other templates of an item, in the order of its page; {{Self|X}} gives X."""
    listed = item.get("license") or []
    sources = [listed] if isinstance(listed, str) else list(listed)
    extra = [m.group(1) + m.group(2) for m in _TEMPLATE.finditer(item.get("extra") or "")]
    for source in (*sources, *extra):
        name, *arguments = source.split("|")
        if name.strip().lower() == "self" and arguments:
            name = arguments[0]
        yield first_upper(name.replace("_", " ").strip())


def categories(item: Mapping[str, Any]) -> list[str]:
    """Categories of a file, with those of its license templates, in the order of MediaWiki."""
    named = [*(item.get("categories") or [])]
    named += re.findall(r"\[\[Category:([^\[\]|]+)", item.get("extra") or "")
    named += [LICENSES[name].category for name in templates(item) if name in LICENSES]
    clean = {first_upper(" ".join(name.replace("_", " ").split())) for name in named}
    return sorted(clean, key=lambda name: name.replace(" ", "_").encode())


def extmetadata(
    item: Mapping[str, Any], uploaded: str, site: str, exists: Callable[[str], bool]
) -> dict[str, dict[str, Any]]:
    """All extmetadata fields of an item. `uploaded` is YYYYMMDDHHMMSS.

    The rules (which license wins, which categories are left out) are those of facts about Commons' own extension:
    public domain before Creative Commons before anything else.
    """
    fields: dict[str, dict[str, Any]] = {}

    def put(name: str, value: Any, source: str = "commons-desc-page", shown: bool = False) -> None:
        fields[name] = {"value": value, "source": source, **({} if shown else {"hidden": ""})}

    y, mo, d, h, mi, s = (uploaded[a:b] for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14)))  # fmt: skip
    put("DateTime", f"{y}-{mo}-{d} {h}:{mi}:{s}", "mediawiki-metadata")
    name = first_upper(item["filename"].replace("_", " "))
    put("ObjectName", name.rpartition(".")[0] or name, "mediawiki-metadata")
    put("CommonsMetadataExtension", 1.2, "extension")
    named = categories(item)
    assessed = [m.group(1).lower() for c in named if (m := _ASSESSED.match(c))]
    plain = [c for c in named if not _ASSESSED.match(c) and not _is_code(c)]
    put("Categories", "|".join(plain), "commons-categories")
    put("Assessments", "|".join(assessed), "commons-categories")
    put("ImageDescription", to_html(item.get("description") or "", site, exists), shown=True)
    put("DateTimeOriginal", to_html(item.get("date") or "", site, exists), shown=True)
    put("Credit", to_html(item.get("source", "{{own}}"), site, exists))
    put("Artist", to_html(item.get("author") or "", site, exists), shown=True)
    if item.get("location"):
        put("GPSLatitude", str(item["location"][0]), shown=True)
        put("GPSLongitude", str(item["location"][1]), shown=True)
        put("GPSMapDatum", "WGS-84")
    boxes = [LICENSES[name] for name in templates(item) if name in LICENSES]
    if boxes:
        _put_license(min(boxes, key=_rank), put)
    restrictions = [RESTRICTIONS[name] for name in templates(item) if name in RESTRICTIONS]
    put("Restrictions", "|".join(restrictions))
    if item.get("deletion_reason"):
        put("DeletionReason", item["deletion_reason"])
    for name, value in (item.get("extmetadata") or {}).items():
        if isinstance(value, dict):
            fields[name] = value
        elif value is None:
            fields.pop(name, None)
        else:
            put(name, value)
    return fields


def _is_code(name: str) -> bool:
    """Whether Commons takes a name for a license: cc0, pd, cc-pd, cc-by[-sa]-<version>[-<country>]."""
    words = name.lower().replace("-", " ").split()
    if words in (["cc0"], ["pd"], ["cc", "pd"], ["public", "domain"]):
        return True
    if words[:2] != ["cc", "by"]:
        return False
    rest = words[3:] if words[2:3] == ["sa"] else words[2:]
    versioned = bool(rest) and re.fullmatch(r"\d\.\d", rest[0]) is not None
    return versioned and (len(rest) == 1 or (len(rest) == 2 and len(rest[1]) == 2))


def _rank(box: LicenseBox) -> int:
    if box.short.lower() in ("pd", "public domain"):
        return 0
    return 1 if _is_code(box.short) else 2


def _put_license(box: LicenseBox, put: Callable[..., None]) -> None:
    put("LicenseShortName", box.short)
    put("UsageTerms", box.terms)
    put("AttributionRequired", str(box.attribution).lower())
    if box.url:
        put("LicenseUrl", box.url)
    free = box.short.lower() in ("pd", "public domain")
    put("Copyrighted", "False" if free else "True")
    if _is_code(box.short):
        code = "pd" if free else box.short.lower().replace(" ", "-")
        put("License", code, "commons-templates")
