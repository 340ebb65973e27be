"""Small Croissants on disk, made of record tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant.manifest import FileEntry, build_manifest
from croissant_recipes.croissant.serialize import csv_bytes, parquet_bytes
from croissant_recipes.schema import RECORD_SETS

DATASET: Mapping[str, Any] = {
    "name": "Small",
    "description": "A few picks.",
    "version": "1.0.0",
    "license": "CC-BY-4.0",
    "date_published": "2026-01-15",
    "url": "https://example.org/small",
    "creators": [{"name": "Example Lab", "url": "https://example.org"}],
}

CONFIG: Mapping[str, Any] = {
    "name": "Small",
    "description": "A few picks.",
    "version": "1.0.0",
    "user_id": None,
    "session_id": None,
    "pickable_objects": [
        {"name": "ribosome", "is_particle": True, "label": 1, "color": [0, 255, 0, 255], "radius": 130.0},
        {"name": "membrane", "is_particle": False, "label": 2, "color": [255, 0, 0, 255]},
    ],
}

Rows = Mapping[str, Mapping[str, Sequence[object]]]

Given = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows by record set, each of which says only what matters."""


def tables_of(given: Given) -> dict[str, pd.DataFrame]:
    """A record table of every record set."""
    made = {}
    for name in RECORD_SETS:
        found = given.get(name, ())
        columns = {c for row in found for c in row}
        nothing: dict[str, Any] = {"voxel_size": float("nan"), "is_multilabel": False}
        made[name] = tables.records(name, {c: [r.get(c, nothing.get(c, "")) for r in found] for c in columns})
    return made


def files_of(rows: Rows, *, parquet: bool = False) -> dict[str, bytes]:
    """The CSV of every record set, and the Parquet of those with rows."""
    files = {}
    for name, schema in RECORD_SETS.items():
        table = tables.records(name, rows.get(name))
        files[schema.csv_name] = csv_bytes(name, table)
        if parquet:
            files[schema.parquet_name] = parquet_bytes(name, table)
    return files


def entries(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    return {n: FileEntry(n, len(data), hashlib.sha256(data).hexdigest()) for n, data in files.items()}


def manifest_of(rows: Rows, files: Mapping[str, bytes], **given: Any) -> bytes:
    arguments: dict[str, Any] = {
        "dataset": DATASET,
        "base": None,
        "base_url": None,
        "csv_base": None,
        "config": CONFIG,
        "rows": {name: len(next(iter(columns.values()), ())) for name, columns in rows.items()},
        "files": entries(files),
        "splits": [s for s in dict.fromkeys(rows.get("runs", {}).get("split", ())) if s],
        "parquet": False,
    }
    return build_manifest(**{**arguments, **given})


def write_croissant(root: Path, rows: Rows, **given: Any) -> Path:
    """``root/Croissant`` with its manifest, whose path is returned."""
    folder = root / "Croissant"
    folder.mkdir(parents=True)
    files = files_of(rows, parquet=given.get("parquet", False))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = folder / "metadata.json"
    manifest.write_bytes(manifest_of(rows, files, **given))
    return manifest
