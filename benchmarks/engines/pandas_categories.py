"""pandas 3 with the columns that repeat themselves held as categories."""

from __future__ import annotations

import fnmatch

import pandas as pd
from pandas.api.types import union_categoricals

from benchmarks.engines import COLUMNS, GLOBS, pandas_plain
from benchmarks.engines.pandas_plain import digest, relocate, write

__all__ = ["compare", "digest", "load", "merge", "read", "relocate", "select", "sort", "to_pandas", "write"]

Table = pd.DataFrame
_DISTINCT = ("url", "sha256", "voxel_size")
_REPEATING = [c for c in COLUMNS if c not in _DISTINCT]


def load(frame: pd.DataFrame) -> Table:
    return frame.assign(**{c: frame[c].astype("category") for c in _REPEATING})


def to_pandas(table: Table) -> pd.DataFrame:
    return table.assign(**{c: table[c].astype("str") for c in _REPEATING})


def read(data: bytes) -> Table:
    return load(pandas_plain.read(data))


def _alike(first: Table, second: Table) -> tuple[Table, Table]:
    """Two tables whose categories are the same and in order."""
    changed: tuple[dict[str, pd.Categorical], dict[str, pd.Categorical]] = ({}, {})
    for column in _REPEATING:
        both = union_categoricals([first[column], second[column]], sort_categories=True)
        changed[0][column], changed[1][column] = both[: len(first)], both[len(first) :]
    return first.assign(**changed[0]), second.assign(**changed[1])


def merge(first: Table, second: Table) -> tuple[Table, int]:
    return pandas_plain.merge(*_alike(first, second))


def sort(table: Table) -> Table:
    return pandas_plain.sort(table)


def compare(old: Table, new: Table) -> tuple[int, int, int]:
    return pandas_plain.compare(*_alike(old, new))


def select(table: Table) -> int:
    mask = pd.Series(True, index=table.index)
    for column, glob in GLOBS.items():
        matches = [fnmatch.fnmatchcase(value, glob) for value in table[column].cat.categories]
        mask &= table[column].cat.codes.map(dict(enumerate(matches))).astype(bool)
    return int(mask.sum())
