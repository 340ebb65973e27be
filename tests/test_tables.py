"""Keys of tables: ordered, repeated, matched and compared, against plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croissant_recipes import tables

KEY = ["run", "voxel_size", "flag"]

quick = settings(max_examples=150, deadline=None, database=None)
texts = st.one_of(
    st.sampled_from(["", "a", "b", "B", "é", "\U00010000", "\uffff", "a\x00", "10", "9"]),
    st.text(st.characters(codec="utf-8"), max_size=3),
)
sizes = st.sampled_from([math.nan, 10.0, 7.5, -0.0, 0.0, math.inf, 0.1 + 0.2, 0.3])
rows = st.lists(st.tuples(texts, sizes, st.booleans(), st.integers(0, 3)), max_size=12)

Row = tuple[Any, ...]


def table_of(given: list[Row]) -> pd.DataFrame:
    run, voxel_size, flag, other = zip(*given, strict=True) if given else ((), (), (), ())
    return pd.DataFrame(
        {
            "run": pd.Series(run, dtype="str"),
            "voxel_size": pd.Series(voxel_size, dtype="float64"),
            "flag": pd.Series(flag, dtype="bool"),
            "other": pd.Series(other, dtype="int64"),
        }
    )


def key_of(row: Row) -> Row:
    """The key as plain Python orders and compares it: a missing size is the largest one, and equals itself."""
    text, size, flag = row[:3]
    return (text, (1, 0.0) if size != size else (0, size + 0.0), flag)


@given(rows, rows)
@quick
def test_codes_are_equal_and_ordered_as_keys_are(first: list[Row], second: list[Row]) -> None:
    codes = tables.key_codes([table_of(first), table_of(second)], KEY)
    assert [len(c) for c in codes] == [len(first), len(second)]
    both = list(zip(map(key_of, first + second), np.concatenate(codes).tolist(), strict=True))
    for a, code_a in both:
        for b, code_b in both:
            assert (a < b, a == b) == (code_a < code_b, code_a == code_b)


@given(rows)
@quick
def test_rows_are_sorted_by_key_and_equal_ones_stay_in_order(found: list[Row]) -> None:
    ordered = tables.sort_by(table_of(found), KEY)
    expected = table_of(sorted(found, key=key_of))
    pd.testing.assert_frame_equal(ordered, expected)


@given(rows)
@quick
def test_the_first_and_the_last_row_of_each_key(found: list[Row]) -> None:
    table, keys = table_of(found), list(map(key_of, found))
    assert tables.first_of_each(table, KEY).tolist() == [k not in keys[:i] for i, k in enumerate(keys)]
    assert tables.last_of_each(table, KEY).tolist() == [k not in keys[i + 1 :] for i, k in enumerate(keys)]
    assert tables.shares_key(table, KEY).tolist() == [keys.count(k) > 1 for k in keys]


@given(rows, rows)
@quick
def test_rows_of_two_tables_meet_by_key(first: list[Row], second: list[Row]) -> None:
    first, second = ([*{key_of(r): r for r in found}.values()] for found in (first, second))
    old, new = ({key_of(r): i for i, r in enumerate(found)} for found in (first, second))
    both = sorted(set(old) & set(new))
    match = tables.match(table_of(first), table_of(second), KEY)
    assert match.old.tolist() == [old[k] for k in both]
    assert match.new.tolist() == [new[k] for k in both]
    assert match.only_old.tolist() == [old[k] for k in sorted(set(old) - set(new))]
    assert match.only_new.tolist() == [new[k] for k in sorted(set(new) - set(old))]


def test_a_key_that_a_table_has_twice_has_no_match() -> None:
    once, twice = table_of([("a", math.nan, True, 1)]), table_of([("a", math.nan, True, 1), ("a", math.nan, True, 2)])
    for pair in ((once, twice), (twice, once)):
        with pytest.raises(ValueError, match="two rows have one run, voxel_size, flag"):
            tables.match(*pair, KEY)


@given(rows, st.data())
@quick
def test_columns_differ_where_values_do(found: list[Row], data: st.DataObject) -> None:
    others = data.draw(st.lists(st.tuples(texts, sizes, st.booleans(), st.integers(0, 3)), min_size=len(found)))
    before, after = table_of(found), table_of(others[: len(found)])
    for i, column in enumerate(["run", "voxel_size", "flag", "other"]):
        expected = [a[i] != b[i] and not (a[i] != a[i] and b[i] != b[i]) for a, b in zip(found, others, strict=False)]
        assert tables.differs(before[column], after[column]).tolist() == expected


def test_columns_in_several_pieces_are_columns_like_others() -> None:
    pieces = pd.concat([table_of([("b", 1.0, True, 1)]), table_of([("a", math.nan, False, 2)])], ignore_index=True)
    assert tables.sort_by(pieces, ["run"])["other"].tolist() == [2, 1]
    assert tables.differs(pieces["run"], pd.Series(["b", "x"], dtype="str")).tolist() == [False, True]
    assert tables.arrow_texts(pieces["run"]).to_pylist() == ["b", "a"]


def test_keys_of_more_values_than_an_integer_counts() -> None:
    n = 5000
    wide = pd.DataFrame({f"c{i}": pd.Series(np.roll(np.arange(n), i * 7), dtype="int64") for i in range(8)})
    doubled = pd.concat([wide, wide], ignore_index=True)
    (codes,) = tables.key_codes([doubled], list(wide.columns))
    assert codes[:n].tolist() == codes[n:].tolist()
    assert len(set(codes.tolist())) == n
    assert np.argsort(codes[:n]).tolist() == wide.sort_values(list(wide.columns)).index.tolist()


def test_missing_texts_are_one_key_after_all_others() -> None:
    table = pd.DataFrame({"run": pd.Series([None, "b", None, ""], dtype="str")})
    assert tables.shares_key(table, ["run"]).tolist() == [True, False, True, False]
    assert tables.sort_by(table, ["run"])["run"].fillna("?").tolist() == ["", "b", "?", "?"]


def test_rows_that_keep_their_order_are_not_copied() -> None:
    table = table_of([("a", 1.0, True, 1), ("b", 1.0, True, 2)])
    table.index = pd.Index([5, 6])
    same = tables.take(table, np.arange(2))
    assert same.index.tolist() == [0, 1]
    assert np.shares_memory(same["other"].to_numpy(), table["other"].to_numpy())
    assert tables.take(table, np.array([1]))["run"].tolist() == ["b"]


def test_taking_no_rows_keeps_columns_and_their_types() -> None:
    table = tables.records("tomograms", {"run": ["a", "b"], "voxel_size": [10.0, 20.0]})
    nothing = tables.take(table, np.zeros(0, dtype=np.intp))
    assert len(nothing) == 0
    assert list(nothing.index) == []
    assert nothing.dtypes.equals(table.dtypes)


def test_some_columns_of_a_table_stand_in_the_order_asked_for_with_its_index() -> None:
    table = tables.records("tomograms", {"run": ["a", "b", "c"], "voxel_size": [10.0, 20.0, 30.0]}).iloc[1:]
    some = tables.columns(table, ["voxel_size", "run"])
    pd.testing.assert_frame_equal(some, table[["voxel_size", "run"]])
    assert tables.columns(some, ("voxel_size", "run")) is some


def test_texts_are_found_among_those_of_another_column() -> None:
    texts, known = pd.Series(["a", "b", "", "a"], dtype="str"), pd.Series(["", "a", "a", "c"], dtype="str")
    assert tables.is_among(texts, known).tolist() == [True, False, True, True]
    assert tables.is_among(texts, known[:0]).tolist() == [False] * 4
    assert tables.is_among(texts[:0], known).tolist() == []
