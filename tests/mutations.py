"""Bytes, values and files that were good, made into what nobody wrote."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ODD_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\udcff",
    "\x1b[2J",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "NaN",
    "nan",
    "inf",
    "-1",
    "0",
    "1e999",
    "9" * 5_000,
    "0x10",
    "1_000",
    "true",
    "null",
    "~",
    "*",
    "re:(",
    "re:(a+)+$",
    "re:",
    "[",
    "]",
    "{",
    "${",
    "${voxel}",
    "{id",
    "{{ id",
    "{id:>99999999}",
    "a:b:c",
    "a@b@c",
    "a?b=c",
    "../../../../etc",
    "/",
    "//",
    ".",
    "..",
    "~root/x",
    "/dev/zero",
    "/proc/self/mem",
    "http://[::1",
    "https://[",
    "http://:99999999/x",
    "s3://",
    "s3://[/x",
    "://x",
    "file://",
    "zip://::",
    "simplecache::",
    "nothere://x/y",
    "memory://x/metadata.json",
    "local:///",
    "x" * 3_000,
    "train",
    "TS_001",
    "a,b",
    '"',
    "'",
    "\r",
    "\n",
    "\r\n",
    "é",
    "\N{PILE OF POO}",
    "a\tb",
    "%s%n",
    "%00",
    "2026-99-99",
    "2026-01-15T00:00:00",
    "copick/picks",
    "mlcroissant",
    "cryoet_data_portal",
    "filesystem",
    "smb",
    "_",
    "a_b",
    "a/b",
    ".hidden",
    "a.zarr",
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
    [],
    {},
    [[]],
    {"": {}},
    [None],
    {"a": None},
    ["a", 1, None],
    [[[[[[1]]]]]],
    {"@id": 1},
    {"name": []},
    {"name": "x"},
)
ODD_BYTES = (
    b"",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\r",
    b"\n",
    b'"',
    b"'",
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"NaN",
    b"-",
    b"&a *a",
    b"<<: *a",
    b"!!python/object:os.system",
    b"%",
    b"\t",
    b"9" * 5_000,
    b"[" * 3_000,
    b'{"a":' * 3_000,
    b"- " * 300,
)


def of_bytes(rng: random.Random, data: bytes) -> bytes:
    """Cut, with bytes changed, taken out, doubled or put in."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        form = rng.randrange(6)
        if form == 0:
            data = data[:at]
        elif form == 1:
            end = min(end, at + 20)
            data = data[:at] + data[end:]
        elif form == 2:
            data = data[:end] + data[at:]
        elif form == 3 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        else:
            data = data[:at] + rng.choice(ODD_BYTES) + data[at + rng.randrange(2) :]
    return data


def odd(rng: random.Random) -> Any:
    return rng.choice(ODD_TEXTS) if rng.random() < 0.6 else rng.choice(ODD_VALUES)


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from paths(child, (*path, key))


def of_value(rng: random.Random, value: Any) -> Any:
    """With one part or several replaced, taken out, doubled, renamed or put elsewhere."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        ways = list(paths(value))
        way = rng.choice(ways)
        if not way:
            return odd(rng) if rng.random() < 0.3 else value
        *above, last = way
        holder = value
        for key in above:
            holder = holder[key]
        form = rng.randrange(8)
        if form == 0:
            del holder[last]
        elif form == 1 and isinstance(holder, dict):
            holder[rng.choice(ODD_TEXTS)] = holder.pop(last)
        elif form == 2 and isinstance(holder, dict):
            holder[rng.choice(ODD_TEXTS)] = odd(rng)
        elif form == 3 and isinstance(holder, list):
            holder.append(deepcopy(holder[last]))
        elif form == 4:
            other: Any = value
            for key in rng.choice(ways):
                other = (
                    other[key]
                    if isinstance(other, dict | list) and (isinstance(other, list) or key in other)
                    else other
                )
            holder[last] = deepcopy(other)
        else:
            holder[last] = odd(rng)
    return value


def of_json(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.3:
        return of_bytes(rng, data)
    return json.dumps(of_value(rng, json.loads(data)), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def of_yaml(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.4:
        return of_bytes(rng, data)
    value = of_value(rng, yaml.safe_load(data))
    # Dates are texts in a recipe.
    return json.dumps(value, ensure_ascii=rng.random() < 0.5, default=str).encode("utf-8", "surrogatepass")


def of_csv(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.25:
        return of_bytes(rng, data)
    rows = list(csv.reader(io.StringIO(data.decode())))
    for _ in range(rng.choice((1, 1, 2))):
        row = rng.choice(rows)
        form = rng.randrange(7)
        if form == 0:
            rows.remove(row) if len(rows) > 1 else row.clear()
        elif form == 1:
            rows.append(list(row))
        elif form == 2:
            column = rng.randrange(max(len(rows[0]), 1))
            for each in rows:
                del each[column : column + 1]
        elif form == 3:
            row.append(rng.choice(ODD_TEXTS))
        elif row:
            row[rng.randrange(len(row))] = rng.choice(ODD_TEXTS)
    written = io.StringIO()
    try:
        csv.writer(written).writerows(rows)
    except csv.Error:
        return of_bytes(rng, data)
    return written.getvalue().encode("utf-8", "surrogatepass")


def of_parquet(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.4:
        return of_bytes(rng, data)
    table = pq.read_table(io.BytesIO(data))
    for _ in range(rng.choice((1, 2))):
        at = rng.randrange(table.num_columns)
        name, form = table.column_names[at], rng.randrange(6)
        if form == 0:
            table = table.remove_column(at)
        elif form == 1:
            table = table.append_column(name, table.column(at))
        elif form == 2:
            table = table.set_column(at, name, pa.nulls(table.num_rows, table.schema.field(at).type))
        elif form == 3:
            table = table.set_column(at, name, pa.array([[i] for i in range(table.num_rows)]))
        elif form == 4:
            table = table.take(pa.array([rng.randrange(table.num_rows) for _ in range(table.num_rows + 1)]))
        else:
            table = table.set_column(at, name, pa.array(["é"] * table.num_rows))
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


def by_something_else(rng: random.Random, path: Path) -> None:
    """Puts something else in place of a file or folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    form = rng.randrange(6)
    if form == 0:
        path.mkdir()
    elif form == 1:
        os.mkfifo(path)
    elif form == 2:
        path.symlink_to("/dev/zero")
    elif form == 3:
        path.symlink_to(path.name)
    elif form == 4:
        path.symlink_to("/proc/self/mem")


Mutation = Callable[[random.Random, bytes], bytes]

BY_ENDING: dict[str, Mutation] = {".json": of_json, ".csv": of_csv, ".parquet": of_parquet, ".yaml": of_yaml}


def mutate(rng: random.Random, path: Path) -> None:
    """Makes of a file something that nobody wrote."""
    if rng.random() < 0.06:
        by_something_else(rng, path)
        return
    path.write_bytes(BY_ENDING.get(path.suffix, of_bytes)(rng, path.read_bytes()))
    manifest = path.parent / "metadata.json"
    if path.suffix == ".csv" and manifest.exists() and rng.random() < 0.8:
        _renew(manifest, path)


def _renew(manifest: Path, changed: Path) -> None:
    """What a manifest says of a file is true again."""
    document = json.loads(manifest.read_bytes())
    for entry in document["distribution"]:
        if entry.get("contentUrl", "").endswith(changed.name):
            entry["sha256"] = hashlib.sha256(changed.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(document))
