"""What a build wrote, kept beside it: the next build knows by it what others changed, and anybody where rows are from.

``croissant-recipe.json`` says which recipe, tool and sources made the Croissant, and holds a digest of every file,
pickable object and other part of the metadata. ``croissant-recipe.parquet`` holds every row (``row_record``). Both are
made of the same values as the Croissant, so they are as reproducible as that: they name no path, no clock and no
secret. Readers need neither of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from croissant_recipes import intake
from croissant_recipes.croissant import row_record
from croissant_recipes.croissant.content import METADATA
from croissant_recipes.croissant.manifest import named_others
from croissant_recipes.croissant.row_record import ROWS_FILE, WrittenRows

RECORD_FILE = "croissant-recipe.json"
RECORD_FORMAT = 2

CONFIG = "copick:config"
OBJECTS = "pickable_objects"

_WRITTEN_BY_COPICK = ("@context", "distribution", "recordSet")
"""Parts of a manifest that copick itself rewrites when rows are added."""


@dataclass(frozen=True)
class Origin:
    """What made a Croissant.

    Attributes:
        recipe: Name of the recipe.
        recipe_digest: Digest of the recipe's normal form: no comment and no layout changes it.
        version: Of croissant-recipes.
        base: Identity of the Croissant that it starts from, if there is one.
        sources: Identity of each source by its name.
        layers: What each layer was, in plain JSON values, in the order of their numbers.
        parts: Digests of what else the recipe said, by where it said it; empty in a record of a version that noted
            none.
    """

    recipe: str
    recipe_digest: str
    version: str
    base: str | None
    sources: Mapping[str, str]
    layers: Sequence[Mapping[str, Any]]
    parts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildRecord:
    """What was written.

    Attributes:
        origin: What made it, ``None`` in a record of format 1.
        recipe: Name of the recipe.
        files: Hex sha256 of every file by name.
        metadata: Digests of the dataset-level metadata by key.
        config: Digests of ``copick:config`` by key, objects aside.
        objects: Digests of the pickable objects by name.
        others: Digests of files and record sets that are not copick's, by ``manifest.named_others``.
        rows: Every row; ``None`` where the file of them is gone, and in a record of format 1.
    """

    origin: Origin | None
    recipe: str
    files: Mapping[str, str]
    metadata: Mapping[str, str]
    config: Mapping[str, str]
    objects: Mapping[str, str]
    others: Mapping[str, str]
    rows: WrittenRows | None = None


def files_of(
    origin: Origin,
    records: Mapping[str, pd.DataFrame],
    lineage: Mapping[str, pd.DataFrame],
    files: Mapping[str, bytes],
) -> dict[str, bytes]:
    """The files that are kept beside a Croissant about to be written.

    Args:
        origin: What made it.
        records: Its record tables.
        lineage: What ``row_record`` notes of their rows.
        files: Its files.
    """
    manifest = json.loads(files[METADATA])
    document = {
        "format": RECORD_FORMAT,
        "about": "What croissant-recipe wrote here. It compares this with what it finds before it writes again.",
        "tool": {"name": "croissant-recipes", "version": origin.version},
        "recipe": {"name": origin.recipe, "digest": origin.recipe_digest},
        "base": origin.base,
        "sources": dict(sorted(origin.sources.items())),
        "layers": list(origin.layers),
        **({"parts": origin.parts} if origin.parts else {}),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
        "metadata": dict(sorted(digests_of(metadata_of(manifest)).items())),
        "config": dict(sorted(digests_of(config_of(manifest)).items())),
        "objects": dict(sorted(digests_of(objects_of(manifest)).items())),
        "others": dict(sorted(digests_of(named_others(manifest)).items())),
    }
    return {
        RECORD_FILE: (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode(),
        ROWS_FILE: row_record.to_bytes(records, lineage),
    }


def of_what_is_there(
    files: Mapping[str, bytes], manifest: Mapping[str, Any], records: Mapping[str, pd.DataFrame]
) -> BuildRecord:
    """What a record would say had a build written a Croissant as it is."""
    return BuildRecord(
        None,
        "",
        {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        digests_of(metadata_of(manifest)),
        digests_of(config_of(manifest)),
        digests_of(objects_of(manifest)),
        digests_of(named_others(manifest)),
        row_record.of_rows(records),
    )


def parse(files: Mapping[str, bytes]) -> BuildRecord | None:
    """The record among the files of a Croissant, ``None`` where there is none.

    Raises:
        ValueError: If it is of a version that is not known here.
    """
    try:
        document = intake.parse_json(files[RECORD_FILE])
        version = document["format"]
        if version == 1:
            return _record(None, str(document["recipe"]), document, None)
        if version == RECORD_FORMAT:
            recipe, tool = document["recipe"], document["tool"]
            origin = Origin(
                str(recipe["name"]),
                str(recipe["digest"]),
                str(tool["version"]),
                document["base"],
                dict(document["sources"]),
                list(document["layers"]),
                dict(document.get("parts", {})),
            )
            rows = row_record.parse(files[ROWS_FILE]) if ROWS_FILE in files else None
            return _record(origin, origin.recipe, document, rows)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    raise ValueError(f"{RECORD_FILE} is of format {version!r}, and this version of croissant-recipe knows 1 and 2")


def _record(origin: Origin | None, recipe: str, document: Mapping[str, Any], rows: WrittenRows | None) -> BuildRecord:
    return BuildRecord(
        origin,
        recipe,
        files=dict(document["files"]),
        metadata=dict(document["metadata"]),
        config=dict(document["config"]),
        objects=dict(document["objects"]),
        # Earlier versions wrote none, and noted none.
        others=dict(document.get("others", {})),
        rows=rows,
    )


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


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
