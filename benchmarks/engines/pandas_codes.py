"""pandas frames as the value, and behind them what the package has: keys as integers, text and CSV through Arrow."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.engines import COLUMNS, GLOBS, KEY, PREFIX, TEXTS
from croissant_recipes import tables
from croissant_recipes.croissant import serialize

Table = pd.DataFrame


def read(data: bytes) -> Table:
    return serialize.read_csv(data, "picks")[0]


def load(frame: pd.DataFrame) -> Table:
    return frame


def to_pandas(table: Table) -> pd.DataFrame:
    return table


def merge(first: Table, second: Table) -> tuple[Table, int]:
    stacked = tables.concat([first.assign(layer=0), second.assign(layer=1)])
    last = tables.last_of_each(stacked, KEY)
    return tables.sort_by(stacked[last], KEY), int((~last).sum())


def sort(table: Table) -> Table:
    return tables.sort_by(table, KEY)


def compare(old: Table, new: Table) -> tuple[int, int, int]:
    at = tables.match(old, new, KEY)
    changed = np.zeros(len(at.old), dtype=np.bool_)
    for column in COLUMNS:
        changed |= tables.differs(old[column].take(at.old), new[column].take(at.new))
    return len(at.only_new), len(at.only_old), int(changed.sum())


def relocate(table: Table) -> Table:
    prefix, nothing = pa.scalar(PREFIX, pa.large_string()), pa.scalar("", pa.large_string())
    urls = pc.binary_join_element_wise(prefix, tables.arrow_texts(table["url"]), nothing)
    relative = pc.if_else(pc.starts_with(urls, PREFIX), pc.utf8_slice_codeunits(urls, start=len(PREFIX)), urls)
    return table.assign(url=pd.Series(relative, dtype="str", index=table.index))


def select(table: Table) -> int:
    mask = np.ones(len(table), dtype=bool)
    for column, glob in GLOBS.items():
        codes, values = pd.factorize(table[column])
        mask &= np.array([fnmatch.fnmatchcase(value, glob) for value in values])[codes]
    return int(mask.sum())


def digest(table: Table) -> int:
    cells = [tables.arrow_texts(table[c]) if c in TEXTS else _sizes(table[c]) for c in COLUMNS]
    rows = pc.binary_join_element_wise(*cells, pa.scalar("\x1f", pa.large_string()))
    _, offsets, data = rows.buffers()
    whole, ends = memoryview(data), np.frombuffer(offsets, dtype=np.int64).tolist()
    found = [hashlib.blake2b(whole[a:b], digest_size=5).digest() for a, b in itertools.pairwise(ends)]
    return len(b"".join(found)) // 5


def _sizes(column: pd.Series) -> pa.Array:
    codes, values = pd.factorize(column, use_na_sentinel=False)
    texts = ["" if v != v else repr(v) for v in values.tolist()]
    return pa.array(texts, type=pa.large_string()).take(pa.array(codes))


def write(table: Table) -> bytes:
    return serialize.csv_bytes("picks", table)
