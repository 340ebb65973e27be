"""Rows that differ, a line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant import diff
from croissant_recipes.croissant.diff import TableChanges
from croissant_recipes.croissant.renames import WAYS
from croissant_recipes.diagnostics import key_text
from croissant_recipes.differences import change
from croissant_recipes.review.groups import Group

SIGNS = {"added": "+", "changed": "~", "removed": "-", "renamed": "~"}

_AT_ONCE = 10_000
_DIGEST = 12
"""How much of a digest is shown: nobody reads more than that two differ."""


def of_group(group: Group, table: TableChanges, most: int | None = None) -> Iterator[str]:
    """The rows of a group, or the first few of them: ``TS_1, ada, 1, ribosome: url a -> b``."""
    at = group.rows if most is None else group.rows[:most]
    for start in range(0, len(at), _AT_ONCE):
        yield from _lines(group, table, at[start : start + _AT_ONCE])


def _lines(group: Group, table: TableChanges, at: np.ndarray[Any, np.dtype[np.intp]]) -> Iterator[str]:
    key = table.key

    def rows(frame: pd.DataFrame) -> list[diff.Row]:
        return diff.rows(tables.take(frame, at))

    if group.kind in ("added", "removed"):
        for row in rows(table.added if group.kind == "added" else table.removed):
            yield key_text(row[c] for c in key)
    elif group.kind == "changed":
        for old, new in zip(rows(table.before), rows(table.after), strict=True):
            yield f"{key_text(new[c] for c in key)}: {_fields(old, new, key)}"
    else:
        pairs = zip(rows(table.renamed_before), rows(table.renamed_after), table.ways[at], strict=True)
        for old, new, way in pairs:
            fields = _fields(old, new, key)
            keys = f"{key_text(old[c] for c in key)} -> {key_text(new[c] for c in key)}"
            yield f"{keys} (by {WAYS[way].value})" + (f": {fields}" if fields else "")


def _fields(old: Mapping[str, Any], new: Mapping[str, Any], key: tuple[str, ...]) -> str:
    return "; ".join(f"{c} {_change(c, old[c], new[c])}" for c in new if c not in key and old[c] != new[c])


def _change(column: str, old: Any, new: Any) -> str:
    if column == "sha256":
        old, new = (value[:_DIGEST] for value in (old, new))
    return change(old, new)
