"""CSV and Parquet bytes, and what other readers make of them, against those readers."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copick
import mlcroissant as mlc
import pandas as pd
import pytest
from copick.impl.mlcroissant import CSV_SCHEMA
from croissants import Rows, write_croissant
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

from croissant_recipes import tables
from croissant_recipes.croissant import serialize
from croissant_recipes.croissant.other_readers import NOTHING, ReaderChange, changed_values
from croissant_recipes.croissant.serialize import csv_bytes, parquet_bytes, read_csv, row_digests
from croissant_recipes.schema import RECORD_SETS

TRAPS = [
    *("0042", "7", "1e5", "1.10", "+5", " 5", "5 ", "-0", ".5", "9007199254740993", "99999999999999999999", "1e400"),
    *("NA", "null", "nan", "None", "n/a", "<NA>", "#N/A", "-", "inf"),
    *("true", "False", "TRUE", "1e" + "0" * 60),
    *(
        "",
        "a,b",
        'q"q',
        "l\nf",
        "c\rr",
        "c\r\nl",
        " lead",
        "trail ",
        "ts_1",
        "naïve",
        "名",
        "\x00",
        "\ufeff",
        "0x10",
        "1_000",
    ),
]

anything = st.text(st.characters(codec="utf-8"), max_size=8)
texts = st.one_of(st.sampled_from(TRAPS), anything)
voxel_sizes = st.one_of(st.floats(allow_infinity=False), st.sampled_from([10.0, 13.48, 0.1 + 0.2]))
quick = settings(max_examples=60, deadline=None, database=None)


def rows_of(name: str) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    schema = RECORD_SETS[name]
    kinds = [
        voxel_sizes if c in schema.floats else st.booleans() if c in schema.booleans else texts for c in schema.columns
    ]
    return st.lists(st.tuples(*kinds), max_size=6)


def table_of(name: str, rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    columns = RECORD_SETS[name].columns
    return tables.records(name, {c: [row[i] for row in rows] for i, c in enumerate(columns)})


def picks(**columns: list[str]) -> pd.DataFrame:
    return tables.records("picks", columns)


# CSV


@given(st.sampled_from(sorted(RECORD_SETS)).flatmap(lambda n: st.tuples(st.just(n), rows_of(n))))
@quick
def test_a_table_comes_back_from_its_csv(case: tuple[str, list[tuple[Any, ...]]]) -> None:
    name, rows = case
    table = table_of(name, rows)
    back, unknown = read_csv(csv_bytes(name, table), name)
    pd.testing.assert_frame_equal(back, table, check_exact=True)
    assert unknown == ()


@given(rows_of("segmentations"))
@quick
def test_the_csv_is_the_one_that_copick_writes(rows: list[tuple[Any, ...]]) -> None:
    columns = CSV_SCHEMA["copick/segmentations"]["columns"]
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=columns)
    writer.writeheader()
    for row in rows:
        cells = dict(zip(columns, row, strict=True))
        cells["voxel_size"] = "" if math.isnan(cells["voxel_size"]) else cells["voxel_size"]
        cells["is_multilabel"] = str(cells["is_multilabel"]).lower()
        writer.writerow(cells)
    assert csv_bytes("segmentations", table_of("segmentations", rows)) == buffer.getvalue().encode()


@given(st.sampled_from(sorted(RECORD_SETS)).flatmap(lambda n: st.tuples(st.just(n), rows_of(n))))
@quick
def test_a_row_has_the_digest_of_its_line(case: tuple[str, list[tuple[Any, ...]]]) -> None:
    name, rows = case
    lines = [csv_bytes(name, table_of(name, [row])).partition(b"\r\n")[2] for row in rows]
    expected = [hashlib.blake2b(line, digest_size=5).digest() for line in lines]
    assert row_digests(name, table_of(name, rows)).to_pylist() == expected


def test_long_tables_are_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    table = picks(run=["a", 'b"', "c", "", "e,"], url=["1", "2", "3", "4\n", "5"])
    whole, digests = csv_bytes("picks", table), row_digests("picks", table)
    monkeypatch.setattr(serialize, "_ROWS_AT_A_TIME", 2)
    monkeypatch.setattr(serialize, "_BYTES_AT_A_TIME", 100)
    assert csv_bytes("picks", table) == whole
    assert row_digests("picks", table).equals(digests)
    assert read_csv(whole, "picks")[0].equals(table)
    plain = picks(run=[f"run {i}" for i in range(20)], url=[f"https://example.org/{i}" for i in range(20)])
    assert read_csv(csv_bytes("picks", plain), "picks")[0].equals(plain)


def test_a_csv_looks_as_people_expect_it() -> None:
    table = tables.records(
        "segmentations",
        {"run": ["a", 'b"'], "voxel_size": [10, float("nan")], "name": ["m, n", ""], "is_multilabel": [True, False]},
    )
    assert csv_bytes("segmentations", table).decode().split("\r\n") == [
        ",".join(RECORD_SETS["segmentations"].columns),
        'a,10.0,,,"m, n",true,,,,,',
        '"b""",,,,,false,,,,,',
        "",
    ]


def test_csvs_of_others_are_read_by_their_header() -> None:
    data = "\ufeffextra,name,split\nx,0042,train\n\ny,NA,\n".encode()
    table, unknown = read_csv(data, "runs")
    assert unknown == ("extra",)
    assert table.to_dict("list") == {"name": ["0042", "NA"], "portal_run_id": ["", ""], "split": ["train", ""]}
    of_run = b"run,voxel_size,user_id,session_id,name"
    flags = of_run + b",is_multilabel\na,10,u,1,n,True\nb,10,u,1,n,0\nc,10,u,1,n,yes\nd,10,u,1,n,\n"
    assert read_csv(flags, "segmentations")[0]["is_multilabel"].tolist() == [True, False, True, False]
    assert read_csv(b"name", "runs")[0].empty


@pytest.mark.parametrize(
    ("record_set", "data", "message"),
    [
        ("voxel_spacings", b"run,voxel_size\na,10\nb,ten\n", r"voxel_spacings\.csv, column voxel_size, row 3: 'ten'"),
        ("voxel_spacings", b"run,voxel_size\na,nan\n", "row 2: 'nan' is no number"),
        ("voxel_spacings", b"run,voxel_size\na,1_0\n", "row 2: '1_0' is no number"),
        (
            "segmentations",
            b"run,voxel_size,user_id,session_id,name,is_multilabel\na,10,u,1,n,true\nb,10,u,1,n,maybe\n",
            "column is_multilabel, row 3: 'maybe' is no flag",
        ),
        ("runs", b"name,split\na,b,c\n", r"runs\.csv, row 2: 3 cells under 2 columns"),
        ("runs", b"name,split\na,b\nc\n", r"runs\.csv, row 3: 1 cells under 2 columns"),
        ("runs", b"name,name\na,b\n", "a column is named twice"),
        ("runs", b"name\n\xff\n", r"runs\.csv is not UTF-8, in line 2"),
        ("runs", b"name,split\na,b\n\xd6,c,d\n", r"runs\.csv is not UTF-8, in line 3"),
        ("runs", b"", r"runs\.csv is not a CSV"),
    ],
)
def test_a_csv_that_cannot_be_read_says_where(record_set: str, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_csv(data, record_set)


# Parquet


def _read(path: Path, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of a record set by mlcroissant (text decoded) and by copick's index."""
    prefix = f"copick/{name}/"
    records = [
        {k.removeprefix(prefix): v.decode() if isinstance(v, bytes) else v for k, v in record.items()}
        for record in mlc.Dataset(str(path)).records(f"copick/{name}")
    ]
    index = copick.from_croissant(str(path)).index
    rows = index.runs_by_name.values() if name == "runs" else index._get_list_for(f"copick/{name}")
    return records, list(rows)


def test_both_readers_read_parquet_exactly(tmp_path: Path) -> None:
    same = dict.fromkeys(RECORD_SETS["picks"].texts, TRAPS)
    sizes = [10.0, float("nan"), 0.1 + 0.2] + [13.48] * (len(TRAPS) - 3)
    rows: Rows = {"runs": {"name": ["a"]}, "picks": {**same, "voxel_size": sizes}}
    path = write_croissant(tmp_path, rows, parquet=True)
    expected = [
        {**dict.fromkeys(same, text or None), "voxel_size": None if math.isnan(size) else size}
        for text, size in zip(TRAPS, sizes, strict=True)
    ]
    records, index = _read(path, "picks")
    assert records == expected
    assert index == expected


def test_parquet_of_one_table_is_one_file() -> None:
    table = picks(run=["a", "NA"], session_id=["0042", ""])
    assert parquet_bytes("picks", table) == parquet_bytes("picks", table.copy())
    assert changed_values("picks", parquet_bytes("picks", table), table, parquet=True) == []


# What readers change


def changes(record_set: str, **columns: list[Any]) -> list[tuple[str, int, int, str, str]]:
    table = tables.records(record_set, columns)
    found = changed_values(record_set, csv_bytes(record_set, table), table, parquet=False)
    return [(c.column, c.rows, c.row, c.written, c.read) for c in found]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0042", "0007"], [(2, 2, "0042", "'42'")]),
        (["0042", "ts_1"], []),
        (["1", "1.10"], [(2, 2, "1", "'1.0'")]),
        (["1e5"], [(1, 2, "1e5", "'100000.0'")]),
        (["+5", " 5"], [(2, 2, "+5", "'5'")]),
        (["a", "NA", "null"], [(2, 3, "NA", NOTHING)]),
        (["7", "NA"], [(1, 2, "7", "'7.0'"), (1, 3, "NA", NOTHING)]),
        (["true", "FALSE"], [(2, 2, "true", "'True'")]),
        (["true", "x"], []),
        (["1001", "1002"], []),
        (["a,b", 'q"', "\n", " a "], []),
    ],
)
def test_names_that_readers_change(names: list[str], expected: list[tuple[int, int, str, str]]) -> None:
    assert changes("runs", name=names) == [("name", *e) for e in expected]


def test_ids_beside_empty_cells_get_a_point() -> None:
    found = changes("runs", name=["a", "b"], portal_run_id=["1001", ""])
    assert found == [("portal_run_id", 1, 2, "1001", "'1001.0'")]


def test_voxel_sizes_arrive_to_the_last_digit() -> None:
    sizes = [0.1 + 0.2, 1.7976931348623157e308, 2.2250738585072014e-308, 8.123456789012345e22, 10.0, float("nan")]
    assert changes("voxel_spacings", run=["a"] * 6, voxel_size=sizes) == []


def test_a_change_says_where_it_is_and_what_it_means() -> None:
    table = picks(run=["a\nb", "c"], session_id=["x", "NA"])
    assert changed_values("picks", csv_bytes("picks", table), table, parquet=False) == [
        ReaderChange(
            record_set="picks",
            column="session_id",
            rows=1,
            row=4,
            written="NA",
            read="nothing",
            readers="copick and mlcroissant",
            consequence="the picks of its run cannot be listed",
        )
    ]


def test_every_change_has_a_consequence_of_its_column() -> None:
    for name, schema in RECORD_SETS.items():
        table = tables.records(name, {c: ["NA", "007"] for c in schema.texts})
        found = changed_values(name, csv_bytes(name, table), table, parquet=False)
        assert [c.column for c in found] == [c for c in schema.texts for _ in range(2)]
        assert all(c.consequence for c in found)


def test_the_consequences_are_those_that_copick_has(tmp_path: Path) -> None:
    lost = {"run": ["a", "a"], "user_id": ["u", "u"], "session_id": ["NA", "s"], "object_name": ["o", "o"]}
    path = write_croissant(tmp_path, {"runs": {"name": ["a", "null"]}, "picks": {**lost, "url": ["x", "y"]}})
    root = copick.from_croissant(str(path))
    assert [run.name for run in root.runs] == ["a"]
    with pytest.raises(ValueError, match="session_id"):
        _ = root.get_run("a").picks


@given(st.lists(st.tuples(texts, texts, texts, voxel_sizes), min_size=1, max_size=5))
@settings(parent=quick, max_examples=25)
def test_what_is_reported_is_what_both_readers_really_change(
    tmp_path_factory: pytest.TempPathFactory, cases: list[tuple[str, str, str, float]]
) -> None:
    columns: dict[str, list[Any]] = {
        "run": [c[0] for c in cases],
        "user_id": [c[1] for c in cases],
        "session_id": [c[2] for c in cases],
        "voxel_size": [c[3] for c in cases],
        "url": [c[0] + c[1] for c in cases],
    }
    folder = tmp_path_factory.mktemp("croissant")
    path = write_croissant(folder, {"runs": {"name": ["a"]}, "picks": columns})
    records, index = _read(path, "picks")
    table = tables.records("picks", columns)
    data = (path.parent / "picks.csv").read_bytes()
    found = {(c.column, c.read == NOTHING): c for c in changed_values("picks", data, table, parquet=False)}
    for rows in (records, index):
        for column, values in columns.items():
            written = [None if v == "" or v != v else v for v in values]
            read = [row[column] for row in rows]
            lost = [i for i, w in enumerate(written) if w is not None and read[i] is None]
            other = [i for i, w in enumerate(written) if w is not None and read[i] is not None and read[i] != w]
            for gone, positions in ((True, lost), (False, other)):
                change = found.get((column, gone))
                assert (change.rows if change else 0) == len(positions)
                if change and not gone:
                    assert change.read == repr(read[positions[0]])


numberlike = st.one_of(
    st.text("0123456789.+-eE_xX \t\x0b\x00", min_size=1, max_size=5),
    st.text("infatyINFATY", min_size=3, max_size=8),
    st.sampled_from(sorted(STR_NA_VALUES)),
    st.sampled_from(["true", "TRUE", "False", "Infinity", "-inf", "1e", "5.", ".5e3", "1,5", "1\x00", "\x001"]),
)


@given(st.lists(numberlike, min_size=1, max_size=3))
@settings(parent=quick, max_examples=400)
def test_every_text_that_might_change_is_looked_at(names: list[str]) -> None:
    table = tables.records("runs", {"name": names, "split": ["x"] * len(names)})
    data = csv_bytes("runs", table)
    read = pd.read_csv(io.BytesIO(data))["name"]
    lost = [i for i, name in enumerate(names) if name and pd.isna(read[i])]
    other = [i for i, name in enumerate(names) if name and not pd.isna(read[i]) and str(read[i]) != name]
    expected = [("name", len(found), found[0] + 2) for found in (other, lost) if found]
    assert [(c.column, c.rows, c.row) for c in changed_values("runs", data, table, parquet=False)] == expected


def test_a_column_that_no_reader_changes_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[str]] = []
    plain = pd.read_csv

    def watched(*args: Any, usecols: list[str], **kwargs: Any) -> pd.DataFrame:
        read.append(usecols)
        return plain(*args, usecols=usecols, **kwargs)

    monkeypatch.setattr(pd, "read_csv", watched)
    assert changes("runs", name=["a", "b"], portal_run_id=["", ""], split=["train", ""]) == []
    assert read == []
    assert changes("runs", name=["a", "b"], portal_run_id=["1", "2"], split=["train", "NA"]) == [
        ("split", 1, 3, "NA", NOTHING)
    ]
    assert read == [["portal_run_id", "split"]]


def test_a_column_of_mixed_types_is_read_in_parts() -> None:
    """pandas settles the type of each part of a long file by itself."""
    names = [f"{i:06}" for i in range(300_000)]
    names[-1] = "word"
    found = changes("runs", name=names)
    assert found[0][0] == "name"
    assert 0 < found[0][1] < 300_000


def test_long_tables_take_no_time() -> None:
    n = 200_000
    ids = [str(i) for i in range(n)]
    table = picks(
        run=[f"run_{i // 100}" for i in range(n)],
        user_id=["data-portal"] * n,
        session_id=ids,
        object_name=["ribosome"] * n,
        url=[f"ExperimentRuns/run_{i}/Picks/{i}.json" for i in range(n)],
        sha256=[(string.hexdigits * 3)[:64]] * n,
        portal_annotation_id=[text if i % 2 else "" for i, text in enumerate(ids)],
    )
    data = csv_bytes("picks", table)
    steps: list[Callable[[], object]] = [
        lambda: csv_bytes("picks", table),
        lambda: parquet_bytes("picks", table),
        lambda: read_csv(data, "picks"),
        lambda: changed_values("picks", data, table, parquet=False),
    ]
    # About 0.3, 0.2, 0.2 and 0.7 s; with a loop over rows, several times that.
    for step in steps:
        begun = time.process_time()
        step()
        assert time.process_time() - begun < 2.5
