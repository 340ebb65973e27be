"""Layers, one over the other: the later row of a key wins, runs are filled in field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.tables import LINEAGE, Codes, Positions

Key = tuple[object, ...]

Origin = tuple[int, int]
"""The number of a layer, and the position of one of its sources."""


@dataclass(frozen=True)
class Replacement:
    """Rows of an earlier layer that a later one replaces.

    Attributes:
        artifact: Their type.
        earlier, later: The layers' numbers.
        keys: Their keys, sorted.
    """

    artifact: str
    earlier: int
    later: int
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Merged:
    """The union of layers.

    Attributes:
        tables: One artifact table per type with its lineage, sorted by key.
        added: How many keys each layer brought that were not there before, by the layer's number and type.
        replaced: By type, the rows that later layers replaced: their key and lineage, and as ``by_layer`` and
            ``by_row`` the lineage of what stands in their place.
    """

    tables: Mapping[str, pd.DataFrame]
    added: Mapping[int, Mapping[str, int]]
    replaced: Mapping[str, pd.DataFrame]

    def replacements(self) -> Iterator[Replacement]:
        """The replaced rows by the two layers, in the order of types and layers."""
        for artifact, rows in self.replaced.items():
            key = list(ARTIFACTS[artifact].key)
            pairs = rows[["layer", "by_layer"]].drop_duplicates().sort_values(["layer", "by_layer"])
            for earlier, later in pairs.itertuples(index=False, name=None):
                group = rows[(rows["layer"] == earlier) & (rows["by_layer"] == later)]
                keys = tables.sort_by(group[key], key).itertuples(index=False, name=None)
                yield Replacement(artifact, earlier, later, tuple(keys))


def merge(layers: Sequence[LayerRows]) -> Merged:
    """Merge what layers take, first to last."""
    merged: dict[str, pd.DataFrame] = {}
    replaced: dict[str, pd.DataFrame] = {}
    added: dict[int, dict[str, int]] = {layer.spec.number: {} for layer in layers}
    for artifact, described in ARTIFACTS.items():
        key, kept = list(described.key), [*described.columns, *LINEAGE]
        stacked = tables.concat([tables.columns(layer.tables[artifact], kept) for layer in layers])
        (codes,) = tables.key_codes([stacked], key)
        earlier, later = _followed(codes)
        again = np.zeros(len(stacked), dtype=bool)
        again[later] = True
        for number, count in zip(*np.unique(stacked["layer"], return_counts=True), strict=True):
            # A layer all of whose rows were there before adds none, and is told apart from one that takes none.
            added[int(number)][artifact] = int(count - again[stacked["layer"] == number].sum())
        if again.any() and artifact == "runs":
            stacked = _fill_runs(stacked)
        elif again.any():
            replaced[artifact] = _replaced(stacked, key, earlier, later)
            stacked = stacked.drop(index=stacked.index[earlier])
        merged[artifact] = tables.sort_by(stacked, key)
    return Merged(merged, added, replaced)


def _fill_runs(stacked: pd.DataFrame) -> pd.DataFrame:
    """One row per run; of every field the last value that says something, so that no later layer blanks one."""
    columns = [c for c in stacked.columns if c != "name"]
    texts = [c for c in columns if c not in LINEAGE]
    said = stacked.assign(**{c: stacked[c].where(stacked[c] != "") for c in texts})
    last = said.groupby("name", sort=True)[columns].last().reset_index()
    filled = {c: last[c].fillna("").astype("str") for c in texts}
    return last.assign(**filled)[list(stacked.columns)].astype(stacked.dtypes[list(LINEAGE)])


def _replaced(stacked: pd.DataFrame, key: list[str], earlier: Positions, later: Positions) -> pd.DataFrame:
    by = stacked.iloc[later]
    return (
        stacked.iloc[earlier][[*key, *LINEAGE]]
        .assign(by_layer=by["layer"].to_numpy(), by_row=by["row"].to_numpy())
        .reset_index(drop=True)
    )


def _followed(codes: Codes) -> tuple[Positions, Positions]:
    """Positions of rows that another row of the same key comes after, and of the next such row."""
    order = np.argsort(codes, kind="stable")
    same = codes[order[:-1]] == codes[order[1:]]
    return order[:-1][same], order[1:][same]


def over_layers(parts: Sequence[pd.Series], table: pd.DataFrame) -> pd.Series:
    """Texts of all rows of a merged table, from those of its parts as ``by_layer`` or ``by_source`` has them."""
    if len(parts) == 1:
        return parts[0]
    joined = pd.concat(parts) if parts else pd.Series([], dtype="str")
    return joined.reindex(table.index).astype("str")


def by_layer(table: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """The rows of a merged table that come from each layer, with the layer's number."""
    return _parts(table, "layer")


def by_source(table: pd.DataFrame) -> Iterator[tuple[Origin, pd.DataFrame]]:
    """The rows of a merged table that come from each source of each layer."""
    for layer, rows in by_layer(table):
        for source, of_source in _parts(rows, "source"):
            yield (layer, source), of_source


def _parts(table: pd.DataFrame, column: str) -> Iterator[tuple[int, pd.DataFrame]]:
    numbers = np.unique(table[column].to_numpy()).tolist()
    for number in numbers:
        yield number, table if len(numbers) == 1 else table[table[column] == number]
