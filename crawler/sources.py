"""Where files are listed: the sources of a recipe, each one of the kinds in crawler/walkers/.

A source is data, and its kind's file knows how to walk it. `Source` is the union of all their configs, made from the
files that are there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Union

from crawler.commons import SiteConfig
from crawler.walkers import load_walker, source_kinds
from crawler.walkers.candidates import CandidateSource
from crawler.walkers.category import CategorySource
from crawler.walkers.search import SearchSource
from crawler.walkers.search_shards import SearchShardSource
from crawler.walkers.titles import TitleSource
from crawler.walkers.upload_window import UploadWindowSource

if TYPE_CHECKING:
    from crawler.walkers import Source
else:
    Source = Union[tuple(load_walker(kind).config for kind in source_kinds())]  # noqa: UP007

# The classes are here under the names that other code has always imported; a new kind needs no line.
__all__ = [
    "CandidateSource",
    "CategorySource",
    "SearchShardSource",
    "SearchSource",
    "SiteConfig",
    "Source",
    "TitleSource",
    "UploadWindowSource",
    "source_key",
]

NOT_ITS_OWN = ("max_files", "relist")
"""Keys that do not define what a source lists: with another cap or rhythm it resumes where it was."""
LATER = ("last",)
"""Optional keys that sources got after catalogs had been made."""


def source_key(source: Source, *, wiki: str) -> str:
    """12 hex digits for what defines a source on a wiki; its cap does not, so that a higher cap goes on listing."""
    config: Any = source
    content = {key: value for key, value in asdict(config).items() if key not in NOT_ITS_OWN}
    # A key of a later version that is not given is not there: the source keeps the name it had.
    content = {k: v for k, v in content.items() if not (k in LATER and v is None)}
    text = json.dumps([wiki, content], sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
