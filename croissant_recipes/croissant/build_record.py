"""What a build wrote, kept beside it in ``croissant-recipe.json``, so that the next build knows what others changed.

The record holds a digest of every row's key and of the whole row, of every pickable object, and of every other part of
the metadata. It is made of the same values as the Croissant, so it is as reproducible as that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from croissant_recipes.croissant.content import METADATA
from croissant_recipes.schema import RECORD_SETS

RECORD_FILE = "croissant-recipe.json"
RECORD_FORMAT = 1

CONFIG = "copick:config"
OBJECTS = "pickable_objects"

_WRITTEN_BY_COPICK = ("@context", "distribution", "recordSet")
"""Parts of a manifest that copick itself rewrites when rows are added."""


@dataclass(frozen=True)
class BuildRecord:
    """What was written.

    Attributes:
        recipe: Name of the recipe.
        files: Hex sha256 of every file by name.
        rows: For every record set, the digest of each row by the digest of its key.
        metadata: Digests of the dataset-level metadata by key.
        config: Digests of ``copick:config`` by key, objects aside.
        objects: Digests of the pickable objects by name.
    """

    recipe: str
    files: Mapping[str, str]
    rows: Mapping[str, Mapping[str, str]]
    metadata: Mapping[str, str]
    config: Mapping[str, str]
    objects: Mapping[str, str]

    def to_bytes(self) -> bytes:
        document = {
            "format": RECORD_FORMAT,
            "about": "What croissant-recipe wrote here. It compares this with what it finds before it writes again.",
            "recipe": self.recipe,
            "files": dict(sorted(self.files.items())),
            "metadata": dict(sorted(self.metadata.items())),
            "config": dict(sorted(self.config.items())),
            "objects": dict(sorted(self.objects.items())),
            "rows": {name: sorted(k + v for k, v in rows.items()) for name, rows in self.rows.items()},
        }
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def make(recipe: str, tables: Mapping[str, pd.DataFrame], files: Mapping[str, bytes]) -> BuildRecord:
    """The record of a Croissant about to be written."""
    document = json.loads(files[METADATA])
    return BuildRecord(
        recipe=recipe,
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        rows={name: dict(zip(*digests(name, table), strict=True)) for name, table in tables.items()},
        metadata=digests_of(metadata_of(document)),
        config=digests_of(config_of(document)),
        objects=digests_of(objects_of(document)),
    )


def parse(data: bytes) -> BuildRecord | None:
    """The record in a file, ``None`` where it is none that this version reads."""
    try:
        document = json.loads(data)
        if document["format"] != RECORD_FORMAT:
            return None
        return BuildRecord(
            recipe=str(document["recipe"]),
            files=dict(document["files"]),
            rows={name: {row[:16]: row[16:] for row in rows} for name, rows in document["rows"].items()},
            metadata=dict(document["metadata"]),
            config=dict(document["config"]),
            objects=dict(document["objects"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def digests(record_set: str, table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """A digest of the key and one of the rest of every row, in order."""
    schema = RECORD_SETS[record_set]
    texts = {c: _texts(table[c]) for c in schema.columns}
    key = [texts[c] for c in schema.key]
    rest = [texts[c] for c in schema.columns]
    return [_short("\x1f".join(row)) for row in zip(*key, strict=True)], [
        _short("\x1f".join(row)) for row in zip(*rest, strict=True)
    ]


def metadata_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The dataset-level metadata of a manifest."""
    return {k: v for k, v in document.items() if k not in (*_WRITTEN_BY_COPICK, CONFIG)}


def config_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """``copick:config`` of a manifest, objects aside."""
    return {k: v for k, v in _config(document).items() if k != OBJECTS}


def objects_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The pickable objects of a manifest by name; of two that share one, the first, as copick has it."""
    entries = _config(document).get(OBJECTS)
    found: dict[str, Any] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and "name" in entry:
            found.setdefault(str(entry["name"]), entry)
    return found


def _config(document: Mapping[str, Any]) -> Mapping[str, Any]:
    config = document.get(CONFIG)
    return config if isinstance(config, dict) else {}


def digests_of(values: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each value."""
    return {key: _short(json.dumps(value, sort_keys=True, ensure_ascii=False)) for key, value in values.items()}


def _texts(column: pd.Series) -> list[str]:
    return [v if isinstance(v, str) else "" if v != v else repr(v) for v in column.tolist()]


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
