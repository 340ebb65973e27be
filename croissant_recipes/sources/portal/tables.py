"""Rows of the portal as artifact tables, with the names, places and sizes that copick gives them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.language.portal_schema import Field, annotation_fields, run_fields
from croissant_recipes.sources.portal.objects import SEGMENTATION_SHAPES, object_name

ROOT = "portal"
BUCKET = "s3://cryoet-data-portal-public"
USER = "data-portal"

Row = Mapping[str, Any]
Authors = Mapping[int, Sequence[str]]
"""Names by annotation id, in the order of the author list."""

NameOf = Callable[[Row], str]
"""The copick name of an annotation's object."""

_FROM_TEXT: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "bool": bool, "str": str, "enum": str}


def name_of(names: Mapping[str, str]) -> NameOf:
    """Names by object id, as copick has one name for each id, however annotations spell it."""
    return lambda annotation: (
        names.get(annotation["objectId"]) or object_name(annotation["objectName"], annotation["objectId"])
    )


def tomo_type(row: Row) -> str:
    """copick's tomogram type: method, processing and, where the portal has them, software and CTF correction."""
    parts = [row["reconstructionMethod"], row["processing"], row["processingSoftware"] or ""]
    words = [w for w in map(_camel_case, parts) if w]
    return "-".join([*words, "ctfdeconv"] if row["ctfCorrected"] else words)


def _camel_case(text: str) -> str:
    joined = re.sub("[_-]+", " ", text).title().replace(" ", "")
    return joined[:1].lower() + joined[1:]


def runs(rows: Sequence[Row], fields: Collection[str]) -> pd.DataFrame:
    """Runs by id. ``fields`` are those that the run name's template uses."""
    ids = [str(row["id"]) for row in rows]
    table = tables.artifacts("runs", {"name": ids, "portal_run_id": ids, "run_alias": [row["name"] for row in rows]})
    table["portal_dataset_id"] = pd.Series([str(row["datasetId"]) for row in rows], dtype="str")
    return _with_fields(table, rows, "run", run_fields(), fields)


def tomograms(rows: Sequence[Row]) -> tuple[pd.DataFrame, list[int]]:
    """Tomograms by id, and the ids of those that the portal has no OME-Zarr of, which are left out."""
    present = [row for row in rows if row["s3OmezarrDir"]]
    columns: dict[str, Sequence[object]] = {
        "run": [str(row["tomogramVoxelSpacing"]["runId"]) for row in present],
        "voxel_size": [row["tomogramVoxelSpacing"]["voxelSpacing"] for row in present],
        "tomo_type": [tomo_type(row) for row in present],
        "portal_tomogram_id": [str(row["id"]) for row in present],
        **_places(row["s3OmezarrDir"] for row in present),
    }
    return _with_ids(tables.artifacts("tomograms", columns), present), [r["id"] for r in rows if not r["s3OmezarrDir"]]


def picks(rows: Sequence[Row], name: NameOf, fields: Collection[str], authors: Authors) -> pd.DataFrame:
    """Picks by annotation file id. ``fields`` are those that the session's template uses."""
    columns = {**_annotated(rows, "object_name", name), "voxel_size": [_voxel_size(r, float("nan")) for r in rows]}
    return _annotation_table("picks", columns, rows, fields, authors)


def segmentations(rows: Sequence[Row], name: NameOf, fields: Collection[str], authors: Authors) -> pd.DataFrame:
    """Segmentations by annotation file id. ``fields`` are those that the session's template uses."""
    columns = {
        **_annotated(rows, "name", name),
        # copick gives a volume whose voxel spacing the portal does not know the size 0.
        "voxel_size": [_voxel_size(r, 0.0) for r in rows],
        "segmentation_type": [SEGMENTATION_SHAPES[r["annotationShape"]["shapeType"]] for r in rows],
    }
    return _annotation_table("segmentations", columns, rows, fields, authors)


def _annotated(rows: Sequence[Row], name_column: str, name: NameOf) -> dict[str, Sequence[object]]:
    annotations = [row["annotationShape"]["annotation"] for row in rows]
    files = [str(row["id"]) for row in rows]
    return {
        "run": [str(a["runId"]) for a in annotations],
        "user_id": [USER] * len(rows),
        "session_id": files,
        name_column: [name(a) for a in annotations],
        "portal_object_name": [a["objectName"] for a in annotations],
        "portal_annotation_id": [str(a["id"]) for a in annotations],
        "portal_annotation_file_id": files,
        **_places(row["s3Path"] for row in rows),
    }


def _annotation_table(
    artifact: str,
    columns: Mapping[str, Sequence[object]],
    rows: Sequence[Row],
    fields: Collection[str],
    authors: Authors,
) -> pd.DataFrame:
    table = _with_ids(tables.artifacts(artifact, columns), rows)
    annotations = [row["annotationShape"]["annotation"] for row in rows]
    known = annotation_fields()
    table = _with_fields(table, annotations, "annotation", known, [f for f in fields if f in known])
    if "annotation_file_id" in fields:
        table["annotation.annotation_file_id"] = table["session_id"]
    names = [authors.get(a["id"], ()) for a in annotations]
    if "author" in fields:
        table["annotation.author"] = pd.Series([n[0] if n else "" for n in names], dtype=object)
    if "authors" in fields:
        table["annotation.authors"] = pd.Series([",".join(n) for n in names], dtype=object)
    return table


def _with_ids(table: pd.DataFrame, rows: Sequence[Row]) -> pd.DataFrame:
    """With the number that rows are in portal-id order by."""
    return table.assign(portal_id=pd.Series([row["id"] for row in rows], dtype="int64"))


def _with_fields(
    table: pd.DataFrame, rows: Sequence[Row], prefix: str, known: Mapping[str, Field], fields: Iterable[str]
) -> pd.DataFrame:
    """With a column for each field, values as Python numbers, flags and texts, ``None`` where the portal has none."""
    for name in sorted(fields):
        field = known[name]
        convert = _FROM_TEXT[field.type]
        values = [None if row[field.graphql_name] is None else convert(row[field.graphql_name]) for row in rows]
        table[f"{prefix}.{name}"] = pd.Series(values, dtype=object)
    return table


def _places(urls: Iterable[str]) -> dict[str, list[str]]:
    below = BUCKET + "/"
    cleaned = [url.rstrip("/") for url in urls]
    return {
        "root": [ROOT if url.startswith(below) else "" for url in cleaned],
        "path": [url.removeprefix(below) for url in cleaned],
    }


def _voxel_size(row: Row, unknown: float) -> float:
    spacing = row["tomogramVoxelSpacing"]
    return unknown if spacing is None else float(spacing["voxelSpacing"])
