"""What layers ask of a source: nothing else is read, and only that makes its identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.language.checked import HeldRows, LayerSpec, Take, TypeFilter
from croissant_recipes.language.matching import Mask, match_any
from croissant_recipes.schema import ARTIFACT_TYPES


@dataclass(frozen=True)
class Wanted:
    """The union of what layers take.

    Attributes:
        types: Artifact types of which some layer takes anything.
        run_filters: The layers' filters of runs.
    """

    types: frozenset[str]
    run_filters: tuple[TypeFilter, ...]

    @classmethod
    def by(cls, layers: Sequence[LayerSpec]) -> Wanted:
        taken = {t for t in ARTIFACT_TYPES for layer in layers if layer.filters[t].take is not Take.NONE}
        return cls(frozenset(taken), tuple(layer.filters["runs"] for layer in layers))

    def runs(self, names: Sequence[str]) -> list[str]:
        """The names of runs that some layer takes, in the order given."""
        table = tables.make({"name": list(names)}, ("name",))
        mask = np.zeros(len(table), dtype=np.bool_)
        for runs in self.run_filters:
            mask |= takes(runs, table)
        return [name for name, wanted in zip(names, mask.tolist(), strict=True) if wanted]


def taken(layer: LayerSpec, found: Mapping[str, pd.DataFrame], *, runs_chosen: bool = False) -> dict[str, pd.DataFrame]:
    """The rows of artifact tables that one layer's selectors take.

    Args:
        layer: The layer.
        found: A table of every artifact type.
        runs_chosen: Whether the tables hold no other runs than the layer selects.
    """
    chosen = layer.filters["runs"]
    runs = found["runs"][~_excluded(chosen, found["runs"]) if runs_chosen else takes(chosen, found["runs"])]
    everything = len(runs) == len(found["runs"])
    rows = {"runs": runs}
    for artifact, chosen in layer.filters.items():
        if artifact == "runs":
            continue
        table = found[artifact]
        mask = takes(chosen, table)
        if "run" in table and not everything:
            mask &= tables.is_among(table["run"], runs["name"])
        rows[artifact] = table if mask.all() else table[mask]
    return _of_held_runs(layer.filters["runs"], rows) if layer.runs_apart else rows


def _excluded(chosen: TypeFilter, runs: pd.DataFrame) -> Mask:
    """Which runs ``exclude`` rules out, by either of their names."""
    found = match_any((s.selector for s in chosen.exclude), runs)
    if chosen.exclude and "run_alias" in runs:
        found |= match_any((s.selector for s in chosen.exclude), runs.assign(name=runs["run_alias"]))
    return found


def _of_held_runs(chosen: TypeFilter, rows: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rows of those runs that have what a filter of runs asks for. Where a run can be of several sources, all
    have to be known."""
    if not chosen.having and not chosen.lacking:
        return rows
    names = set(rows["runs"]["name"])
    for item in chosen.having:
        names &= holders(item, rows[item.artifact])
    for item in chosen.lacking:
        names -= holders(item, rows[item.artifact])
    kept = {a: t[t["run"].isin(names)] if "run" in t else t for a, t in rows.items()}
    return {**kept, "runs": rows["runs"][rows["runs"]["name"].isin(names)]}


def holders(item: HeldRows, rows: pd.DataFrame) -> set[str]:
    """The runs that have what an item means, among the rows that a layer takes of its type."""
    if item.selector is not None:
        rows = rows[match_any([item.selector.selector], rows)]
    return set(rows["run"])


def takes(chosen: TypeFilter, table: pd.DataFrame) -> Mask:
    """Which rows a filter takes, as far as it asks about names."""
    if chosen.take is Take.NONE:
        return np.zeros(len(table), dtype=np.bool_)
    mask = np.ones(len(table), dtype=np.bool_)
    if chosen.take is Take.SELECTED:
        mask = match_any((s.selector for s in chosen.select), table)
    return mask & ~match_any((s.selector for s in chosen.exclude), table) if chosen.exclude else mask
