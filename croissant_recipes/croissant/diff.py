"""What a build would change, record set by record set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant import renames
from croissant_recipes.croissant.keyed_records import Pair
from croissant_recipes.croissant.manifest import named_others
from croissant_recipes.croissant.renames import WAYS, Called, Renames, Sides, Way, unknown
from croissant_recipes.differences import differing
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.tables import Mask, Positions

Row = dict[str, Any]


@dataclass(frozen=True)
class ChangedRow:
    """A row of one key before and after; ``fields`` are the columns that differ, with both values."""

    key: Row
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class RenamedRow:
    """A row that has another key.

    Attributes:
        before, key: Its key before and after.
        fields: The other columns that differ, with both values.
        way: What tells that it is the same one.
    """

    before: Row
    key: Row
    fields: Mapping[str, tuple[Any, Any]]
    way: Way


@dataclass(frozen=True)
class ChangedObject:
    """A pickable object that differs, before and after; ``None`` where there is none."""

    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def fields(self) -> dict[str, tuple[Any, Any]]:
        """What differs of one that stays, with both values."""
        if self.before is None or self.after is None:
            return {}
        return {k: (self.before.get(k), self.after.get(k)) for k in differing(self.before, self.after)}


class Places(NamedTuple):
    """Where the rows of ``TableChanges`` stand in the tables that were compared, each as the attribute of its name."""

    added: Positions
    removed: Positions
    before: Positions
    after: Positions
    renamed_before: Positions
    renamed_after: Positions


@dataclass(frozen=True)
class TableChanges:
    """Changes of one record set.

    Attributes:
        record_set: Its name.
        key: The columns that identify a row.
        added, removed: Rows, sorted by key, without those that are renamed.
        before, after: Rows that changed, sorted by key, the n-th of one and the n-th of the other having one key.
        renamed_before, renamed_after: Rows whose key changed, sorted by the key after; the n-th of one and the n-th of
            the other are one row. Its other columns may differ too.
        ways: What tells so of each, as positions in ``WAYS``.
        unchanged: How many rows stay.
        at: Where the rows stand.
    """

    record_set: str
    key: tuple[str, ...]
    added: pd.DataFrame
    removed: pd.DataFrame
    before: pd.DataFrame
    after: pd.DataFrame
    renamed_before: pd.DataFrame
    renamed_after: pd.DataFrame
    ways: npt.NDArray[np.int8]
    unchanged: int
    at: Places

    def __bool__(self) -> bool:
        return bool(len(self.added) or len(self.after) or len(self.removed) or len(self.renamed_after))

    def changed(self, limit: int | None = None) -> Iterator[ChangedRow]:
        """The changed rows, or the first few of them."""
        key = self.key
        for old, new in zip(rows(self.before, limit), rows(self.after, limit), strict=True):
            fields = {c: (old[c], new[c]) for c in new if old[c] != new[c]}
            yield ChangedRow({c: new[c] for c in key}, fields)

    def renamed(self, limit: int | None = None) -> Iterator[RenamedRow]:
        """The renamed rows, or the first few of them."""
        key = self.key
        pairs = zip(rows(self.renamed_before, limit), rows(self.renamed_after, limit), self.ways[:limit], strict=True)
        for old, new, way in pairs:
            fields = {c: (old[c], new[c]) for c in new if c not in key and old[c] != new[c]}
            yield RenamedRow({c: old[c] for c in key}, {c: new[c] for c in key}, fields, WAYS[way])


@dataclass(frozen=True)
class Changes:
    """Everything that would change.

    Attributes:
        exists: Whether there is a Croissant to compare with.
        tables: By record set, all of copick's, and those with a key of other makers' that were compared.
        metadata: Top-level keys of the manifest that differ, with both values. Those of ``copick:config`` are named
            ``copick:config KEY``.
        objects: Pickable objects that differ, sorted by name.
        split_moves: ``run`` (as it is called after), and the split ``before`` and ``after`` (``""`` for none) of every
            run that stays and is in another one, sorted by run.
    """

    exists: bool
    tables: Mapping[str, TableChanges]
    metadata: Mapping[str, tuple[Any, Any]]
    objects: tuple[ChangedObject, ...]
    split_moves: pd.DataFrame

    def __bool__(self) -> bool:
        return not self.exists or any(self.tables.values()) or bool(self.metadata or self.objects)


def compare(
    old: Mapping[str, pd.DataFrame] | None,
    new: Mapping[str, pd.DataFrame],
    old_manifest: Mapping[str, Any] | None,
    new_manifest: Mapping[str, Any],
    called: tuple[Called, Called] = (unknown, unknown),
    others: Mapping[str, Pair] | None = None,
) -> Changes:
    """Compare an existing Croissant, or none, with a planned one. ``called`` is what sources call the rows of each, and
    ``others`` what both have of record sets that are not copick's."""
    before, after = _metadata(old_manifest or {}), _metadata(new_manifest)
    changes = compare_tables(old or {name: tables.records(name) for name in RECORD_SETS}, new, called)
    for name, (key, then, now) in (others or {}).items():
        met = _Met.by(key, tuple(map(str, now.columns)), then, now, called)
        changes[name] = met.changes(name, key, renames.NONE)
    return Changes(
        exists=old is not None,
        tables=changes,
        metadata={
            key: (before.get(key), after.get(key))
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        },
        objects=_objects((old_manifest or {}).get("copick:config"), new_manifest.get("copick:config")),
        split_moves=_split_moves(changes["runs"]),
    )


def compare_tables(
    old: Mapping[str, pd.DataFrame],
    new: Mapping[str, pd.DataFrame],
    called: tuple[Called, Called] = (unknown, unknown),
) -> dict[str, TableChanges]:
    """Compare the record tables of two Croissants by key. Of rows of one key in an old table, the first counts."""
    met = {name: _Met.of(name, old[name], new[name], called) for name in RECORD_SETS}
    renamed = renames.find({name: rows.sides for name, rows in met.items()})
    return {name: rows.changes(name, RECORD_SETS[name].key, renamed[name]) for name, rows in met.items()}


@dataclass(frozen=True)
class _Met:
    """One record set before and after. ``old``, ``new``: positions of the rows of keys that both have, of which
    ``differs`` says where they differ; ``unchanged``: how many do not."""

    sides: Sides
    old: Positions
    new: Positions
    differs: Mask
    unchanged: int

    @classmethod
    def of(cls, record_set: str, old: pd.DataFrame, new: pd.DataFrame, called: tuple[Called, Called]) -> _Met:
        return cls.by(RECORD_SETS[record_set].key, RECORD_SETS[record_set].columns, old, new, called)

    @classmethod
    def by(
        cls,
        key: tuple[str, ...],
        columns: tuple[str, ...],
        old: pd.DataFrame,
        new: pd.DataFrame,
        called: tuple[Called, Called],
    ) -> _Met:
        none, nothing = np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.bool_)
        if not len(old):
            (codes,) = tables.key_codes([new], key)
            return cls(Sides(old, new, none, np.argsort(codes, kind="stable")), none, none, nothing, 0)
        if old.equals(new):
            return cls(Sides(old, new, none, none), none, none, nothing, len(new))
        first = np.flatnonzero(tables.first_of_each(old, key))
        at = tables.match(tables.take(old, first), new, key)
        met, only_old = first[at.old], first[at.only_old]
        differs = np.zeros(len(met), dtype=np.bool_)
        for column in columns:
            if column not in key:
                differs |= tables.differs(old[column].take(met), new[column].take(at.new))
        same = int(len(differs) - differs.sum())
        return cls(Sides(old, new, only_old, at.only_new, *called), met, at.new, differs, same)

    def changes(self, record_set: str, key: tuple[str, ...], renamed: Renames) -> TableChanges:
        sides = self.sides
        at = Places(
            added=sides.only_new[~np.isin(sides.only_new, renamed.new)],
            removed=sides.only_old[~np.isin(sides.only_old, renamed.old)],
            before=self.old[self.differs],
            after=self.new[self.differs],
            renamed_before=renamed.old,
            renamed_after=renamed.new,
        )
        return TableChanges(
            record_set,
            key,
            added=tables.take(sides.new, at.added),
            removed=tables.take(sides.old, at.removed),
            before=tables.take(sides.old, at.before),
            after=tables.take(sides.new, at.after),
            renamed_before=tables.take(sides.old, at.renamed_before),
            renamed_after=tables.take(sides.new, at.renamed_after),
            ways=renamed.ways,
            unchanged=self.unchanged,
            at=at,
        )


def _split_moves(runs: TableChanges) -> pd.DataFrame:
    pairs = ((runs.before, runs.after), (runs.renamed_before, runs.renamed_after))
    stayed = pd.concat(
        [pd.DataFrame({"run": new["name"], "before": old["split"], "after": new["split"]}) for old, new in pairs],
        ignore_index=True,
    )
    moved = stayed[tables.differs(stayed["before"], stayed["after"])]
    return tables.sort_by(moved, ["run"])


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


def _objects(before: object, after: object) -> tuple[ChangedObject, ...]:
    def by_name(config: object) -> dict[str, Any]:
        entries = config.get("pickable_objects", []) if isinstance(config, Mapping) else []
        return {str(o.get("name")): o for o in entries}

    old, new = by_name(before), by_name(after)
    pairs = (ChangedObject(n, old.get(n), new.get(n)) for n in sorted({*old, *new}))
    return tuple(o for o in pairs if o.before != o.after)
