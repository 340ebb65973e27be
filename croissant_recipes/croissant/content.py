"""What a Croissant holds, before it is bytes, and those bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from croissant_recipes.croissant import manifest, serialize
from croissant_recipes.croissant.manifest import FileEntry
from croissant_recipes.croissant.provenance import Provenance
from croissant_recipes.schema import RECORD_SETS

METADATA = "metadata.json"


@dataclass(frozen=True)
class Content:
    """A whole Croissant as values.

    Attributes:
        tables: A record table for every record set.
        config: ``copick:config``.
        dataset: The recipe's dataset block, ``None`` when ``base`` gives the metadata.
        base: The metadata document whose dataset-level metadata is kept.
        base_url: ``copick:baseUrl``, ``None`` for a relocatable Croissant.
        csv_base: http(s) URL of the folder above ``Croissant/``, ``None`` for relative ``contentUrl``s.
        parquet: Whether Parquet files stand beside the CSVs.
        beside: Further files, by name, which the manifest lists.
        provenance: What it was made from and by, where a recipe made it.
    """

    tables: Mapping[str, pd.DataFrame]
    config: Mapping[str, Any]
    dataset: Mapping[str, Any] | None
    base: Mapping[str, Any] | None
    base_url: str | None
    csv_base: str | None
    parquet: bool
    beside: Mapping[str, bytes] = field(default_factory=dict)
    provenance: Provenance | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The distinct split names, sorted."""
        return tuple(sorted(set(self.tables["runs"]["split"]) - {""}))

    def files(self) -> dict[str, bytes]:
        """The bytes of every file of the Croissant by name, ``metadata.json`` last.

        Raises:
            DiagnosticError: mlcroissant refuses the metadata.
        """
        files: dict[str, bytes] = {**self.beside}
        for name, record_set in RECORD_SETS.items():
            files[record_set.csv_name] = serialize.csv_bytes(name, self.tables[name])
            if self.parquet and manifest.is_declared(name, len(self.tables[name])):
                files[record_set.parquet_name] = serialize.parquet_bytes(name, self.tables[name])
        files[METADATA] = manifest.build_manifest(
            dataset=self.dataset,
            base=self.base,
            base_url=self.base_url,
            csv_base=self.csv_base,
            config=self.config,
            rows={name: len(table) for name, table in self.tables.items()},
            files={n: FileEntry(n, len(data), hashlib.sha256(data).hexdigest()) for n, data in files.items()},
            splits=self.splits,
            parquet=self.parquet,
            provenance=self.provenance,
            beside=sorted(self.beside),
        )
        return files
