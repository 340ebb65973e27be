"""What a build would change, record set by record set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.schema import RECORD_SETS

Row = dict[str, Any]


@dataclass(frozen=True)
class ChangedRow:
    """A row of one key before and after; ``fields`` are the columns that differ, with both values."""

    key: Row
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class TableChanges:
    """Changes of one record set, sorted by key."""

    added: tuple[Row, ...] = ()
    changed: tuple[ChangedRow, ...] = ()
    removed: tuple[Row, ...] = ()
    unchanged: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True)
class Changes:
    """Everything that would change.

    Attributes:
        exists: Whether there is a Croissant to compare with.
        tables: By record set, all of them.
        metadata: Top-level keys of the manifest that differ, with both values; ``copick:config`` aside.
        objects: Pickable objects that differ by name, with both values (``None`` where there is none).
    """

    exists: bool
    tables: Mapping[str, TableChanges]
    metadata: Mapping[str, tuple[Any, Any]]
    objects: Mapping[str, tuple[Any, Any]]

    def __bool__(self) -> bool:
        return not self.exists or any(self.tables.values()) or bool(self.metadata or self.objects)


def compare(
    old: Mapping[str, pd.DataFrame] | None,
    new: Mapping[str, pd.DataFrame],
    old_manifest: Mapping[str, Any] | None,
    new_manifest: Mapping[str, Any],
) -> Changes:
    """Compare an existing Croissant, or none, with a planned one."""
    before = old_manifest or {}
    return Changes(
        exists=old is not None,
        tables={
            name: compare_tables(name, old[name] if old else tables.records(name), new[name]) for name in RECORD_SETS
        },
        metadata={
            key: (before.get(key), new_manifest.get(key))
            for key in sorted({*before, *new_manifest} - {"@context", "distribution", "recordSet", "copick:config"})
            if before.get(key) != new_manifest.get(key)
        },
        objects=_objects(before.get("copick:config"), new_manifest.get("copick:config")),
    )


def compare_tables(record_set: str, old: pd.DataFrame, new: pd.DataFrame) -> TableChanges:
    """Compare two record tables by key."""
    schema = RECORD_SETS[record_set]
    key = list(schema.key)
    old = old.drop_duplicates(key)
    both = old.merge(new, on=key, how="outer", suffixes=(" before", " after"), indicator="in", sort=False)
    both = tables.sort_by(both, key)
    common = both[both["in"] == "both"]
    rest = [c for c in schema.columns if c not in key]
    differs = np.zeros(len(common), dtype=bool)
    for column in rest:
        differs |= _differs(common[f"{column} before"], common[f"{column} after"])
    return TableChanges(
        added=_rows(both[both["in"] == "right_only"], key, rest, " after"),
        changed=tuple(_changed(row, key, rest) for row in common[differs].to_dict("records")),
        removed=_rows(both[both["in"] == "left_only"], key, rest, " before"),
        unchanged=int(len(common) - differs.sum()),
    )


def _differs(before: pd.Series, after: pd.Series) -> np.ndarray:
    return np.asarray((before != after) & ~(before.isna() & after.isna()), dtype=bool)


def _rows(table: pd.DataFrame, key: list[str], rest: list[str], suffix: str) -> tuple[Row, ...]:
    if not len(table):
        return ()
    picked = table[[*key, *(f"{c}{suffix}" for c in rest)]].set_axis([*key, *rest], axis=1)
    return tuple({k: _plain(v) for k, v in row.items()} for row in picked.to_dict("records"))


def _changed(row: Row, key: list[str], rest: list[str]) -> ChangedRow:
    fields = {
        c: (_plain(row[f"{c} before"]), _plain(row[f"{c} after"]))
        for c in rest
        if _plain(row[f"{c} before"]) != _plain(row[f"{c} after"])
    }
    return ChangedRow({k: row[k] for k in key}, fields)


def _plain(value: Any) -> Any:
    """A value as JSON has it; nothing is ``None``."""
    return None if value != value else value


def _objects(before: object, after: object) -> dict[str, tuple[Any, Any]]:
    def by_name(config: object) -> dict[str, Any]:
        entries = config.get("pickable_objects", []) if isinstance(config, Mapping) else []
        return {str(o.get("name")): o for o in entries}

    old, new = by_name(before), by_name(after)
    return {n: (old.get(n), new.get(n)) for n in sorted({*old, *new}) if old.get(n) != new.get(n)}
