"""Layers, one over the other: the later row of a key wins, runs are filled in field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.schema import ARTIFACTS

Key = tuple[object, ...]


@dataclass(frozen=True)
class Replacement:
    """Rows of an earlier layer that a later one replaces.

    Attributes:
        artifact: Their type.
        earlier, later: Positions in the list of layers that was merged.
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
        tables: One artifact table per type, sorted by key, with a column ``layer``: the position of the layer that
            each row comes from.
        added: How many keys each layer brought that were not there before, by type.
        replacements: What later layers replaced.
    """

    tables: Mapping[str, pd.DataFrame]
    added: tuple[Mapping[str, int], ...]
    replacements: tuple[Replacement, ...]


def merge(layers: Sequence[Mapping[str, pd.DataFrame]]) -> Merged:
    """Merge the artifact tables of layers, first to last."""
    merged: dict[str, pd.DataFrame] = {}
    added: list[dict[str, int]] = [{} for _ in layers]
    replacements: list[Replacement] = []
    for artifact, described in ARTIFACTS.items():
        key, declared = list(described.key), list(described.columns)
        parts = [layer[artifact][declared].assign(layer=i) for i, layer in enumerate(layers)]
        stacked = tables.concat(parts)
        again = stacked.duplicated(key).to_numpy()
        fresh = np.bincount(stacked["layer"].to_numpy()[~again], minlength=len(layers))
        for i, part in enumerate(parts):
            if len(part):
                added[i][artifact] = int(fresh[i])
        if again.any() and artifact == "runs":
            stacked = _fill_runs(stacked)
        elif again.any():
            replacements += _replacements(artifact, key, stacked)
            stacked = stacked.drop_duplicates(key, keep="last")
        merged[artifact] = tables.sort_by(stacked, key)
    return Merged(merged, tuple(added), tuple(replacements))


def _fill_runs(stacked: pd.DataFrame) -> pd.DataFrame:
    """One row per run; of every field the last value that says something, so that no later layer blanks one."""
    columns = [c for c in stacked.columns if c != "name"]
    said = stacked.assign(**{c: stacked[c].where(stacked[c] != "") for c in columns if c != "layer"})
    last = said.groupby("name", sort=True)[columns].last().reset_index()
    filled = {c: last[c].fillna("").astype("str") for c in columns if c != "layer"}
    return tables.sort_by(last.assign(**filled)[list(stacked.columns)], ["name"])


def _replacements(artifact: str, key: list[str], stacked: pd.DataFrame) -> list[Replacement]:
    twice = stacked[stacked.duplicated(key, keep=False)]
    later = twice.groupby(key, sort=False)["layer"].shift(-1)
    replaced = twice[later.notna()]
    keys: dict[tuple[int, int], list[Key]] = {}
    positions = zip(replaced["layer"].tolist(), later[later.notna()].astype(int).tolist(), strict=True)
    for pair, values in zip(positions, replaced[key].itertuples(index=False, name=None), strict=True):
        keys.setdefault(pair, []).append(values)
    return [Replacement(artifact, *pair, tuple(sorted(keys[pair]))) for pair in sorted(keys)]


def by_layer(table: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """The rows of a merged table that come from each layer, with the layer's position."""
    for position in sorted(set(table["layer"].tolist())):
        yield position, table[table["layer"] == position]
