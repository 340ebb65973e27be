"""Columnar tables of artifacts: made once with their columns checked, never changed in place.

A table is a pandas DataFrame. Text is ``str`` without missing values (nothing is ``""``), voxel sizes are ``float64``
in Å (unknown is NaN), flags are ``bool``.

An *artifact table* is what a source gives: one per artifact type, with the columns of its ``ArtifactType``. All types
of segmentation share one, told apart by ``segmentation_type``. Where an artifact lies is ``root`` (a key of the
inventory's roots, or ``""`` for an absolute ``path``) and ``path``. Columns past the declared ones may follow.

Once a layer takes rows, they carry their *lineage*, the columns ``LINEAGE``: the number of the layer (0 for a base),
the position of the source among those of the layer, the position of the row in the table that its source gave (of
several sources, in their tables one after the other), where it still has the names and ids of the source, and the
selector that took it (its position in the layer's filter, -1 where the filter takes all).

A *record table* is what a Croissant holds: one per record set, with exactly the columns of ``RECORD_SETS``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from croissant_recipes.schema import ARTIFACTS, RECORD_SETS

LINEAGE = ("layer", "source", "row", "selector")
"""Where a row comes from; integers. Record tables do not have them."""

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]

_MOST_CODES = 2**62
_TWO = 2
"""Fewer rows have an order, and share no key."""

_FLOATS = frozenset({"voxel_size"})
_BOOLEANS = frozenset({"is_multilabel"})
_NOTHING = {"float64": float("nan"), "bool": False, "str": ""}


def make(columns: Mapping[str, Sequence[Any]], declared: Sequence[str]) -> pd.DataFrame:
    """A table of the declared columns, then any others given, each with its type. Declared text columns that are not
    given are empty, floats NaN.

    Raises:
        ValueError: If columns differ in length.
    """
    lengths = {len(v) for v in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns differ in length: { {k: len(v) for k, v in columns.items()} }")
    n = lengths.pop() if lengths else 0
    names = [*declared, *(c for c in columns if c not in declared)]
    return _filled(columns, names, n) if n else _empty(tuple(names))


def _filled(columns: Mapping[str, Sequence[Any]], names: Sequence[str], n: int) -> pd.DataFrame:
    data: dict[str, Any] = {}
    for name in names:
        kind = _kind(name)
        values = columns[name] if name in columns else [_NOTHING[kind]] * n
        # An array, not a Series: whose index pandas would compare with those of all others.
        data[name] = values.astype(kind).array if isinstance(values, pd.Series) else pd.array(values, dtype=kind)
    return pd.DataFrame(data, columns=list(names), copy=False)


@lru_cache(maxsize=256)
def _empty(names: tuple[str, ...]) -> pd.DataFrame:
    """Most tables of a small Croissant have no rows: one of each kind will do, as no table is changed in place."""
    return pd.DataFrame({name: pd.array([], dtype=_kind(name)) for name in names}, columns=list(names))


def _kind(column: str) -> Any:
    return "float64" if column in _FLOATS else "bool" if column in _BOOLEANS else "str"


def artifacts(artifact: str, columns: Mapping[str, Sequence[object]] | None = None) -> pd.DataFrame:
    """An artifact table of one type; empty without ``columns``."""
    return make(columns or {}, ARTIFACTS[artifact].columns)


def records(record_set: str, columns: Mapping[str, Sequence[object]] | None = None) -> pd.DataFrame:
    """A record table of one record set; empty without ``columns``."""
    return make(columns or {}, RECORD_SETS[record_set].columns)


def concat(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of tables of one kind, one after the other."""
    filled = [t for t in tables if len(t)] or list(tables[:1])
    return _from_zero(filled[0]) if len(filled) == 1 else pd.concat(filled, ignore_index=True)


def stack(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of tables that may have different columns past the declared ones, one after the other. What a table has
    not is nothing in it: an empty text, NaN, ``False``, 0, or ``None`` among values of any kind."""
    filled = [t for t in tables if len(t)]
    columns = {c: dtype for t in reversed(filled) for c, dtype in t.dtypes.items()}
    if len(filled) < _TWO:
        return concat(filled or tables)
    names = dict.fromkeys(c for t in filled for c in t.columns)
    return pd.concat([_with_columns(t, {n: columns[n] for n in names}) for t in filled], ignore_index=True)


def _with_columns(table: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    missing = {
        name: pd.Series([_NOTHING.get(str(kind), 0 if kind.kind in "iu" else None)] * len(table), table.index, kind)
        for name, kind in columns.items()
        if name not in table
    }
    return table.assign(**missing)[list(columns)] if missing or list(table.columns) != list(columns) else table


# Keys. A key is the values of some columns of a row. A missing value is a value like any other: it equals itself.


def key_codes(tables: Sequence[pd.DataFrame], key: Sequence[str]) -> list[Codes]:
    """For every table one integer a row: equal where keys are equal, also of rows of different tables, and in the order
    of the keys. Texts are ordered by code point, numbers by value, missing values come last.

    Whatever asks about keys does so through these integers: the values of a column are looked at once, however many
    tables and columns there are, and the rest is arithmetic.
    """
    codes = np.zeros(sum(len(t) for t in tables), dtype=np.int64)
    possible = 1
    for column in key if len(codes) > 1 else ():
        ranks, distinct = _ranks([t[column] for t in tables])
        if possible * distinct >= _MOST_CODES:
            codes, possible = _dense(codes)
        codes = codes * distinct + ranks
        possible *= distinct
    return np.split(codes, np.cumsum([len(t) for t in tables])[:-1])


def sort_by(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Rows in the order of the columns, as ``key_codes`` has it; of equal rows the first stays first. The index starts
    at 0 again."""
    if len(table) < _TWO:
        return _from_zero(table)
    (codes,) = key_codes([table], columns)
    return take(table, np.argsort(codes, kind="stable"))


def first_of_each(table: pd.DataFrame, key: Sequence[str]) -> Mask:
    """True for every row that no earlier one shares its key with."""
    return ~_repeats(table, key)[0]


def last_of_each(table: pd.DataFrame, key: Sequence[str]) -> Mask:
    """True for every row that no later one shares its key with."""
    return ~_repeats(table, key)[1]


def shares_key(table: pd.DataFrame, key: Sequence[str]) -> Mask:
    """True for every row that another one shares its key with."""
    earlier, later = _repeats(table, key)
    return earlier | later


def alike(*columns: npt.NDArray[np.integer[Any]] | Mask) -> Iterator[Positions]:
    """The positions of rows that have the same integers or flags in all columns, in order; first those of the first."""
    codes, possible = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        values, distinct = pd.factorize(column)
        if possible * len(distinct) >= _MOST_CODES:
            codes, possible = _dense(codes)
        codes, possible = codes * len(distinct) + values, possible * len(distinct)
    parts, distinct = pd.factorize(codes)
    if len(distinct) > 1:
        counts = np.bincount(parts, minlength=len(distinct))
        yield from np.split(np.argsort(parts, kind="stable"), np.cumsum(counts)[:-1])
    elif len(distinct):
        yield np.arange(len(codes))


class Match(NamedTuple):
    """Rows of two tables by key, as positions in order of key.

    Attributes:
        old, new: Keys that both have; the n-th of one and the n-th of the other are of one key.
        only_old, only_new: Keys that the other has not.
    """

    old: Positions
    new: Positions
    only_old: Positions
    only_new: Positions


def match(old: pd.DataFrame, new: pd.DataFrame, key: Sequence[str]) -> Match:
    """Find the rows of one table in another.

    Raises:
        ValueError: If a table has two rows of one key.
    """
    codes = key_codes([old, new], key)
    orders = [np.argsort(c, kind="stable") for c in codes]
    first, second = (c[o] for c, o in zip(codes, orders, strict=True))
    for ordered in (first, second):
        if (ordered[1:] == ordered[:-1]).any():
            raise ValueError(f"two rows have one {', '.join(key)}")
    there, missing = _found_in(first, second), ~_found_in(second, first)
    return Match(orders[0][there], orders[1][~missing], orders[0][~there], orders[1][missing])


def places(there: pd.DataFrame, wanted: pd.DataFrame, key: Sequence[str]) -> Positions:
    """The position of each wanted row in a table, -1 where it has no row of that key. The first of a key counts."""
    of_there, of_wanted = key_codes([there, wanted], key)
    known, first = np.unique(of_there, return_index=True)
    if not len(known):
        return np.full(len(wanted), -1, dtype=np.intp)
    at = np.searchsorted(known, of_wanted)
    at[at == len(known)] = 0
    return np.where(known[at] == of_wanted, first[at], -1)


def _found_in(wanted: Codes, ordered: Codes) -> Mask:
    at = np.searchsorted(ordered, wanted)
    found = np.zeros(len(wanted), dtype=np.bool_)
    inside = at < len(ordered)
    found[inside] = ordered[at[inside]] == wanted[inside]
    return found


def differs(before: pd.Series, after: pd.Series) -> Mask:
    """Where two columns of equal length and type differ, position by position. Missing values are equal."""
    if not len(after):
        return np.zeros(0, dtype=np.bool_)
    if isinstance(before.dtype, pd.StringDtype):
        differ = pc.not_equal(arrow_texts(before), arrow_texts(after))
        return np.asarray(pc.fill_null(differ, False).to_numpy(zero_copy_only=False))
    a, b = before.to_numpy(), after.to_numpy()
    return np.asarray((a != b) & ~((a != a) & (b != b)))


def is_among(texts: pd.Series, known: pd.Series) -> Mask:
    """Which texts of a column are among those of another. pandas makes a Python object of each of these."""
    found = pc.is_in(arrow_texts(texts), value_set=arrow_texts(known))
    return np.asarray(found.to_numpy(zero_copy_only=False))


def differing(before: pd.DataFrame, after: pd.DataFrame, columns: Sequence[str]) -> Codes:
    """Which of some columns differ in each row of two tables of equal length: bit n is column n."""
    found = np.zeros(len(after), dtype=np.int64)
    for at, column in enumerate(columns if len(after) else ()):
        found |= differs(before[column], after[column]).astype(np.int64) << at
    return found


def take(table: pd.DataFrame, positions: Positions) -> pd.DataFrame:
    """The rows at positions, in their order. The index starts at 0 again. All rows in the order they have are the
    table itself: to copy them would be the most expensive step of sorting what is sorted."""
    if not len(positions):
        # A slice, as pandas copies every column to take nothing of it.
        return _from_zero(table.iloc[:0])
    if len(positions) == len(table) and (positions == np.arange(len(table))).all():
        return _from_zero(table)
    return _from_zero(table.take(positions))


def columns(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Some columns of a table, which pandas' own selection would copy one by one."""
    if list(table.columns) == list(names):
        return table
    return pd.DataFrame({name: table[name].array for name in names}, index=table.index, copy=False)


def _from_zero(table: pd.DataFrame) -> pd.DataFrame:
    index = table.index
    if isinstance(index, pd.RangeIndex) and (index.start, index.step) == (0, 1):
        return table
    return table.reset_index(drop=True)


def arrow_texts(column: pd.Series) -> pa.Array:
    """A text column as one Arrow array, without a copy where it is one already."""
    # Arrow looks at a whole Series long before it comes to what is in it.
    array = pa.array(column.array, type=pa.large_string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _repeats(table: pd.DataFrame, key: Sequence[str]) -> tuple[Mask, Mask]:
    """Which rows an earlier one shares its key with, and which a later one."""
    earlier, later = np.zeros(len(table), dtype=np.bool_), np.zeros(len(table), dtype=np.bool_)
    if len(table) < _TWO:
        return earlier, later
    (codes,) = key_codes([table], key)
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    same = ordered[1:] == ordered[:-1]
    earlier[order[1:]] = same
    later[order[:-1]] = same
    return earlier, later


def _ranks(columns: Sequence[pd.Series]) -> tuple[Codes, int]:
    """The rank of every value among the distinct ones of all columns, one column after the other, and their number."""
    if all(isinstance(c.dtype, pd.StringDtype) for c in columns):
        chunks = pa.chunked_array([arrow_texts(c) for c in columns], type=pa.large_string())
        encoded = chunks.dictionary_encode(null_encoding="encode").combine_chunks()
        order = pc.array_sort_indices(encoded.dictionary, null_placement="at_end").to_numpy()
        codes = encoded.indices.to_numpy()
    else:
        values = np.concatenate([c.to_numpy() for c in columns])
        codes, distinct = pd.factorize(values, use_na_sentinel=False)
        order = np.argsort(distinct, kind="stable")
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks[codes], max(1, len(order))


def _dense(codes: Codes) -> tuple[Codes, int]:
    """The same codes without gaps, and their number."""
    distinct, ranks = np.unique(codes, return_inverse=True)
    return ranks.astype(np.int64), max(1, len(distinct))
