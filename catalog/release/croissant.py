"""croissant.json of a release: the dataset described in MLCommons' Croissant 1.1, so that its tools find and read it.

Plain JSON, made from the manifest and the schema of the shards; nothing is needed for it at run time. Every shard is
named with its SHA-256; the records are read through one set of files, so their number does not lengthen the fields.
Words of the responsible-AI vocabulary say what the card says under Limits. It carries no date, so that the same data
give the same file; its readers only recommend one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import files
from catalog.release.columns import IMAGE_TYPE, RELEASED, released_schema
from catalog.release.licenses import licenses_of
from catalog.release.manifest import Manifest
from catalog.release.origin import column_texts, origin_of

CROISSANT_NAME = "croissant.json"
RECORDS = "photographs"
_SHARDS = "shards"
_PAPER = "LucidNFT: LR-Anchored Multi-Reward Preference Optimization for Generative Real-World Super-Resolution"

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The standard context of Croissant 1.1, word for word: tools warn about any other."""

_TYPES = {
    pa.string(): "sc:Text",
    pa.bool_(): "sc:Boolean",
    pa.int64(): "cr:Int64",
    pa.uint64(): "cr:UInt64",
    pa.float64(): "cr:Float64",
}

_RESPONSIBLE: dict[str, Any] = {
    "rai:dataCollection": "Files were listed through the API of Wikimedia Commons, judged by license, and downloaded "
    "as originals whose SHA-1 was checked. The recipe in manifest.json says which.",
    "rai:dataAnnotationProtocol": "No person labelled anything: labels and severities follow from measures and "
    "thresholds.",
    "rai:dataBiases": "Commons over-represents some regions, cameras and years; the choice prefers photographs that "
    "the measures take for degraded, deliberate blur and old prints among them.",
    "rai:dataLimitations": "There is no clean twin of any photograph. Licenses are what file pages said when they "
    "were fetched; rights of persons shown, of works shown and trademarks are not cleared.",
    "rai:personalSensitiveInformation": "Photographs can show people, and were not screened for that beyond the "
    "recipe. Names of authors and uploaders are kept because the licenses ask for credit. Takedowns are honoured: see "
    "README.md and tombstones.parquet.",
    "rai:dataUseCases": "Training and judging image super-resolution on natural degradations, without ground truth.",
    "rai:dataReleaseMaintenancePlan": "Releases drop what was deleted, relicensed or asked for, and list it in "
    "tombstones.parquet.",
}


_OWN_RESPONSIBLE: dict[str, Any] = {
    "rai:dataCollection": "Files were read from folders or shards that the maker of this release had; where page ids "
    "are those of a wiki, they come from Wikimedia Commons. They were judged by the license that is stated of them. "
    "The recipe in manifest.json says which.",
    "rai:dataBiases": "The choice prefers photographs that the measures take for degraded, deliberate blur and old "
    "prints among them. What the folders and shards over-represent is not known.",
    "rai:dataLimitations": "There is no clean twin of any photograph. Licenses are what was stated of the files, and "
    "nobody can be asked whether they still hold; rights of persons shown, of works shown and trademarks are not "
    "cleared.",
}
"""Where a release holds files of somebody's own."""


def croissant(
    manifest: Manifest, samples: pa.Table, *, notice: str | None = None, url: str | None = None
) -> dict[str, Any]:
    """The description as JSON-able values.

    Args:
        samples: the table that was exported, for its columns and licenses.
        notice: What a reader has to know first.
        url: Where the release can be found, once it is somewhere.
    """
    origin = origin_of(samples)
    about = column_texts({column.name: column.about for column in RELEASED}, origin)
    told = (
        f"{manifest.rows:,} naturally degraded {origin.photographs}, each the original file with its own license, "
        "author and ready attribution line, for real-world image super-resolution without ground truth."
    )
    if origin.wiki:
        told += " An open re-creation of the LucidLR described in the LucidNFT paper; the images are not theirs."
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": manifest.name,
        "description": f"{notice} {told}" if notice else told,
        "version": manifest.version,
        "license": [one.deed or one.spdx for one in licenses_of(samples)],
        **({"url": url} if url else {}),
        "citeAs": f"Credit each photograph by its attribution_line. For the idea: {_PAPER}, arXiv 2603.05947. For this "
        f"release: {manifest.name} {manifest.version}, dataset hash {manifest.dataset_hash}.",
        "creator": {"@type": "sc:Organization", "name": origin.creators},
        "isLiveDataset": False,
        "keywords": ["super-resolution", "image restoration", "real-world degradation"],
        **_RESPONSIBLE,
        **(_OWN_RESPONSIBLE if origin.own else {}),
        "distribution": [*_shards(manifest), _file_set()],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": RECORDS,
                "name": RECORDS,
                "description": "One record for each photograph; `family` and `split` tell the configurations apart.",
                "key": {"@id": f"{RECORDS}/page_id"},
                "field": [_field(field, about) for field in released_schema(samples.schema)],
            }
        ],
    }


def write_croissant(
    manifest: Manifest,
    folder: Path,
    *,
    samples: pa.Table,
    notice: str | None = None,
    url: str | None = None,
) -> None:
    """Writes croissant.json into a dataset's folder; see `croissant`."""
    made = croissant(manifest, samples, notice=notice, url=url)
    text = json.dumps(made, indent=1, ensure_ascii=False)
    files.put(folder / CROISSANT_NAME, text + "\n")


def _shards(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": shard.path,
            "name": shard.path,
            "contentUrl": shard.path,
            "contentSize": f"{shard.bytes} B",
            "encodingFormat": "application/x-parquet",
            "sha256": shard.sha256,
        }
        for shard in manifest.shards
    ]


def _file_set() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _SHARDS,
        "name": _SHARDS,
        "description": "All shards: data/<family>/<split>-*.parquet.",
        "encodingFormat": "application/x-parquet",
        "includes": "data/*/*.parquet",
    }


def _source(column: str, path: str | None = None) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": _SHARDS}, "extract": {"column": column}}
    return source if path is None else {**source, "transform": {"jsonPath": path}}


def _field(field: pa.Field, about: Mapping[str, str]) -> dict[str, Any]:
    """A column as a field; a struct is a field with one subfield for each name."""
    made: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{field.name}",
        "name": field.name,
        "description": about[field.name],
    }
    arrow = field.type
    if arrow.equals(IMAGE_TYPE):
        return {**made, "dataType": "sc:ImageObject", "source": _source(field.name, "bytes")}
    if pa.types.is_struct(arrow):
        names = [arrow.field(i).name for i in range(arrow.num_fields)]
        return {**made, "subField": [_subfield(field.name, name) for name in names]}
    if pa.types.is_list(arrow):
        kind = {"dataType": _TYPES[arrow.value_type], "isArray": True, "arrayShape": "-1"}
    elif pa.types.is_timestamp(arrow):
        kind = {"dataType": "sc:DateTime"}
    else:
        kind = {"dataType": _TYPES[arrow]}
    return {**made, **kind, "source": _source(field.name)}


def _subfield(column: str, name: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{column}/{name}",
        "name": f"{column}/{name}",
        "dataType": "cr:Float64",
        "source": _source(column, json.dumps(name)),
    }
