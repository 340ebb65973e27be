"""DuckDB, in memory."""

from __future__ import annotations

import fnmatch
import itertools
import tempfile
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from benchmarks.engines import COLUMNS, GLOBS, KEY, PREFIX, TEXTS

Table = str
"""The name of a table of the connection."""

_numbers = itertools.count()
_db = duckdb.connect()
_KEY = ", ".join(KEY)
_ON = " and ".join(f"a.{c} = b.{c}" for c in KEY)


def _made(query: str) -> Table:
    name = f"t{next(_numbers)}"
    _db.execute(f"create table {name} as {query}")
    return name


def _one(query: str) -> int:
    return int(_db.execute(query).fetchall()[0][0])


def read(data: bytes) -> Table:
    # It reads files, so what came from elsewhere is put into one.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picks.csv"
        path.write_bytes(data)
        texts = ", ".join(f"coalesce({c}, '') as {c}" if c in TEXTS else f"{c}::double as {c}" for c in COLUMNS)
        given = "all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"'"
        return _made(f"select {texts} from read_csv('{path}', {given})")


def load(frame: pd.DataFrame) -> Table:
    _db.register("given", pa.Table.from_pandas(frame, preserve_index=False))
    return _made("select * from given")


def to_pandas(table: Table) -> pd.DataFrame:
    return _db.table(table).df().astype(dict.fromkeys(TEXTS, "str"))


def merge(first: Table, second: Table) -> tuple[Table, int]:
    stacked = f"(select *, 0 as layer from {first} union all select *, 1 from {second})"
    last = f"select * from {stacked} qualify row_number() over (partition by {_KEY} order by layer desc) = 1"
    kept = _made(f"{last} order by {_KEY}")
    return kept, _one(f"select count(*) from {stacked}") - _one(f"select count(*) from {kept}")


def sort(table: Table) -> Table:
    return _made(f"select * from {table} order by {_KEY}")


def compare(old: Table, new: Table) -> tuple[int, int, int]:
    differ = " or ".join(f"a.{c} is distinct from b.{c}" for c in COLUMNS if c not in KEY)
    query = f"select count(*), count_if({differ}) from {old} a join {new} b on {_ON}"
    both, changed = _db.execute(query).fetchall()[0]
    return _one(f"select count(*) from {new}") - both, _one(f"select count(*) from {old}") - both, changed


def relocate(table: Table) -> Table:
    absolute = f"(select * replace ('{PREFIX}' || url as url) from {table})"
    cut = f"case when starts_with(url, '{PREFIX}') then url[{len(PREFIX) + 1}:] else url end"
    return _made(f"select * replace ({cut} as url) from {absolute}")


def select(table: Table) -> int:
    conditions = []
    for column, glob in GLOBS.items():
        values = [row[0] for row in _db.execute(f"select distinct {column} from {table}").fetchall()]
        matches = ", ".join(f"'{v}'" for v in values if fnmatch.fnmatchcase(v, glob))
        conditions.append(f"{column} in ({matches})")
    return _one(f"select count(*) from {table} where {' and '.join(conditions)}")


def digest(table: Table) -> int:
    # It has no blake2b; md5 is as good for telling rows apart.
    return _one(f"select count(*) from (select md5(concat_ws(chr(31), {', '.join(COLUMNS)})) as d from {table}) "
                "where d is not null")  # fmt: skip


def write(table: Table) -> bytes:
    # COPY ends lines with one character, so the lines are joined here.
    line = ", ',', ".join(_quoted(f"coalesce({c}::varchar, '')") for c in COLUMNS)
    rows = _db.sql(f"select concat({line}, chr(13), chr(10)) from {table}").to_arrow_table().column(0)
    parts = [(",".join(COLUMNS) + "\r\n").encode()]
    for chunk in rows.chunks:
        parts.append("".join(chunk.to_pylist()).encode())
    return b"".join(parts)


def _quoted(cell: str) -> str:
    special = f"regexp_matches({cell}, '[\",' || chr(13) || chr(10) || ']')"
    return f"case when {special} then '\"' || replace({cell}, '\"', '\"\"') || '\"' else {cell} end"
