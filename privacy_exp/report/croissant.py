"""The data set that a run made, as Croissant 1.1 with RAI fields: its pictures, and a row per image."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from privacy_exp import __version__
from privacy_exp.cache.content import file_digest
from privacy_exp.report.collect import Row
from privacy_exp.report.eee import ended_at, public_command, without_folders
from privacy_exp.runs.names import display_name
from privacy_exp.runs.parts import UNKNOWN, parts_of
from privacy_exp.runs.shards import picture_shards

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
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
"""As the specification writes it, with every alias: readers compare it."""

TYPES = {"i": "sc:Integer", "u": "sc:Integer", "f": "sc:Float", "b": "sc:Boolean"}
"""Kind of a column to its type; all others are text."""

COLUMNS = {
    "image_id": "name of the photo in its data set",
    "identity": "who is on it, as the data set names people",
    "label": "the person's number",
    "pred": "whom the target recogniser sees in the original",
    "pred_anonymized": "whom it sees in the result",
    "share_hidden": "hidden pixels / all pixels of the frame",
}


def croissant(cell: Row) -> dict[str, Any]:
    """The description of the results of one cell, for the run's own folder: places of files are given from there.

    Args:
        cell: a finished run.
    """
    what = f"{display_name(cell.method)}, {display_name(cell.record['choices'].get('inpainting', 'pairs'))}"
    day = datetime.fromtimestamp(ended_at(cell), UTC).date().isoformat()
    suffix = next((Path(n).suffix for n in cell.record.get("files", {}) if n.startswith("results/")), ".jpg")
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": f"{cell.name}: anonymised faces",
        "description": f"{cell.record['n']} faces of {_data(cell)}, anonymised by privacy_exp: {what}.",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "license": next((part.licence for part in parts_of(cell.record) if part.part.startswith("data/")), UNKNOWN),
        "url": "./",
        "version": "1.0.0",
        "datePublished": day,
        "dateCreated": day,
        "creator": {"@type": "sc:Organization", "name": f"whoever ran privacy_exp {__version__}"},
        "citeAs": f"Anonymised faces, made with privacy_exp; key {cell.record.get('key')}",
        "keywords": ["face anonymisation", cell.method],
        **_responsible(cell),
        "distribution": [],
        "recordSet": [],
    }
    table = cell.folder / "images.parquet"
    if cell.images is not None:
        described["distribution"].append(
            {
                "@type": "cr:FileObject",
                "@id": "images.parquet",
                "name": "images.parquet",
                "contentUrl": "images.parquet",
                "encodingFormat": "application/x-parquet",
                "sha256": cell.record.get("files", {}).get("images.parquet") or file_digest(table),
            }
        )
        described["recordSet"].append(_rows(cell.images))
    shards = picture_shards(cell.folder)
    described["distribution"] += [_shard(cell.folder, shard) for shard in shards]
    results: dict[str, Any] = {
        "@type": "cr:FileSet",
        "@id": "results",
        "name": "results",
        "description": "the anonymised faces, one file per image",
        "encodingFormat": "image/png" if suffix == ".png" else "image/jpeg",
        "includes": f"*.results{suffix}" if shards else f"results/*{suffix}",
    }
    if shards:
        results["containedIn"] = [{"@id": shard.name} for shard in shards]
    described["distribution"].append(results)
    described["recordSet"].append(_pictures(cell.images is not None, "." if shards else "-"))
    return described


def _shard(folder: Path, shard: Path) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard.name,
        "name": shard.name,
        "contentUrl": shard.relative_to(folder).as_posix(),
        "encodingFormat": "application/x-tar",
        "sha256": file_digest(shard),
    }


def _rows(images: pd.DataFrame) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"images/{column}",
            "name": column,
            "description": COLUMNS.get(column, f"see images.parquet: {column}"),
            "dataType": TYPES.get(images[column].dtype.kind, "sc:Text"),
            "source": {"fileObject": {"@id": "images.parquet"}, "extract": {"column": column}},
        }
        for column in map(str, images)
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "description": "what was found of each image",
        "key": {"@id": "images/image_id"},
        "field": fields,
    }


def _pictures(named: bool, end: str) -> dict[str, Any]:
    """Result pictures, whose file names begin with the image id and `end`."""
    source = {"fileSet": {"@id": "results"}}
    image_id: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": "pictures/image_id",
        "name": "image_id",
        "description": COLUMNS["image_id"],
        "dataType": "sc:Text",
        "source": source | {"extract": {"fileProperty": "filename"}, "transform": {"regex": f"^([^{end}]+)"}},
    }
    if named:
        image_id["references"] = {"field": {"@id": "images/image_id"}}
    picture = {
        "@type": "cr:Field",
        "@id": "pictures/content",
        "name": "content",
        "description": "the anonymised face",
        "dataType": "sc:ImageObject",
        "source": source | {"extract": {"fileProperty": "content"}},
    }
    return {
        "@type": "cr:RecordSet",
        "@id": "pictures",
        "name": "pictures",
        "description": "the anonymised faces by the names of their photos",
        "field": [image_id, picture],
    }


def _responsible(cell: Row) -> dict[str, Any]:
    """What a reader must know before using pictures of people; the figures are the record's."""
    record, strongest = cell.record, cell.metric("strongest_observer")
    found = "was not measured" if strongest.value is None else f"{strongest} of what it recognised beyond chance"
    person = "Drawn faces: no real person can be seen." if cell.drawn else (
        "Faces of people, hidden in part. The strongest observer that was tried still recognises them in a share of "
        f"the results: {found}. Take these pictures for personal data."
    )  # fmt: skip
    attributes = sorted({name.split("/")[1].partition("=")[0] for name in record["metrics"] if name.startswith("by/")})
    return {
        "rai:dataCollection": f"Photos of {_data(cell)}, of which parts were hidden and repainted.",
        "rai:dataCollectionType": "Synthetic: drawn by a program" if cell.drawn else "Existing data set, altered",
        "rai:dataPreprocessingProtocol": public_command(cell.folder) or "the run's folder holds no command",
        "rai:dataLimitations": [
            *map(without_folders, record.get("warnings", [])),
            "Only these observers were tried: " + (", ".join(cell.observers) or "none") + ".",
        ],
        "rai:dataBiases": (
            f"The record states the figures apart for {', '.join(attributes)}."
            if attributes
            else "Whether some people are protected less was not measured."
        ),
        "rai:dataUseCases": "Measuring how well anonymisation protects from recognition. Not for naming people.",
        "rai:personalSensitiveInformation": person,
        "rai:dataSocialImpact": f"Hidden faces may still be recognised. Strongest observer: {found}.",
        "rai:dataReleaseMaintenancePlan": "None: the command makes the data set again.",
    }


def _data(cell: Row) -> str:
    digest = cell.record.get("details", {}).get("data_digest", UNKNOWN)
    return f"{display_name(cell.record['choices'].get('data', UNKNOWN))} (digest {digest})"
