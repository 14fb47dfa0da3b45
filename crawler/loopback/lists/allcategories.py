"""list=allcategories of the embedded Commons: categories that have members or a page, by name."""

from __future__ import annotations

from typing import Any

from crawler.loopback.core import Listed, Wiki, kind_of
from crawler.loopback.params import ApiError, Params

CODE = "ac"
KEYS = ("from", "to", "prefix", "dir", "min", "max", "limit", "prop", "continue")


def listing(wiki: Wiki, params: Params, code: str) -> Listed:
    """Not as a generator."""
    if code.startswith("g"):
        raise ApiError("badgenerator", "The embedded Commons only lists allcategories.")
    wanted = params.many(f"{code}prop", ("size", "hidden"), "allcategories")
    backwards = params.one_of(f"{code}dir", ("ascending", "descending"), "ascending") != "ascending"
    low, high = (_key(params.get(f"{code}{end}")) for end in ("from", "to"))
    if backwards:
        low, high = high, low
    least, most = params.integer(f"{code}min"), params.integer(f"{code}max")
    prefix = _key(params.get(f"{code}prefix")) or ""
    limit = min(params.limit(f"{code}limit", "allcategories"), wiki.page_size)
    start = params.get(f"{code}continue")
    known = {page.title.name for page in wiki.pages.by_title.values() if page.title.namespace == 14}
    rows: list[tuple[bytes, str, list[str]]] = []
    for name in known | set(wiki.pages.members):
        key = name.replace(" ", "_")
        kinds = [kind_of(page) for page in wiki.pages.members.get(name, [])]
        beyond = start is not None and (key > start if backwards else key < start)
        if beyond or not key.startswith(prefix) or (low and key < low) or (high and key > high):
            continue
        if (least is None or len(kinds) >= least) and (most is None or len(kinds) <= most):
            rows.append((key.encode(), name, kinds))
    rows.sort(reverse=backwards)
    content = "category" if params.get("formatversion") in ("2", "latest") else "*"
    shown: list[dict[str, Any]] = []
    for _, name, kinds in rows[:limit]:
        row: dict[str, Any] = {content: name}
        if "size" in wanted:
            row |= {"size": len(kinds)}
            row |= {f"{kind}s": kinds.count(kind) for kind in ("page", "file", "subcat")}
        if "hidden" in wanted and content == "category":
            # No category of the corpus is hidden; the first format version leaves out what is false.
            row["hidden"] = False
        shown.append(row)
    following = {f"{code}continue": rows[limit][0].decode()} if len(rows) > limit else {}
    return Listed(pages=[], shown=shown, next=following)


def _key(title: str | None) -> str | None:
    return title[:1].upper() + title[1:].replace(" ", "_") if title else None
