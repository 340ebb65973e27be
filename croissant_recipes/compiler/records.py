"""Final artifact tables to the record tables of a Croissant."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS, SEGMENTATION_RECORD_SETS
from croissant_recipes.tables import LINEAGE


def from_artifacts(artifacts: Mapping[str, pd.DataFrame], spacings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of every record set, each sorted by key and with its lineage; voxel spacings, which only follow from
    other rows, have none.

    Args:
        artifacts: One artifact table per type, with ``url``.
        spacings: The voxel spacings.
    """
    final: dict[str, pd.DataFrame] = {}
    for name, schema in RECORD_SETS.items():
        if name == "voxel_spacings":
            table = spacings
        elif schema.artifact == "segmentations":
            table = _segmentations(name, artifacts["segmentations"])
        else:
            table = artifacts[name]
        lineage = [c for c in LINEAGE if c in table]
        final[name] = tables.sort_by(tables.columns(table, [*schema.columns, *lineage]), schema.key)
    return final


def without_lineage(rows: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Record tables: what a Croissant holds."""
    return {name: tables.columns(rows[name], schema.columns) for name, schema in RECORD_SETS.items()}


def _segmentations(record_set: str, table: pd.DataFrame) -> pd.DataFrame:
    types = [t for t, name in SEGMENTATION_RECORD_SETS.items() if name == record_set]
    chosen = tables.take(table, np.flatnonzero(table["segmentation_type"].isin(types)))
    return chosen.assign(is_multilabel=chosen["segmentation_type"] == "multilabel")


def voxel_spacings(artifacts: Mapping[str, pd.DataFrame], kept: pd.DataFrame) -> pd.DataFrame:
    """One row for each (run, voxel size) that a tomogram, a feature or a segmentation has.

    Args:
        artifacts: One artifact table per type.
        kept: Rows that are there whatever the artifacts say (those of a base).
    """
    columns = list(RECORD_SETS["voxel_spacings"].columns)
    parts = [tables.columns(artifacts[name], columns) for name, described in ARTIFACTS.items() if described.spaces]
    stacked = tables.concat([tables.columns(kept, columns), *parts])
    return stacked[tables.first_of_each(stacked, columns)].reset_index(drop=True)
