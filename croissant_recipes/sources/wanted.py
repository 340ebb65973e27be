"""What the layers of a source, taken together, ask of it: nothing else is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from croissant_recipes import tables
from croissant_recipes.language.checked import LayerSpec, Take, TypeFilter
from croissant_recipes.language.matching import match_any
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
            if runs.take is Take.NONE:
                continue
            taken = np.ones(len(table), dtype=np.bool_)
            if runs.take is Take.SELECTED:
                taken = match_any((s.selector for s in runs.select), table)
            mask |= taken & ~match_any((s.selector for s in runs.exclude), table)
        return [name for name, wanted in zip(names, mask.tolist(), strict=True) if wanted]
