# mypy: disable-error-code="misc"
# (copick is untyped, and its index is subclassed)
"""The rows of a Croissant for ``reading``: read as text, checked against the manifest, kept by run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
from copick.impl.mlcroissant import CroissantIndex, _fs_for_url, _fs_writable, _has_protocol
from fsspec.implementations.local import LocalFileSystem

from croissant_recipes.croissant.serialize import read_csv
from croissant_recipes.journal import staged_view
from croissant_recipes.schema import RECORD_SETS, STANDARD_SPLITS, RecordSet

_WAITS = (0.05, 0.1, 0.2, 0.4)
"""Seconds between readings of a Croissant whose files do not fit each other: a build may be replacing them."""

_SPLITS_ID = "copick/splits"

Row = dict[str, Any]


@dataclass(frozen=True)
class _Snapshot:
    """A manifest and the record tables that it names, all of one version; ``staged`` if a commit of it is under way."""

    document: dict[str, Any]
    tables: Mapping[str, pd.DataFrame]
    staged: bool


def _snapshot(fs: Any, metadata_path: str) -> _Snapshot:
    for wait in _WAITS:
        try:
            return _read(fs, metadata_path)
        except (FileNotFoundError, _MixedError):
            time.sleep(wait)
    return _read(fs, metadata_path)


class _MixedError(ValueError):
    """A CSV is not the one that the manifest describes."""


def _read(fs: Any, metadata_path: str) -> _Snapshot:
    folder = os.path.dirname(metadata_path) or "."
    staged = None if isinstance(fs, LocalFileSystem) else staged_view(lambda name: fs.cat_file(f"{folder}/{name}"))
    where = {name: f"{folder}/{path}" for name, path in (staged or {}).items()}
    document = json.loads(fs.cat_file(where.get(os.path.basename(metadata_path), metadata_path)))
    tables = {}
    for record_set in _declared(document):
        name = record_set.csv_name
        data = fs.cat_file(where.get(name, f"{folder}/{name}"))
        _check_digest(document, record_set, data, metadata_path)
        tables[record_set.name], _ = read_csv(data, record_set.name)
    return _Snapshot(document, tables, staged is not None)


def _declared(document: Mapping[str, Any]) -> list[RecordSet]:
    """The record sets that the manifest has. It says what the Croissant holds: another CSV beside it is not read."""
    ids = {r.get("@id") for r in document.get("recordSet", [])}
    return [r for r in RECORD_SETS.values() if r.id in ids]


def _file_object(document: Mapping[str, Any], id_: str) -> dict[str, Any]:
    return next((entry for entry in document.get("distribution", []) if entry.get("@id") == id_), {})


def _check_digest(document: Mapping[str, Any], record_set: RecordSet, data: bytes, metadata_path: str) -> None:
    expected = _file_object(document, record_set.file_object_id).get("sha256")
    found = sha256(data).hexdigest()
    if expected and found != expected:
        raise _MixedError(
            f"{record_set.csv_name} is not the file that {metadata_path} describes: "
            f"its sha256 is {found}, not {expected}"
        )


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
class ExactIndex(CroissantIndex):
    """copick's index of a Croissant, with exact rows."""

    _by_run: dict[str, dict[str, list[Row]]] = field(default_factory=dict)

    @classmethod
    def from_url(
        cls,
        croissant_url: str,
        *,
        base_url_override: str | None = None,
        fs_args: dict[str, Any] | None = None,
        static_fs_args: dict[str, Any] | None = None,
    ) -> ExactIndex:
        """As copick's, with the same arguments."""
        fs, path = _fs_for_url(croissant_url, **(fs_args or {}))
        snapshot = _snapshot(fs, path)
        folder = os.path.dirname(path) or "."
        base_url = base_url_override or snapshot.document.get("copick:baseUrl") or _project_root(croissant_url, path)
        index = cls(
            doc=snapshot.document,
            croissant_dir=folder,
            croissant_fs=fs,
            base_url=base_url,
            static_fs_args=dict(static_fs_args or {}),
            _metadata_path=path,
        )
        index._take(snapshot)
        return index

    def _load_records(self) -> None:
        self._take(_snapshot(self.croissant_fs, self._metadata_path))

    def _take(self, snapshot: _Snapshot) -> None:
        self.doc = snapshot.document
        self.config_block = self.doc.get("copick:config", {})
        # What is written beside staged files would be lost when they take their places.
        self._writable = not snapshot.staged and _fs_writable(self.croissant_fs, self.croissant_dir)
        self._by_run.clear()
        for record_set in RECORD_SETS.values():
            table = snapshot.tables.get(record_set.name)
            rows = [] if table is None else _rows(record_set, table)
            target = self._get_list_for(record_set.id)
            if record_set.name == "runs":
                target.clear()
                target.update({row["name"]: row for row in rows if row["name"]})
            else:
                target[:] = rows

    def rows_of_run(self, record_set: str, run: str) -> list[Row]:
        """The rows of one run, in order; the rows of all runs are sorted by run once after each change."""
        groups = self._by_run.get(record_set)
        if groups is None:
            groups = self._by_run[record_set] = {}
            for row in getattr(self, record_set):
                groups.setdefault(row.get("run"), []).append(row)
        return groups.get(run, [])

    def add_row(self, recordset_id: str, row: Row) -> None:
        with self._write_lock:
            self._by_run.pop(recordset_id.removeprefix("copick/"), None)
            super().add_row(recordset_id, row)

    def remove_row(self, recordset_id: str, key: Row) -> None:
        with self._write_lock:
            self._by_run.pop(recordset_id.removeprefix("copick/"), None)
            super().remove_row(recordset_id, key)

    def _declare_recordset(self, recordset_id: str) -> None:
        """What copick declares of a CSV that it rewrites, and nothing that is no longer so: a size, a Parquet that has
        the old rows, splits that no run is in."""
        super()._declare_recordset(recordset_id)
        schema = RECORD_SETS[recordset_id.removeprefix("copick/")]
        _file_object(self.doc, schema.file_object_id).pop("contentSize", None)
        replaced = set()
        for described in _record_set(self.doc, recordset_id)["field"]:
            source = described["source"]["fileObject"]
            if source["@id"] != schema.file_object_id:
                replaced.add(source["@id"])
                described["source"]["fileObject"] = {"@id": schema.file_object_id}
        self.doc["distribution"] = [e for e in self.doc["distribution"] if e.get("@id") not in replaced]
        if recordset_id == "copick/runs":
            self._declare_splits()

    def _declare_splits(self) -> None:
        splits = _record_set(self.doc, _SPLITS_ID)
        if not splits:
            return
        names = self.get_all_splits()
        listed = [record[f"{_SPLITS_ID}/name"] for record in splits.get("data", [])]
        ordered = [*(n for n in listed if n in names), *(n for n in names if n not in listed)]
        splits["data"] = [
            {f"{_SPLITS_ID}/name": n, f"{_SPLITS_ID}/url": STANDARD_SPLITS.get(n.lower(), "")} for n in ordered
        ]
        if not ordered:
            # Without a record, the reference to it would leave the runs unreadable.
            self.doc["recordSet"].remove(splits)
            for described in _record_set(self.doc, "copick/runs")["field"]:
                described.pop("references", None)


def _record_set(document: Mapping[str, Any], id_: str) -> dict[str, Any]:
    return next((r for r in document.get("recordSet", []) if r.get("@id") == id_), {})


def _project_root(croissant_url: str, path: str) -> str:
    """The folder above ``Croissant/``, as a URL where the manifest is given as one."""
    if not _has_protocol(croissant_url):
        return os.path.dirname(os.path.dirname(path))
    url = urlsplit(croissant_url)
    return url._replace(path=os.path.dirname(os.path.dirname(url.path)).rstrip("/"), query="", fragment="").geturl()
