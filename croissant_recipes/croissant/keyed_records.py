"""Record sets of any Croissant that have a ``key``, as tables: what is no record set of copick's can be compared too.

What a CSV, TSV or Parquet file holds column by column is read as it is written. All else, such as values that are taken
out of texts or of names of files, is what mlcroissant makes of it.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from croissant_recipes import intake, tables
from croissant_recipes.access import read_bytes, reading
from croissant_recipes.codes import Code
from croissant_recipes.croissant import manifest as manifests
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity
from croissant_recipes.location import Location

_SEPARATORS = {"text/csv": ",", "text/tab-separated-values": "\t", "text/tsv": "\t"}
_PARQUET = frozenset({"application/x-parquet", "application/vnd.apache.parquet", "application/parquet"})
_NUMBERS = frozenset({"Float", "Integer", "Number"})


@dataclass(frozen=True)
class KeyedRecords:
    """The records of one record set.

    Attributes:
        key: The columns that identify a record.
        table: All columns: numbers where the manifest says so, else texts. A key stands in it once.
    """

    key: tuple[str, ...]
    table: pd.DataFrame


def read(manifest: Mapping[str, Any], location: Location) -> tuple[dict[str, KeyedRecords], list[Diagnostic]]:
    """The record sets with a key that are not copick's, by their ids, and what is to be said of those that cannot be
    read.

    Args:
        manifest: The metadata document.
        location: Where it lies.
    """
    found: dict[str, KeyedRecords] = {}
    told = []
    for entry in manifests.others(manifest, "recordSet"):
        key = _key(entry)
        if not key:
            continue
        name = str(entry.get("@id") or entry.get("name"))
        try:
            records = _records(entry, name, manifest, location)
        except DiagnosticError as error:
            told += [_left_out(location, name, error.diagnostics[0].message)]
            continue
        except Exception as error:
            # mlcroissant and what it reads with raise whatever they like.
            told += [_left_out(location, name, str(error).strip().partition("\n")[0] or type(error).__name__)]
            continue
        missing = [column for column in key if column not in records]
        if missing:
            told += [_left_out(location, name, f"its key {missing[0]!r} is no field of it")]
            continue
        twice = int((~tables.first_of_each(records, key)).sum())
        if twice:
            told += [_left_out(location, name, f"{twice:,} of its records have the key of another", part=True)]
            records = tables.take(records, tables.first_of_each(records, key).nonzero()[0])
        found[name] = KeyedRecords(key, tables.sort_by(records, key))
    return found, told


def alike(before: Mapping[str, KeyedRecords], after: Mapping[str, KeyedRecords]) -> Iterator[tuple[str, Pair]]:
    """Those of two Croissants, by name, with the same columns of the same types; empty where one has none."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        key = (new or old).key  # type: ignore[union-attr]
        if old is not None and new is not None and old.key != new.key:
            old, key = None, new.key
        frames = [each.table if each is not None else None for each in (old, new)]
        columns = list(dict.fromkeys(str(c) for f in frames if f is not None for c in f))
        kinds = {c: _kind([f for f in frames if f is not None and c in f], c) for c in columns}
        then, now = (_with(frame, kinds) for frame in frames)
        yield name, (key, then, now)


Pair = tuple[tuple[str, ...], pd.DataFrame, pd.DataFrame]
"""The key, and the records before and after."""


def _kind(frames: Sequence[pd.DataFrame], column: str) -> str:
    kinds = {str(frame[column].dtype) for frame in frames}
    return kinds.pop() if len(kinds) == 1 else "str"


def _with(frame: pd.DataFrame | None, kinds: Mapping[str, str]) -> pd.DataFrame:
    rows = 0 if frame is None else len(frame)
    data = {}
    for column, kind in kinds.items():
        if frame is not None and column in frame:
            data[column] = frame[column].astype(kind).array  # type: ignore[call-overload]
        else:
            nothing: Any = float("nan") if kind == "float64" else ""
            data[column] = pd.array([nothing] * rows, dtype=kind)  # type: ignore[call-overload]
    return pd.DataFrame(data, columns=list(kinds))


def _key(entry: Any) -> tuple[str, ...]:
    """The columns that a record set calls its key, without the record set's own id in front."""
    given = entry.get("key") if isinstance(entry, Mapping) else None
    parts = given if isinstance(given, list) else [given] if given else []
    ids = [p.get("@id") if isinstance(p, Mapping) else p for p in parts]
    return tuple(_column(str(i), entry) for i in ids if i)


def _column(field: str, entry: Mapping[str, Any]) -> str:
    prefix = f"{entry.get('@id') or entry.get('name')}/"
    return field.removeprefix(prefix)


def _fields(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    given = entry.get("field")
    return [f for f in (given if isinstance(given, list) else [given]) if isinstance(f, Mapping)]


def _records(entry: Mapping[str, Any], name: str, manifest: Mapping[str, Any], location: Location) -> pd.DataFrame:
    fields = {_column(str(f.get("@id") or f.get("name")), entry): f for f in _fields(entry)}
    columns = {column: _plain_column(field) for column, field in fields.items()}
    files = {each[0] for each in columns.values() if each is not None}
    if "data" in entry and isinstance(entry["data"], list):
        frame = _of_rows([{_column(str(k), entry): v for k, v in row.items()} for row in entry["data"]], fields)
    elif len(files) == 1 and all(columns.values()) and (file := _file(manifest, files.pop())) is not None:
        frame = _of_file(file, {c: each[1] for c, each in columns.items() if each is not None}, location)
    else:
        frame = _of_mlcroissant(entry, name, location, list(fields))
    for column, field in fields.items():
        if _type(field) in _NUMBERS:
            numbers = pd.to_numeric(frame[column], errors="coerce").astype("float64")
            if not (numbers.isna() & (frame[column] != "")).any():
                frame[column] = numbers.array
    return frame


def _type(field: Mapping[str, Any]) -> str:
    given = field.get("dataType")
    first = given[0] if isinstance(given, list) and given else given
    return str(first).rpartition(":")[2].rpartition("/")[2]


def _plain_column(field: Mapping[str, Any]) -> tuple[str, str] | None:
    """The id of the file and the column that hold a field as it is; ``None`` where something is made of it."""
    source = field.get("source")
    if not isinstance(source, Mapping) or source.keys() & {"transform", "format", "fileSet"}:
        return None
    file, extract = source.get("fileObject"), source.get("extract")
    column = extract.get("column") if isinstance(extract, Mapping) else None
    named = file.get("@id") if isinstance(file, Mapping) else file
    return (str(named), str(column)) if named and column else None


def _file(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """A file that can be read as it is: it is in no archive, and of a kind that is read here."""
    entries = manifest.get("distribution")
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, Mapping) and str(entry.get("@id") or entry.get("name")) == name:
            kind = str(entry.get("encodingFormat"))
            fits = kind in _SEPARATORS or kind in _PARQUET
            return entry if fits and "containedIn" not in entry and entry.get("contentUrl") else None
    return None


def _of_file(file: Mapping[str, Any], columns: Mapping[str, str], location: Location) -> pd.DataFrame:
    place, kind = Location.parse(str(file["contentUrl"]), location.parent), str(file["encodingFormat"])
    with reading("file", place, {}):
        data = read_bytes(place, {}, intake.TABLE_BYTES)
    if kind in _PARQUET:
        import pyarrow.parquet as pq

        rows = pq.read_table(io.BytesIO(data), columns=list(dict.fromkeys(columns.values()))).to_pandas()
    else:
        rows = pd.read_csv(
            io.BytesIO(data), sep=_SEPARATORS[kind], dtype=str, keep_default_na=False, quoting=csv.QUOTE_MINIMAL
        )
    lacking = [c for c in columns.values() if c not in rows]
    if lacking:
        raise ValueError(f"{place.name} has no column {lacking[0]!r}")
    return pd.DataFrame({c: _texts(rows[of]) for c, of in columns.items()})


def _of_mlcroissant(entry: Mapping[str, Any], name: str, location: Location, columns: list[str]) -> pd.DataFrame:
    import mlcroissant as mlc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = list(mlc.Dataset(jsonld=location.url if not location.is_local else location.path).records(name))
    rows = [{_column(str(k), entry): v for k, v in record.items()} for record in records]
    return pd.DataFrame({c: _texts(pd.Series([row.get(c) for row in rows], dtype=object)) for c in columns})


def _of_rows(rows: list[dict[str, Any]], fields: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({c: _texts(pd.Series([row.get(c) for row in rows], dtype=object)) for c in fields})


def _texts(column: pd.Series) -> Any:
    return pd.array([_text(value) for value in column], dtype="str")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return str(value)


def _left_out(location: Location, name: str, why: str, *, part: bool = False) -> Diagnostic:
    what = "is compared in part" if part else "is not compared"
    message = f"Croissant {location}: record set {name} {what}: {why}"
    return Diagnostic(Code.CROISSANT, message, Severity.WARNING)
