"""Record tables to CSV and Parquet bytes, and CSV bytes back, with every text exactly as it is.

Cells go through Arrow and never become Python objects: a table of a million rows is read in half a second of CPU time
and written in one.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from croissant_recipes import tables
from croissant_recipes.diagnostics import listing
from croissant_recipes.schema import RECORD_SETS, RecordSet

_ROWS_AT_A_TIME = 65_536
_BYTES_AT_A_TIME = 2**23
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no", ""})


def csv_bytes(record_set: str, table: pd.DataFrame) -> bytes:
    """The CSV of a record table, byte for byte as ``csv.DictWriter`` writes it for copick: a header always, ``\\r\\n``
    line ends, cells quoted only where they must be. Voxel sizes (Å) have the shortest digits that read back equal; an
    unknown one is empty.
    """
    written = io.BytesIO()
    written.write((",".join(RECORD_SETS[record_set].columns) + "\r\n").encode())
    for lines in _lines(record_set, table):
        written.write(_content(lines))
    return written.getvalue()


def row_digests(record_set: str, table: pd.DataFrame) -> pa.Array:
    """A digest of every row, of its line in the CSV: five bytes, enough to tell whether a row of a known key is still
    the one that it was."""
    size = 5
    # Copied for each row, which is faster than to set it up a million times.
    fresh, found = blake2b(digest_size=size), io.BytesIO()
    for lines in _lines(record_set, table):
        content, ends = _content(lines).tobytes(), (_ends(lines) - _ends(lines)[0]).tolist()
        for start, end in pairwise(ends):
            row = fresh.copy()
            row.update(content[start:end])
            found.write(row.digest())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(table), [None, pa.py_buffer(found.getvalue())])


def _lines(record_set: str, table: pd.DataFrame) -> Iterator[pa.Array]:
    """The lines of the CSV below its header, many at a time, with their ends."""
    if not len(table):
        return
    schema = RECORD_SETS[record_set]
    columns = [_cells(schema, c, table[c]) for c in schema.columns]
    for start in range(0, len(table), _ROWS_AT_A_TIME):
        cells = [_quoted(c.slice(start, _ROWS_AT_A_TIME)) for c in columns]
        cells[-1] = pc.binary_join_element_wise(cells[-1], _text("\r\n"), _text(""))
        yield pc.binary_join_element_wise(*cells, _text(","))


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
            texts = tables.arrow_texts(table[column])
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
        ValueError: If the CSV is malformed, names a column twice, has rows but not the columns of their key, a row that
            is not as long as its header, a voxel size that is no finite number or a flag that is neither true nor
            false. Rows in the message count from 1, header included.
    """
    schema = RECORD_SETS[record_set]
    found = _all_text(data, schema)
    # Flags came late: without their column they are false.
    lacking = [c for c in schema.key if c not in found.column_names and c not in schema.booleans]
    if lacking and found.num_rows:
        what = "column" if len(lacking) == 1 else "columns"
        raise ValueError(f"{schema.csv_name} has no {what} {listing(lacking)}, by which its rows are known")
    columns: dict[str, Any] = {}
    for column in schema.columns:
        if column not in found.column_names:
            columns[column] = [_nothing(schema, column)] * found.num_rows
        elif column in schema.floats:
            columns[column] = _parsed(found[column], _float, f"{schema.csv_name}, column {column}", "no number")
        elif column in schema.booleans:
            columns[column] = _parsed(found[column], _flag, f"{schema.csv_name}, column {column}", "no flag")
        else:
            columns[column] = found[column].combine_chunks().to_pandas()
    return tables.records(record_set, columns), tuple(c for c in found.column_names if c not in columns)


def empty_lines(data: bytes) -> list[int]:
    """The numbers of lines, from 1, in which there is nothing, not even a comma; every reader passes over them."""
    # Hardly any CSV has one, and to look for them record by record takes longer than to read it.
    if not data.startswith((b"\r", b"\n")) and not any(ends in data for ends in (b"\n\n", b"\n\r\n", b"\r\r")):
        return []
    lines = csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline=""))
    try:
        return [lines.line_num for cells in lines if not cells]
    except csv.Error:  # a cell longer than it takes, which Arrow does
        return []


def _nothing(schema: RecordSet, column: str) -> object:
    return float("nan") if column in schema.floats else False if column in schema.booleans else ""


def _cells(schema: RecordSet, column: str, values: pd.Series) -> pa.Array:
    if column in schema.texts:
        return tables.arrow_texts(values)
    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    if column in schema.floats:
        texts = ["" if v != v else repr(v) for v in distinct.tolist()]
    else:
        texts = ["true" if v else "false" for v in distinct.tolist()]
    return pa.array(texts, type=pa.large_string()).take(pa.array(codes))


def _quoted(cells: pa.Array) -> pa.Array:
    content = bytes(_content(cells))
    if not any(mark in content for mark in (b'"', b",", b"\r", b"\n")):
        return cells
    special = pc.match_substring_regex(cells, pattern='[",\r\n]')
    doubled = pc.replace_substring(cells, pattern='"', replacement='""')
    return pc.if_else(special, pc.binary_join_element_wise(_text('"'), doubled, _text('"'), _text("")), cells)


def _content(texts: pa.Array) -> memoryview:
    """The texts one after the other, in UTF-8, without a copy."""
    ends = _ends(texts)
    return memoryview(texts.buffers()[2] or b"")[ends[0] : ends[-1]]


def _ends(texts: pa.Array) -> np.ndarray[Any, Any]:
    """Where each text starts in Arrow's buffer, and where the last one ends."""
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int64)
    return offsets[texts.offset : texts.offset + len(texts) + 1]


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _all_text(data: bytes, schema: RecordSet) -> pa.Table:
    """The CSV, the columns of the schema as text without nulls."""
    # Arrow takes a header for one only when its line ends.
    whole = data if data.endswith((b"\n", b"\r")) else data + b"\r\n"
    try:
        # Without quotes no cell holds a line end, and the parts of the file can be read apart from each other.
        found = _arrow_table(whole, schema, in_parts=b'"' not in data)
    except pa.ArrowInvalid:
        found = _in_one_part(whole, schema)
    if len(set(found.column_names)) != found.num_columns:
        raise ValueError(f"{schema.csv_name}: a column is named twice in the header {found.column_names}")
    return found


def _in_one_part(data: bytes, schema: RecordSet) -> pa.Table:
    """The CSV read from its start to its end, so that rows are counted."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        # Arrow cannot show a row of such a file, and would tell of that on standard error.
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{schema.csv_name} is not UTF-8, in line {line}") from None
    ragged: list[Any] = []

    def refuse(row: Any) -> str:
        ragged.append(row)
        return "error"

    try:
        return _arrow_table(data, schema, in_parts=False, invalid_row_handler=refuse)
    except pa.ArrowInvalid as error:
        problem = f" is not a CSV: {error}"
        if ragged:
            row = ragged[0]
            problem = f", row {row.number}: {row.actual_columns} cells under {row.expected_columns} columns"
        raise ValueError(f"{schema.csv_name}{problem}") from error


def _arrow_table(data: bytes, schema: RecordSet, *, in_parts: bool, **parsing: Any) -> pa.Table:
    return pyarrow.csv.read_csv(
        pa.py_buffer(data),
        # Where it is not in parts, it is one block, so that no cell is cut by the end of one.
        read_options=pyarrow.csv.ReadOptions(
            use_threads=in_parts, block_size=_BYTES_AT_A_TIME if in_parts else len(data) + 1
        ),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=not in_parts, **parsing),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(schema.columns, pa.large_string()), strings_can_be_null=False
        ),
    )


def _parsed(cells: pa.ChunkedArray, parse: Callable[[str], object], where: str, problem: str) -> np.ndarray[Any, Any]:
    """Each cell parsed, each distinct text once."""
    encoded = cells.combine_chunks().dictionary_encode()
    codes, values = encoded.indices.to_numpy(), []
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            values.append(parse(text))
        except ValueError as error:
            row = int(np.argmax(codes == code)) + 2
            raise ValueError(f"{where}, row {row}: {text!r} is {problem}") from error
    return np.array(values)[codes] if values else np.array([])


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
