"""What a source resolved to, as one digest: equal wherever and whenever it is the same data, another where it is not.

It is made of values that travel: keys and relative paths of rows, sizes and ETags where a listing gave them, checksums
of files. No absolute path, clock, time of a file or credential is in it, and nothing that depends on the order of a
listing or on whether an answer came from a cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from croissant_recipes import tables
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.sources.base import FileFacts, Inventory
from croissant_recipes.sources.wanted import taken

_VERSION = "1"
"""Of how identities are made. Another version gives other digests for the same data."""

_Key = tuple[str, str]


def digest(*parts: object) -> str:
    """The hex digest of plain JSON values, in this order."""
    text = json.dumps([_VERSION, *parts], sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def rows_digest(table: pd.DataFrame) -> str:
    """The hex digest of the rows of a table, in their order."""
    found = sha256(json.dumps([len(table), list(table.columns)]).encode())
    for column in table.columns:
        values = table[column]
        if pd.api.types.is_float_dtype(values) or pd.api.types.is_bool_dtype(values):
            numbers = values.to_numpy("<f8")
            found.update(np.where(np.isnan(numbers), np.nan, numbers).tobytes())
        elif pd.api.types.is_string_dtype(values) and not values.hasnans:
            for part in _texts(values):
                found.update(part)
        else:
            found.update(json.dumps(values.tolist(), default=str).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _texts(values: pd.Series) -> Iterator[bytes | memoryview]:
    """The lengths and the UTF-8 of texts, without a Python object for each."""
    if not len(values):
        return
    texts = pa.array(values, type=pa.large_string())
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, "<i8")[texts.offset : texts.offset + len(texts) + 1]
    yield np.diff(places).tobytes()
    if data is not None:
        yield memoryview(data)[places[0] : places[-1]]


def identity_of(
    scanned: Iterable[tuple[LayerSpec, Inventory]],
    files: Iterable[_Key] = (),
    *,
    facts: Mapping[_Key, FileFacts] | None = None,
    tokens: Mapping[_Key, tuple[int, str]] | None = None,
    runs_chosen: bool = False,
    of: Sequence[object] = (),
) -> str:
    """The identity of a source, as far as some layers take rows of it.

    Args:
        scanned: Each layer and what the source holds for it. Their order does not matter.
        files: The files that were read, as root and path.
        facts: What is known of them.
        tokens: Size and ETag of files, where a listing gave them.
        runs_chosen: Whether the inventories hold no other runs than their layers take.
        of: Plain values besides: an endpoint, the digest of a Croissant.
    """
    layers = set()
    listed: set[tuple[str, str, int, str]] = set()
    for layer, inventory in scanned:
        rows = {name: _plain(name, t) for name, t in taken(layer, inventory.tables, runs_chosen=runs_chosen).items()}
        layers.add(digest({name: rows_digest(table) for name, table in rows.items()}, *_about(inventory)))
        if tokens:
            listed |= {(*key, *tokens[key]) for table in rows.values() for key in _places(table) if key in tokens}
    read = sorted((*key, *_said(facts[key])) for key in set(files)) if facts else []
    return digest(list(of), sorted(layers), sorted(listed), read)


def _about(inventory: Inventory) -> tuple[Any, Any]:
    return sorted(inventory.config.items()), list(inventory.objects)


def _plain(artifact: str, table: pd.DataFrame) -> pd.DataFrame:
    key = list(ARTIFACTS[artifact].key)
    order = [*key, *(c for c in sorted(table.columns) if c not in key)]
    return tables.sort_by(tables.columns(table, order), key)


def _places(table: pd.DataFrame) -> Iterable[_Key]:
    return zip(table["root"], table["path"], strict=True) if "path" in table else ()


def _said(facts: FileFacts) -> tuple[str, str, bool]:
    # The words of a problem name places.
    return facts.sha256, repr(facts.voxel_size), bool(facts.problem)
