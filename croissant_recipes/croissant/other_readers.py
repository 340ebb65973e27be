"""What copick and mlcroissant make of the emitted files: both read a CSV with plain ``pandas.read_csv``, which takes
texts for numbers, flags and missing values, and no quoting stops it.

The emitted bytes are read the same way here, and every cell is compared with what was written.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from croissant_recipes import tables
from croissant_recipes.schema import RECORD_SETS, RecordSet

NOTHING = "nothing"

_SAMPLE = 10_000
_READERS = "copick and mlcroissant"


@dataclass(frozen=True)
class ReaderChange:
    """One way in which a column does not arrive as it was written.

    Attributes:
        record_set: ``picks``.
        column: ``session_id``.
        rows: How many rows it happens in.
        row: The line on which the first of them starts, counted from 1, header included.
        written: The cell of that row.
        read: ``repr`` of what the readers make of it, or ``nothing``.
        readers: Who does it.
        consequence: What that means for the one who opens the Croissant.
    """

    record_set: str
    column: str
    rows: int
    row: int
    written: str
    read: str
    readers: str
    consequence: str


def changed_values(record_set: str, data: bytes, written: pd.DataFrame, *, parquet: bool) -> list[ReaderChange]:
    """What the readers change in one emitted file, in the order of its columns.

    A column gives at most two entries: values that become another one, and values that become nothing. An empty cell
    that becomes nothing is no change, but a number beside one is: ``1001`` arrives as ``1001.0``.

    Args:
        record_set: The record set of the file.
        data: The file: Parquet if ``parquet``, else CSV.
        written: The record table that the file was made of.
        parquet: Whether the record set is read from Parquet. It keeps texts, so normally nothing is found.
    """
    if not len(written):
        return []
    schema = RECORD_SETS[record_set]
    # What follows a NUL is nothing to a reader written in C.
    cut = b"\0" in data
    columns = [c for c in schema.columns if parquet or _may_change(schema, written[c], cut=cut)]
    if not columns:
        return []
    read = pd.read_parquet(io.BytesIO(data), columns=columns) if parquet else _as_readers_do(data, columns)
    changes = []
    for column in columns:
        for lost, rows in _differences(schema, column, written[column], read[column]):
            first = int(rows[0])
            cell = written[column].iloc[first]
            changes.append(
                ReaderChange(
                    record_set=record_set,
                    column=column,
                    rows=len(rows),
                    row=first + 2 if parquet else _line(data, first),
                    written=str(cell),
                    read=NOTHING if lost else repr(_arrived(read[column].iloc[first], column in schema.texts)),
                    readers=_READERS,
                    consequence=_consequence(schema, column, lost=lost),
                )
            )
    return changes


_TAKEN_FOR_ELSE = (
    r"(?i)^(?:"
    r"[\s\x0b]*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d*)?[\s\x0b]*"  # a number
    r"|[+-]?(?:inf(?:inity)?|nan|1\.#ind|1\.#qnan)"
    r"|<na>|#?n/?a(?: n/a)?|#n/a(?: n/a)?|null|none"  # nothing
    r"|true|false"
    r")$"
)
"""Texts that may be read as something else. Which of them are depends on what else is in the column."""


def _may_change(schema: RecordSet, column: pd.Series, *, cut: bool) -> bool:
    """Whether a column has a value that readers might change. A column of others is not read to find out. ``cut``:
    whether the readers cut any value of the file short."""
    if column.name in schema.booleans:
        return False
    if column.name in schema.floats:
        return bool(column.notna().any())
    texts = tables.arrow_texts(column)
    if len(texts) > _SAMPLE and pc.count_distinct(texts[:_SAMPLE]).as_py() < _SAMPLE // 10:
        texts = pc.unique(texts)
    if cut and pc.any(pc.match_substring(texts, "\0")).as_py():
        return True
    return bool(pc.any(pc.match_substring_regex(texts, pattern=_TAKEN_FOR_ELSE)).as_py())


def _as_readers_do(data: bytes, columns: Sequence[str]) -> pd.DataFrame:
    with warnings.catch_warnings():
        # A column of mixed types, which pandas warns of, is what is looked for.
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        return pd.read_csv(io.BytesIO(data), usecols=list(columns))


def _line(data: bytes, position: int) -> int:
    """The line of the CSV on which a row starts; texts may hold line ends."""
    if b'"' not in data:
        return position + 2
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline=""))
    for _ in range(position + 1):
        next(lines)
    return lines.line_num + 1


def _arrived(value: Any, is_text: bool) -> Any:
    """One cell as mlcroissant casts it: every text column through ``str``."""
    return str(value) if is_text else value


def _differences(
    schema: RecordSet, column: str, written: pd.Series, read: pd.Series
) -> list[tuple[bool, np.ndarray[Any, Any]]]:
    """Rows (positions) that change, then rows that are lost, where there are any."""
    given = (written != "" if column in schema.texts else written.notna()).to_numpy()
    if not given.any():
        return []
    missing = read.isna().to_numpy()
    same = _same_texts(written, read) if column in schema.texts else (read.to_numpy() == written.to_numpy())
    kinds = ((False, given & ~missing & ~same), (True, given & missing))
    return [(lost, np.flatnonzero(mask)) for lost, mask in kinds if mask.any()]


def _same_texts(written: pd.Series, read: pd.Series) -> np.ndarray[Any, Any]:
    """Where the text of what is read is what was written; each pair of values is compared once."""
    if isinstance(read.dtype, pd.StringDtype):
        return ~tables.differs(written, read)
    if read.dtype == object:
        # Values that are equal, such as 1 and True, have other texts.
        read = read.map(str).astype("str")
        return ~tables.differs(written, read)
    bits = read.to_numpy()
    values, at = np.unique(bits.view("int64") if bits.dtype == "float64" else bits, return_inverse=True)
    texts = pd.Series([str(v) for v in values.view(bits.dtype).tolist()], dtype="str")
    return ~tables.differs(written, texts.take(at))


_LOST = {
    "run": "the row belongs to no run",
    "url": "the file cannot be opened",
    "sha256": "the checksum is lost",
    "split": "the run is in no split",
    "voxel_size": "the voxel size is lost",
}
_CHANGED = {
    "run": "the row belongs to a run of that name",
    "url": "the file is not found",
    "sha256": "the checksum does not fit the file",
    "split": "the run is in another split, or the Croissant does not open",
    "voxel_size": "the voxel size is another one",
}


def _consequence(schema: RecordSet, column: str, *, lost: bool) -> str:
    known = (_LOST if lost else _CHANGED).get(column)
    if known:
        return known
    if column.startswith("portal_"):
        return "what the portal calls it is lost" if lost else "it does not match what the portal calls it"
    if schema.name == "runs":
        return "the run is left out" if lost else "the run has another name, and writes go to another folder"
    if schema.name == "objects":
        return "the object has no density map"
    return f"the {schema.artifact} of its run cannot be listed" if lost else "it has another name"
