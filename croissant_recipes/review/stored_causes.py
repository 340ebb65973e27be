"""Why two Croissants differ that are there both: by what their builds noted, and without a recipe at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant import build_record
from croissant_recipes.croissant.diff import Changes, TableChanges
from croissant_recipes.croissant.manifest import named_others
from croissant_recipes.review.causes import Cause, CauseKind, Ids, Ledger
from croissant_recipes.review.making import BASE, Comparison
from croissant_recipes.review.row_origins import NOWHERE
from croissant_recipes.review.side import Side
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.tables import Positions

_OTHERS = Cause(CauseKind.OTHERS, "others changed it since it was built")
_BOTH = Cause(CauseKind.UNKNOWN, "more than one of recipe, sources and tool may have changed it")


@dataclass(frozen=True)
class StoredCauses:
    """Finds the causes of all that differs. A cause has no place: no recipe is at hand.

    Attributes:
        changes: What differs.
        before, after: The two versions.
        comparison: How they differ in how they came about, ``None`` where that is not known.
        ledger: Where causes are noted.
    """

    changes: Changes
    before: Side
    after: Side
    comparison: Comparison | None
    ledger: Ledger

    def rows(self) -> dict[str, dict[str, Ids]]:
        """By record set and kind of change, of each row."""
        return {name: self._of_table(name, table) for name, table in self.changes.tables.items() if table}

    def split_moves(self) -> Ids:
        """Of each run that is in another split."""
        moves, runs = self.changes.split_moves, self.changes.tables["runs"]
        found = np.full(len(moves), self.ledger.number(self._whole()), dtype=np.int32)
        if len(moves) and len(runs.after):
            at = pd.Index(runs.after["name"]).get_indexer(pd.Index(moves["run"]))
            found[at >= 0] = self._of_table("runs", runs)["changed"][at[at >= 0]]
        return found

    def objects(self) -> dict[str, Cause]:
        """By name, of pickable objects that differ."""
        kinds = build_record.objects_of
        return {o.name: self._of_value(o.name, "objects", kinds) for o in self.changes.objects}

    def metadata(self) -> dict[str, Cause]:
        """By key, of metadata that differs."""
        return {key: self._of_key(key) for key in self.changes.metadata}

    # Rows

    def _of_table(self, record_set: str, table: TableChanges) -> dict[str, Ids]:
        at = table.at
        both = (at.before, at.after), (at.renamed_before, at.renamed_after)
        return {
            "added": self._of_rows(record_set, None, at.added),
            "removed": self._of_rows(record_set, at.removed, None),
            "changed": self._of_rows(record_set, *both[0]),
            "renamed": self._of_rows(record_set, *both[1]),
        }

    def _of_rows(self, record_set: str, old: Positions | None, new: Positions | None) -> Ids:
        """Of rows by their positions in the two versions; in one of them alone where there are none in the other."""
        count = len(old) if old is not None else len(new) if new is not None else 0
        found = np.full(count, self.ledger.number(self._untold), dtype=np.int32)
        if self.comparison is None or not count:
            return found
        if record_set not in RECORD_SETS:
            found[:] = self.ledger.number(
                Cause(CauseKind.UNKNOWN, "nothing says where records of other makers are from")
            )
            return found
        theirs = np.zeros(count, dtype=np.bool_)
        for side, positions in ((self.before, old), (self.after, new)):
            if side.written is not None and positions is not None:
                _, as_written = side.written.as_written(record_set, positions)
                theirs |= ~as_written
        of, positions = (self.after, new) if new is not None else (self.before, old)
        assert of.rows is not None
        assert positions is not None
        origin = of.rows.of(record_set, positions)
        for rows in tables.alike(origin["layer"].to_numpy(), origin["source"].to_numpy()):
            layer, source = int(origin["layer"].iloc[rows[0]]), int(origin["source"].iloc[rows[0]])
            found[rows] = self.ledger.number(self._of_origin(layer, source, after=new is not None))
        found[theirs] = self.ledger.number(_OTHERS)
        return found

    def _of_origin(self, layer: int, source: int, *, after: bool) -> Cause:
        comparison = self.comparison
        assert comparison is not None
        if layer == NOWHERE:
            return self._untold
        making, known = (comparison.after, comparison.earlier) if after else (comparison.before, comparison.pairs)
        if layer != BASE and layer not in known:
            operation, names = making.layers[layer].get("operation", "append"), making.sources_of(layer)
            what = f"layer {layer} ({operation} {' and '.join(names)}) is {'new' if after else 'gone'}"
            return Cause(CauseKind.RECIPE, what, layer=layer if after else None)
        found = self._whole()
        if found.kind is not CauseKind.SOURCE:
            return found
        name = making.sources_of(layer)[source] if layer != BASE else None
        if name is not None and comparison.is_same_source(name):
            return Cause(CauseKind.UNKNOWN, f"source {name!r} resolves to what it did, and another one moved")
        number = layer if after else comparison.pairs.get(layer)
        what = "the base moved" if name is None else f"source {name!r} moved"
        return Cause(CauseKind.SOURCE, what, layer=number, source=name)

    # All else

    def _of_key(self, key: str) -> Cause:
        def values(manifest: Mapping[str, Any]) -> dict[str, Any]:
            config = {f"{build_record.CONFIG} {k}": v for k, v in build_record.config_of(manifest).items()}
            return {**build_record.metadata_of(manifest), **config, **named_others(manifest)}

        return self._of_value(key, "metadata", values)

    def _of_value(self, key: str, noted: str, values: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Cause:
        if self.comparison is None:
            return self._untold
        for side in (self.before, self.after):
            if side.record is None:
                return self._untold
            known = {**getattr(side.record, noted)}
            if noted == "metadata":
                known |= {f"{build_record.CONFIG} {k}": v for k, v in side.record.config.items()}
                known |= side.record.others
            there = values(side.manifest)
            now = build_record.digests_of({key: there[key]} if key in there else {}).get(key)
            if key in known and now != known[key]:
                return _OTHERS
        return self._whole()

    def _whole(self) -> Cause:
        """A cause where only one of recipe, sources and tool is another one."""
        comparison = self.comparison
        if comparison is None:
            return self._untold
        differ = not comparison.same_recipe, not comparison.same_sources, not comparison.same_tool
        if sum(differ) > 1:
            return _BOTH
        if differ[0]:
            return Cause(CauseKind.RECIPE, "the recipe is another one")
        if differ[1]:
            before, after = comparison.before.identities, comparison.after.identities
            moved = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
            one = moved[0] if len(moved) == 1 else None
            return Cause(CauseKind.SOURCE, f"source {one!r} moved" if one else "the sources moved", source=one)
        if differ[2]:
            versions = comparison.after.version, comparison.before.version
            return Cause(CauseKind.TOOL, "built by croissant-recipes {} in place of {}".format(*versions))
        return Cause(CauseKind.UNKNOWN, "neither the recipe nor a source nor the tool is another one")

    @property
    def _untold(self) -> Cause:
        if not self.changes.exists:
            return Cause(CauseKind.UNKNOWN, "there was nothing before")
        return self.before.untold if self.before.making is None else self.after.untold
