"""One of two versions of a dataset that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from croissant_recipes.compiler.lineage import of_rows
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant.build_record import Origin
from croissant_recipes.croissant.drift import Existing
from croissant_recipes.croissant.row_record import WrittenRows
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.schema import RECORD_SETS


@dataclass(frozen=True)
class Side:
    """One of two versions.

    Attributes:
        tables: A record table for every record set.
        manifest: The metadata document.
        origin: What made it, as far as that is known.
        checked: The recipe, where it is at hand.
        written: What a build noted of its rows.
        planned: What a plan says of where rows are from, by record set, in their order (``compiler.lineage``).
    """

    tables: Mapping[str, pd.DataFrame]
    manifest: Mapping[str, Any]
    origin: Origin | None = None
    checked: CheckedRecipe | None = None
    written: WrittenRows | None = None
    planned: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @classmethod
    def of_existing(cls, existing: Existing) -> Side:
        """What is there."""
        record = existing.record
        return cls(
            existing.tables,
            existing.manifest,
            record.origin if record else None,
            written=record.rows if record else None,
        )

    @classmethod
    def of_plan(cls, plan: Plan, tables: Mapping[str, pd.DataFrame], manifest: Mapping[str, Any], by: Origin) -> Side:
        """What would be written.

        Args:
            plan: The plan.
            tables: What would be written: the plan's, and what others changed if that is kept.
            manifest: The metadata document.
            by: What the build record would say.
        """
        return cls(tables, manifest, by, plan.checked, planned=of_rows(plan.rows, plan.resolution.layers))

    def lineage(self, record_set: str) -> pd.DataFrame | None:
        """Key columns, ``layer``, ``selector`` and, where they are known, ``source`` and ``source_…`` columns of the
        rows of which it is known where they are from, in any order. ``None`` where that is known of none."""
        if record_set in self.planned:
            keys = self.tables[record_set][list(RECORD_SETS[record_set].key)]
            known = self.planned[record_set]
            # What others added, and a build keeps, has no lineage.
            return pd.concat([keys, known], axis=1) if len(keys) == len(known) else None
        if self.written is None:
            return None
        return pd.concat([self.written.keys(record_set), self.written.lineage(record_set)], axis=1)
