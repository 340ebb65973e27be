"""A Croissant wherever it lies, with what the build noted that wrote it, as far as one did."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from croissant_recipes import intake, tables
from croissant_recipes.access import read_bytes, reading
from croissant_recipes.codes import Code
from croissant_recipes.croissant import build_record
from croissant_recipes.croissant.build_record import RECORD_FILE, BuildRecord
from croissant_recipes.croissant.content import METADATA
from croissant_recipes.croissant.drift import Existing
from croissant_recipes.croissant.reader import read_croissant
from croissant_recipes.croissant.row_record import ROWS_FILE
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity
from croissant_recipes.location import Location
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.work import Workers


def metadata_of(text: str) -> Location:
    """Where the ``metadata.json`` lies of a Croissant that somebody named: by that file, by its folder, or by the
    project that holds that."""
    place = Location.parse(text)
    if place.name.endswith(".json"):
        return place
    inside = place / "Croissant" / METADATA
    if place.is_local and os.path.exists(inside.path):
        return inside
    return place / METADATA


def existing_at(location: Location, workers: Workers) -> Existing:
    """The Croissant whose ``metadata.json`` lies at a location.

    Raises:
        DiagnosticError: See ``read_croissant``.
    """
    try:
        stored = read_croissant(location, {}, workers)
    except DiagnosticError as error:
        manifest = _of_other_makers(location) if error.diagnostics[0].code is Code.CROISSANT else None
        if manifest is None:
            raise
        return Existing({}, manifest, {name: tables.records(name) for name in RECORD_SETS}, None)
    files = _beside(location, (RECORD_FILE, ROWS_FILE))
    record, told = _record(files, location)
    if record is not None:
        files |= _beside(location, [r.csv_name for r in RECORD_SETS.values() if len(stored.tables[r.name])])
        files |= _beside(location, [name for name in record.files if name not in files])
    return Existing(files, stored.manifest, stored.tables, record, (*stored.diagnostics, *told))


def _of_other_makers(location: Location) -> Mapping[str, Any] | None:
    """The manifest of a Croissant that has nothing of copick's; ``None`` where it has, or is none."""
    try:
        with reading("Croissant", location, {}):
            manifest = intake.parse_json(read_bytes(location, {}, intake.DOCUMENT_BYTES))
    except (DiagnosticError, ValueError):
        return None
    if not isinstance(manifest, dict) or "@context" not in manifest or build_record.CONFIG in manifest:
        return None
    ours = {r.id for r in RECORD_SETS.values()}
    given = manifest.get("recordSet")
    ids = [str(e.get("@id")) for e in (given if isinstance(given, list) else [given]) if isinstance(e, dict)]
    return manifest if ids and not ours.intersection(ids) else None


def _record(files: Mapping[str, bytes], location: Location) -> tuple[BuildRecord | None, list[Diagnostic]]:
    if RECORD_FILE not in files:
        return None, []
    try:
        return build_record.parse(files), []
    except ValueError as error:
        message = f"Croissant {location}: {error}"
        hint = "use the version that built it, to be told why its rows differ"
        return None, [Diagnostic(Code.CROISSANT, message, Severity.WARNING, hint)]


def _beside(location: Location, names: Iterable[str]) -> dict[str, bytes]:
    """Those of some files that lie beside the manifest and can be read."""
    found = {}
    for name in names:
        place = location.sibling(name)
        try:
            with reading("Croissant", place, {}):
                found[name] = read_bytes(place, {}, intake.TABLE_BYTES)
        except DiagnosticError:
            continue
    return found
