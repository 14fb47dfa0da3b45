"""The Prefect flow `refresh-lucidlr`: asks Commons again for the files of a build, and tells what changed.

    prefect deployment run refresh-lucidlr/refresh-lucidlr        (see docs/prefect.md)

It writes facts and tombstones; the next run of build-lucidlr releases without what has one.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.build.refresh import RefreshResult, refresh
from pipelines.build_lucidlr import ArtifactProgress
from pipelines.extras import missing_extra
from pipelines.recipe import load_recipe

try:
    from prefect import flow
    from prefect.artifacts import create_table_artifact
except ModuleNotFoundError as error:
    raise missing_extra(error) or error from error


@flow(name="refresh-lucidlr", persist_result=False)
def refresh_lucidlr(
    recipe: str = "pipelines/recipes/lucidlr_20k.yaml",
    out: str = "out/lucidlr_20k",
    contact: str | None = None,
    everything: bool = False,
    most: int | None = None,
    limit: int | None = None,
) -> dict[str, int]:
    """Asks for the files of a build again, those that are due by the recipe's `refresh` section.

    Args:
        recipe: path of the recipe that the build was made with.
        out: the build's output folder.
        contact: the operator's e-mail address or URL for the User-Agent; default: $LUCIDLR_CONTACT.
        everything: also files that are not due.
        most: ask for at most so many.
        limit: the limit that the build had.

    Returns:
        Change -> number of files.
    """
    result = refresh(
        load_recipe(recipe),
        out=Path(out),
        contact=contact or os.environ.get("LUCIDLR_CONTACT"),
        everything=everything,
        most=most,
        limit=limit,
        progress=ArtifactProgress(),
    )
    _publish(result)
    return result.changes


def _publish(result: RefreshResult) -> None:
    rows = [{"what": "asked again", "files": result.asked}]
    rows += [{"what": "not due", "files": result.not_due}]
    rows += [{"what": name, "files": count} for name, count in result.changes.items()]
    rows += [{"what": f"tombstone: {n}", "files": count} for n, count in result.removed.items()]
    create_table_artifact(
        rows,
        key="refresh-summary",
        description="What changed on Commons since the files were last seen",
    )
