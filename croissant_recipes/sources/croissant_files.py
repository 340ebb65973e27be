"""Reading a Croissant exactly: the manifest and the CSVs beside it, every text as it is written."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.croissant.serialize import read_csv
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity, listing
from croissant_recipes.journal import staged_view
from croissant_recipes.schema import RECORD_SETS, RecordSet
from croissant_recipes.sources.access import open_filesystem, read_bytes, reading
from croissant_recipes.sources.locations import (
    is_local,
    locate,
    locate_beside,
    parent,
    protocol,
    sibling,
    strip_credentials,
)

_WAITS = (0.05, 0.1, 0.2)
"""Seconds between readings of a Croissant whose files do not fit each other: a build may be replacing them."""

_NO_SUCH = (403, 404, 410)
_SHOWN_KEYS = 3


@dataclass(frozen=True)
class ExistingCroissant:
    """A Croissant that is there.

    Attributes:
        manifest: Its metadata document.
        tables: A record table for every record set, empty where the manifest does not list it. Rows are in the order of
            the CSV, each key once.
        location: Absolute local path or URL of ``metadata.json``. It may hold credentials.
        base_url: Where relative row URLs lead, an absolute local path or a URL: ``copick:baseUrl`` or, without it, the
            folder above ``Croissant/``. It may hold credentials.
        diagnostics: What was left out.
    """

    manifest: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    location: str = field(repr=False)
    base_url: str = field(repr=False)
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def shown(self) -> str:
        """How messages name it."""
        return f"Croissant {strip_credentials(self.location)}"

    @property
    def config(self) -> Mapping[str, Any]:
        """``copick:config``, empty where there is none."""
        return self.manifest.get("copick:config") or {}


def read_croissant(
    url: str, folder: Path, fs_args: Mapping[str, Any] | None = None, *, jobs: int = 8
) -> ExistingCroissant:
    """Reads the Croissant at a local path or any fsspec URL.

    Args:
        url: Of its ``metadata.json``; a path is relative to ``folder``.
        folder: The recipe's folder.
        fs_args: fsspec keyword arguments.
        jobs: How many files to read at a time.

    Raises:
        DiagnosticError: ``UNREACHABLE`` if it cannot be read, ``CROISSANT`` if it is none that copick would open or its
            files do not fit each other.
    """
    location = locate(url, folder)
    with reading("Croissant", location, fs_args or {}):
        folder_of = _Folder.of(location, fs_args or {})
        for wait in _WAITS:
            try:
                return _read(folder_of, jobs)
            except (FileNotFoundError, _UnfitError):
                time.sleep(wait)
            folder_of = _Folder.of(location, fs_args or {})
        try:
            return _read(folder_of, jobs)
        except _UnfitError as error:
            hint = "write it anew, or get all its files in one version"
            raise _refused(location, str(error), hint) from None


class _UnfitError(Exception):
    """A CSV that the manifest lists is not there, or is another file than it describes."""


@dataclass(frozen=True)
class _Folder:
    """Where a manifest and its CSVs are read: a plain path, or a path in a filesystem of fsspec.

    Attributes:
        location: Of the manifest, as a path or URL.
        fs: The filesystem of a URL.
        path: Of the manifest in ``fs``, or the plain path.
        staged: Paths of files of a version that is complete but not yet all in place.
    """

    location: str
    fs: Any
    path: str
    fs_args: Mapping[str, Any]
    staged: Mapping[str, str]

    @classmethod
    def of(cls, location: str, fs_args: Mapping[str, Any]) -> _Folder:
        if is_local(location):
            return cls(location, None, location, fs_args, {})
        fs, path = open_filesystem(location, fs_args)
        return cls(location, fs, path, fs_args, staged_view(fs, parent(path)) or {})

    @property
    def manifest_name(self) -> str:
        return self.path.rpartition("/")[2].partition("?")[0]

    def manifest(self) -> bytes:
        return self._bytes(self.staged.get(self.manifest_name, self.path))

    def beside(self, name: str) -> bytes | None:
        """A file beside the manifest, ``None`` where there is none."""
        try:
            return self._bytes(self.staged.get(name) or sibling(self.path, name))
        except FileNotFoundError:
            return None
        except Exception as error:
            # Web servers, and buckets that do not let one list them, refuse what is not there.
            if self.fs is not None and getattr(error, "status", None) in _NO_SUCH:
                return None
            raise

    def elsewhere(self, url: str) -> bytes | None:
        """A file at a URL, or at a path relative to the manifest; ``None`` where there is none."""
        place = locate_beside(url, parent(self.location))
        # Credentials are for the server that they were given for.
        same = protocol(place) == protocol(self.location)
        try:
            return read_bytes(place, self.fs_args if same else {})
        except FileNotFoundError:
            return None

    def _bytes(self, path: str) -> bytes:
        if self.fs is None:
            return Path(path).read_bytes()
        data: bytes = self.fs.cat_file(path)
        return data


def _read(folder: _Folder, jobs: int) -> ExistingCroissant:
    manifest = _manifest(folder)
    listed = {r.name: _file_object(manifest, r) for r in RECORD_SETS.values() if _lists(manifest, r)}
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        data = dict(
            zip(listed, pool.map(lambda name: _csv(folder, RECORD_SETS[name], listed[name]), listed), strict=True)
        )
    found: dict[str, pd.DataFrame] = {}
    diagnostics: list[Diagnostic] = []
    for name in RECORD_SETS:
        if name not in data:
            found[name] = tables.records(name)
            continue
        try:
            table, unknown = read_csv(data[name], name)
        except ValueError as error:
            raise _refused(folder.location, str(error), None) from None
        found[name], twice = _first_of_each_key(name, table)
        diagnostics += _remarks(folder.location, RECORD_SETS[name], unknown, twice)
    return ExistingCroissant(manifest, found, folder.location, _base_url(manifest, folder.location), tuple(diagnostics))


def _manifest(folder: _Folder) -> Mapping[str, Any]:
    try:
        document = json.loads(folder.manifest())
    except ValueError as error:
        raise _refused(folder.location, f"it is not JSON: {error}", None) from None
    if not isinstance(document, dict) or not ("copick:config" in document or any(_ids(document, "recordSet"))):
        hint = "name the metadata.json of a Croissant that copick or croissant-recipe wrote"
        raise _refused(folder.location, "it has neither copick:config nor a record set of copick", hint)
    config = document.get("copick:config", {})
    objects = config.get("pickable_objects", []) if isinstance(config, dict) else None
    if not isinstance(objects, list) or not all(
        isinstance(o, dict) and isinstance(o.get("name"), str) for o in objects
    ):
        hint = "write it anew with copick or croissant-recipe; mlcroissant's own writer makes it a text"
        raise _refused(folder.location, "its copick:config is no object with a list of pickable_objects", hint)
    return document


def _entries(document: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    entries = document.get(key)
    return (e for e in (entries if isinstance(entries, list) else [entries]) if isinstance(e, dict))


def _ids(document: Mapping[str, Any], key: str) -> Iterator[str]:
    known = {r.id for r in RECORD_SETS.values()}
    return (e["@id"] for e in _entries(document, key) if e.get("@id") in known)


def _file_object(document: Mapping[str, Any], record_set: RecordSet) -> Mapping[str, Any]:
    return next((e for e in _entries(document, "distribution") if e.get("@id") == record_set.file_object_id), {})


def _lists(document: Mapping[str, Any], record_set: RecordSet) -> bool:
    """Whether the manifest has a record set. A CSV beside the manifest that it does not list belongs to nothing."""
    return bool(_file_object(document, record_set)) or record_set.id in _ids(document, "recordSet")


def _csv(folder: _Folder, record_set: RecordSet, file_object: Mapping[str, Any]) -> bytes:
    name, url = record_set.csv_name, file_object.get("contentUrl")
    data = folder.beside(name)
    if data is None and isinstance(url, str) and url:
        data = folder.elsewhere(url)
    if data is None:
        raise _UnfitError(f"it lists {name}, which is not there")
    expected = file_object.get("sha256")
    if expected and sha256(data).hexdigest() != expected:
        raise _UnfitError(f"{name} does not match its {folder.manifest_name}: its sha256 is another")
    return data


def _first_of_each_key(name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table with each key once, and the keys of the rows left out."""
    key = list(RECORD_SETS[name].key)
    first = tables.first_of_each(table, key)
    if first.all():
        return table, table.loc[:, key].head(0)
    return table[first].reset_index(drop=True), table.loc[~first, key]


def _remarks(
    location: str, record_set: RecordSet, unknown: tuple[str, ...], twice: pd.DataFrame
) -> Iterator[Diagnostic]:
    where = f"Croissant {strip_credentials(location)}: {record_set.csv_name}"
    if unknown:
        columns = "a column" if len(unknown) == 1 else "columns"
        message = f"{where} has {columns} that copick does not know, left out: {listing(unknown)}"
        yield Diagnostic(Code.CROISSANT, message, Severity.WARNING)
    if len(twice):
        rows = f"{len(twice)} rows repeat keys" if len(twice) > 1 else "1 row repeats the key"
        shown = tuple(", ".join(map(str, row)) for row in twice.head(_SHOWN_KEYS).itertuples(index=False))
        more = (f"and {len(twice) - len(shown)} more",) if len(twice) > len(shown) else ()
        message = f"{where}: {rows} of an earlier row; the earlier one counts, as for copick"
        yield Diagnostic(Code.CROISSANT, message, Severity.WARNING, notes=(*shown, *more))


def _base_url(manifest: Mapping[str, Any], location: str) -> str:
    above = parent(parent(location))
    given = manifest.get("copick:baseUrl")
    return locate_beside(given, above) if isinstance(given, str) and given else above


def _refused(location: str, problem: str, hint: str | None) -> DiagnosticError:
    return DiagnosticError(Diagnostic(Code.CROISSANT, f"Croissant {strip_credentials(location)}: {problem}", hint=hint))
