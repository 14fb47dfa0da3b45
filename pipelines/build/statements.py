"""Structured data for files that were just listed, where a recipe asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.records import FileRecord, ListingRow
from crawler.commons import Commons
from crawler.structured import with_statements
from pipelines.build.keeper import Keeper
from pipelines.build.run import Build


def with_structured_data(
    run: Build, commons: Commons, files: Sequence[tuple[FileRecord, ListingRow]]
) -> Sequence[tuple[FileRecord, ListingRow]]:
    """With the structured data of what the gate would accept without it, where the recipe asks for it."""
    if not run.recipe.site.structured_data:
        return files
    keeper = Keeper.of(run.recipe)
    return with_statements(commons, files, [keeper.judge(record).keep for record, _ in files])
