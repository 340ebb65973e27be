"""What there is to tell of drift: which rows and values others changed, and from what to what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from croissant_recipes import differences, tables
from croissant_recipes.codes import Code
from croissant_recipes.croissant import build_record, diff, drift, serialize
from croissant_recipes.croissant.content import METADATA, Content
from croissant_recipes.croissant.drift import Drift, Existing, TableDrift
from croissant_recipes.croissant.manifest import named_others
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity, key_text
from croissant_recipes.schema import RECORD_SETS

_SHOWN = 10


def stopping(found: Drift, existing: Existing, planned: Content, place: str) -> Diagnostic:
    """What to tell of drift that nobody decided about."""
    return Diagnostic(
        Code.DRIFT,
        f"{place} changed since it was built",
        hint="keep these changes with --on-drift keep, or lose them with --on-drift discard",
        notes=tuple(notes(found, existing, planned)),
    )


def decided(existing: Existing, planned: Content, place: str, *, kept: bool) -> list[Diagnostic]:
    """What to tell of drift that somebody decided about, if there is any: nothing is kept or lost silently."""
    what = "are kept" if kept else "are discarded"
    try:
        found = drift.drift(existing, place)
    except DiagnosticError:
        # Which rows they are cannot be told, but that is no obstacle to losing them.
        return [Diagnostic(Code.DRIFT, f"{place}: changes that others made since it was built {what}", Severity.INFO)]
    found = drift.unlike(found, existing, planned) if found else found
    if kept:
        found = replace(found, left_out=())
    if not found:
        return []
    told = tuple(notes(found, existing, planned))
    return [
        Diagnostic(
            Code.DRIFT, f"{place}: changes that others made since it was built {what}", Severity.INFO, notes=told
        )
    ]


def left_by_a_killed_build(found: Drift, late: Existing, planned: Content, place: str, decision: str) -> Diagnostic:
    """What to tell of what others saved while a build worked that was killed before it could put it back.

    Args:
        found, late: What they saved.
        planned: What the recipe says.
        place: The Croissant folder.
        decision: ``keep`` or ``discard``, or that nobody decided yet.
    """
    told = {"keep": ", which is kept", "discard": ", which is discarded"}.get(decision, "")
    return Diagnostic(
        Code.DRIFT,
        f"{place}: others saved while it was built, and the build was killed before it could put that back{told}",
        Severity.INFO if told else Severity.ERROR,
        hint=None if told else "keep these changes with --on-drift keep, or lose them with --on-drift discard",
        notes=tuple(notes(found, late, planned)),
    )


def put_back(changes: Iterable[str], place: str) -> Diagnostic:
    """What to tell of what others saved while a build worked, and the build kept."""
    return Diagnostic(
        Code.DRIFT,
        f"{place}: others saved while it was built, and what they saved is kept",
        Severity.WARNING,
        hint="the next build asks whether it is to stay",
        notes=tuple(dict.fromkeys(changes)),
    )


def left_aside(place: str, why: str) -> Diagnostic:
    """What to tell of what others saved while a build worked, and the build could not put back."""
    return Diagnostic(
        Code.DRIFT,
        f"{place}: others saved while it was built, and what they saved last is set aside: {why}",
        Severity.WARNING,
        hint="build again once nobody saves there: it shows what is set aside, and keeps it if asked to",
    )


def left_in_place(place: str, why: str) -> Diagnostic:
    """What to tell where nothing could be written because of what others saved."""
    return Diagnostic(
        Code.LOCKED, f"{place} changed while it was built: {why}", hint="build again once nobody saves there"
    )


def notes(found: Drift, existing: Existing, planned: Content) -> Iterator[str]:
    """A line for each change, of each record set the first few.

    A build record holds digests. What a row or a value was when it was written is known where the recipe still says
    the same; where it does not, the line says so.
    """
    for name, changes in found.tables.items():
        yield from _of_rows(name, changes, planned.tables[name])
    yield from _of_metadata(found, existing, planned)
    yield from _of_others(found, existing)
    yield from (f"~ {told.message}" for told in found.left_out)


def _of_rows(name: str, changes: TableDrift, planned: pd.DataFrame) -> Iterator[str]:
    yield from _lines(name, "+", changes.added)
    yield from _lines(name, "~", changes.changed, list(_edits(name, changes, planned)))
    yield from _lines(name, "-", changes.removed)


def _lines(name: str, sign: str, rows: pd.DataFrame, more: Sequence[str] = ("",) * _SHOWN) -> Iterator[str]:
    keys = rows[list(RECORD_SETS[name].key)].head(_SHOWN).itertuples(index=False)
    for row, edit in zip(keys, more, strict=False):
        yield f"{sign} {name}: {key_text(row)}{edit}"
    if len(rows) > _SHOWN:
        yield f"{sign} {name}: {len(rows) - _SHOWN} more row{'s' * (len(rows) - _SHOWN > 1)}"


def _edits(name: str, changes: TableDrift, planned: pd.DataFrame) -> Iterator[str]:
    """What differs in the first few changed rows."""
    shown, key = changes.changed.head(_SHOWN), RECORD_SETS[name].key
    at = tables.match(planned, shown, key)
    ours = tables.take(planned, at.old)
    digests = serialize.row_digests(name, ours).to_pylist()
    known = dict(zip(at.new.tolist(), zip(diff.rows(ours), digests, strict=True), strict=True))
    for position, theirs in enumerate(diff.rows(shown)):
        our, digest = known.get(position, (None, None))
        if our is None:
            yield " (the recipe has this row no more)"
        else:
            yield _edit(our, theirs, as_written=digest == changes.written[position].as_py())


def _of_metadata(found: Drift, existing: Existing, planned: Content) -> Iterator[str]:
    record = existing.record
    assert record is not None
    ours, theirs = {build_record.CONFIG: planned.config}, existing.manifest
    for name in found.objects:
        old, new = build_record.objects_of(ours).get(name), build_record.objects_of(theirs).get(name)
        if old is None or new is None:
            yield f"{'+' if old is None else '-'} {METADATA}: object {name}"
        else:
            yield f"~ {METADATA}: object {name}{_edit(old, new, as_written=_is(old, record.objects.get(name)))}"
    config = build_record.config_of(ours), build_record.config_of(theirs)
    yield from _of_values(f"{build_record.CONFIG} ", found.config, *config, record.config)
    if found.metadata:
        document = json.loads(planned.files()[METADATA])
        metadata = build_record.metadata_of(document), build_record.metadata_of(theirs)
        yield from _of_values("", found.metadata, *metadata, record.metadata)


def _of_values(
    what: str, keys: Sequence[str], ours: Mapping[str, Any], theirs: Mapping[str, Any], written: Mapping[str, str]
) -> Iterator[str]:
    for key in keys:
        as_written = key not in written if key not in ours else _is(ours[key], written.get(key))
        edit = _edit({"": ours.get(key)}, {"": theirs.get(key)}, as_written=as_written)
        yield f"~ {METADATA}: {what}{key}{edit}"


def _of_others(found: Drift, existing: Existing) -> Iterator[str]:
    record = existing.record
    assert record is not None
    theirs = named_others(existing.manifest)
    for name in found.others:
        yield f"{'-' if name not in theirs else '~' if name in record.others else '+'} {METADATA}: {name}"


def _is(value: Any, digest: str | None) -> bool:
    return build_record.digests_of({"": value})[""] == digest


def _edit(ours: Mapping[str, Any], theirs: Mapping[str, Any], *, as_written: bool) -> str:
    """The fields of two that differ. ``as_written``: ours is what the build wrote, too."""
    names = [*theirs, *(n for n in ours if n not in theirs)]
    fields = [(n, *differences.shown(ours.get(n), theirs.get(n))) for n in names if ours.get(n) != theirs.get(n)]
    if as_written:
        return ": " + "; ".join(f"{n} {old} -> {new}".strip() for n, old, new in fields)
    return ": " + "; ".join(f"{n} {new}, and the recipe says {old} now".strip() for n, old, new in fields)
