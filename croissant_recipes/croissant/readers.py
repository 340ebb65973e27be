"""What copick and mlcroissant make of the emitted files: both read a CSV with plain ``pandas.read_csv``, which takes
texts for numbers, flags and missing values, and no quoting stops it.

The emitted bytes are read the same way here, and every cell is compared with what was written.
"""

from __future__ import annotations

import csv
import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from croissant_recipes.croissant.serialize import read_csv
from croissant_recipes.schema import RECORD_SETS, RecordSet

NOTHING = "nothing"

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


def changed_values(record_set: str, data: bytes, *, parquet: bool) -> list[ReaderChange]:
    """What the readers change in one emitted file, in the order of its columns.

    A column gives at most two entries: values that become another one, and values that become nothing. An empty cell
    that becomes nothing is no change, but a number beside one is: ``1001`` arrives as ``1001.0``.

    Args:
        record_set: The record set of the file.
        data: The file: Parquet if ``parquet``, else CSV.
        parquet: Whether the record set is read from Parquet. It keeps texts, so normally nothing is found.
    """
    schema = RECORD_SETS[record_set]
    written = _parquet_cells(data, schema) if parquet else read_csv(data, record_set)[0]
    read = pd.read_parquet(io.BytesIO(data)) if parquet else _as_readers_do(data)
    changes = []
    for column in schema.columns:
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


def _as_readers_do(data: bytes) -> pd.DataFrame:
    with warnings.catch_warnings():
        # A column of mixed types, which pandas warns of, is what is looked for.
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        return pd.read_csv(io.BytesIO(data))


def _parquet_cells(data: bytes, schema: RecordSet) -> pd.DataFrame:
    """What the Parquet holds, without pandas in between."""
    columns = pq.read_table(io.BytesIO(data)).to_pydict()
    for column in schema.texts:
        columns[column] = ["" if text is None else text for text in columns[column]]
    return pd.DataFrame({c: pd.Series(v, dtype=None if v else "object") for c, v in columns.items()})


def _line(data: bytes, position: int) -> int:
    """The line of the CSV on which a row starts; texts may hold line ends."""
    lines = csv.reader(io.StringIO(data.decode(), newline=""))
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
    if column in schema.texts:
        if isinstance(read.dtype, pd.StringDtype):
            same = (read == written).to_numpy(dtype=bool, na_value=False)
        else:
            same = np.fromiter(
                (str(r) == w for r, w in zip(read.tolist(), written.tolist(), strict=True)), dtype=bool, count=len(read)
            )
    else:
        same = (read == written).to_numpy()
    kinds = ((False, given & ~missing & ~same), (True, given & missing))
    return [(lost, np.flatnonzero(mask)) for lost, mask in kinds if mask.any()]


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
