"""`lucidlr screen`: approximate hashes and a few measures of every image of a folder, into one Parquet file."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog.store import write_parquet
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import RecipeError
from training.image_names import IMAGES, is_image

CHUNK = 32


def screen_folder(
    folder: Path, to: Path, *, workers: int = 1, progress: Progress | None = None
) -> tuple[int, int]:
    """Screens every image below `folder`; a row each, with an error where one does not decode.

    Returns:
        Images, and how many of them do not decode.

    Raises:
        RecipeError: no image in `folder`.
    """
    progress = progress or NoProgress()
    files = [f for f in sorted(folder.rglob("*")) if is_image(f) and f.is_file()]
    if not files:
        raise RecipeError(f"{folder} holds no image ({', '.join(sorted(IMAGES))}).")
    rows: list[dict[str, Any]] = []
    with (
        ProcessPoolExecutor(workers) as pool,
        progress.stage("images", len(files)) as advance,
    ):
        for row in pool.map(_screened, files, chunksize=CHUNK):
            rows.append(row | {"path": Path(row["path"]).relative_to(folder).as_posix()})
            advance(1)
    write_parquet(to, pa.Table.from_pylist(rows, schema=_schema()))
    return len(rows), sum(row["error"] is not None for row in rows)


def _schema() -> pa.Schema:
    from filters.screening import MEASURES

    return pa.schema(
        [
            ("path", pa.string()),
            ("error", pa.string()),
            ("width", pa.int64()),
            ("height", pa.int64()),
            ("screen_phash", pa.uint64()),
            ("screen_dhash", pa.uint64()),
            *((f"screen_{name}", pa.float64()) for name in MEASURES),
        ]
    )


def _screened(file: Path) -> dict[str, Any]:
    from filters.measures import NotAnImage
    from filters.screening import screen

    row: dict[str, Any] = {"path": str(file), "error": None}
    try:
        found = screen(file.read_bytes())
    except NotAnImage as error:
        return row | {"error": str(error)}
    row |= {"width": found.width, "height": found.height}
    row |= {"screen_phash": found.screen_phash, "screen_dhash": found.screen_dhash}
    return row | {f"screen_{name}": value for name, value in found.measures.items()}
