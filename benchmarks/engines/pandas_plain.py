"""pandas 3 as it comes: text is Arrow-backed ``str``, the work is pandas' own methods."""

from __future__ import annotations

import fnmatch
import hashlib
import io

import pandas as pd

from benchmarks.engines import COLUMNS, GLOBS, KEY, PREFIX, TEXTS

Table = pd.DataFrame


def read(data: bytes) -> Table:
    types = dict.fromkeys(TEXTS, "str") | {"voxel_size": "float64"}
    missing = {"voxel_size": [""]}
    return pd.read_csv(io.BytesIO(data), dtype=types, keep_default_na=False, na_values=missing)


def load(frame: pd.DataFrame) -> Table:
    return frame


def to_pandas(table: Table) -> pd.DataFrame:
    return table


def merge(first: Table, second: Table) -> tuple[Table, int]:
    """The rows of both, of each key the last, sorted; and how many were replaced."""
    stacked = pd.concat([first.assign(layer=0), second.assign(layer=1)], ignore_index=True)
    replaced = int(stacked.duplicated(KEY, keep="last").sum())
    return stacked.drop_duplicates(KEY, keep="last").sort_values(KEY, kind="stable", ignore_index=True), replaced


def sort(table: Table) -> Table:
    return table.sort_values(KEY, kind="stable", ignore_index=True)


def compare(old: Table, new: Table) -> tuple[int, int, int]:
    """Rows added, removed and changed."""
    places = old[KEY].assign(old=range(len(old))).merge(new[KEY].assign(new=range(len(new))), on=KEY)
    before = old.iloc[places["old"]].reset_index(drop=True)
    after = new.iloc[places["new"]].reset_index(drop=True)
    changed = pd.Series(False, index=before.index)
    for column in COLUMNS:
        changed |= (before[column] != after[column]) & ~(before[column].isna() & after[column].isna())
    return len(new) - len(places), len(old) - len(places), int(changed.sum())


def relocate(table: Table) -> Table:
    """URLs made absolute, and relative again."""
    urls = PREFIX + table["url"]
    inside = urls.str.startswith(PREFIX)
    return table.assign(url=urls.str.slice(len(PREFIX)).where(inside, urls))


def select(table: Table) -> int:
    """How many rows match a glob in each of three columns."""
    mask = pd.Series(True, index=table.index)
    for column, glob in GLOBS.items():
        distinct = {value: fnmatch.fnmatchcase(value, glob) for value in table[column].unique()}
        mask &= table[column].map(distinct).astype(bool)
    return int(mask.sum())


def digest(table: Table) -> int:
    """A blake2b digest of every row."""
    columns = [[v if isinstance(v, str) else repr(v) for v in table[c].tolist()] for c in COLUMNS]
    rows = ("\x1f".join(row) for row in zip(*columns, strict=True))
    return len([hashlib.blake2b(row.encode(), digest_size=5).hexdigest() for row in rows])


def write(table: Table) -> bytes:
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\r\n")
    return buffer.getvalue().encode()
