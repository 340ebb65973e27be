"""Polars."""

from __future__ import annotations

import fnmatch
import hashlib
import io
from functools import reduce

import pandas as pd
import polars as pl

from benchmarks.engines import COLUMNS, GLOBS, KEY, PREFIX, TEXTS

Table = pl.DataFrame


def read(data: bytes) -> Table:
    table = pl.read_csv(io.BytesIO(data), infer_schema=False, empty_string_is_null=False)
    return table.with_columns(pl.col("voxel_size").cast(pl.Float64, strict=False))


def load(frame: pd.DataFrame) -> Table:
    return pl.from_pandas(frame)


def to_pandas(table: Table) -> pd.DataFrame:
    return table.to_pandas().astype(dict.fromkeys(TEXTS, "str"))


def merge(first: Table, second: Table) -> tuple[Table, int]:
    stacked = pl.concat([first.with_columns(layer=pl.lit(0)), second.with_columns(layer=pl.lit(1))])
    kept = stacked.unique(KEY, keep="last", maintain_order=False).sort(KEY)
    return kept, len(stacked) - len(kept)


def sort(table: Table) -> Table:
    return table.sort(KEY, maintain_order=True)


def compare(old: Table, new: Table) -> tuple[int, int, int]:
    both = old.join(new, on=KEY, how="inner", suffix="_new")
    differ = [pl.col(c).ne_missing(pl.col(c + "_new")) for c in COLUMNS if c not in KEY]
    changed = both.select(reduce(lambda a, b: a | b, differ).sum()).item()
    return len(new) - len(both), len(old) - len(both), changed


def relocate(table: Table) -> Table:
    absolute = table.with_columns(url=PREFIX + pl.col("url"))
    return absolute.with_columns(url=pl.col("url").str.strip_prefix(PREFIX))


def select(table: Table) -> int:
    masks = []
    for column, glob in GLOBS.items():
        matches = [v for v in table[column].unique() if fnmatch.fnmatchcase(v, glob)]
        masks.append(pl.col(column).is_in(matches))
    return table.select(pl.all_horizontal(*masks).sum()).item()


def digest(table: Table) -> int:
    # Its own hash is another with another version.
    joined = table.select(pl.concat_str(COLUMNS, separator="\x1f", ignore_nulls=True)).to_series()
    return len([hashlib.blake2b(row.encode(), digest_size=5).digest() for row in joined])


def write(table: Table) -> bytes:
    # An empty text would be quoted, nothing is not.
    nothing = table.with_columns(pl.when(pl.col(TEXTS) != "").then(pl.col(TEXTS)))
    buffer = io.BytesIO()
    nothing.write_csv(buffer, line_terminator="\r\n")
    return buffer.getvalue()
