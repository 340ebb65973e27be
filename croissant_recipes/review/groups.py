"""Rows that change in one way for one reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from croissant_recipes import tables
from croissant_recipes.croissant.diff import Changes, TableChanges
from croissant_recipes.review.causes import Cause, Causes
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
        fields: The columns that differ, of changed and renamed rows: the same of all.
        rows: Positions in the frame of ``TableChanges`` of that kind, in order.
    """

    record_set: str
    kind: Kind
    cause: Cause
    change_class: ChangeClass
    fields: tuple[str, ...]
    rows: Positions

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def declared(self) -> bool:
        """Whether the rows are renamed, and the recipe says so."""
        return self.kind == "renamed" and self.cause.declares


def of_changes(changes: Changes, classes: Mapping[str, RowClasses], causes: Causes) -> tuple[Group, ...]:
    """All rows that change, by record set and kind; what is worst first, then the groups with most rows."""
    return tuple(
        group
        for name, table in changes.tables.items()
        if table
        for kind in KINDS
        if len(classes[name].of(kind))
        for group in sorted(
            _of_kind(table, kind, classes[name], causes), key=lambda g: (-g.change_class.rank, -len(g), g.rows[0])
        )
    )


def _of_kind(table: TableChanges, kind: Kind, classes: RowClasses, causes: Causes) -> Iterator[Group]:
    ranks, why = classes.of(kind), causes.rows[table.record_set][kind]
    columns, differing = _differing(table, kind)
    for rows in tables.alike(ranks, why, differing):
        first = rows[0]
        fields = tuple(column for at, column in enumerate(columns) if differing[first] >> at & 1)
        yield Group(table.record_set, kind, causes.all[why[first]], CLASSES[ranks[first]], fields, rows)


def _differing(table: TableChanges, kind: Kind) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The columns, and which of them differ in each row: bit n is column n."""
    pairs = {"changed": (table.before, table.after), "renamed": (table.renamed_before, table.renamed_after)}
    if kind not in pairs:
        return [], np.zeros(len(table.added if kind == "added" else table.removed), dtype=np.int64)
    before, after = pairs[kind]
    columns = [str(column) for column in after]
    return columns, tables.differing(before, after, columns)
