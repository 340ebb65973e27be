"""Reading a Croissant exactly: the manifest and the CSVs that it lists, every text as it is written.

Whoever reads a Croissant reads it here: the source ``croissant``, ``base``, copick projects of type ``mlcroissant``, a
build that looks at what is at its output, and ``from_croissant``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

import pandas as pd

from croissant_recipes import intake, tables
from croissant_recipes.access import NotThereError, open_filesystem, read_bytes, read_in, reading
from croissant_recipes.codes import Code
from croissant_recipes.croissant import config_fields, sifting
from croissant_recipes.croissant.serialize import empty_lines, read_csv
from croissant_recipes.croissant.sifting import Remark, sifted, without_strays
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity, listing
from croissant_recipes.journal import staged_view
from croissant_recipes.location import Location
from croissant_recipes.schema import RECORD_SETS, RecordSet
from croissant_recipes.work import Workers

_WAITS = (0.05, 0.1, 0.2, 0.4)
"""Seconds between readings of a Croissant whose files do not fit each other: a build may be replacing them."""

_NO_SUCH = (403, 404, 410)
_JOBS = 8


@dataclass(frozen=True)
class StoredCroissant:
    """A Croissant that is there, all of one version.

    Attributes:
        manifest: Its metadata document.
        tables: A record table for every record set, empty where the manifest does not list it. Rows are in the order of
            the CSV, each key once.
        location: Of ``metadata.json``.
        base: Where relative row URLs lead: ``copick:baseUrl`` or, without it, the folder above ``Croissant/``.
        digest: Hex digest of the manifest and the CSVs.
        staged: Whether this version is complete, but a commit is still putting it in place.
        diagnostics: What was left out.
    """

    manifest: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    location: Location
    base: Location
    digest: str
    staged: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def config(self) -> Mapping[str, Any]:
        """``copick:config``, empty where there is none."""
        return self.manifest.get("copick:config") or {}


def read_croissant(
    location: Location, fs_args: Mapping[str, Any] | None = None, workers: Workers | None = None
) -> StoredCroissant:
    """The Croissant whose ``metadata.json`` lies at a location. A CSV is looked for beside it, then where its
    ``contentUrl`` says.

    Args:
        location: Of ``metadata.json``.
        fs_args: fsspec keyword arguments.
        workers: What reads many files at once; without them, threads.

    Raises:
        DiagnosticError: ``UNREACHABLE`` if it cannot be read, ``CROISSANT`` if it is none that copick would open or its
            files do not fit each other. Where the manifest or a CSV is missing it is a ``NotThereError``.
    """
    if workers is None:
        with Workers(_JOBS) as own:
            return read_croissant(location, fs_args, own)
    with reading("Croissant", location, fs_args or {}):
        for wait in _WAITS:
            try:
                return _read(_InPlace.of(location, fs_args or {}), workers)
            except (FileNotFoundError, _UnfitError):
                time.sleep(wait)
        try:
            return _read(_InPlace.of(location, fs_args or {}), workers)
        except _UnfitError as error:
            raise _unfit(location, error) from None


def parse_croissant(files: Mapping[str, bytes], location: Location) -> StoredCroissant:
    """The Croissant that files at hand are, by name: ``metadata.json`` and the CSVs beside it. They are taken as they
    are: a CSV that is not the one the manifest describes was changed by someone.

    Args:
        files: Those of one version.
        location: Where ``metadata.json`` lies.

    Raises:
        DiagnosticError: ``CROISSANT`` if they are none that copick would open.
    """
    try:
        return _read(_AtHand(location, files), None)
    except _UnfitError as error:
        raise _unfit(location, error) from None


class _UnfitError(Exception):
    """A CSV that the manifest lists is not there, or is another file than it describes."""

    def __init__(self, problem: str, *, missing: bool) -> None:
        super().__init__(problem)
        self.missing = missing

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(_UnfitError, missing=self.missing), self.args


class _Files(Protocol):
    """A manifest and its CSVs."""

    @property
    def location(self) -> Location:
        """Of the manifest."""

    @property
    def is_staged(self) -> bool: ...

    @property
    def is_checked(self) -> bool:
        """Whether a CSV has to be the one that the manifest describes."""

    def manifest(self) -> bytes: ...

    def csv(self, record_set: RecordSet, file_object: Mapping[str, Any]) -> bytes | None:
        """``None`` where there is none."""


@dataclass(frozen=True)
class _AtHand:
    location: Location
    files: Mapping[str, bytes]
    is_staged = False
    is_checked = False

    def manifest(self) -> bytes:
        return self.files[self.location.name]

    def csv(self, record_set: RecordSet, file_object: Mapping[str, Any]) -> bytes | None:  # noqa: ARG002 - a protocol's
        return self.files.get(record_set.csv_name)


@dataclass(frozen=True)
class _InPlace:
    """On this machine, or in a filesystem of fsspec.

    Attributes:
        fs: ``None`` on this machine.
        staged: Places, relative to the manifest's folder, of files of a version that is complete but not yet all in
            place; ``None`` where no commit is under way.
    """

    location: Location
    fs_args: Mapping[str, Any] = field(repr=False)
    fs: Any
    staged: Mapping[str, str] | None
    is_checked = True

    @classmethod
    def of(cls, location: Location, fs_args: Mapping[str, Any]) -> _InPlace:
        if location.is_local:
            return cls(location, fs_args, None, None)
        fs, _ = open_filesystem(location, fs_args)
        staged = staged_view(lambda name: read_in(fs, location.sibling(name), intake.DOCUMENT_BYTES))
        return cls(location, fs_args, fs, staged)

    @property
    def is_staged(self) -> bool:
        return self.staged is not None

    def manifest(self) -> bytes:
        return self._bytes(self.location.name, intake.DOCUMENT_BYTES)

    def csv(self, record_set: RecordSet, file_object: Mapping[str, Any]) -> bytes | None:
        url = file_object.get("contentUrl")
        data = self._beside(record_set.csv_name)
        if data is None and isinstance(url, str) and url:
            data = self._elsewhere(url)
        return data

    def _beside(self, name: str) -> bytes | None:
        try:
            return self._bytes(name, intake.TABLE_BYTES)
        except FileNotFoundError:
            return None
        except Exception as error:
            # Web servers, and buckets that do not let one list them, refuse what is not there.
            if self.fs is not None and getattr(error, "status", None) in _NO_SUCH:
                return None
            raise

    def _elsewhere(self, url: str) -> bytes | None:
        place = Location.parse(url, self.location.parent)
        # Credentials are for the server that they were given for.
        given = self.fs_args if place.same_service(self.location) else {}
        try:
            return read_bytes(place, given, intake.TABLE_BYTES)
        except FileNotFoundError:
            return None

    def _bytes(self, name: str, limit: int) -> bytes:
        place = self.location.sibling((self.staged or {}).get(name, name))
        return read_bytes(place, {}, limit) if self.fs is None else read_in(self.fs, place, limit)


def _read(files: _Files, workers: Workers | None) -> StoredCroissant:
    content = files.manifest()
    manifest = _manifest(files.location, content)
    listed = {name: _file_object(manifest, r) for name, r in RECORD_SETS.items() if _lists(manifest, r)}
    asked = list(listed.items())
    if workers is None:
        data = {name: _csv(files, (name, file_object)) for name, file_object in asked}
    else:
        data = {answer.item[0]: answer.get() for answer in workers.each(partial(_csv, files), asked, batch=1)}
    checksums = {name: checksum for name, (_, checksum) in data.items()} | {"": sha256(content).hexdigest()}
    found: dict[str, pd.DataFrame] = {}
    diagnostics: list[Diagnostic] = []
    for name in RECORD_SETS:
        if name not in data:
            found[name] = tables.records(name)
            continue
        try:
            table, unknown = read_csv(data[name][0], name)
        except ValueError as error:
            raise _refused(files.location, str(error), None) from None
        found[name], remarks = sifted(name, table)
        others = _columns_left_out(RECORD_SETS[name], unknown, manifest)
        remarks = [*others, *_empty_lines(RECORD_SETS[name], data[name][0]), *remarks]
        diagnostics += [_left_out(files.location, remark) for remark in remarks]
    found, strays = without_strays(found)
    diagnostics += [_left_out(files.location, remark) for remark in strays]
    base = _base(manifest, files.location)
    digest = sha256(json.dumps(checksums, sort_keys=True).encode()).hexdigest()
    return StoredCroissant(manifest, found, files.location, base, digest, files.is_staged, tuple(diagnostics))


def _manifest(location: Location, content: bytes) -> Mapping[str, Any]:
    try:
        document = intake.parse_json(content)
    except ValueError as error:
        hint = "write it anew with copick or croissant-recipe, or get it whole"
        raise _refused(location, str(error), hint) from None
    if isinstance(document, dict) and "pickable_objects" in document and "@context" not in document:
        hint = (
            "a copick project is another kind of source: write `copick: {config: …}` instead of `croissant: {url: …}`"
        )
        raise _refused(location, "it is a copick config, and no Croissant", hint)
    if not isinstance(document, dict) or not ("copick:config" in document or any(_ids(document, "recordSet"))):
        hint = "name the metadata.json of a Croissant that copick or croissant-recipe wrote"
        raise _refused(location, "it has neither copick:config nor a record set of copick", hint)
    config = document.get("copick:config", {})
    objects = config.get("pickable_objects", []) if isinstance(config, dict) else None
    if not isinstance(objects, list) or not all(
        isinstance(o, dict) and isinstance(o.get("name"), str) for o in objects
    ):
        hint = "write it anew with copick or croissant-recipe; mlcroissant's own writer makes it a text"
        raise _refused(location, "its copick:config is no object with a list of pickable_objects", hint)
    if problem := config_fields.problem(config):
        raise _refused(location, problem, "write it anew with copick or croissant-recipe, or correct it")
    return document


def _entries(document: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    entries = document.get(key)
    return (e for e in (entries if isinstance(entries, list) else [entries]) if isinstance(e, dict))


def _ids(document: Mapping[str, Any], key: str) -> Iterator[str]:
    known = {r.id for r in RECORD_SETS.values()}
    return (e["@id"] for e in _entries(document, key) if str(e.get("@id")) in known)


def _file_object(document: Mapping[str, Any], record_set: RecordSet) -> Mapping[str, Any]:
    return next((e for e in _entries(document, "distribution") if e.get("@id") == record_set.file_object_id), {})


def _lists(document: Mapping[str, Any], record_set: RecordSet) -> bool:
    """Whether the manifest has a record set. A CSV beside the manifest that it does not list belongs to nothing."""
    return bool(_file_object(document, record_set)) or record_set.id in _ids(document, "recordSet")


def _csv(files: _Files, listed: tuple[str, Mapping[str, Any]]) -> tuple[bytes, str]:
    """The CSV of a record set and its sha256, given the name and what the manifest says of the file."""
    name, file_object = listed
    record_set = RECORD_SETS[name]
    data = files.csv(record_set, file_object)
    if data is None:
        raise _UnfitError(f"it lists {record_set.csv_name}, which is not there", missing=True)
    checksum, expected = sha256(data).hexdigest(), file_object.get("sha256")
    if files.is_checked and expected and checksum != expected:
        problem = f"{record_set.csv_name} does not match its {files.location.name}: its sha256 is another"
        raise _UnfitError(problem, missing=False)
    return data, checksum


def _columns_left_out(record_set: RecordSet, unknown: tuple[str, ...], manifest: Mapping[str, Any]) -> Iterator[Remark]:
    """Of columns that are not copick's, in the CSV or only in the manifest."""
    declared = next((e for e in _entries(manifest, "recordSet") if e.get("@id") == record_set.id), {})
    ids = [str(e.get("@id", "")) for e in _entries(declared, "field")]
    names = [i.removeprefix(f"{record_set.id}/") for i in ids if i.startswith(f"{record_set.id}/")]
    others = list(dict.fromkeys([*unknown, *(n for n in names if n not in record_set.columns)]))
    if others:
        columns = "a column" if len(others) == 1 else "columns"
        message = f"{record_set.csv_name} has {columns} that copick does not know, left out: {listing(others)}"
        yield Remark(message, hint="keep them in a record set of their own: copick drops them when it first writes")


def _empty_lines(record_set: RecordSet, data: bytes) -> Iterator[Remark]:
    lines = [str(n) for n in empty_lines(data)]
    if lines:
        where = f"line {lines[0]} is" if len(lines) == 1 else f"{len(lines)} lines are"
        more = "" if len(lines) == 1 else f", the first of them line {lines[0]}"
        yield Remark(f"{record_set.csv_name}: {where} empty{more}")


def without_secrets(existing: StoredCroissant) -> StoredCroissant:
    """The Croissant as something else can be made of it: what opens its rows for one reader is not for all."""
    found, remarks = sifting.without_secrets(existing.tables)
    told = tuple(_left_out(existing.location, remark) for remark in remarks)
    return replace(existing, tables=found, diagnostics=(*existing.diagnostics, *told)) if told else existing


def _left_out(location: Location, remark: Remark) -> Diagnostic:
    message = f"Croissant {location}: {remark.message}"
    return Diagnostic(Code.CROISSANT, message, Severity.WARNING, remark.hint, notes=remark.notes)


def _base(manifest: Mapping[str, Any], location: Location) -> Location:
    above = location.parent.parent
    given = manifest.get("copick:baseUrl")
    return Location.parse(given, above) if isinstance(given, str) and given else above


def _refused(location: Location, problem: str, hint: str | None) -> DiagnosticError:
    return DiagnosticError(Diagnostic(Code.CROISSANT, f"Croissant {location}: {problem}", hint=hint))


def _unfit(location: Location, error: _UnfitError) -> DiagnosticError:
    hint = "write it anew, or get all its files in one version"
    raised = NotThereError if error.missing else DiagnosticError
    return raised(Diagnostic(Code.CROISSANT, f"Croissant {location}: {error}", hint=hint))
