"""The dataset card: README.md of a release, in Hugging Face's form, every number computed from what is released.

The card says what is inside, under which licenses, how it was chosen and what was not verified. It takes the manifest
and the table of samples and types no number by hand, so a new release cannot carry an old card's figures.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog import files
from catalog.release.columns import FAMILIES, RELEASED, released_schema
from catalog.release.credits import license_terms, plain
from catalog.release.front_matter import front_matter, in_order
from catalog.release.manifest import Manifest, load_manifest, sha256_of, write_manifest
from catalog.release.origin import column_texts, origin_of

# pyarrow makes these functions at import time; a type checker does not see them.
pc: Any = compute

TEMPLATES = Path(__file__).parent / "templates"
UNLABELLED = "(none)"
# Foreign text stands within a line or a cell here, never at the start of a line: dashes and the like are harmless.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]|~$>])")


def markdown_text(text: Any) -> str:
    """Foreign text for a line or a table cell of Markdown: nothing in it is markup, HTML or a line break."""
    escaped = plain(str(text), markup=False).replace("&", "&amp;").replace("<", "&lt;")
    # A bare address would still be made a link by GitHub's and Hugging Face's Markdown.
    return _MARKDOWN.sub(r"\\\1", escaped).replace("://", ":&#47;&#47;").replace("@", "&#64;")


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


# What the template may call on a value.
_FILTERS: dict[str, Callable[[Any], str]] = {
    "md": markdown_text,
    "address": lambda url: quote(plain(url), safe=":/?#[]@!$&'*+,;=%~"),
    "number": lambda count: f"{count:,}",
    "percent": lambda share: f"{100 * share:.1f} %",
    "short": lambda value: "" if value is None else f"{value:.4g}",
    "size": _size,
    "tex": lambda text: re.sub(r"[\\{}%#&_$]", "", plain(text)),
    "key": lambda text: re.sub(r"\W+", "", text) or "dataset",
}


def _licenses(samples: pa.Table) -> list[dict[str, Any]]:
    """One row per license id, with the wording and address that most of its photographs have."""
    names = ("license", "license_short_name", "license_url", "family")
    found = Counter(zip(*(samples.column(name).to_pylist() for name in names), strict=True))
    rows: dict[str, dict[str, Any]] = {}
    for (license, short, url, family), count in sorted(
        found.items(), key=lambda item: (-item[1], str(item[0]))
    ):
        name, address = license_terms(license, short, url)
        first = {"license": license, "name": name, "url": address, "family": family, "count": 0}
        rows.setdefault(license, first)["count"] += count
    for row in rows.values():
        row["share"] = row["count"] / samples.num_rows
    return sorted(rows.values(), key=lambda row: (-row["count"], row["license"]))


def label_mix(samples: pa.Table, target: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """Per degradation label: photographs, share, share as the main degradation, its target, median severity.

    The main degradation of a photograph is the one of its labels with the largest severity; the target of a recipe is
    about it (`filters.sampling`), because the shares of all labels do not add up to 1. `target` is None without one.
    """
    counts: Counter[str] = Counter()
    main: Counter[str] = Counter()
    levels: dict[str, list[float]] = {}
    for labels, severities in zip(
        samples.column("labels").to_pylist(), samples.column("severities").to_pylist(), strict=True
    ):
        known = {label: (severities or {}).get(label) for label in labels or ()}
        counts.update(list(known) or [UNLABELLED])
        # Of equal severities the first counts: the labels stand in their own order.
        main[max(known, key=lambda label: known[label] or 0.0, default=UNLABELLED)] += 1
        for label, level in known.items():
            if level is not None:
                levels.setdefault(label, []).append(level)
    aims = {UNLABELLED if label == "none" else label: aim for label, aim in (target or {}).items()}
    for label in aims:
        counts.setdefault(label, 0)
    return [
        {
            "label": label,
            "count": count,
            "share": count / samples.num_rows,
            "main": main[label] / samples.num_rows,
            "target": aims.get(label),
            "severity": float(np.median(levels[label])) if label in levels else None,
        }
        for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _spreads(samples: pa.Table) -> list[dict[str, Any]]:
    """5 %, median and 95 % of every measure and score."""
    rows: list[dict[str, Any]] = []
    for column in ("measures", "scores"):
        values = samples.column(column).combine_chunks()
        for name in sorted(values.type.field(i).name for i in range(values.type.num_fields)):
            known = values.field(name).cast(pa.float64()).drop_null().to_numpy(zero_copy_only=False)
            known = known[np.isfinite(known)]
            low, median, high = np.quantile(known, [0.05, 0.5, 0.95]) if known.size else [None] * 3
            missing = samples.num_rows - known.size
            rows.append(
                {"name": name, "low": low, "median": median, "high": high, "missing": missing}
            )
    return rows


def balance(samples: pa.Table) -> list[dict[str, Any]]:
    """How evenly the photographs are spread: for uploaders, years, cameras and groups of twins the different ones, the
    shares of the largest and of the ten largest, and how many are not known. What nothing here can tell has no values.
    """
    said: dict[str, list[Any]] = {
        "uploader": samples.column("uploader").to_pylist(),
        "year of upload": [
            None if value is None else value.year
            for value in samples.column("uploaded_at").to_pylist()
        ],
        "camera, by category": [
            next((c for c in names or () if c.lower().startswith("taken with ")), None)
            for names in samples.column("categories").to_pylist()
        ],
        "license": samples.column("license").to_pylist(),
    }
    if "scene" in samples.column_names:
        said["scene, as an encoder sees it"] = samples.column("scene").to_pylist()
    rows: list[dict[str, Any]] = []
    for name, values in said.items():
        counts = Counter(value for value in values if value is not None)
        known = sum(counts.values())
        most = [count for _, count in counts.most_common(10)]
        rows.append(
            {
                "name": name,
                "different": len(counts),
                "largest": most[0] / known if most else None,
                "ten": sum(most) / known if most else None,
                "missing": len(values) - known,
            }
        )
    return rows


NOT_MEASURED = ("faces", "text in the picture")
"""What a reader would want to know of a dataset's balance and no part of this software tells."""
SCENES = "scenes"
"""Told only where the recipe has an encoder look at the pictures."""


def not_measured(samples: pa.Table) -> tuple[str, ...]:
    """What the balance does not tell."""
    return NOT_MEASURED if "scene" in samples.column_names else (SCENES, *NOT_MEASURED)


def _test_split(samples: pa.Table) -> dict[str, int] | None:
    """Photographs of the split `test`, and of the others those by its uploaders; None without such a split."""
    test = pc.equal(samples.column("split"), "test")
    held = samples.filter(test)
    if held.num_rows == 0:
        return None
    others = samples.filter(pc.invert(test)).column("uploader")
    theirs = pc.is_in(others, value_set=held.column("uploader").drop_null().combine_chunks())
    return {"photographs": held.num_rows, "beside": int(pc.sum(theirs).as_py() or 0)}


def _sizes(samples: pa.Table) -> dict[str, int]:
    pixels = samples.select(["width", "height"]).drop_null()
    if pixels.num_rows == 0:
        return {"width": 0, "height": 0, "smallest": 0, "largest": 0}
    width, height = (pixels.column(name).to_numpy() for name in ("width", "height"))
    shorter = np.minimum(width, height)
    return {
        "width": int(np.median(width)),
        "height": int(np.median(height)),
        "smallest": int(shorter.min()),
        "largest": int(shorter.max()),
    }


def _families(manifest: Manifest, splits: list[str]) -> list[dict[str, Any]]:
    held: dict[str, Counter[str]] = {}
    for shard in manifest.shards:
        for name in ("all", shard.family):
            held.setdefault(name, Counter())[shard.split] += shard.rows
    return [
        {
            "name": name,
            "total": sum(held[name].values()),
            "splits": {split: held[name][split] for split in splits},
        }
        for name in ("all", *FAMILIES)
        if name in held
    ]


def _removals(tombstones: pa.Table) -> list[tuple[str, int]]:
    """(reason, tombstones), the most frequent first."""
    counted = Counter(tombstones.column("reason").to_pylist())
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def render_card(
    manifest: Manifest,
    *,
    samples: pa.Table,
    funnel: Sequence[tuple[str, int]],
    pretty_name: str = "LucidLR (open re-creation)",
    contact: str | None = None,
    target_mix: Mapping[str, float] | None = None,
    notice: str | None = None,
    stopped: str | None = None,
    tombstones: pa.Table | None = None,
    rights: Mapping[str, Any] | None = None,
    reviews: Mapping[str, Any] | None = None,
) -> str:
    """README.md of a release.

    Args:
        samples: The table that was exported.
        funnel: What each step of the build left, first to last.
        contact: Where to write for a takedown; None refers to the repository's discussions.
        target_mix: Share per main degradation that the recipe aimed at, 0 to 1; `none` for no degradation.
        notice: What a reader has to know first, e.g. that this is a demo made from degraded sample photographs.
        stopped: Which budget stopped the build before everything was fetched, and how far it came.
        tombstones: As the release holds them; None where it has no such file.
        rights: What the license gate excluded (pipelines.build.report.rights.rights_told); None where nobody asked.
        reviews: What people said, as pipelines.build.report.measured.reviews_told gives it; None: nobody reviewed.

    Raises:
        ValueError: `samples` is not the table behind `manifest`.
    """
    import jinja2
    import yaml

    if samples.num_rows != manifest.rows:
        raise ValueError(
            f"The manifest is of {manifest.rows} rows, the table has {samples.num_rows}; pass the exported one."
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    schema = released_schema(samples.schema)
    origin = origin_of(samples)
    about = column_texts({column.name: column.about for column in RELEASED}, origin)
    years = pc.year(samples.column("uploaded_at").drop_null()).to_pylist()
    splits = in_order({shard.split for shard in manifest.shards})
    header = front_matter(manifest, pretty_name, schema, of_a_wiki=origin.wiki > 0)
    return environment.get_template("card.md.j2").render(
        front_matter=yaml.safe_dump(header, sort_keys=False, allow_unicode=True),
        pretty_name=pretty_name,
        manifest=manifest,
        origin=origin,
        configs=[config["config_name"] for config in header["configs"]],
        splits=splits,
        families=_families(manifest, splits),
        licenses=_licenses(samples),
        labels=label_mix(samples, target_mix),
        targets=bool(target_mix),
        spreads=_spreads(samples),
        balance=balance(samples),
        not_measured=not_measured(samples),
        size=_sizes(samples),
        years=(min(years), max(years)) if years else None,
        funnel=list(funnel),
        recipe=yaml.safe_dump(manifest.recipe, sort_keys=False, allow_unicode=True),
        columns=[
            {"name": field.name, "type": _type_name(field.type), "about": about[field.name]}
            for field in schema
        ],
        contact=contact,
        notice=notice,
        stopped=stopped,
        absent=[f for f in FAMILIES if all(shard.family != f for shard in manifest.shards)],
        tombstones=None if tombstones is None else _removals(tombstones),
        rights=rights,
        reviews=reviews,
        test=_test_split(samples),
    )


NAMED = re.compile(r'load_dataset\("[^"]*", ')
"""Where the card says under which name it can be loaded."""


def name_repository(folder: Path, repo: str) -> bool:
    """Writes the repository's name into the card of a release, and the card's new SHA-256 into the manifest.

    The dataset hash does not change. False where there is nothing to do: the name is there, or the card is not the one
    that the export wrote.

    Raises:
        catalog.release.manifest.DatasetError: there is no dataset in `folder`.
    """
    manifest, card = load_manifest(folder), folder / "README.md"
    noted = next((entry for entry in manifest.files if entry.path == card.name), None)
    if noted is None or not card.is_file() or sha256_of(card) != noted.sha256:
        return False
    text = card.read_text(encoding="utf-8")
    named = NAMED.sub(f'load_dataset("{repo}", ', text, count=1)
    if named == text:
        return False
    files.put(card, named)
    new = replace(noted, bytes=card.stat().st_size, sha256=sha256_of(card))
    changed = tuple(new if entry is noted else entry for entry in manifest.files)
    write_manifest(replace(manifest, files=changed), folder)
    return True


def _type_name(arrow: pa.DataType) -> str:
    if pa.types.is_struct(arrow):
        names = ", ".join(arrow.field(i).name for i in range(arrow.num_fields))
        return f"struct of {names}"
    if pa.types.is_list(arrow):
        return f"list of {arrow.value_type}"
    return "float64" if pa.types.is_float64(arrow) else str(arrow)
