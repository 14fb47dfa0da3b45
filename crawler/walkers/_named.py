"""Files that are known by name: 50 of them cost one request, which also asks for their metadata."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.records import REDIRECT_FROM
from crawler.commons import PAGE_FIELDS, Commons
from crawler.listed import Seen
from crawler.names import file_title


def asked_for(
    commons: Commons, names: Sequence[str | int], key: str, path: str
) -> tuple[Seen, ...]:
    """The files of these names, either titles or page ids."""
    parameter = "pageids" if isinstance(names[0], int) else "titles"
    asked = {parameter: "|".join(str(name) for name in names), "redirects": "1"}
    seen: list[Seen] = []
    for batch in commons.batches({**PAGE_FIELDS, **asked}):
        for page in batch.pages:
            if page.get("missing"):
                # Missing page ids come without a title; the id is then all there is to call them.
                page.setdefault("title", f"page id {page.get('pageid')}")
            # The name that was asked for stays known: a takedown list may hold it.
            old = batch.redirects.get(str(page.get("title")))
            here = path if old is None else f"{path}{REDIRECT_FROM}{file_title(old)}"
            seen.append(commons.seen(page, source=key, path=here))
    return tuple(seen)
