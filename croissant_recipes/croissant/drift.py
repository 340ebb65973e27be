"""A Croissant that already lies where a build will write, and what others did to it since the last build."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.croissant import build_record, serialize
from croissant_recipes.croissant.build_record import BuildRecord
from croissant_recipes.croissant.content import METADATA, Content
from croissant_recipes.croissant.manifest import named_others, with_others
from croissant_recipes.croissant.provenance import GENERATED_BY
from croissant_recipes.croissant.reader import parse_croissant
from croissant_recipes.croissant.row_record import ROWS_FILE, WrittenRows
from croissant_recipes.croissant.sifting import without_strays
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS

_OF_RUNS = {
    name: ("runs", "voxel_spacings") if r.artifact and ARTIFACTS[r.artifact].spaces else ("runs",)
    for name, r in RECORD_SETS.items()
    if "run" in r.columns
}
"""What rows of a record set need beside them to be seen."""


@dataclass(frozen=True)
class Existing:
    """The Croissant that is there.

    Attributes:
        files: Its bytes by name.
        manifest: Its metadata document.
        tables: A record table for every record set.
        record: What the build that wrote it noted, ``None`` when none did.
        left_out: What its CSVs hold that a Croissant has no place for.
    """

    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    record: BuildRecord | None
    left_out: tuple[Diagnostic, ...] = ()

    @cached_property
    def untouched(self) -> frozenset[str]:
        """The record sets whose files are byte by byte as the build wrote them that left the record."""
        noted = self.record.files if self.record else {}
        files = {name: self.files.get(schema.csv_name) for name, schema in RECORD_SETS.items()}
        return frozenset(
            name
            for name, data in files.items()
            if data is not None and hashlib.sha256(data).hexdigest() == noted.get(RECORD_SETS[name].csv_name)
        )


def parse(files: Mapping[str, bytes], place: str) -> Existing | None:
    """Read the files of a Croissant folder. ``None`` when there is no ``metadata.json``.

    Raises:
        DiagnosticError: ``Code.FOREIGN`` when what is there is no Croissant that can be read.
    """
    if METADATA not in files:
        return None
    try:
        stored = parse_croissant(files, Location.parse(place) / METADATA)
    except DiagnosticError as error:
        hint = "build elsewhere with --output, or replace it with --force"
        raise DiagnosticError(*(replace(d, code=Code.FOREIGN, hint=hint) for d in error.diagnostics)) from None
    try:
        record = build_record.parse(files)
    except ValueError as error:
        message = f"{place} was built by another version of croissant-recipe: {error}"
        hint = "build it with that version, build elsewhere with --output, or replace it with --force"
        raise DiagnosticError(Diagnostic(Code.FOREIGN, message, hint=hint)) from None
    return Existing(files, stored.manifest, stored.tables, record, stored.diagnostics)


@dataclass(frozen=True)
class TableDrift:
    """What others changed in one record set.

    Attributes:
        added: Rows that they added.
        changed: Rows that they changed, as they are now.
        written: The digests that these had when they were written.
        removed: Keys of rows that they removed.
    """

    added: pd.DataFrame
    changed: pd.DataFrame
    written: pa.Array
    removed: pd.DataFrame

    def __bool__(self) -> bool:
        return bool(len(self.added) or len(self.changed) or len(self.removed))


@dataclass(frozen=True)
class Drift:
    """What others changed in a built Croissant.

    Attributes:
        tables: By record set, only those that drifted.
        metadata: Keys of the dataset-level metadata that they added, changed or removed.
        config: Keys of ``copick:config`` likewise, objects aside.
        objects: Names of pickable objects likewise.
        others: Files and record sets of the manifest that are not copick's, by ``manifest.named_others``, likewise.
        left_out: Rows and columns that they added and that nobody can keep: copick does not see them either.
    """

    tables: Mapping[str, TableDrift]
    metadata: tuple[str, ...]
    config: tuple[str, ...]
    objects: tuple[str, ...]
    others: tuple[str, ...]
    left_out: tuple[Diagnostic, ...]

    def __bool__(self) -> bool:
        return bool(self.tables or self.metadata or self.config or self.objects or self.others or self.left_out)


def saved_late(aside: Mapping[str, bytes], beside: Existing | None, place: str, *, read: bool) -> Existing:
    """What others saved while a build worked.

    Args:
        aside: The files that the build replaced and had not read, and the record that was beside them.
        beside: A version of the same Croissant, of which the other files are taken.
        place: The Croissant folder.
        read: Whether that is the version which the build had read, so that the rest is what others did. Else the record
            says what they did.

    Raises:
        DiagnosticError: ``DRIFT`` if the files cannot be read.
    """
    found = {name: beside.tables[name] if beside else tables.records(name) for name in RECORD_SETS}
    try:
        for name, schema in RECORD_SETS.items():
            if schema.csv_name in aside:
                table = serialize.read_csv(aside[schema.csv_name], name)[0]
                found[name] = tables.take(table, np.flatnonzero(tables.first_of_each(table, schema.key)))
        manifest = json.loads(aside[METADATA]) if METADATA in aside else beside.manifest if beside else {}
        record = build_record.parse(aside) or (beside.record if beside else None)
    except ValueError as error:
        message = f"what others saved in {place} while it was built cannot be read: {error}"
        hint = "look for it in the folder beside it whose name ends in .aside, or lose it with --on-drift discard"
        raise DiagnosticError(Diagnostic(Code.DRIFT, message, hint=hint)) from None
    if beside is not None and (read or record is None):
        record = build_record.of_what_is_there(beside.files, beside.manifest, beside.tables)
    empty = {name: tables.records(name) for name in RECORD_SETS}
    return Existing(aside, manifest, found, record or build_record.of_what_is_there({}, {}, empty))


def is_half_saved(late: Existing) -> bool:
    """Whether somebody was about to write the manifest of a CSV that they had saved: copick writes it last."""
    entries = late.manifest.get("distribution")
    noted = {e.get("@id"): e.get("sha256") for e in entries if isinstance(e, dict)} if isinstance(entries, list) else {}
    saved = {s.file_object_id: late.files[s.csv_name] for s in RECORD_SETS.values() if s.csv_name in late.files}
    return any(noted.get(id_) != hashlib.sha256(data).hexdigest() for id_, data in saved.items())


def drift_of_late(late: Existing, place: str) -> Drift:
    """What others did in the files that ``saved_late`` has.

    Raises:
        DiagnosticError: See ``drift``.
    """
    found = drift(late, place, [name for name, schema in RECORD_SETS.items() if schema.csv_name in late.files])
    return found if METADATA in late.files else replace(found, metadata=(), config=(), objects=(), others=())


def drift(existing: Existing, place: str, record_sets: Collection[str] = tuple(RECORD_SETS)) -> Drift:
    """What differs from what the last build wrote there.

    Raises:
        DiagnosticError: ``DRIFT``, if rows changed and which ones cannot be told.
    """
    record = existing.record
    assert record is not None
    drifted: dict[str, TableDrift] = {}
    touched = False
    for name in record_sets:
        if name in existing.untouched:
            continue
        if record.rows is None:
            raise _untold(place, record)
        touched = True
        found = _table_drift(name, existing.tables[name], record.rows)
        if found:
            drifted[name] = found
    return Drift(
        drifted,
        # What made a Croissant is for whoever makes it to say.
        tuple(k for k in _differing(build_record.metadata_of(existing.manifest), record.metadata) if k != GENERATED_BY),
        _differing(build_record.config_of(existing.manifest), record.config),
        _differing(build_record.objects_of(existing.manifest), record.objects),
        _differing(named_others(existing.manifest), record.others),
        existing.left_out if touched else (),
    )


def _untold(place: str, record: BuildRecord) -> DiagnosticError:
    why = f"the build left no {ROWS_FILE}" if record.origin else "an earlier version of croissant-recipe built it"
    message = f"{place} changed since it was built, and which rows did cannot be told: {why}"
    hint = "keep what is there by starting from it with `base:`, or lose the changes with --on-drift discard"
    return DiagnosticError(Diagnostic(Code.DRIFT, message, hint=hint))


def _differing(values: Mapping[str, Any], written: Mapping[str, str]) -> tuple[str, ...]:
    found = build_record.digests_of(values)
    return tuple(sorted(k for k in {*found, *written} if found.get(k) != written.get(k)))


def _table_drift(record_set: str, table: pd.DataFrame, rows: WrittenRows) -> TableDrift:
    written = rows.keys(record_set)
    found = tables.match(written, table, RECORD_SETS[record_set].key)
    before = rows.digests(record_set).take(pa.array(found.old))
    after = serialize.row_digests(record_set, table).take(pa.array(found.new))
    changed = pc.not_equal(before, after).to_numpy(zero_copy_only=False).astype(bool)
    return TableDrift(
        tables.take(table, found.only_new),
        tables.take(table, found.new[changed]),
        before.filter(pa.array(changed)),
        tables.take(written, found.only_old),
    )


def unlike(found: Drift, existing: Existing, planned: Content) -> Drift:
    """The drift that a build of the plan would undo. What others changed and the recipe says now too is none."""
    drifted = {n: _unlike_rows(n, changes, planned.tables[n]) for n, changes in found.tables.items()}
    metadata = found.metadata
    if metadata:
        ours = build_record.metadata_of(json.loads(planned.files()[METADATA]))
        metadata = _unlike_values(metadata, build_record.metadata_of(existing.manifest), ours)
    ours, theirs = {build_record.CONFIG: planned.config}, existing.manifest
    return Drift(
        {name: changes for name, changes in drifted.items() if changes},
        metadata,
        _unlike_values(found.config, build_record.config_of(theirs), build_record.config_of(ours)),
        _unlike_values(found.objects, build_record.objects_of(theirs), build_record.objects_of(ours)),
        _unlike_values(found.others, named_others(theirs), named_others(planned.base or {})),
        found.left_out,
    )


def _unlike_rows(record_set: str, changes: TableDrift, planned: pd.DataFrame) -> TableDrift:
    def unlike(theirs: pd.DataFrame) -> np.ndarray[Any, Any]:
        at = tables.match(planned, theirs, RECORD_SETS[record_set].key)
        ours = serialize.row_digests(record_set, tables.take(planned, at.old))
        same = pc.equal(ours, serialize.row_digests(record_set, tables.take(theirs, at.new)))
        differs = np.ones(len(theirs), dtype=np.bool_)
        differs[at.new] = ~same.to_numpy(zero_copy_only=False).astype(np.bool_)
        return differs

    changed = unlike(changes.changed)
    still = tables.match(planned, changes.removed, RECORD_SETS[record_set].key).new
    return TableDrift(
        changes.added[unlike(changes.added)].reset_index(drop=True),
        changes.changed[changed].reset_index(drop=True),
        changes.written.filter(pa.array(changed)),
        tables.take(changes.removed, still),
    )


def _said(value: Any) -> Any:
    """Without attributes that say nothing: written by hand they are missing."""
    return {k: v for k, v in value.items() if v not in (None, {})} if isinstance(value, dict) else value


def _unlike_values(keys: Sequence[str], theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> tuple[str, ...]:
    there, here = (build_record.digests_of({k: _said(v[k]) for k in keys if k in v}) for v in (theirs, ours))
    return tuple(k for k in keys if there.get(k) != here.get(k))


def keep_drift(planned: Content, existing: Existing, found: Drift) -> Content:
    """The plan with what others changed: their rows added and changed, their removals removed, their objects and
    metadata kept."""
    merged = dict(planned.tables)
    for name, changes in found.tables.items():
        key = list(RECORD_SETS[name].key)
        table = merged[name]
        kept = tables.match(table, changes.removed, key).only_old
        stacked = tables.concat([tables.take(table, kept), changes.changed, changes.added])
        merged[name] = tables.sort_by(stacked[tables.last_of_each(stacked, key)], key)
    _keep_company(merged, existing, found)
    # Where they removed a run, what the recipe has of it goes too: nobody sees rows of a run that is not listed.
    merged, _ = without_strays(merged)
    result = replace(planned, tables=merged)
    if found.config or found.objects:
        result = replace(result, config=_keep_config(planned.config, existing.manifest, found))
    if found.metadata or found.others:
        ours = json.loads(planned.files()[METADATA])
        document = _with_theirs(ours, build_record.metadata_of(existing.manifest), found.metadata)
        others = _with_theirs(named_others(ours), named_others(existing.manifest), found.others)
        document = with_others(document, others)
        result = replace(result, dataset=None, base=document, base_url=document.get("copick:baseUrl"))
    return result


def _keep_company(merged: dict[str, pd.DataFrame], existing: Existing, found: Drift) -> None:
    """Runs and voxel spacings that the recipe dropped but that kept rows belong to: nobody could see those without."""
    kept = {name: tables.concat([c.changed, c.added]) for name, c in found.tables.items() if name in _OF_RUNS}
    for name, columns in (("runs", ["run"]), ("voxel_spacings", ["run", "voxel_size"])):
        key = list(RECORD_SETS[name].key)
        parts = [t[columns].set_axis(key, axis=1) for record_set, t in kept.items() if name in _OF_RUNS[record_set]]
        if not parts:
            continue
        wanted = tables.concat(parts).drop_duplicates()
        needed = existing.tables[name].merge(wanted, on=key)
        # A table that was saved whole by who had opened an earlier version may have rows of runs that are gone since.
        bare = tables.records(name, {column: wanted[column].to_list() for column in key})
        stacked = tables.concat([merged[name], needed, bare])
        merged[name] = tables.sort_by(stacked.drop_duplicates(key, keep="first"), key)


def _keep_config(config: Mapping[str, Any], theirs: Mapping[str, Any], found: Drift) -> dict[str, Any]:
    ours = {o["name"]: o for o in config[build_record.OBJECTS]}
    objects = _with_theirs(ours, build_record.objects_of(theirs), found.objects)
    rest = _with_theirs(config, build_record.config_of(theirs), found.config)
    return {**rest, build_record.OBJECTS: list(objects.values())}


def _with_theirs(ours: Mapping[str, Any], theirs: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Ours, but of the keys that they touched what they made of them."""
    merged = {k: v for k, v in ours.items() if k not in keys or k in theirs}
    return merged | {k: theirs[k] for k in keys if k in theirs}


def foreign_diagnostic(existing: Existing, place: str) -> Diagnostic:
    """What to tell of a Croissant that this tool did not write."""
    held = [f"{len(t)} {name}" for name, t in existing.tables.items() if len(t)]
    return Diagnostic(
        Code.FOREIGN,
        f"{place} holds a Croissant that croissant-recipe did not write ({', '.join(held) or 'empty'})",
        hint="build elsewhere with --output, start from it with `base:`, or replace it with --force",
        notes=(f"it is called {existing.manifest.get('name')!r}",) if existing.manifest.get("name") else (),
    )


def another_recipes(built_by: str, recipe: str, place: str) -> Diagnostic:
    """What to tell of a Croissant that another recipe built."""
    return Diagnostic(
        Code.FOREIGN,
        f"{place} holds a Croissant that the recipe {built_by!r} built, and this one is called {recipe!r}",
        hint="build elsewhere with --output, start from it with `base:`, or replace it with --force, "
        "as after a change of the recipe's name",
    )


def stale_files(existing: Existing | None, files: Mapping[str, bytes]) -> list[str]:
    """Files of an earlier build that the new one no longer has."""
    if existing is None or existing.record is None:
        return []
    return sorted(name for name in existing.record.files if name not in files and name in existing.files)
