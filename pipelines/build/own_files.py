"""Files of one's own as candidates of a build: listed without a wiki, copied into the store where a crawl downloads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from catalog import facts, files
from catalog.records import FailureRecord, ObjectRecord
from crawler.download import ObjectStore
from crawler.shelves.tars import tar_bytes
from pipelines.build.run import Build
from pipelines.build.stages import failure
from pipelines.recipe import OWN_KINDS, Recipe

KINDS = OWN_KINDS


class Shelf:
    """What a walker of own files gets in the place of a wiki."""

    def __init__(self) -> None:
        self.warnings: dict[str, str] = {}

    def look(self, content: bytes) -> tuple[int, int, str] | None:
        """Width, height and MIME type, from the header."""
        from pipelines.build.doors import look

        return look(content)


def own_keys(recipe: Recipe) -> list[str]:
    """Keys of the sources that no wiki is asked for."""
    return [recipe.source_key(source) for source in recipe.sources if source.kind in KINDS]


def places_of(run: Build, sha1s: Sequence[str]) -> Mapping[str, list[dict[str, Any]]]:
    """SHA-1 -> where the sources of this recipe saw these bytes."""
    found: dict[str, list[dict[str, Any]]] = {}
    for sha1, path in facts.seen_at(run.catalog, sha1s, own_keys(run.recipe)):
        found.setdefault(sha1, []).append(json.loads(path))
    return found


def take_in(
    store: ObjectStore, row: Mapping[str, Any], places: Sequence[Mapping[str, Any]]
) -> ObjectRecord | FailureRecord:
    """Copies the bytes of a listed file into the store, if they are still what they were."""
    from filters.picture import refusal

    sha1: str = row["sha1"]
    done = ObjectRecord(page_id=row["page_id"], sha1=sha1, size_bytes=row["size_bytes"] or 0)
    if store.has(sha1):
        return done
    why = "no source of this recipe has it"
    for place in places:
        try:
            if "offset" in place:
                content = tar_bytes(Path(place["path"]), place["offset"], place["size"])
            else:
                content = Path(place["path"]).read_bytes()
        except (OSError, ValueError) as error:
            why = f"{place['path']}: {getattr(error, 'strerror', None) or error}"
            continue
        if hashlib.sha1(content, usedforsecurity=False).hexdigest() != sha1:
            why = f"{place['path']} has other bytes now"
            continue
        refused = refusal(content, row["mime"])
        if refused is not None:
            kind, told, retryable = refused
            return failure("download", sha1, kind, told, retryable=retryable)
        files.put(store.path(sha1), content)
        return done
    told = f"The bytes that were listed cannot be had any more: {why}. Put them back, then --retry."
    return failure("download", sha1, "own_file_gone", told, retryable=True)
