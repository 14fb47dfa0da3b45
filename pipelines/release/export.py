"""What follows a build: the dataset written anew under a new version, and two releases compared.

`lucidlr export` and `lucidlr diff` are these functions; neither asks the network or loads a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from catalog.release.diff import (
    NEWLY_LISTED,
    RECIPE_CHANGED,
    SAME_RECIPE,
    UNKNOWN,
    Diff,
    diff_datasets,
)
from catalog.release.export import VersionError
from catalog.release.formats import Format, write_format
from catalog.release.manifest import load_manifest
from catalog.store import catalog_in, holds_build
from pipelines.build.history import load_built_recipe
from pipelines.offline.refilter import Refiltered, refilter
from pipelines.progress import NoProgress, Progress

_TOLD = {
    RECIPE_CHANGED: "no longer chosen by the recipe (its hash changed)",
    UNKNOWN: "unknown: no tombstone, the same recipe; name the catalog with --out",
}
_TOLD_OF_ADDITIONS = {
    NEWLY_LISTED: "listed since",
    RECIPE_CHANGED: "chosen by another recipe (its hash changed)",
    SAME_RECIPE: "chosen by the same recipe: listed or fetched since, or in the place of what was removed",
}


def export_again(
    out: Path,
    *,
    version: str | None = None,
    previous: str | None = None,
    progress: Progress | None = None,
) -> Refiltered:
    """Writes the dataset in `out` anew with the recipe of its last build, without what was taken down since.

    Args:
        version: of the release; default: the recipe's.
        previous: the release that this one follows: its dataset hash, or its folder.

    Raises:
        catalog.errors.NoBuild: there is no build in `out`.
        catalog.release.export.VersionError: no such version or release can be.
        pipelines.offline.refilter.refilter's others.
    """
    recipe, limit = load_built_recipe(catalog_in(out))
    if previous is not None and Path(previous).is_dir():
        previous = load_manifest(Path(previous)).dataset_hash
    changes = {"version": version or recipe.version, "previous": previous}
    try:
        recipe = type(recipe).model_validate({**recipe.model_dump(), **changes})
    except ValueError as error:
        raise VersionError(
            "A version is MAJOR.MINOR.PATCH, e.g. 0.2.0, and --previous a dataset hash (64 hex digits) or a dataset's "
            f"folder; not {changes['version']!r} and {previous!r}."
        ) from error
    return refilter(recipe, out=out, limit=limit, progress=progress)


def export_format(
    out: Path,
    to: Path,
    form: Format,
    *,
    lmdb: bool = False,
    version: str | None = None,
    previous: str | None = None,
    progress: Progress | None = None,
) -> int:
    """The release in a form that other trainers read; how many photographs.

    Of a build, its dataset is written again first, so that nothing that was taken down goes out; a dataset's folder
    without a catalog is taken as it is.

    Raises:
        catalog.release.formats.FormatError: it cannot be written in this form.
        export_again's, catalog.release.formats.write_format's others.
    """
    progress = progress or NoProgress()
    release = _dataset_in(out)
    if holds_build(out):
        export_again(out, version=version, previous=previous, progress=progress)
        release = out / "dataset"
    rows = load_manifest(release).rows
    with progress.stage(form, rows) as advance:
        return write_format(release, to, form, lmdb=lmdb, advance=advance)


def compare(
    old: Path,
    new: Path,
    *,
    out: Path | None = None,
    to_json: Path | None = None,
    to_parquet: Path | None = None,
    shown: int = 5,
) -> Diff:
    """Compares two released datasets; `old` and `new` may also be builds' folders.

    Args:
        out: the build that `new` came from, for the reasons of removals.

    Raises:
        catalog.errors.NoBuild: `out` holds no build.
        catalog.release.diff.diff_datasets's others.
    """
    return diff_datasets(
        _dataset_in(old),
        _dataset_in(new),
        catalog=None if out is None else catalog_in(out),
        to_json=to_json,
        to_parquet=to_parquet,
        shown=shown,
    )


def _dataset_in(folder: Path) -> Path:
    inner = folder / "dataset"
    return inner if (inner / "manifest.json").is_file() else folder


def diff_lines(found: Diff) -> Iterator[str]:
    """The comparison for a terminal: counts by kind and reason, then the first rows."""
    for side, held in (("old", found.old), ("new", found.new)):
        yield (
            f"{side}  {held.name} {held.version}  {held.rows:,} rows  dataset {held.dataset_hash[:16]}  "
            f"recipe {held.recipe_hash}"
        )
    yield ""
    yield f"{found.unchanged:>9,}  unchanged"
    for change in ("added", "removed", "changed"):
        yield f"{found.changes.get(change, 0):>9,}  {change}"
        if change == "added":
            told = {_TOLD_OF_ADDITIONS.get(name, name): n for name, n in found.added.items()}
            yield from _indented(told)
        if change == "removed":
            yield from _indented({_TOLD.get(name, name): n for name, n in found.reasons.items()})
        if change == "changed":
            yield from _indented(found.kinds)
            columns = ", ".join(
                f"{name} {count:,}" for name, count in list(found.columns.items())[:12]
            )
            if columns:
                yield f"{'':>13}by column: {columns}"
    for name, columns in (("new", found.columns_added), ("gone", found.columns_removed)):
        if columns:
            yield f"{'':>11}columns {name}: {', '.join(columns)}"
    if found.first:
        yield ""
    for row in found.first:
        why = row["reason"] or ", ".join(row["kinds"])
        title = row["title_after"] or row["title_before"] or "(taken down)"
        yield f"  {row['change']:<8} {row['page_id']:>10}  {title[:60]:<60}  {why}".rstrip()


def _indented(counts: Mapping[str, int]) -> Iterator[str]:
    return (f"{count:>13,}  {name}" for name, count in counts.items())
