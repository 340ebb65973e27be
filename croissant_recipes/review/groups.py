"""Rows that change in one way for one reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from croissant_recipes import tables
from croissant_recipes.croissant.diff import Changes, TableChanges
from croissant_recipes.review.causes import UNKNOWN, Cause
from croissant_recipes.review.classes import CLASSES, ChangeClass, RowClasses
from croissant_recipes.tables import Positions

Kind = Literal["added", "changed", "removed", "renamed"]
KINDS: tuple[Kind, ...] = ("added", "changed", "removed", "renamed")


@dataclass(frozen=True)
class Group:
    """Rows of one record set that change in one way for one reason.

    Attributes:
        record_set: Its name.
        kind: The way.
        cause: The reason.
        change_class: How much it hurts.
        fields: The columns that differ, of changed and renamed rows.
        rows: Positions in the frame of ``TableChanges`` of that kind.
    """

    record_set: str
    kind: Kind
    cause: Cause
    change_class: ChangeClass
    fields: tuple[str, ...]
    rows: Positions

    def __len__(self) -> int:
        return len(self.rows)


def of_changes(changes: Changes, classes: Mapping[str, RowClasses]) -> tuple[Group, ...]:
    """All rows that change, by record set, kind and class."""
    return tuple(group for name, table in changes.tables.items() for group in _of_table(table, classes[name]))


def _of_table(table: TableChanges, classes: RowClasses) -> Iterator[Group]:
    for kind in KINDS:
        ranks = classes.of(kind)
        for rank in sorted(set(ranks.tolist())):
            rows = np.flatnonzero(ranks == rank)
            yield Group(table.record_set, kind, UNKNOWN, CLASSES[rank], _fields(table, kind, rows), rows)


def _fields(table: TableChanges, kind: Kind, rows: Positions) -> tuple[str, ...]:
    pairs = {"changed": (table.before, table.after), "renamed": (table.renamed_before, table.renamed_after)}
    if kind not in pairs:
        return ()
    before, after = pairs[kind]
    return tuple(c for c in map(str, after) if tables.differs(before[c].take(rows), after[c].take(rows)).any())
