"""Every row that a build wrote, in one compact columnar file beside the Croissant: its key, a digest, where it is from.

The file is Parquet with one line for each row of each record set, in their order. Readers of the Croissant ignore it.

==================  ==================================================================================================
column
==================  ==================================================================================================
``record_set``      Name of the record set.
key columns         Those of all record sets; empty where a record set has no such column.
``digest``          Of the row's line in the CSV, see ``serialize.row_digests``.
``layer``           Number of the layer that the row comes from, 0 for a base; empty for one that follows from others.
``source``          Position of the source among the layer's; empty where it has one. Only where a layer has several.
``selector``        Position in the layer's selectors of that type; empty where the layer takes all.
``source_…``        What the source calls it, for each key column in which a rename or template changed that.
==================  ==================================================================================================
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from croissant_recipes import tables
from croissant_recipes.croissant import serialize
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.tables import Positions

ROWS_FILE = "croissant-recipe.parquet"

SOURCE = "source_"

_KEYS = tuple(dict.fromkeys(c for r in RECORD_SETS.values() for c in r.key))
_TYPES = {"voxel_size": pa.float64(), "is_multilabel": pa.bool_()}
_NAMED = tuple(c for c in _KEYS if c not in _TYPES)
_SOURCE = pa.field("source", pa.int16())
_SCHEMA = pa.schema(
    [
        ("record_set", pa.string()),
        *((c, _TYPES.get(c, pa.string())) for c in _KEYS),
        ("digest", pa.binary(5)),
        ("layer", pa.int16()),
        ("selector", pa.int16()),
        *((f"{SOURCE}{c}", pa.string()) for c in _NAMED),
    ]
)


@dataclass(frozen=True)
class WrittenRows:
    """What a build noted of its rows; of each record set only when it is asked for.

    Attributes:
        table: The file.
    """

    table: pa.Table
    _parts: dict[str, pa.Table] = field(default_factory=dict, init=False, repr=False, compare=False)

    def count(self, record_set: str) -> int:
        """How many rows there are."""
        return len(self._of(record_set))

    def keys(self, record_set: str) -> pd.DataFrame:
        """The key columns of every row."""
        part, key = self._of(record_set), RECORD_SETS[record_set].key
        return tables.make({c: _column(part, c) for c in key}, key)

    def digests(self, record_set: str) -> pa.Array:
        """The digest of every row."""
        return _whole(self._of(record_set)["digest"])

    def lineage(self, record_set: str) -> pd.DataFrame:
        """``layer``, ``source``, ``selector`` and ``source_`` columns of every row; numbers are missing and texts empty
        where there is nothing to say."""
        part = self._of(record_set)
        if _SOURCE.name not in part.column_names:
            part = part.append_column(_SOURCE, pa.nulls(len(part), _SOURCE.type))
        columns = ("layer", _SOURCE.name, "selector")
        numbers = {c: part[c].to_pandas(types_mapper={pa.int16(): pd.Int16Dtype()}.get) for c in columns}
        return pd.DataFrame(numbers | {f"{SOURCE}{c}": _column(part, f"{SOURCE}{c}") for c in _NAMED})

    def origins(self, record_set: str, positions: Positions) -> pd.DataFrame:
        """``layer`` and ``selector`` (-1 where there is nothing to say), the position of the ``source`` among the
        layer's (0 where it has one), and the key columns as the source has them, of the rows at positions."""
        key = RECORD_SETS[record_set].key
        wanted = {"layer", "selector", _SOURCE.name, *key, *(f"{SOURCE}{c}" for c in key)}
        part = self._of(record_set)
        part = part.select([c for c in part.column_names if c in wanted]).take(pa.array(positions))
        numbers = {"layer": -1, "selector": -1, _SOURCE.name: 0}
        columns: dict[str, Any] = {
            c: pc.fill_null(part[c], nothing).to_numpy() if c in part.column_names else np.zeros(len(part), np.int16)
            for c, nothing in numbers.items()
        }
        for c in key:
            values, name = part[c], f"{SOURCE}{c}"
            columns[c] = pc.coalesce(part[name], values) if name in part.column_names else values
            columns[c] = columns[c].to_pandas()
        return pd.DataFrame(columns)

    def _of(self, record_set: str) -> pa.Table:
        if record_set not in self._parts:
            mask = np.asarray(pc.equal(self.table["record_set"], record_set).to_numpy(), dtype=np.bool_)
            first, count = int(mask.argmax()) if len(mask) else 0, int(mask.sum())
            # As a build writes it, the rows of a record set stand together: they need not be copied.
            together = mask[first : first + count].all()
            self._parts[record_set] = self.table.slice(first, count) if together else self.table.filter(pa.array(mask))
        return self._parts[record_set]


def of_rows(records: Mapping[str, pd.DataFrame]) -> WrittenRows:
    """Rows as if a build had written them, of which it is not known where they are from."""
    return WrittenRows(_table(records, {}))


def to_bytes(records: Mapping[str, pd.DataFrame], lineage: Mapping[str, pd.DataFrame]) -> bytes:
    """The file.

    Args:
        records: A record table for every record set.
        lineage: For some of them what ``WrittenRows.lineage`` has of each row, in their order.
    """
    buffer = io.BytesIO()
    texts = ["record_set", *_KEYS, *(f"{SOURCE}{c}" for c in _NAMED)]
    # Neither the schema of Arrow nor statistics: names repeat, and nobody searches in it.
    pq.write_table(
        _table(records, lineage),
        buffer,
        compression="zstd",
        use_dictionary=texts,
        write_statistics=False,
        store_schema=False,
    )
    return buffer.getvalue()


def _table(records: Mapping[str, pd.DataFrame], lineage: Mapping[str, pd.DataFrame]) -> pa.Table:
    schema = _SCHEMA.append(_SOURCE) if any(_SOURCE.name in known for known in lineage.values()) else _SCHEMA
    parts = [_part(schema, name, records[name], lineage.get(name)) for name in RECORD_SETS if len(records[name])]
    return pa.concat_tables([schema.empty_table(), *parts])


def _part(schema: pa.Schema, name: str, table: pd.DataFrame, lineage: pd.DataFrame | None) -> pa.Table:
    n = len(table)
    columns: dict[str, pa.Array] = {
        "record_set": pa.array([name] * n, pa.string()),
        "digest": serialize.row_digests(name, table),
    }
    for column in RECORD_SETS[name].key:
        kind = _TYPES.get(column, pa.string())
        columns[column] = pa.array(table[column], type=kind, from_pandas=True)
    if lineage is not None:
        for column in lineage.columns:
            values = pa.array(lineage[column], type=schema.field(column).type, from_pandas=True)
            columns[column] = pc.if_else(pc.equal(values, ""), None, values) if column.startswith(SOURCE) else values
    arrays = [_whole(columns[f.name]) if f.name in columns else pa.nulls(n, f.type) for f in schema]
    return pa.table(arrays, schema=schema)


def _whole(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def parse(data: bytes) -> WrittenRows | None:
    """What a file says, ``None`` where it is none that this version reads."""
    try:
        table = pq.read_table(io.BytesIO(data))
        return WrittenRows(table.cast(_SCHEMA.append(_SOURCE) if _SOURCE.name in table.column_names else _SCHEMA))
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        return None


def _column(part: pa.Table, name: str) -> Any:
    values = part[name]
    return (values if name in _TYPES else pc.fill_null(values, "")).to_pandas()
