"""Record tables to CSV and Parquet bytes, and CSV bytes back, with every text exactly as it is.

Columns go through Arrow whole: a table of 200,000 rows is written or read in a fraction of a second.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from croissant_recipes import tables
from croissant_recipes.schema import RECORD_SETS, RecordSet

_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no", ""})


def csv_bytes(record_set: str, table: pd.DataFrame) -> bytes:
    """The CSV of a record table, byte for byte as ``csv.DictWriter`` writes it for copick: a header always, ``\\r\\n``
    line ends, cells quoted only where they must be. Voxel sizes (Å) have the shortest digits that read back equal; an
    unknown one is empty.
    """
    schema = RECORD_SETS[record_set]
    lines = [",".join(schema.columns)]
    if len(table):
        cells = [_quoted(_cells(schema, c, table[c])) for c in schema.columns]
        lines += pc.binary_join_element_wise(*cells, pa.scalar(",", pa.large_string())).to_pylist()
    return ("\r\n".join(lines) + "\r\n").encode()


def parquet_bytes(record_set: str, table: pd.DataFrame) -> bytes:
    """The Parquet of a record table; the same table gives the same bytes with the same pyarrow.

    An empty text is null, as a reader of the CSV takes an empty cell: mlcroissant's records and copick's rows then hold
    ``None`` for it from either file.
    """
    schema = RECORD_SETS[record_set]
    arrays = {}
    for column in schema.columns:
        if column in schema.floats:
            arrays[column] = pa.array(table[column], type=pa.float64(), from_pandas=True)
        elif column in schema.booleans:
            arrays[column] = pa.array(table[column], type=pa.bool_())
        else:
            texts = _texts(table[column])
            arrays[column] = pc.if_else(pc.equal(texts, ""), None, texts).cast(pa.string())
    buffer = io.BytesIO()
    # Neither pandas' nor Arrow's own schema goes into the file: both name library versions.
    pq.write_table(pa.table(arrays), buffer, store_schema=False)
    return buffer.getvalue()


def read_csv(data: bytes, record_set: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The record table of a CSV, and the columns of the CSV that the schema does not know.

    The inverse of ``csv_bytes``: no text is taken for a number, a flag or a missing value. Schema columns that the CSV
    lacks are empty (floats NaN, flags false).

    Raises:
        ValueError: If the CSV is malformed, names a column twice, has a row that is not as long as its header, a voxel
            size that is no finite number or a flag that is neither true nor false. Rows in the message count from 1,
            header included.
    """
    schema = RECORD_SETS[record_set]
    found = _all_text(data, schema)
    columns: dict[str, Any] = {}
    for column in schema.columns:
        if column not in found.column_names:
            columns[column] = [_nothing(schema, column)] * found.num_rows
        elif column in schema.floats:
            columns[column] = _parsed(found[column], _float, f"{schema.csv_name}, column {column}", "no number")
        elif column in schema.booleans:
            columns[column] = _parsed(found[column], _flag, f"{schema.csv_name}, column {column}", "no flag")
        else:
            columns[column] = found[column].to_pandas()
    return tables.records(record_set, columns), tuple(c for c in found.column_names if c not in columns)


def _nothing(schema: RecordSet, column: str) -> object:
    return float("nan") if column in schema.floats else False if column in schema.booleans else ""


def _texts(column: pd.Series) -> pa.Array:
    array = pa.array(column, type=pa.large_string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _cells(schema: RecordSet, column: str, values: pd.Series) -> pa.Array:
    if column in schema.floats:
        return pa.array(["" if v != v else repr(v) for v in values.tolist()], type=pa.large_string())
    if column in schema.booleans:
        return pa.array(["true" if v else "false" for v in values.tolist()], type=pa.large_string())
    return _texts(values)


def _quoted(cells: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(cells, pattern='[",\r\n]')
    if not pc.any(special).as_py():
        return cells
    mark, nothing = pa.scalar('"', pa.large_string()), pa.scalar("", pa.large_string())
    doubled = pc.replace_substring(cells, pattern='"', replacement='""')
    return pc.if_else(special, pc.binary_join_element_wise(mark, doubled, mark, nothing), cells)


def _all_text(data: bytes, schema: RecordSet) -> pa.Table:
    """The CSV, the columns of the schema as text without nulls."""
    ragged: list[Any] = []

    def refuse(row: Any) -> str:
        ragged.append(row)
        return "error"

    # Arrow takes a header for one only when its line ends.
    whole = data if data.endswith((b"\n", b"\r")) else data + b"\r\n"
    try:
        found = pyarrow.csv.read_csv(
            pa.py_buffer(whole),
            # One block, so that no cell is cut by the end of one; one thread, so that rows are counted.
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=len(whole) + 1),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(schema.columns, pa.large_string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        problem = f" is not a CSV: {error}"
        if ragged:
            row = ragged[0]
            problem = f", row {row.number}: {row.actual_columns} cells under {row.expected_columns} columns"
        raise ValueError(f"{schema.csv_name}{problem}") from error
    if len(set(found.column_names)) != found.num_columns:
        raise ValueError(f"{schema.csv_name}: a column is named twice in the header {found.column_names}")
    return found


def _parsed(cells: pa.ChunkedArray, parse: Callable[[str], object], where: str, problem: str) -> list[object]:
    """Each cell parsed, each distinct text once."""
    values: dict[str, object] = {}
    texts = cells.to_pylist()
    for text in dict.fromkeys(texts):
        try:
            values[text] = parse(text)
        except ValueError as error:
            raise ValueError(f"{where}, row {texts.index(text) + 2}: {text!r} is {problem}") from error
    return [values[text] for text in texts]


def _float(text: str) -> float:
    if not text:
        return float("nan")
    value = float(text)
    # float() takes more than a number: "nan", "inf" and "1_000".
    if not math.isfinite(value) or "_" in text:
        raise ValueError(text)
    return value


def _flag(text: str) -> bool:
    folded = text.strip().lower()
    if folded not in _TRUE | _FALSE:
        raise ValueError(text)
    return folded in _TRUE
