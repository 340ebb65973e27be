"""Why a run is in another split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from croissant_recipes.compiler.planner import Plan
from croissant_recipes.diagnostics import Span
from croissant_recipes.language.yaml_nodes import Path
from croissant_recipes.review.causes import Cause, CauseKind, Ids, Ledger
from croissant_recipes.review.making import Comparison
from croissant_recipes.review.side import Side


@dataclass(frozen=True)
class SplitCauses:
    """What decides splits.

    Attributes:
        plan: The plan.
        before: The version before.
        comparison: How the two differ in how they came about, ``None`` where that is not known.
    """

    plan: Plan
    before: Side
    comparison: Comparison | None

    def of(self, runs: pd.Series, ledger: Ledger) -> Ids:
        """Why runs, by their names in the result, are in another split than they were."""
        if self.comparison is None:
            return np.full(len(runs), ledger.number(self.before.untold), dtype=np.int32)
        places = [self.plan.split_places.get(run) for run in runs]
        by_recipe = self._recipe_differs()
        first = self._first_of_reasons(places)
        numbers: dict[Span | None, int] = {}
        found = []
        for place in places:
            at = first[self._reason(place)] if place is not None else None
            if at not in numbers:
                numbers[at] = ledger.number(self._cause(at, by_recipe=by_recipe))
            found.append(numbers[at])
        return np.array(found, dtype=np.int32)

    def _recipe_differs(self) -> bool:
        """Whether the recipe says something else of splits."""
        comparison = self.comparison
        assert comparison is not None
        if comparison.same_recipe:
            return False
        if not comparison.parts_known or comparison.differing("splits") is not None:
            return True
        makings = comparison.before, comparison.after
        one, other = ({str(layer.get("split")) for layer in making.layers.values()} for making in makings)
        return one != other

    def _first_of_reasons(self, places: Sequence[Span | None]) -> dict[object, Span]:
        """By reason, the first of its places that decides."""
        found: dict[object, Span] = {}
        for place in filter(None, places):
            reason = self._reason(place)
            found[reason] = min(place, found.get(reason, place))
        return found

    def _reason(self, place: Span) -> object:
        """What is told of as one: the lines of a split file, the items of a list, or else one place."""
        return place.file if place.file in self._split_files else self._lists.get(place, place)

    @cached_property
    def _split_files(self) -> frozenset[str]:
        return frozenset(row.span.file for row in self.plan.checked.split_rows)

    @cached_property
    def _lists(self) -> dict[Span, Path]:
        """The lists in which runs of splits are, by the places of their items."""
        places = self.plan.checked.document.places
        return {
            p.value: path[:-1] for path, p in places.items() if path[:1] == ("splits",) and isinstance(path[-1], int)
        }

    def _cause(self, place: Span | None, *, by_recipe: bool) -> Cause:
        document = self.plan.checked.document
        if by_recipe and place is not None:
            return Cause(CauseKind.RECIPE, "the recipe puts runs into other splits").at(place)
        if by_recipe:
            span = document.key_span("splits") if ("splits",) in document.places else document.key_span("layers")
            return Cause(CauseKind.RECIPE, "the recipe does not say any more which split runs are in").at(span)
        comparison = self.comparison
        assert comparison is not None
        if comparison.same_recipe and comparison.same_sources:
            return Cause(CauseKind.UNKNOWN, "runs are in other splits, of the same recipe and sources").at(place)
        if not comparison.same_recipe or not comparison.same_tool:
            return Cause(CauseKind.UNKNOWN, "the rows that decide splits are other ones").at(place)
        what = "the sources moved, and runs are drawn otherwise" if place else "the source has runs in other splits"
        return Cause(CauseKind.SOURCE, what).at(place)
