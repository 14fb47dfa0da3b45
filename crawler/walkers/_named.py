"""Files that are known by name: 50 of them cost one request, which also asks for their metadata."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.commons import PAGE_FIELDS, Commons
from crawler.listed import Seen, all_seen

LARGEST_ID = 2**31 - 1
"""A larger number is no page id, and the wiki refuses the whole request for it."""


def asked_for(
    commons: Commons, names: Sequence[str | int], key: str, path: str
) -> tuple[Seen, ...]:
    """The files of these names, either titles or page ids."""
    parameter = "pageids" if isinstance(names[0], int) else "titles"
    asked = {parameter: "|".join(str(name) for name in names), "redirects": "1"}
    pages = [page for batch in commons.batches({**PAGE_FIELDS, **asked}) for page in batch.pages]
    # Missing page ids come without a title; the id is then all there is to call them.
    for page in pages:
        page.setdefault("title", f"page id {page.get('pageid')}")
    return all_seen(commons, pages, key, path)
