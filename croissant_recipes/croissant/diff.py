"""What a build would change, record set by record set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant.manifest import named_others
from croissant_recipes.schema import RECORD_SETS

Row = dict[str, Any]


@dataclass(frozen=True)
class ChangedRow:
    """A row of one key before and after; ``fields`` are the columns that differ, with both values."""

    key: Row
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class TableChanges:
    """Changes of one record set.

    Attributes:
        record_set: Its name.
        added, removed: Rows, sorted by key.
        before, after: Rows that changed, sorted by key, the n-th of one and the n-th of the other having one key.
        unchanged: How many rows stay.
    """

    record_set: str
    added: pd.DataFrame
    removed: pd.DataFrame
    before: pd.DataFrame
    after: pd.DataFrame
    unchanged: int

    def __bool__(self) -> bool:
        return bool(len(self.added) or len(self.after) or len(self.removed))

    def changed(self, limit: int | None = None) -> Iterator[ChangedRow]:
        """The changed rows, or the first few of them."""
        key = RECORD_SETS[self.record_set].key
        for old, new in zip(rows(self.before, limit), rows(self.after, limit), strict=True):
            fields = {c: (old[c], new[c]) for c in new if old[c] != new[c]}
            yield ChangedRow({c: new[c] for c in key}, fields)


@dataclass(frozen=True)
class Changes:
    """Everything that would change.

    Attributes:
        exists: Whether there is a Croissant to compare with.
        tables: By record set, all of them.
        metadata: Top-level keys of the manifest that differ, with both values. Those of ``copick:config`` are named
            ``copick:config KEY``.
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
    before, after = _metadata(old_manifest or {}), _metadata(new_manifest)
    return Changes(
        exists=old is not None,
        tables={
            name: compare_tables(name, old[name] if old else tables.records(name), new[name]) for name in RECORD_SETS
        },
        metadata={
            key: (before.get(key), after.get(key))
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        },
        objects=_objects((old_manifest or {}).get("copick:config"), new_manifest.get("copick:config")),
    )


def compare_tables(record_set: str, old: pd.DataFrame, new: pd.DataFrame) -> TableChanges:
    """Compare two record tables by key. Of rows of one key in the old table, the first counts."""
    key = RECORD_SETS[record_set].key
    if not len(old):
        return TableChanges(record_set, tables.sort_by(new, key), removed=old, before=old, after=new[:0], unchanged=0)
    if old.equals(new):
        nothing = new[:0]
        return TableChanges(record_set, nothing, nothing, nothing, nothing, unchanged=len(new))
    unique = old[tables.first_of_each(old, key)]
    at = tables.match(unique, new, key)
    differs = np.zeros(len(at.old), dtype=np.bool_)
    for column in RECORD_SETS[record_set].columns:
        if column not in key:
            differs |= tables.differs(unique[column].take(at.old), new[column].take(at.new))
    return TableChanges(
        record_set,
        added=tables.take(new, at.only_new),
        removed=tables.take(unique, at.only_old),
        before=tables.take(unique, at.old[differs]),
        after=tables.take(new, at.new[differs]),
        unchanged=int(len(differs) - differs.sum()),
    )


def rows(table: pd.DataFrame, limit: int | None = None) -> list[Row]:
    """Rows as plain values, as JSON has them; a number that is not known is ``None``."""
    shown = table if limit is None else table.head(limit)
    return [{str(k): None if v != v else v for k, v in row.items()} for row in shown.to_dict("records")]


def _metadata(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says of the dataset and of the project, without what follows from rows."""
    own = {k: v for k, v in manifest.items() if k not in ("@context", "distribution", "recordSet", "copick:config")}
    config = manifest.get("copick:config")
    of_project = config.items() if isinstance(config, Mapping) else ()
    project = {f"copick:config {k}": v for k, v in of_project if k != "pickable_objects"}
    return own | project | named_others(manifest)


def _objects(before: object, after: object) -> dict[str, tuple[Any, Any]]:
    def by_name(config: object) -> dict[str, Any]:
        entries = config.get("pickable_objects", []) if isinstance(config, Mapping) else []
        return {str(o.get("name")): o for o in entries}

    old, new = by_name(before), by_name(after)
    return {n: (old.get(n), new.get(n)) for n in sorted({*old, *new}) if old.get(n) != new.get(n)}
