"""Layers and listings for tests of sources."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from croissant_recipes.diagnostics import Span
from croissant_recipes.language.checked import LayerSpec, PlacedSelector, Take, TypeFilter
from croissant_recipes.language.selectors import parse
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS
from croissant_recipes.sources.base import Inventory
from croissant_recipes.sources.listing import Entry, Lister


def layer(
    types: Iterable[str] = ARTIFACT_TYPES,
    *,
    runs: Sequence[str] = (),
    exclude_runs: Sequence[str] = (),
    picks: Sequence[str] = (),
) -> LayerSpec:
    """A layer that takes some types whole, and of the runs and picks all or those that a pattern selects."""

    def selectors(texts: Sequence[str], artifact: str = "runs") -> tuple[PlacedSelector, ...]:
        return tuple(PlacedSelector(parse(artifact, t), Span("recipe.yaml", 1, 1)) for t in texts)

    filters = {a: TypeFilter(a, Take.ALL if a in types else Take.NONE) for a in ARTIFACT_TYPES}
    take = Take.SELECTED if runs else Take.ALL
    filters["runs"] = TypeFilter("runs", take, select=selectors(runs), exclude=selectors(exclude_runs))
    if picks:
        filters["picks"] = TypeFilter("picks", Take.SELECTED, select=selectors(picks, "picks"))
    return LayerSpec(0, "export", ("lab",), filters)


def keys(inventory: Inventory) -> dict[str, set[tuple[object, ...]]]:
    """The artifacts of an inventory by type."""
    return {
        artifact: set(inventory.table(artifact)[list(described.key)].itertuples(index=False, name=None))
        for artifact, described in ARTIFACTS.items()
    }


class Watched:
    """A lister that notes what it is asked for and, given a seed, answers in another order."""

    def __init__(self, lister: Lister, asked: list[str], seed: int | None = None) -> None:
        self._lister = lister
        self._asked = asked
        self._seed = seed

    def directories(self, paths: Sequence[str]) -> Iterator[list[Entry]]:
        self._asked += paths
        for entries in self._lister.directories(paths):
            if self._seed is not None:
                random.Random(self._seed).shuffle(entries)
            yield entries
