"""The rows of an opened Croissant: read as text, checked against the manifest, found by run and by key."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

import pandas as pd
from fsspec.implementations.local import LocalFileSystem

from croissant_recipes.access import open_filesystem
from croissant_recipes.croissant.reader import StoredCroissant, read_croissant
from croissant_recipes.diagnostics import listing
from croissant_recipes.location import LOCAL_URL, URL, Location, is_roundabout, is_url, one_spelling
from croissant_recipes.opening.copick_adapter import AdaptedIndex, Row, record_set_name
from croissant_recipes.opening.row_places import RowPlaces
from croissant_recipes.opening.shared_folder import shared_folder
from croissant_recipes.schema import RECORD_SETS, RecordSet

_SPLITS_ID = "copick/splits"
_OF_RUNS = frozenset(r.name for r in RECORD_SETS.values() if "run" in r.columns)
_READ_ONLY_PROTOCOLS = frozenset({"http", "https", "github", "zip", "tar", "data"})


def _file_object(document: Mapping[str, Any], id_: str) -> dict[str, Any]:
    return next((entry for entry in document.get("distribution", []) if entry.get("@id") == id_), {})


def _rows(record_set: RecordSet, table: pd.DataFrame) -> list[Row]:
    """Rows as copick's index holds them: nothing is ``None``."""
    columns = []
    for column in record_set.columns:
        values = table[column].tolist()
        if column in record_set.floats:
            values = [None if v != v else v for v in values]
        elif column in record_set.texts:
            values = [v or None for v in values]
        columns.append(values)
    return [dict(zip(record_set.columns, row, strict=True)) for row in zip(*columns, strict=True)]


@dataclass
class RowIndex(AdaptedIndex):
    """copick's index of a Croissant, with exact rows that are found without going through those of all runs."""

    location: Location = field(kw_only=True)
    fs_args: dict[str, Any] = field(kw_only=True)
    by_run: dict[str, dict[str, list[Row]]] = field(default_factory=dict)
    by_place: dict[str, dict[str, list[Row]]] = field(default_factory=dict)
    changes: list[Callable[[], None]] = field(default_factory=list)
    """What was done to the rows since they were written."""
    stored_version: str = ""
    """The version of what is stored, as far as it is known here."""
    places: RowPlaces = field(init=False)

    def __post_init__(self) -> None:
        self.places = RowPlaces(self.base_url, self.static_fs_args)

    @classmethod
    def from_url(
        cls,
        croissant_url: str,
        *,
        base_url_override: str | None = None,
        fs_args: dict[str, Any] | None = None,
        static_fs_args: dict[str, Any] | None = None,
    ) -> RowIndex:
        """As copick's, with the same arguments."""
        location = Location.parse(croissant_url)
        stored = read_croissant(location, fs_args)
        fs, path = open_filesystem(location, fs_args or {})
        base_url = base_url_override or stored.manifest.get("copick:baseUrl") or _project_root(croissant_url)
        index = cls(
            doc=dict(stored.manifest),
            croissant_dir=os.path.dirname(path),
            croissant_fs=fs,
            base_url=_without_end(base_url),
            static_fs_args=dict(static_fs_args or {}),
            _metadata_path=path,
            location=location,
            fs_args=dict(fs_args or {}),
        )
        index._take(stored)
        return index

    def read(self) -> None:
        self.changes.clear()
        self._take(read_croissant(self.location, self.fs_args))

    def _take(self, stored: StoredCroissant) -> None:
        self.doc = dict(stored.manifest)
        self.config_block = dict(stored.config)
        # What is written beside staged files would be lost when they take their places.
        self.staged = stored.staged
        self.writable = not stored.staged and _is_writable(self.croissant_fs, self.croissant_dir)
        self.by_run, self.by_place = {}, {}
        for record_set in RECORD_SETS.values():
            rows = _rows(record_set, stored.tables[record_set.name])
            target = self.rows(record_set.name)
            if record_set.name == "runs":
                target.clear()
                target.update({row["name"]: row for row in rows if row["name"]})
            else:
                target[:] = rows
        self.stored_version = self.version

    @property
    def version(self) -> str:
        """A digest of the manifest, and with it of the CSVs that it describes."""
        return _version(self.doc)

    # Finding

    def resolve_url(self, url_value: str, **fs_args: Any) -> tuple[Any, str]:
        """The filesystem of a row's URL, and the path in it."""
        return self.places.open(self.places.absolute(url_value), **fs_args)

    def of_run(self, record_set: str, run: str) -> list[Row]:
        """The rows of one run, in order; the rows of all runs are sorted by run once after each change."""
        groups = self.by_run.get(record_set)
        if groups is None:
            groups = {}
            for row in self.rows(record_set):
                groups.setdefault(row.get("run"), []).append(row)
            self.by_run[record_set] = groups
        return groups.get(run, [])

    def find(self, record_set: str, key: Mapping[str, Any]) -> Row | None:
        """The first row with a key."""
        rows = self.of_run(record_set, key["run"]) if record_set in _OF_RUNS else self.rows(record_set)
        return next((row for row in rows if all(row.get(k) == v for k, v in key.items())), None)

    def at(self, record_set: str, place: str) -> list[Row]:
        """The rows of a record set whose data lies at an absolute URL or path; where all of them lie is looked up once
        after each change."""
        found = self.by_place.get(record_set)
        if found is None:
            found = self.by_place[record_set] = {}
            for row in self.rows(record_set):
                found.setdefault(one_spelling(self.places.absolute(row["url"] or "")), []).append(row)
        return found.get(one_spelling(place), [])

    def below(self, folder: str) -> Iterable[tuple[str, Row]]:
        """Rows whose data is in a folder, given as an absolute URL or path, with their record sets."""
        here, base = Location.parse(folder), Location.parse(self.base_url)
        inside = here.relative_to(base)
        for record_set in RECORD_SETS.values():
            if "url" not in record_set.columns:
                continue
            for row in self.rows(record_set.name):
                url = row["url"] or ""
                # Of a relative URL, how it begins says enough where the folder is in the project.
                if inside is None or url.lstrip("/").startswith(inside) or is_url(url) or is_roundabout(url):
                    place = Location.parse(self.places.absolute(url))
                    if place.relative_to(here) is not None:
                        yield record_set.name, row

    # Changing

    def _forget(self, record_set: str) -> None:
        self.by_run.pop(record_set, None)
        self.by_place.pop(record_set, None)

    def _change(self, change: Callable[[], None]) -> None:
        with self.locked():
            self.changes.append(change)
            change()

    def add_row(self, recordset_id: str, row: Row) -> None:
        self._change(partial(self._add, recordset_id, row))

    def _add(self, recordset_id: str, row: Row) -> None:
        name = record_set_name(recordset_id)
        if name in self.by_run and self.find(name, {k: row.get(k) for k in RECORD_SETS[name].key}) is None:
            # Of many rows, one more: what is known of the others stays.
            self.by_run[name].setdefault(row["run"], []).append(row)
            if name in self.by_place:
                place = one_spelling(self.places.absolute(row["url"] or ""))
                self.by_place[name].setdefault(place, []).append(row)
        else:
            self._forget(name)
        super().add_row(recordset_id, row)

    def remove_row(self, recordset_id: str, key: Row) -> None:
        self._change(partial(self._remove, recordset_id, key))

    def _remove(self, recordset_id: str, key: Row) -> None:
        self._forget(record_set_name(recordset_id))
        super().remove_row(recordset_id, key)

    def set_split(self, run_name: str, split: str | None) -> None:
        self.assign_splits({run_name: split or ""})

    def assign_splits(self, splits: Mapping[str, str]) -> None:
        """Gives runs their splits, with one commit. ``KeyError`` if one is not there; then none is changed."""
        change = partial(self._assign, splits)
        with self.locked():
            unknown = [name for name in splits if name not in self.runs_by_name]
            if unknown:
                raise KeyError(f"the Croissant has no run {listing(unknown)}")
            before = {name: self.runs_by_name[name].get("split") for name in splits}
            try:
                self._change(change)
                if self.commits_at_once:
                    self.commit()
            except BaseException:
                self.changes.remove(change)
                self._assign(before)
                raise

    def _assign(self, splits: Mapping[str, str | None]) -> None:
        for name, split in splits.items():
            # Somebody else may have deleted the run since.
            if name in self.runs_by_name:
                self.runs_by_name[name]["split"] = split
        self.mark_dirty("copick/runs")

    # Writing

    def write_changes(self) -> None:
        """Writes what was changed here into what is stored now, so that what others changed meanwhile stays. If that
        fails, it is tried again with the next change."""
        changed = self.changed
        try:
            while True:
                with shared_folder(self.croissant_fs, self.croissant_dir) as folder:
                    self._take_in()
                    try:
                        folder.write(self.changed_files())
                    except FileNotFoundError:
                        if folder.is_in_place:
                            raise
                    if folder.is_in_place:
                        break
                self.stored_version = ""
        except BaseException:
            for record_set in changed:
                self.mark_dirty(f"copick/{record_set}")
            raise
        self.changes.clear()
        self.stored_version = self.version

    def _take_in(self) -> None:
        """What is stored, with the changes made here, if it is not what they were made to."""
        content = self.croissant_fs.cat_file(self.metadata_path)
        with suppress(ValueError):
            if _version(json.loads(content)) == self.stored_version:
                return
        stored = read_croissant(self.location, self.fs_args)
        if stored.staged:
            raise PermissionError(f"the Croissant {self.location} is being replaced: save again when that is done")
        self._take(stored)
        at_once = self.commits_at_once
        self.defer_commit()
        try:
            for change in self.changes:
                change()
        finally:
            if at_once:
                self.resume_commit()

    def declared(self, record_set: str) -> None:
        """Takes out of the manifest what is no longer so once a CSV is rewritten: a size, a Parquet that has the old
        rows, splits that no run is in."""
        schema = RECORD_SETS[record_set]
        _file_object(self.doc, schema.file_object_id).pop("contentSize", None)
        replaced = set()
        for described in _record_set(self.doc, schema.id)["field"]:
            source = described["source"]["fileObject"]
            if source["@id"] != schema.file_object_id:
                replaced.add(source["@id"])
                described["source"]["fileObject"] = {"@id": schema.file_object_id}
        self.doc["distribution"] = [e for e in self.doc["distribution"] if e.get("@id") not in replaced]
        if record_set == "runs":
            self._declare_splits()

    def _declare_splits(self) -> None:
        """Lists the splits that runs are in, and lets their column refer to the list. Without a record the reference
        would leave the runs unreadable, so both are there or neither is."""
        names = self.get_all_splits()
        described = _record_set(self.doc, _SPLITS_ID)
        listed = [record[f"{_SPLITS_ID}/name"] for record in described.get("data", [])]
        ordered = [*(n for n in listed if n in names), *sorted(n for n in names if n not in listed)]
        column = next(f for f in _record_set(self.doc, "copick/runs")["field"] if f["@id"] == "copick/runs/split")
        if ordered:
            # mlcroissant takes its time to be imported.
            from croissant_recipes.croissant.manifest import SPLIT_TERMS, splits_record_set

            made = splits_record_set(ordered)
            if described:
                described["data"] = made["data"]
            else:
                self.doc["recordSet"].append(made)
            column["references"] = {"field": {"@id": f"{_SPLITS_ID}/name"}}
            context = self.doc.get("@context")
            if isinstance(context, dict):
                self.doc["@context"] = {**SPLIT_TERMS, **context}
        else:
            self.doc["recordSet"] = [r for r in self.doc["recordSet"] if r is not described]
            column.pop("references", None)


def _version(document: Mapping[str, Any]) -> str:
    return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _record_set(document: Mapping[str, Any], id_: str) -> dict[str, Any]:
    return next((r for r in document.get("recordSet", []) if r.get("@id") == id_), {})


def _is_writable(fs: Any, folder: str) -> bool:
    """Whether files can be written beside the manifest. Object stores are only asked when it is done."""
    if isinstance(fs, LocalFileSystem):
        return os.access(folder, os.W_OK)
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    return not protocols & _READ_ONLY_PROTOCOLS


def _project_root(croissant_url: str) -> str:
    """The folder above ``Croissant/``, as a URL where the manifest is given as one."""
    folder = Location.parse(croissant_url).parent.parent
    web = folder.public if folder.is_web else folder
    local = re.match(LOCAL_URL, croissant_url)
    return f"{local[0] if local else ''}{web.url}"


def _without_end(base_url: str) -> str:
    """A base URL without a slash at its end, which would be doubled in what is joined to it."""
    return base_url.rstrip("/") if base_url.strip("/") and not re.fullmatch(URL, base_url) else base_url
