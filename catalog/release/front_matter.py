"""The YAML block of a dataset card: license, sizes, configurations, columns, as the Hub and `datasets` read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from catalog.release.columns import FAMILIES, hf_feature
from catalog.release.manifest import Manifest

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def size_category(rows: int) -> str:
    """Hugging Face's `size_categories` for a number of rows."""
    return next((name for edge, name in _SIZES if rows < edge), "n>10M")


def front_matter(
    manifest: Manifest,
    pretty_name: str,
    columns: pa.Schema | None = None,
    *,
    of_a_wiki: bool = True,
) -> dict[str, Any]:
    """The YAML block of the card. Configurations name the shards by glob: `all` is no second copy.

    Args:
        of_a_wiki: whether any photograph comes from Commons.
        columns: of the shards, for `dataset_info`: with it a reader knows columns and sizes without opening a shard.
    """
    present: dict[str, set[str]] = {}
    for shard in manifest.shards:
        present.setdefault(shard.family, set()).add(shard.split)
    every = {split for splits in present.values() for split in splits}
    configs = [("all", "*", every), *((f, f, present[f]) for f in FAMILIES if f in present)]
    return {
        "pretty_name": pretty_name,
        "license": "other",
        "license_name": "per-image",
        "license_link": "LICENSES.md",
        "task_categories": ["image-to-image"],
        "size_categories": [size_category(manifest.rows)],
        "source_datasets": ["original"],
        "tags": [
            "super-resolution",
            "image-restoration",
            "real-world-degradation",
            "unpaired",
            *(["wikimedia-commons"] if of_a_wiki else []),
            "image",
        ],
        "configs": [
            {
                "config_name": name,
                **({"default": True} if name == "all" else {}),
                "data_files": [
                    {"split": split, "path": f"data/{folder}/{split}-*.parquet"}
                    for split in in_order(splits)
                ],
            }
            for name, folder, splits in configs
        ],
        **({} if columns is None else {"dataset_info": _dataset_info(manifest, columns, configs)}),
    }


def _dataset_info(
    manifest: Manifest, columns: pa.Schema, configs: Sequence[tuple[str, str, set[str]]]
) -> list[dict[str, Any]]:
    """`dataset_info` of the card, as `datasets` writes and reads it; sizes are those of the shards."""
    features = [yaml_feature(field.name, hf_feature(field.type)) for field in columns]
    found: list[dict[str, Any]] = []
    for name, folder, present in configs:
        shards = [s for s in manifest.shards if folder in ("*", s.family)]
        splits: list[dict[str, Any]] = []
        for split in in_order(present):
            held = [shard for shard in shards if shard.split == split]
            size, rows = sum(s.bytes for s in held), sum(s.rows for s in held)
            splits.append({"name": split, "num_bytes": size, "num_examples": rows})
        total = sum(shard.bytes for shard in shards)
        found.append(
            {
                "config_name": name,
                "features": features,
                "splits": splits,
                "download_size": total,
                "dataset_size": total,
            }
        )
    return found


def yaml_feature(name: str, feature: Mapping[str, Any]) -> dict[str, Any]:
    """A feature (`columns.hf_feature`) as the card's YAML spells it: dtype, list or struct."""
    kind = feature.get("_type")
    if kind == "Image":
        return {"name": name, "dtype": "image"}
    if kind == "Value":
        # Parquet has no seconds: a reader gets milliseconds.
        return {"name": name, "dtype": feature["dtype"].replace("timestamp[s,", "timestamp[ms,")}
    if kind == "List":
        return {"name": name, "list": feature["feature"]["dtype"]}
    return {"name": name, "struct": [yaml_feature(k, inner) for k, inner in feature.items()]}


def in_order(splits: set[str]) -> list[str]:
    """Splits with train first."""
    return sorted(splits, key=lambda split: (split != "train", split))
