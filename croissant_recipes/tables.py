"""Columnar tables of artifacts: made once with their columns checked, never changed in place.

A table is a pandas DataFrame. Text is ``str`` without missing values (nothing is ``""``), voxel sizes are ``float64``
in Å (unknown is NaN), flags are ``bool``.

An *artifact table* is what a source gives: one per artifact type, with the columns of its ``ArtifactType``. All types
of segmentation share one, told apart by ``segmentation_type``. Where an artifact lies is ``root`` (a key of the
inventory's roots, or ``""`` for an absolute ``path``) and ``path``. Columns past the declared ones may follow.

A *record table* is what a Croissant holds: one per record set, with exactly the columns of ``RECORD_SETS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from croissant_recipes.schema import ARTIFACTS, RECORD_SETS

_FLOATS = frozenset({"voxel_size"})
_BOOLEANS = frozenset({"is_multilabel"})


def make(columns: Mapping[str, Sequence[Any]], declared: Sequence[str]) -> pd.DataFrame:
    """A table of the declared columns, then any others given, each with its type. Declared text columns that are not
    given are empty, floats NaN.

    Raises:
        ValueError: If columns differ in length.
    """
    lengths = {len(v) for v in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns differ in length: { {k: len(v) for k, v in columns.items()} }")
    n = lengths.pop() if lengths else 0
    names = [*declared, *(c for c in columns if c not in declared)]
    data = {}
    for name in names:
        if name in _FLOATS:
            data[name] = pd.Series(columns.get(name, [float("nan")] * n), dtype="float64")
        elif name in _BOOLEANS:
            data[name] = pd.Series(columns.get(name, [False] * n), dtype="bool")
        else:
            data[name] = pd.Series(columns.get(name, [""] * n), dtype="str")
    return pd.DataFrame(data, columns=names)


def artifacts(artifact: str, columns: Mapping[str, Sequence[object]] | None = None) -> pd.DataFrame:
    """An artifact table of one type; empty without ``columns``."""
    return make(columns or {}, ARTIFACTS[artifact].columns)


def records(record_set: str, columns: Mapping[str, Sequence[object]] | None = None) -> pd.DataFrame:
    """A record table of one record set; empty without ``columns``."""
    return make(columns or {}, RECORD_SETS[record_set].columns)


def sort_by(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Rows in the order of the columns: text by code point, numbers by value. The index starts at 0 again."""
    return table.sort_values(list(columns), kind="stable", ignore_index=True)


def concat(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of tables of one kind, one after the other."""
    filled = [t for t in tables if len(t)] or list(tables[:1])
    return filled[0].reset_index(drop=True) if len(filled) == 1 else pd.concat(filled, ignore_index=True)
