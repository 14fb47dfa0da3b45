"""`lucidlr screen`: approximate hashes and a few measures of every image of a folder, into one Parquet file."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files
from pipelines.build.runners import end_with_the_parent
from pipelines.progress import NoProgress, Progress
from pipelines.recipe import RecipeError
from training.image_names import IMAGES, MORE, is_picture, shown_name

CHUNK = 32
WRITTEN_AT_ONCE = 256
"""Rows."""


def screen_folder(
    folder: Path, to: Path, *, workers: int = 1, progress: Progress | None = None
) -> tuple[int, int]:
    """Screens every image below `folder`; a row each, with an error where one cannot be read or does not decode.

    Rows are written as they come. What ends it early leaves what was screened until then in `<to>.partial`.

    Returns:
        Images, and how many of them do not decode.

    Raises:
        RecipeError: no image in `folder`.
    """
    progress = progress or NoProgress()
    found = [f for f in sorted(folder.rglob("*")) if is_picture(f) and f.is_file()]
    if not found:
        raise RecipeError(f"{folder} holds no image ({', '.join(sorted((*IMAGES, *MORE)))}).")
    count = failed = 0
    with (
        files.writing(to) as partial,
        pq.ParquetWriter(partial, _schema()) as writer,
        ProcessPoolExecutor(workers, initializer=end_with_the_parent) as pool,
        progress.stage("images", len(found)) as advance,
    ):
        rows: list[dict[str, Any]] = []
        for file, row in zip(found, pool.map(_screened, found, chunksize=CHUNK), strict=True):
            rows.append({"path": shown_name(file.relative_to(folder)), **row})
            count, failed = count + 1, failed + (row["error"] is not None)
            if row["error"] is not None:
                progress.say(f"{rows[-1]['path']}: {row['error']}")
            if len(rows) == WRITTEN_AT_ONCE or count == len(found):
                writer.write_table(pa.Table.from_pylist(rows, schema=_schema()))
                rows = []
            advance(1)
    return count, failed


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
    from filters.picture import NotAnImage, decoder_errors
    from filters.screening import screen

    try:
        found = screen(file.read_bytes())
    except NotAnImage as error:
        return {"error": str(error)}
    except decoder_errors() as error:
        return {"error": f"It could not be screened: {type(error).__name__}: {error}"}
    return {
        "error": None,
        "width": found.width,
        "height": found.height,
        "screen_phash": found.screen_phash,
        "screen_dhash": found.screen_dhash,
        **{f"screen_{name}": value for name, value in found.measures.items()},
    }
