"""What of a change breaks somebody, each with the word that allows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes import allowing, differences
from croissant_recipes.compiler.labels import original_name
from croissant_recipes.croissant.build_record import objects_of
from croissant_recipes.croissant.diff import ChangedObject, Changes, TableChanges
from croissant_recipes.croissant.manifest import named_others
from croissant_recipes.diagnostics import joined, listing
from croissant_recipes.location import without_credentials
from croissant_recipes.review import leaks
from croissant_recipes.review.classes import ChangeClass, edited, edited_and_renamed, of_move
from croissant_recipes.review.leaks import Leak
from croissant_recipes.review.side import Side
from croissant_recipes.review.wording import counted, is_single
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS
from croissant_recipes.tables import Mask

_SHOWN = 3


@dataclass(frozen=True)
class Risk:
    """One thing that breaks somebody.

    Attributes:
        change_class: ``BREAKING`` or ``SPLIT_UNSAFE``.
        kind: What happens: ``removed``, ``changed``, ``renamed``, ``columns``, ``labels``, ``split`` or ``leak``.
        subject: What it happens to: ``picks:ribosome``, ``TS_003``.
        text: It in one sentence.
        word: What ``--allow`` takes for it.
        allowed: Whether that, or a wider word, was given.
        rows: How many rows it is of; 0 for what is no row.
        standing: Whether it was so before. It is told, and asks for nothing.
    """

    change_class: ChangeClass
    kind: str
    subject: str
    text: str
    word: str
    allowed: bool
    rows: int = 0
    standing: bool = False

    @property
    def stands_against(self) -> bool:
        """Whether somebody has to allow it."""
        return not self.allowed and not self.standing


def find(changes: Changes, before: Side | None, after: Side, allowed: Collection[str]) -> tuple[Risk, ...]:
    """All of them: what is worst first, then as people look for them."""
    renamed = _renamed_runs(changes)
    found = [
        *_moves(changes),
        *_leaks(leaks.find(before.tables if before else None, after.tables, renamed)),
    ]
    if before is not None:
        manifests = before.manifest, after.manifest
        found += [*_of_rows(changes), *_of_objects(changes, *manifests), *_of_parts(*manifests)]
    risks = [_with_word(risk, allowed) for risk in found]
    return tuple(sorted(risks, key=lambda r: (r.standing, -r.change_class.rank)))


def _with_word(risk: Risk, allowed: Collection[str]) -> Risk:
    word = allowing.word(risk.kind, *risk.subject.split(":", 1))
    return Risk(**{**vars(risk), "word": word, "allowed": allowing.is_allowed(word, allowed)})


def _risk(
    kind: str, subject: str, text: str, rows: int = 0, of: ChangeClass = ChangeClass.BREAKING, *, standing: bool = False
) -> Risk:
    return Risk(of, kind, subject, without_credentials(text), "", False, rows, standing)


# Splits


def _moves(changes: Changes) -> Iterator[Risk]:
    for run, old, new in changes.split_moves.itertuples(index=False):
        found = of_move(old, new)
        if found.needs_approval:
            way = f"from {old} to {new}" if old and new else f"out of {old}" if old else f"into {new}"
            yield _risk("split", run, f"run {run} moves {way}", 1, found)


def _leaks(found: Collection[Leak]) -> Iterator[Risk]:
    for leak in found:
        shared = joined([f"{n:,} {kind}{'s' * (n > 1)}" for kind, n in leak.shared.items()])
        others = [f"{run} ({split})" for run, split in leak.others[:_SHOWN]]
        others += [f"{len(leak.others) - _SHOWN:,} more"] * (len(leak.others) > _SHOWN)
        text = f"run {leak.run} ({leak.split}) shares {shared} with {joined(others)}"
        yield _risk("leak", leak.run, text, leak.rows, ChangeClass.SPLIT_UNSAFE, standing=leak.standing)


# Rows

_NAMES = {
    name: (described.counted_by or "name") if (described := ARTIFACTS.get(r.artifact or "")) else "run"
    for name, r in RECORD_SETS.items()
}
"""The column by which people speak of a row of each record set."""

_ONE_EACH = frozenset({"runs", "objects"})
"""Where that names one row."""


def _of_rows(changes: Changes) -> Iterator[Risk]:
    runs = changes.tables["runs"]
    gone, renamed = frozenset(runs.removed["name"]), _renamed_runs(changes)
    with_runs: Counter[str] = Counter()
    for name, table in changes.tables.items():
        if name not in RECORD_SETS:
            yield from _of_other_records(table)
        elif name != "runs":
            yield from _removed(table, changes, gone, with_runs)
            yield from _renamed(table, renamed)
            yield from _changed(table)
    for run in sorted(gone):
        rows = with_runs[run]
        more = f", with {rows:,} row{'s' * (rows > 1)}" if rows else ""
        yield _risk("removed", f"runs:{run}", f"run {run} is gone{more}", rows + 1)
    for old, new in renamed.items():
        yield _risk("renamed", f"runs:{old}", f"run {old} is called {new}", 1)
    yield from _changed(runs)


def _of_other_records(table: TableChanges) -> Iterator[Risk]:
    """Records of a record set that is not copick's."""
    for kind, n, what in (("removed", len(table.removed), "gone"), ("changed", len(table.after), "other ones")):
        if n:
            are = f"{n:,} record is" if n == 1 else f"{n:,} records are"
            yield _risk(kind, f"{allowing.OTHERS}:{table.record_set}", f"{are} {what} in {table.record_set}", n)


def _renamed_runs(changes: Changes) -> dict[str, str]:
    runs = changes.tables["runs"]
    return dict(zip(runs.renamed_before["name"], runs.renamed_after["name"], strict=True))


def _removed(table: TableChanges, changes: Changes, gone: Collection[str], with_runs: Counter[str]) -> Iterator[Risk]:
    """Rows that are gone. Those of a run that is gone go with it, and a voxel spacing with the last that had it."""
    removed = table.removed
    if not len(removed):
        return
    if "run" in removed:
        with_run = removed["run"].isin(gone)
        with_runs.update(_counts(removed["run"][with_run]))
        removed = removed[~with_run]
    if table.record_set == "voxel_spacings":
        removed = removed[~_follow(removed, changes)]
    several = table.record_set not in _ONE_EACH
    for name, n in _by_name(table.record_set, removed).items():
        verb = "is" if is_single(n, table.record_set) else "are"
        what = f"{counted(n, table.record_set)} of" if several else _one(table.record_set)
        text = f"{what} {name} {verb} gone"
        yield _risk("removed", f"{table.record_set}:{name}", text, n)


def _follow(spacings: pd.DataFrame, changes: Changes) -> Mask:
    """Voxel spacings of which something is gone or renamed, and which are gone for that."""
    others = [
        part[["run", "voxel_size"]]
        for name, table in changes.tables.items()
        if name != "voxel_spacings" and "voxel_size" in table.key and name in RECORD_SETS
        for part in (table.removed, table.renamed_before)
    ]
    held = pd.concat(others).drop_duplicates()
    at = spacings[["run", "voxel_size"]].merge(held, how="left", indicator="held")["held"]
    return np.asarray(at == "both", dtype=np.bool_)


def _renamed(table: TableChanges, runs: Mapping[str, str]) -> Iterator[Risk]:
    """Rows under another key, but for those that only follow a run."""
    before, after = table.renamed_before, table.renamed_after
    if not len(after):
        return
    edits = edited_and_renamed(table)
    yield from _edits(table.record_set, before[edits])
    if "run" in before:
        at, names = pd.factorize(before["run"])
        called = pd.Series([runs.get(name, name) for name in names], dtype="str").take(at)
        others = [c for c in RECORD_SETS[table.record_set].key if c != "run"]
        same = _same(called, after["run"])
        for column in others:
            same = same & _same(before[column], after[column])
        before = before[~same]
    for name, n in _by_name(table.record_set, before).items():
        verb = "has" if is_single(n, table.record_set) else "have"
        what = counted(n, table.record_set)
        one = f"{_one(table.record_set)} {name} has another name"
        text = one if table.record_set in _ONE_EACH else f"{what} of {name} {verb} another key"
        yield _risk("renamed", f"{table.record_set}:{name}", text, n)


def _same(before: pd.Series, after: pd.Series) -> Mask:
    old, new = before.reset_index(drop=True), after.reset_index(drop=True)
    return np.asarray((old == new) | (old.isna() & new.isna()), dtype=np.bool_)


def _changed(table: TableChanges) -> Iterator[Risk]:
    yield from _edits(table.record_set, table.before[edited(table.before, table.after)])


def _edits(record_set: str, rows: pd.DataFrame) -> Iterator[Risk]:
    for name, n in _by_name(record_set, rows).items():
        verb = "holds" if is_single(n, record_set) else "hold"
        of = f"{_one(record_set)} {name}" if record_set in _ONE_EACH else f"{counted(n, record_set)} of {name}"
        yield _risk("changed", f"{record_set}:{name}", f"{of} {verb} other data", n)


def _one(record_set: str) -> str:
    return counted(1, record_set).partition(" ")[2]


def _by_name(record_set: str, rows: pd.DataFrame) -> dict[str, int]:
    return dict(sorted(_counts(rows[_NAMES[record_set]]).items()))


def _counts(names: pd.Series) -> dict[str, int]:
    return {str(name): int(n) for name, n in names.value_counts().to_dict().items()}


# Pickable objects


_FIELDS = ("is_particle", "radius", "identifier")
"""What of a pickable object, beside its label, makes it another one, or points of it something else."""


def _of_objects(changes: Changes, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Risk]:
    old, new = objects_of(before), objects_of(after)
    renamed = _renamed_objects(changes.objects)
    for found in changes.objects:
        if found.kind == "removed" and found.name not in renamed:
            yield _risk("removed", f"objects:{found.name}", f"object {found.name} is gone")
        elif found.kind == "removed":
            text = f"object {found.name} is called {renamed[found.name]}"
            yield _risk("renamed", f"objects:{found.name}", text)
    called = {now: name for name, now in renamed.items()} | {name: name for name in new if name in old}
    for name, now in new.items():
        yield from _of_label(name, called, old, new)
        then = old.get(called.get(name, ""), {})
        other = [f for f in _FIELDS if then.get(f) not in (None, "") and then[f] != now.get(f)]
        if other:
            values = joined([f"{f} {differences.change(then[f], now.get(f))}" for f in other])
            yield _risk("changed", f"objects:{name}", f"object {name} is something else: {values}")


def _of_label(name: str, called: Mapping[str, str], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Risk]:
    """A label that is another one, or means something else."""
    label = new[name].get("label")
    if name in called:
        before = old[called[name]].get("label")
        if before is not None and before != label:
            now = "none" if label is None else str(label)
            yield _risk("labels", name, f"object {name} has the label {now} in place of {before}")
        return
    kept = {n for n in new if n in called and old[called[n]].get("label") == new[n].get("label") == label}
    meant = sorted(n for n, entry in old.items() if label is not None and entry.get("label") == label)
    if meant and not kept:
        yield _risk("labels", name, f"label {label} means {name} in place of {listing(meant, _SHOWN)}")


def _renamed_objects(found: Collection[ChangedObject]) -> dict[str, str]:
    """Objects that have another name, by the one before: of one name in the source, or alike but for the name."""
    gone = {o.name: o.before for o in found if o.kind == "removed" and o.before is not None}
    come = {o.name: o.after for o in found if o.kind == "added" and o.after is not None}
    renamed: dict[str, str] = {}
    for alike in (_same_source, _same_but_for_name):
        for name, entry in gone.items():
            pairs = [n for n, other in come.items() if n not in renamed.values() and alike(entry, other)]
            if name not in renamed and len(pairs) == 1:
                renamed[name] = pairs[0]
    return renamed


def _same_source(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return original_name(before) == original_name(after)


def _same_but_for_name(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    ours = ("name", "metadata")
    left = [{k: v for k, v in entry.items() if k not in ours} for entry in (before, after)]
    return left[0] == left[1] and "label" in left[0]


# Record sets and columns


def _of_parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Risk]:
    """Record sets, files and columns that are gone."""
    then, now = named_others(before), named_others(after)
    for name in sorted(then.keys() - now.keys()):
        part, _, called = name.partition(" ")
        what = "record set" if part == "recordSet" else "file"
        yield _risk("removed", f"{allowing.OTHERS}:{called}", f"{what} {called} is gone")
    for name in sorted(then.keys() & now.keys()):
        lost = sorted(_fields(then[name]) - _fields(now[name]))
        if lost:
            called = name.partition(" ")[2]
            yield _risk("changed", f"{allowing.OTHERS}:{called}", f"record set {called} is without {listing(lost)}")
    columns, left = _columns(before), _columns(after)
    for name in sorted(columns.keys() & left.keys()):
        for column in sorted(columns[name] - left[name]):
            yield _risk("columns", f"{name}:{column}", f"column {column} of {name} is gone")


def _columns(manifest: Mapping[str, Any]) -> dict[str, set[str]]:
    """The fields of copick's record sets that a manifest declares."""
    entries = manifest.get("recordSet")
    by_id = {str(e.get("@id")): e for e in entries if isinstance(e, Mapping)} if isinstance(entries, list) else {}
    return {name: _fields(by_id[r.id]) for name, r in RECORD_SETS.items() if r.id in by_id}


def _fields(entry: object) -> set[str]:
    fields = entry.get("field") if isinstance(entry, Mapping) else None
    declared = [f for f in fields if isinstance(f, Mapping)] if isinstance(fields, list) else []
    return {str(f.get("@id", f.get("name", ""))).rpartition("/")[2] for f in declared}
