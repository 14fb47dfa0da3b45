"""Loads every configuration and split of a dataset from HF_ENDPOINT, whole and streaming, and prints what came.

`python -m tests.hub.load REPO [REVISION]`, in a process of its own: the client reads its environment when imported.
"""

from __future__ import annotations

import hashlib
import json
import sys


def main(repo: str, revision: str | None = None) -> None:
    """Prints {config: {split: {"full": [SHA-1 of each image's bytes], "streaming": [...], "sizes": [...]}}}."""
    import datasets

    # The viewer's address is made from the hub's by a prefix and does not exist here.
    datasets.config.USE_PARQUET_EXPORT = False
    datasets.disable_progress_bars()
    told: dict[str, dict[str, dict[str, list]]] = {}
    for config in datasets.get_dataset_config_names(repo, revision=revision):
        for split in datasets.get_dataset_split_names(repo, config, revision=revision):
            here = told.setdefault(config, {}).setdefault(split, {})
            for way in ("full", "streaming"):
                rows = datasets.load_dataset(
                    repo, config, split=split, revision=revision, streaming=way == "streaming"
                )
                raw = rows.cast_column("image", datasets.Image(decode=False))
                here[way] = [hashlib.sha1(row["image"]["bytes"]).hexdigest() for row in raw]
                # Decoded without being told: the schema in the shards says that it is an image.
                here[f"sizes {way}"] = [list(row["image"].size) for row in rows]
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
