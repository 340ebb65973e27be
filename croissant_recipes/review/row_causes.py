"""The cause of every row that differs, in columns: rows of one reason are looked at together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.compiler import left_out
from croissant_recipes.compiler.layers import Fate, LayerRows
from croissant_recipes.compiler.left_out import GONE, Condition
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant.diff import Changes, TableChanges
from croissant_recipes.croissant.renames import WAYS, Way
from croissant_recipes.diagnostics import Span, joined
from croissant_recipes.language.checked import TypeFilter
from croissant_recipes.review.causes import Cause, CauseKind, Ids, Ledger
from croissant_recipes.review.making import BASE, Comparison
from croissant_recipes.review.row_origins import NOWHERE, as_artifacts
from croissant_recipes.review.side import Side
from croissant_recipes.review.split_causes import SplitCauses
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS
from croissant_recipes.sources.wanted import holders, takes
from croissant_recipes.tables import Mask, Positions

NAMING = ("rename", "session_id", "user_id", "run_name")
"""What a layer says of names."""

_OUTPUT_PLACE = ("base_url", "project_root")

_DEPOSITION = "portal_deposition_id"
_APART = 8
"""Rows of more depositions have one cause, which names all of them."""

_TEMPLATES = {"sessions": "session_id", "users": "user_id"}
_UNSET = -1


class RowCauses:
    """Finds the causes of rows.

    Args:
        changes: What differs.
        before, after: The two versions.
        plan: What would be written.
        comparison: How the two differ in how they came about; ``None`` where that is not known.
        ledger: Where causes are noted.
        splits: What decides splits.
    """

    def __init__(
        self,
        changes: Changes,
        before: Side,
        after: Side,
        plan: Plan,
        comparison: Comparison | None,
        ledger: Ledger,
        splits: SplitCauses,
    ) -> None:
        assert after.rows is not None
        self.changes, self.plan, self.side = changes, plan, before
        self.before, self.after, self.comparison = before.rows, after.rows, comparison
        self.ledger, self.splits = ledger, splits
        self.written = before.written
        self.layers = plan.resolution.layers
        self.document = plan.checked.document
        self.found: dict[str, dict[str, Ids]] = {}

    def find(self) -> dict[str, dict[str, Ids]]:
        """The causes of the rows of every record set, by kind of change."""
        for name, table in self.changes.tables.items():
            if name != "voxel_spacings" and table:
                self.found[name] = self._of(name, table)
        spacings = self.changes.tables["voxel_spacings"]
        if spacings:
            self.found["voxel_spacings"] = self._of_spacings(spacings)
        return self.found

    def _of(self, record_set: str, table: TableChanges) -> dict[str, Ids]:
        return {
            "added": self._added(record_set, table),
            "removed": self._removed(record_set, table),
            "changed": self._changed(record_set, table),
            "renamed": self._renamed(record_set, table),
        }

    # Each kind of change

    def _added(self, record_set: str, table: TableChanges) -> Ids:
        ids = _unset(len(table.added))
        if not len(ids):
            return ids
        if self.written is not None:
            wrote, same = self.written.wrote(record_set, table.added)
            ids[wrote] = self._others("others removed it since the last build, and it would be another one now")
            ids[same] = self._others("others removed it since the last build", sure=True)
        left = np.flatnonzero(ids == _UNSET)
        rows = self.after.of(record_set, table.at.added[left])
        came = self._by_origin(rows, lambda origin, part: self._came(record_set, *origin, part))
        ids[left] = self._or_by_another_layer(record_set, tables.take(table.added, left), came)
        return ids

    def _removed(self, record_set: str, table: TableChanges) -> Ids:
        ids = _unset(len(table.removed))
        if not len(ids):
            return ids
        if self.written is not None:
            wrote, _ = self.written.as_written(record_set, table.at.removed)
            ids[~wrote] = self._others("others added it since the last build", sure=True)
        left = np.flatnonzero(ids == _UNSET)
        if self.before is None or self.comparison is None:
            ids[left] = self._untold()
            return ids
        ids[left] = self._all_went(record_set, self.before.of(record_set, table.at.removed[left]))
        return ids

    def _changed(self, record_set: str, table: TableChanges) -> Ids:
        ids = _unset(len(table.after))
        if not len(ids):
            return ids
        if self.written is not None:
            wrote, same = self.written.as_written(record_set, table.at.before)
            restored = self.written.restores(record_set, table.at.before, table.after)
            ids[~wrote] = self._others("others added another one since the last build", sure=True)
            ids[wrote & ~same] = self._others("others changed it since the last build, and it would be another one now")
            ids[wrote & ~same & restored] = self._others("others changed it since the last build", sure=True)
        left = np.flatnonzero(ids == _UNSET)
        if self.before is None or self.comparison is None:
            ids[left] = self._untold()
            return ids
        if record_set == "runs":
            moved = left[tables.differs(table.before["split"].take(left), table.after["split"].take(left))]
            ids[moved] = self.splits.of(table.after["name"].take(moved), self.ledger)
            left = np.flatnonzero(ids == _UNSET)
        old = self.before.of(record_set, table.at.before[left])
        new = self.after.of(record_set, table.at.after[left])
        same_origin = self._of_one_row(record_set, old, new)
        at = left[same_origin]
        fields = tables.differing(
            tables.take(table.before, at), tables.take(table.after, at), RECORD_SETS[record_set].columns
        )
        rows = tables.take(new, np.flatnonzero(same_origin)).assign(fields=fields)
        ids[at] = self._by_origin(rows, lambda origin, part: self._altered(record_set, *origin, part), "fields")
        other = np.flatnonzero(~same_origin)
        ids[left[other]] = self._succeeded(record_set, tables.take(old, other), tables.take(new, other))
        return ids

    def _renamed(self, record_set: str, table: TableChanges) -> Ids:
        ids = _unset(len(table.renamed_after))
        if not len(ids):
            return ids
        if self.written is not None:
            wrote, _ = self.written.as_written(record_set, table.at.renamed_before)
            ids[~wrote] = self._others("others renamed it since the last build", sure=True)
        left = np.flatnonzero(ids == _UNSET)
        if self.before is None or self.comparison is None:
            ids[left] = self._untold()
            return ids
        ways = table.ways[left]
        by_name = ways == WAYS.index(Way.SOURCE_NAME)
        at = left[by_name]
        old = self.before.of(record_set, table.at.renamed_before[at])
        new = self.after.of(record_set, table.at.renamed_after[at])
        key = RECORD_SETS[record_set].key
        columns = tables.differing(tables.take(table.renamed_before, at), tables.take(table.renamed_after, at), key)
        rows = new.assign(columns=columns, old_layer=old["layer"].to_numpy())
        ids[at] = self._by_origin(
            rows, lambda origin, part: self._called(record_set, *origin, part), "columns", "old_layer"
        )
        at = left[~by_name]
        rows = self.after.of(record_set, table.at.renamed_after[at])
        ids[at] = self._by_origin(rows, lambda origin, part: self._came(record_set, *origin, part, "renamed in"))
        return ids

    def _of_spacings(self, table: TableChanges) -> dict[str, Ids]:
        """Voxel spacings follow from the rows that have them, and from the names of runs."""
        runs = self.changes.tables["runs"]
        of_runs = self.found.get("runs", {}).get("renamed", _unset(0))
        by_run = dict(zip(runs.renamed_after["name"], of_runs.tolist(), strict=True))
        renamed = [by_run.get(run, _UNSET) for run in table.renamed_after["run"]]
        untold = self._untold()
        return {
            "added": self._following(table.added, ("added", "renamed"), "renamed_after", untold),
            "removed": self._following(table.removed, ("removed", "renamed"), "renamed_before", untold),
            "changed": _unset(0),
            "renamed": np.array([untold if i == _UNSET else i for i in renamed], dtype=np.int32),
        }

    def _following(self, spacings: pd.DataFrame, kinds: Sequence[str], renamed: str, untold: int) -> Ids:
        key = list(RECORD_SETS["voxel_spacings"].key)
        parts, ids = [], []
        for described in ARTIFACTS.values():
            for record_set in described.record_sets if described.spaces else ():
                for kind in kinds:
                    changes = self.changes.tables[record_set]
                    rows = getattr(changes, renamed if kind == "renamed" else kind)
                    if len(rows) and record_set in self.found:
                        parts.append(tables.columns(rows, key))
                        ids.append(self.found[record_set][kind])
        found = np.full(len(spacings), untold, dtype=np.int32)
        if parts and len(found):
            stacked = tables.concat(parts)
            wanted, there = tables.key_codes([spacings, stacked], key)
            known, first = np.unique(there, return_index=True)
            at = np.searchsorted(known, wanted)
            at[at == len(known)] = 0
            hit = known[at] == wanted
            found[hit] = np.concatenate(ids)[first[at[hit]]]
        return found

    # What comes

    def _came(self, record_set: str, layer: int, source: int, rows: pd.DataFrame, verb: str = "new in") -> Ids | int:
        """Why a layer has rows now."""
        comparison = self.comparison
        if not self.changes.exists:
            return self._first_time(layer)
        if layer == NOWHERE or comparison is None:
            return self._untold()
        spec, name = self.layers[layer].spec, self.layers[layer].spec.sources[source]
        if (wholly := self._newly_there(layer, name)) is not None:
            return wholly
        if comparison.unchanged(layer):
            return self._moved(record_set, layer, source, rows, verb)
        filters = comparison.before.filters(comparison.earlier[layer])
        if filters is None:
            return self._recipe(f"{spec.label} takes something else", spec.span, layer)
        return self._newly_taken(record_set, layer, source, rows, filters, verb)

    def _first_time(self, layer: int) -> int:
        if layer == NOWHERE:
            return self._untold()
        spec = self.layers[layer].spec
        span = spec.span if layer else self.document.key_span("base")
        return self._recipe(f"{spec.label} brings it", span, layer)

    def _newly_there(self, layer: int, name: str) -> int | None:
        """A cause that all rows of a source have in a layer, where that as a whole is new."""
        comparison = self.comparison
        assert comparison is not None
        spec, old = self.layers[layer].spec, comparison.earlier.get(layer)
        if layer == BASE:
            return self._other_base(comparison, gone=False)
        if old is None:
            return self._recipe(f"{spec.label} is new", spec.span, layer)
        if name not in comparison.before.sources_of(old):
            return self._recipe(f"{spec.label} takes source {name!r} since", spec.span, layer)
        return self._other_source(name, layer)

    def _other_base(self, comparison: Comparison, *, gone: bool) -> int | None:
        there = BASE in comparison.after.layers if gone else BASE in comparison.before.layers
        if there and comparison.differing("base") is None:
            return None
        what = "the recipe starts from another base" if there else f"the recipe has {'no' if gone else 'a'} base since"
        return self._recipe(what, self.document.key_span("base"), BASE)

    def _other_source(self, name: str, layer: int) -> int | None:
        """A cause where the recipe says something else of a source."""
        comparison = self.comparison
        assert comparison is not None
        if not comparison.parts_known:
            what = f"the recipe changed, and its last build did not note what it said of source {name!r}"
            return self.ledger.number(Cause(CauseKind.UNKNOWN, what, layer=layer, source=name))
        path = comparison.differing("sources", name)
        if path is None:
            return None
        key = path[-1]
        what = f"source {name!r} is another one" if len(path) < 4 else f"`{key}` of source {name!r} is another one"
        return self._recipe(what, self.document.key_span(*path), layer)

    def _newly_taken(
        self,
        record_set: str,
        layer: int,
        source: int,
        rows: pd.DataFrame,
        filters: Mapping[str, TypeFilter],
        verb: str,
    ) -> Ids:
        """Rows of a layer that takes something else than it did: would it have taken them as it was?"""
        artifact = _artifact(record_set)
        ids = _unset(len(rows))
        runs = self._known_runs(layer, source, artifact, rows)
        if runs is not None:
            of_run, known = runs
            by_run = left_out.by_names(filters["runs"], known).fates != Fate.TAKEN
            ids[by_run[of_run]] = self._takes_runs(layer, "takes in these runs since")
        own = known_rows(self.layers[layer], artifact, rows)
        by_name = left_out.by_names(filters[artifact], own)
        outside = np.flatnonzero((ids == _UNSET) & (by_name.fates != Fate.TAKEN))
        if len(outside):
            ids[outside] = self._selected(layer, artifact, rows["row"].to_numpy()[outside])
        if runs is not None:
            of_run, known = runs
            unheld, sure = self._unheld(layer, filters, known)
            if unheld.any():
                at = np.flatnonzero((ids == _UNSET) & unheld[of_run])
                ids[at] = self._takes_runs(layer, "takes in runs by what they hold, since", sure=sure)
        left = np.flatnonzero(ids == _UNSET)
        if len(left):
            asked = self._asked_otherwise(layer, artifact, filters[artifact], loosened=True)
            if asked is None:
                asked = self._named_otherwise(layer, source)
            ids[left] = (
                self._moved(record_set, layer, source, tables.take(rows, left), verb) if asked is None else asked
            )
        return ids

    def _named_otherwise(self, layer: int, source: int) -> int | None:
        """A cause where a source is what it was, and the layer names what it has otherwise."""
        comparison = self.comparison
        assert comparison is not None
        name = self.layers[layer].spec.sources[source]
        if self.written is not None and not comparison.is_same_source(name):
            return None
        if not self._says(layer, *NAMING, "on_collision"):
            return None
        return self._recipe(f"{self.layers[layer].spec.label} names rows otherwise", self._naming_place(layer), layer)

    def _known_runs(
        self, layer: int, source: int, artifact: str, rows: pd.DataFrame
    ) -> tuple[Positions, pd.DataFrame] | None:
        """For each row the place of its run in a table of runs, as the source knows them."""
        if not ARTIFACTS[artifact].of_run:
            return None
        codes, names = pd.factorize(rows["run"])
        runs = self.layers[layer].stock.table("runs")
        of_source = runs.iloc[self.layers[layer].stock.slices("runs")[source]]
        kept = of_source.drop_duplicates("name")
        at = pd.Index(kept["name"]).get_indexer(pd.Index(names))
        if (at < 0).any():
            return codes, tables.make({"name": names.tolist()}, ("name",))
        return codes, kept.iloc[at].reset_index(drop=True)

    def _unheld(self, layer: int, filters: Mapping[str, TypeFilter], runs: pd.DataFrame) -> tuple[Mask, bool]:
        """Runs that did not hold what the layer asked for, and whether that is sure."""
        chosen, out, sure = filters["runs"], np.zeros(len(runs), dtype=np.bool_), True
        for items, wanted in ((chosen.having, True), (chosen.lacking, False)):
            for item in items:
                table = self.layers[layer].stock.table(item.artifact)
                there = table[table["run"].isin(set(runs["name"])).to_numpy() & takes(filters[item.artifact], table)]
                out |= runs["name"].isin(holders(item, there)).to_numpy() != wanted
                sure &= len(table) > 0
        return out, sure

    def _takes_runs(self, layer: int, what: str, *, sure: bool = True) -> int:
        spec = self.layers[layer].spec
        chosen = spec.filters["runs"]
        cause = self._cause(f"{spec.label} {what}", chosen.span or spec.span, layer)
        return self.ledger.number(cause) if sure else self.ledger.doubtful(cause, spec.sources[0])

    def _selected(self, layer: int, artifact: str, at: Positions) -> Ids:
        """What selects rows that were not selected."""
        of, choice = self.layers[layer], self.layers[layer].choices[artifact]
        spec, chosen = of.spec, of.spec.filters[artifact]
        selectors = choice.selectors[at] if artifact != "runs" or (at >= 0).all() else np.full(len(at), -1)
        many = ARTIFACTS[artifact].many
        ids = _unset(len(at))
        for selector in np.unique(selectors).tolist():
            if selector < 0:
                span = chosen.span or spec.span
                if not chosen.named and spec.number:
                    span = self.document.key_span("layers", spec.index, "others")
                cause = self._cause(f"{spec.label} takes these {many} since", span, layer)
            else:
                placed = chosen.select[selector]
                cause = self._cause(f"{placed.text!r} of {spec.label} selects these {many} since", placed.span, layer)
            ids[selectors == selector] = self.ledger.number(cause)
        return ids

    def _asked_otherwise(self, layer: int, artifact: str, old: TypeFilter, *, loosened: bool) -> int | None:
        """A cause where what a layer asks of rows beside their names is another thing: less of it, or more."""
        spec = self.layers[layer].spec
        new = spec.filters[artifact]
        one, other = (old, new) if loosened else (new, old)
        fields = [key for key, value in one.where.items() if key not in other.where or other.where[key] != value]
        authors = [at for at, author in enumerate(one.authors) if author not in other.authors]
        if not fields and not authors:
            return None
        span = next((new.where_spans[key] for key in fields if key in new.where_spans), None)
        if span is None and authors and not loosened and len(new.author_spans) > authors[0]:
            span = new.author_spans[authors[0]]
        key = "where" if fields else "authors"
        verb = "lets these {} through since" if loosened else "leaves these {} out"
        cause = self._cause(
            f"`{key}` of {spec.label} {verb.format(ARTIFACTS[artifact].many)}", span or new.span or spec.span, layer
        )
        return self._doubt(cause, spec.sources[0])

    def _doubt(self, cause: Cause, source: str) -> int:
        # Two plans are over the same sources.
        return self.ledger.doubtful(cause, source) if self.written is not None else self.ledger.number(cause)

    def _or_by_another_layer(self, record_set: str, rows: pd.DataFrame, ids: Ids) -> Ids:
        """Rows that would be there without what the recipe says now: a layer that it says nothing else of has them too,
        from a source that moved, and only a later one replaces that."""
        found, comparison, artifact = ids.copy(), self.comparison, _artifact(record_set)
        if comparison is None or len(self.layers) == 1:
            return found
        at = np.flatnonzero(self.ledger.are(CauseKind.RECIPE)[ids])
        for number, of in self.layers.items() if len(at) else ():
            theirs = of.tables[artifact]
            if number not in comparison.earlier or not len(theirs):
                continue
            wanted = as_artifacts(record_set, tables.take(rows, at))
            places = tables.places(theirs, wanted, ARTIFACTS[artifact].key)
            there = np.flatnonzero(places >= 0)
            origin = tables.take(theirs, places[there])
            came = self._by_origin(origin, lambda one, part: self._came(record_set, *one, part))
            by_source = self.ledger.are(CauseKind.SOURCE)[came]
            found[at[there[by_source]]] = came[by_source]
        return found

    # What goes

    def _all_went(self, record_set: str, rows: pd.DataFrame) -> Ids:
        """Why rows are gone. Where the recipe does not take one any more, and its source does not have it either, each
        would do."""
        ids = self._by_origin(rows, lambda origin, part: self._went(record_set, *origin, part))
        comparison = self.comparison
        assert comparison is not None
        if self.written is None:
            return ids
        found, artifact = ids.copy(), _artifact(record_set)
        for (layer, source), at in _parts(rows, ("layer", "source")):
            names = comparison.before.sources_of(layer) if layer > BASE else ()
            name = names[source] if source < len(names) else None
            if name is None or comparison.is_same_source(name) or comparison.differing("sources", name) is not None:
                continue
            by_recipe = at[self.ledger.are(CauseKind.RECIPE)[ids[at]]]
            for of in self.layers.values() if len(by_recipe) else ():
                if name in of.spec.sources:
                    wanted = as_artifacts(record_set, tables.take(rows, by_recipe))
                    sought = left_out.seek(of, artifact, of.spec.sources.index(name), wanted)
                    gone = by_recipe[sought.fates == GONE]
                    found[gone] = [self._by_both(number, of, artifact, name) for number in ids[gone].tolist()]
        return found

    def _by_both(self, number: int, of: LayerRows, artifact: str, name: str) -> int:
        """A cause of the recipe, where a layer would take rows that its source does not show: what it asks of them
        beside their names, if that is what it did, tells that the source has them no more."""
        cause, comparison = self.ledger.cause(number), self.comparison
        assert comparison is not None
        old = comparison.earlier.get(of.spec.number)
        now = comparison.after.asks(of.spec.number, artifact)
        if now and (old is None or comparison.before.asks(old, artifact) != now):
            return self.ledger.doubtful(cause, name)
        what = f"{cause.what}, and source {name!r} does not show it either"
        return self.ledger.number(replace(cause, kind=CauseKind.UNKNOWN, what=what, source=name))

    def _went(self, record_set: str, layer: int, source: int, rows: pd.DataFrame) -> Ids | int:
        """Why rows that a layer of the last build had are gone."""
        comparison = self.comparison
        assert comparison is not None
        if layer == NOWHERE:
            return self._untold()
        if layer == BASE:
            other = self._other_base(comparison, gone=True)
            if other is not None:
                return other
        number = comparison.pairs.get(layer)
        names = comparison.before.sources_of(layer)
        name = names[source] if source < len(names) else ""
        if number is None:
            operation = comparison.before.layers[layer].get("operation", "append")
            what = f"the layer that was layer {layer} ({operation} {' and '.join(names)}) is gone"
            return self._recipe(what, self.document.key_span("layers"), None)
        of = self.layers[number]
        if name not in of.spec.sources:
            return self._recipe(f"{of.spec.label} takes source {name!r} no more", of.spec.span, number)
        return self._left_out(record_set, of, name, rows)

    def _left_out(self, record_set: str, of: LayerRows, name: str, rows: pd.DataFrame) -> Ids:
        artifact, number = _artifact(record_set), of.spec.number
        source = of.spec.sources.index(name)
        sought = left_out.seek(of, artifact, source, as_artifacts(record_set, rows))
        ids = _unset(len(rows))
        there = sought.rows >= 0
        states = sought.fates, sought.selectors, sought.conditions, there
        for at in tables.alike(*states):
            fate, selector, condition, found = (int(of[at[0]]) for of in states)
            if fate == Fate.TAKEN:
                ids[at] = self._taken_elsewhere(record_set, of, source, sought.rows[at])
                continue
            if fate == GONE:
                ids[at] = self._gone(record_set, of, source, artifact, condition)
                continue
            why = left_out.reason(of.spec, self.document, artifact, fate, selector, condition)
            if self._decides(number, artifact, fate, selector, condition):
                ids[at] = self._recipe(why.what, why.span, number)
            elif fate in (Fate.RUN_LACKS, Fate.RUN_HOLDS) and self._says(number, why.decided_by[0]):
                ids[at] = self._doubt(self._cause(why.what, why.span, number), name)
            elif not found and fate in (Fate.NOT_SELECTED, Fate.EXCLUDED):
                ids[at] = self._gone(record_set, of, source, artifact, condition)
            else:
                other = self._other_source(name, number) if number != BASE else None
                moved = self._moved_and(number, name, why.what, why.span)
                ids[at] = self.ledger.number(moved) if other is None else other
        return ids

    def _decides(self, number: int, artifact: str, fate: int, selector: int, condition: int) -> bool:
        """Whether the recipe says otherwise what decides such a fate."""
        if fate == Fate.COLLIDED:
            return self._says(number, artifact, "on_collision", *NAMING)
        decides = "runs" if condition == Condition.RUN else artifact
        if fate in (Fate.RUN_LACKS, Fate.RUN_HOLDS):
            key = "having" if fate == Fate.RUN_LACKS else "lacking"
            comparison = self.comparison
            assert comparison is not None
            old = comparison.before.layers[comparison.earlier[number]].get("takes", {}).get("runs")
            new = comparison.after.layers[number]["takes"]["runs"]
            return not isinstance(old, Mapping) or new[key][selector] not in old.get(key, ())
        return self._says(number, decides)

    def _says(self, number: int, *keys: str) -> bool:
        assert self.comparison is not None
        return self.comparison.says_otherwise(number, *keys)

    def _gone(self, record_set: str, of: LayerRows, source: int, artifact: str, condition: int) -> int:
        """Rows that their source does not show any more."""
        comparison, number, name = self.comparison, of.spec.number, of.spec.sources[source]
        assert comparison is not None
        if number != BASE and (other := self._other_source(name, number)) is not None:
            return other
        filters = comparison.before.filters(comparison.earlier[number])
        if filters is not None and condition == Condition.OWN:
            asked = self._asked_otherwise(number, artifact, filters[artifact], loosened=False)
            if asked is not None:
                return asked
        runs = of.spec.filters["runs"]
        if runs.having and (condition == Condition.RUN or artifact == "runs") and self._says(number, "runs"):
            item = runs.having[0]
            what = f"`having` of {of.spec.label} leaves out runs that lack {item.text}"
            return self._doubt(self._cause(what, item.span, number), name)
        return int(self._moved(record_set, number, source, _no_rows(), "gone from"))

    def _taken_elsewhere(self, record_set: str, of: LayerRows, source: int, at: Positions) -> Ids:
        """Rows that their layer takes as it did, and that are not there under their keys."""
        artifact, number = _artifact(record_set), of.spec.number
        ids, replaced = _unset(len(at)), self.plan.resolution.merged.replaced.get(artifact)
        if replaced is not None:
            own = replaced[replaced["layer"] == number]
            by = dict(zip(own["row"].tolist(), own["by_layer"].tolist(), strict=True))
            later = np.array([by.get(row, NOWHERE) for row in at.tolist()])
            for layer in np.unique(later[later != NOWHERE]).tolist():
                ids[later == layer] = self._replaced(number, layer)
        left = ids == _UNSET
        if left.any():
            ids[left] = self._called_otherwise(record_set, of, source)
        return ids

    def _replaced(self, number: int, layer: int) -> int:
        comparison = self.comparison
        assert comparison is not None
        spec = self.layers[layer].spec
        what = f"{spec.label} replaces it"
        if comparison.unchanged(layer) and comparison.unchanged(number):
            return self.ledger.number(self._moved_and(layer, spec.sources[0], what, spec.span))
        return self._recipe(what, spec.span, layer)

    def _called_otherwise(self, record_set: str, of: LayerRows, source: int) -> int:
        number, spec = of.spec.number, of.spec
        target = self.plan.target.spec
        if target.hides and target.withhold and _artifact(record_set) != "runs":
            span = self.document.key_span(*target.path, "withhold")
            if self.comparison is not None and self.comparison.differing("outputs", target.name or "", "withhold"):
                return self._recipe("`withhold` hides it", span, number)
            return self.ledger.number(Cause(CauseKind.UNKNOWN, "`withhold` hides it", layer=number).at(span))
        if self._says(number, *NAMING):
            return self._recipe(f"{spec.label} gives it another name", self._naming_place(number), number)
        return int(self._moved(record_set, number, source, _no_rows(), "renamed in"))

    # What stays under its key

    def _of_one_row(self, record_set: str, old: pd.DataFrame, new: pd.DataFrame) -> Mask:
        """Where two versions of a row are of one row of one source, in layers that are one."""
        comparison = self.comparison
        assert comparison is not None
        layers = old["layer"].map(dict(comparison.pairs)).fillna(NOWHERE).to_numpy()
        same = np.asarray((layers == new["layer"].to_numpy()) & (layers != NOWHERE))
        for layer in np.unique(layers[same]).tolist():
            names, now = comparison.before.sources_of(comparison.earlier[layer]), self.layers[layer].spec.sources
            if list(names) != list(now):
                of = [names[i] if i < len(names) else "" for i in old["source"].tolist()]
                is_ = [now[i] if i < len(now) else "" for i in new["source"].tolist()]
                same &= (layers != layer) | np.array([a == b for a, b in zip(of, is_, strict=True)], dtype=np.bool_)
            else:
                same &= (layers != layer) | (old["source"].to_numpy() == new["source"].to_numpy())
        for column in RECORD_SETS[record_set].key:
            same &= ~tables.differs(old[column], new[column].astype(old[column].dtype))
        return same

    def _altered(self, record_set: str, layer: int, source: int, rows: pd.DataFrame) -> Ids | int:
        """Why values differ of rows that are the same of the same source."""
        comparison = self.comparison
        assert comparison is not None
        spec, name = self.layers[layer].spec, self.layers[layer].spec.sources[source]
        names = _names_in(RECORD_SETS[record_set].columns, int(rows["fields"].iloc[0]))
        other = self._other_base(comparison, gone=False) if layer == BASE else self._other_source(name, layer)
        if other is not None:
            return other
        placed = self._placed_elsewhere(layer) if "url" in names else None
        if placed is not None and names == ["url"]:
            return self.ledger.number(placed)
        if placed is not None:
            what = f"{placed.what}, and source {name!r} changed it too"
            return self.ledger.number(Cause(CauseKind.UNKNOWN, what, layer=layer, source=name).at(_span_of(placed)))
        if record_set == "runs" and not comparison.unchanged(layer):
            return self._recipe(f"{spec.label} says something else of it", spec.span, layer)
        return self._moved(record_set, layer, source, rows, "changed in")

    def _placed_elsewhere(self, layer: int) -> Cause | None:
        """A cause where the recipe says that rows lie elsewhere."""
        comparison, target = self.comparison, self.plan.target.spec
        assert comparison is not None
        for key in _OUTPUT_PLACE:
            if comparison.differing(*map(str, target.path), key) is not None:
                return self._cause(f"`{key}` is another one", self.document.key_span(*target.path, key), layer)
        if layer != BASE and self._says(layer, "operation"):
            spec = self.layers[layer].spec
            return self._cause(f"{spec.label} is no {_other(spec.operation)} any more", spec.span, layer)
        return None

    def _succeeded(self, record_set: str, old: pd.DataFrame, new: pd.DataFrame) -> Ids:
        """Rows of one key that are of another row of a source, or of another layer: the later of the two decides."""
        comparison = self.comparison
        assert comparison is not None
        ids = _unset(len(new))
        pairs = dict(comparison.pairs)
        before = old["layer"].map(pairs).fillna(NOWHERE).to_numpy()
        after = new["layer"].to_numpy()
        unknown = (after == NOWHERE) | (old["layer"].to_numpy() == NOWHERE)
        ids[unknown] = self._untold()
        # Where a later layer had it and has it no more, what is below shows.
        uncovered = ~unknown & ((before == NOWHERE) | (before > after))
        at = np.flatnonzero(uncovered)
        ids[at] = self._all_went(record_set, tables.take(old, at))
        at = np.flatnonzero(~unknown & ~uncovered & (before == after))
        if len(at):
            for layer in np.unique(after[at]).tolist():
                rows = at[after[at] == layer]
                if self._says(layer, *NAMING, "on_collision"):
                    what = f"{self.layers[layer].spec.label} gives the name to another one"
                    ids[rows] = self._recipe(what, self._naming_place(layer), layer)
        at = np.flatnonzero(ids == _UNSET)
        for rows in tables.alike(old["layer"].to_numpy()[at], after[at]) if len(at) else ():
            one, other = int(before[at[rows[0]]]), int(after[at[rows[0]]])
            if comparison.earlier.get(other, NOWHERE) not in range(int(old["layer"].iloc[at[rows[0]]])):
                continue
            spec = self.layers[other].spec
            what = f"{spec.label} comes after {self.layers[one].spec.label}, and replaces it"
            ids[at[rows]] = self._recipe(what, spec.span, other)
        at = np.flatnonzero(ids == _UNSET)
        ids[at] = self._by_origin(tables.take(new, at), lambda origin, part: self._came(record_set, *origin, part))
        return ids

    # Names

    def _called(self, record_set: str, layer: int, source: int, rows: pd.DataFrame) -> Ids | int:
        """Why rows have another key, which are the same of the same source."""
        comparison = self.comparison
        assert comparison is not None
        old = int(rows["old_layer"].iloc[0])
        if layer == NOWHERE:
            return self._untold()
        spec = self.layers[layer].spec
        if comparison.pairs.get(old) != layer:
            return self._named(f"{spec.label} takes it, and gives it another name", spec.span, layer)
        if not self._says(layer, *NAMING):
            if self.plan.target.spec.masks:
                span = self.document.key_span(*self.plan.target.spec.path, "mask_runs")
                return self.ledger.number(Cause(CauseKind.UNKNOWN, "`mask_runs` names it", layer=layer).at(span))
            return self._moved(record_set, layer, source, rows, "renamed in")
        artifact = _artifact(record_set)
        columns = _names_in(RECORD_SETS[record_set].key, int(rows["columns"].iloc[0]))
        kinds = {column: kind for kind, column in ARTIFACTS[artifact].renamed.items()}
        # Of names made of several columns the last says most: what it is of is in the ones before.
        for column in reversed(columns):
            kind = kinds.get(column)
            if kind is not None and (found := self._renamed_by(layer, kind, column, rows)) is not None:
                return found
        if self._says(layer, "run_name") and {"run", "name"} & {*columns}:
            what = f"`run_name` of {spec.label} names runs otherwise"
            return self._named(what, self._key_or_layer(layer, "run_name"), layer)
        return self._named(f"{spec.label} gives it another name", self._naming_place(layer), layer)

    def _renamed_by(self, layer: int, kind: str, column: str, rows: pd.DataFrame) -> Ids | None:
        """What gives names of one kind, by entry; ``None`` where the recipe says of it what it said."""
        comparison = self.comparison
        assert comparison is not None
        of, template = self.layers[layer], _TEMPLATES.get(kind)
        old, new = comparison.before.layers[comparison.earlier[layer]], comparison.after.layers[layer]
        entries = (old.get("rename") or {}).get(kind), (new.get("rename") or {}).get(kind)
        if template is not None and self._says(layer, template):
            verb = "names these" if template in new else "names these no more"
            number = self._named(f"`{template}` of {of.spec.label} {verb}", self._key_or_layer(layer, template), layer)
            return np.full(len(rows), number, dtype=np.int32)
        if entries[0] == entries[1]:
            return None
        given, decided = of.spec.renames.get(kind, ()), of.renamed_by.get(kind, {})
        codes, names = pd.factorize(rows[column])
        at = np.array([decided.get(str(name), -1) if template not in new else -1 for name in names], dtype=np.int64)
        before = entries[0] or {}
        ids = _unset(len(names))
        for i, (name, place) in enumerate(zip(names, at.tolist(), strict=True)):
            if place >= 0:
                what, span = f"calls {given[place].old!r} {given[place].new!r}", given[place].span
            else:
                span = self._key_or_layer(layer, "rename")
                what = f"calls {name!r} {before[name]!r} no more" if name in before else f"has other {_words(kind)}"
            ids[i] = self._named(f"`rename` of {of.spec.label} {what}", span, layer)
        return ids[codes]

    def _named(self, what: str, span: Span | None, layer: int) -> int:
        """What the recipe says of the name of a row that it knows."""
        return self.ledger.number(replace(self._cause(what, span, layer), declares=True))

    def _naming_place(self, layer: int) -> Span | None:
        return next(
            (self._key_or_layer(layer, key) for key in (*NAMING, "on_collision") if self._says(layer, key)), None
        )

    def _key_or_layer(self, layer: int, key: str) -> Span | None:
        spec = self.layers[layer].spec
        if ("layers", spec.index, key) in self.document.places:
            return self.document.key_span("layers", spec.index, key)
        if key == "rename" and ("rename",) in self.document.places:
            return self.document.key_span("rename")
        return spec.span

    # Sources that moved

    def _moved(self, record_set: str, layer: int, source: int, rows: pd.DataFrame, verb: str) -> Ids | int:
        """Rows whose source alone can have done it, by deposition."""
        name = self.layers[layer].spec.sources[source]
        stock = self.layers[layer].stock.table(_artifact(record_set))
        what = f"{verb} the base" if layer == BASE else f"{verb} source {name!r}"
        if _DEPOSITION not in stock or not len(rows) or (rows["row"] < 0).any():
            return self.ledger.number(self._cause_of_move(layer, name, what))
        codes, depositions = pd.factorize(stock[_DEPOSITION].take(rows["row"].to_numpy()).fillna(""))
        if len(depositions) > _APART:
            cause, ids = self._cause_of_move(layer, name, what), sorted(int(d) for d in depositions if d)
            if cause.kind is CauseKind.SOURCE:
                cause = replace(cause, what=f"{cause.what}, {len(ids):,} depositions", depositions=tuple(ids))
            return self.ledger.number(cause)
        numbers = []
        for deposition in depositions:
            cause = self._cause_of_move(layer, name, what, deposition)
            numbers.append(self.ledger.number(cause))
        return np.array(numbers, dtype=np.int32)[codes]

    def _cause_of_move(self, layer: int, name: str, what: str, deposition: str = "") -> Cause:
        comparison = self.comparison
        assert comparison is not None
        if layer == BASE:
            is_same = comparison.before.base is not None and comparison.before.base == comparison.after.base
        else:
            is_same = comparison.is_same_source(name)
        # What a source resolves to depends on what is asked of it: of two plans, one that asks otherwise tells nothing.
        if is_same or (self.written is None and not comparison.unchanged(layer)):
            others = [other for other in self._moved_sources(layer) if other != name]
            if others and comparison.unchanged(layer) and comparison.same_tool:
                together = f"which {self.layers[layer].spec.label} takes together with {name!r}"
                return self._sources_moved(layer, others, together)
            return self._nothing_moved(layer, name, what)
        if not comparison.same_tool:
            versions = f"croissant-recipes {comparison.after.version}, no more {comparison.before.version}"
            return replace(self._of_source(layer, name), what=f"{what}, or made otherwise by {versions}")
        known = (int(deposition),) if deposition else ()
        what = f"{what}, deposition {deposition}" if deposition else what
        return replace(self._of_source(layer, name), kind=CauseKind.SOURCE, what=what, depositions=known)

    def _moved_and(self, layer: int, name: str, what: str, span: Span | None) -> Cause:
        """A cause where the recipe says what it said, and by what the sources hold now something else comes of it."""
        comparison = self.comparison
        assert comparison is not None
        moved = self._moved_sources(layer)
        if layer == BASE:
            return self._cause_of_move(layer, name, f"the base moved, and {what}").at(span)
        if not moved:
            return self._nothing_moved(layer, name, what).at(span)
        if not comparison.same_tool:
            versions = f"croissant-recipes is {comparison.after.version}, no more {comparison.before.version}"
            what = f"source {moved[0]!r} moved and {versions}, and {what}"
            return replace(self._of_source(layer, moved[0]), what=what).at(span)
        return self._sources_moved(layer, moved, f"and {what}").at(span)

    def _sources_moved(self, layer: int, names: Sequence[str], what: str) -> Cause:
        said = f"source {names[0]!r}" if len(names) == 1 else f"sources {joined([repr(name) for name in names])}"
        found = self._of_source(layer, names[0])
        source = names[0] if len(names) == 1 else None
        return replace(found, kind=CauseKind.SOURCE, what=f"{said} moved, {what}", source=source)

    def _nothing_moved(self, layer: int, name: str, what: str) -> Cause:
        comparison = self.comparison
        assert comparison is not None
        if not comparison.same_tool:
            versions = f"croissant-recipes {comparison.after.version}, no more {comparison.before.version}"
            what = f"{versions}, makes something else of the same source"
            return replace(self._of_source(layer, name), kind=CauseKind.TOOL, what=what, source=None)
        same = "the base is" if layer == BASE else f"source {name!r} is"
        return replace(self._of_source(layer, name), what=f"{what}, and {same} what it was")

    def _moved_sources(self, layer: int) -> list[str]:
        comparison = self.comparison
        assert comparison is not None
        if layer == BASE:
            return []
        return [name for name in self.layers[layer].spec.sources if not comparison.is_same_source(name)]

    def _of_source(self, layer: int, name: str) -> Cause:
        span = self.document.key_span("base") if layer == BASE else self.document.key_span("sources", name)
        return Cause(CauseKind.UNKNOWN, "", layer=layer, source=name if layer != BASE else None).at(span)

    # Small things

    def _by_origin(
        self,
        rows: pd.DataFrame,
        cause: Callable[[tuple[int, int], pd.DataFrame], Ids | int],
        *more: str,
    ) -> Ids:
        """The causes of rows, found for all of one layer and source (and whatever else) together."""
        ids = _unset(len(rows))
        for values, at in _parts(rows, ("layer", "source", *more)):
            ids[at] = cause((values[0], values[1]), rows if len(at) == len(rows) else tables.take(rows, at))
        return ids

    def _cause(self, what: str, span: Span | None, layer: int | None) -> Cause:
        return Cause(CauseKind.RECIPE, what, layer=layer).at(span)

    def _recipe(self, what: str, span: Span | None, layer: int | None) -> int:
        return self.ledger.number(self._cause(what, span, layer))

    def _others(self, what: str, *, sure: bool = False) -> int:
        return self.ledger.number(Cause(CauseKind.OTHERS if sure else CauseKind.UNKNOWN, what))

    def _untold(self) -> int:
        return self.ledger.number(self.side.untold)


def known_rows(of: LayerRows, artifact: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as the source of a layer has them."""
    return of.stock.table(artifact).take(rows["row"].to_numpy()).reset_index(drop=True)


def _artifact(record_set: str) -> str:
    artifact = RECORD_SETS[record_set].artifact
    assert artifact is not None
    return artifact


def _unset(rows: int) -> Ids:
    return np.full(rows, _UNSET, dtype=np.int32)


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame({"row": np.zeros(0, dtype=np.int64)})


def _parts(rows: pd.DataFrame, columns: Iterable[str]) -> Iterator[tuple[tuple[int, ...], Positions]]:
    """The rows by the values of integer columns."""
    values = [rows[c].to_numpy() for c in columns]
    for at in tables.alike(*values):
        yield tuple(int(v[at[0]]) for v in values), at


def _names_in(columns: Sequence[str], mask: int) -> list[str]:
    return [column for at, column in enumerate(columns) if mask >> at & 1]


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _other(operation: str) -> str:
    return "append" if operation == "export" else "export"


def _span_of(cause: Cause) -> Span | None:
    return None if cause.file is None else Span(cause.file, cause.line or 1, cause.column or 1)
