"""Arrow tables and their compute functions, without pandas."""

from __future__ import annotations

import fnmatch
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from benchmarks.engines import COLUMNS, GLOBS, KEY, PREFIX, TEXTS, pandas_codes

Table = Any  # pa.Table, which ships no types


def read(data: bytes) -> Table:
    types = dict.fromkeys(TEXTS, pa.large_string()) | {"voxel_size": pa.float64()}
    return pyarrow.csv.read_csv(
        pa.py_buffer(data), convert_options=pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    )


def load(frame: pd.DataFrame) -> Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def to_pandas(table: Table) -> pd.DataFrame:
    return table.to_pandas()


def merge(first: Table, second: Table) -> tuple[Table, int]:
    stacked = pa.concat_tables([first, second])
    stacked = stacked.append_column("at", pa.array(np.arange(len(stacked))))
    last = stacked.group_by(KEY, use_threads=False).aggregate([("at", "max")])["at_max"]
    kept = stacked.take(last)
    return sort(kept), len(stacked) - len(kept)


def sort(table: Table) -> Table:
    return table.take(pc.sort_indices(table, sort_keys=[(c, "ascending") for c in KEY]))


def compare(old: Table, new: Table) -> tuple[int, int, int]:
    before = old.select(KEY).append_column("old", pa.array(np.arange(len(old))))
    after = new.select(KEY).append_column("new", pa.array(np.arange(len(new))))
    places = before.join(after, keys=KEY, join_type="inner")
    changed = pa.scalar(False)
    for column in COLUMNS:
        a, b = old[column].take(places["old"]), new[column].take(places["new"])
        # A comparison with null is null: only where one of the two is null, they differ.
        differ = pc.fill_null(pc.not_equal(a, b), pc.xor(pc.is_null(a), pc.is_null(b)))
        changed = pc.or_(changed, differ)
    return len(new) - len(places), len(old) - len(places), pc.sum(changed).as_py()


def _large(text: str) -> Any:
    return pa.scalar(text, pa.large_string())


def relocate(table: Table) -> Table:
    urls = pc.binary_join_element_wise(_large(PREFIX), table["url"], _large(""))
    inside = pc.starts_with(urls, PREFIX)
    cut = pc.replace_substring_regex(urls, pattern="^" + PREFIX.replace(".", r"\."), replacement="")
    return table.set_column(table.column_names.index("url"), "url", pc.if_else(inside, cut, urls))


def select(table: Table) -> int:
    mask: Any = pa.scalar(True)
    for column, glob in GLOBS.items():
        matches = [v for v in pc.unique(table[column]).to_pylist() if fnmatch.fnmatchcase(v, glob)]
        mask = pc.and_(mask, pc.is_in(table[column], value_set=pa.array(matches, type=table[column].type)))
    return pc.sum(mask).as_py()


def digest(table: Table) -> int:
    # Arrow has no digest to call: the rows are joined by it, each digest is hashlib's.
    return pandas_codes.digest(to_pandas(table))


def write(table: Table) -> bytes:
    # Its own writer quotes every text, so the lines are joined here.
    return pandas_codes.write(to_pandas(table))
