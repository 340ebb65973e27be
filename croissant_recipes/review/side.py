"""One of two versions of a dataset that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant.build_record import BuildRecord, Origin
from croissant_recipes.croissant.drift import Existing
from croissant_recipes.croissant.keyed_records import KeyedRecords
from croissant_recipes.croissant.renames import Called, unknown
from croissant_recipes.review.causes import Cause, CauseKind
from croissant_recipes.review.making import Making
from croissant_recipes.review.row_origins import PlannedRows, RowOrigins, Tables, WrittenRows


@dataclass(frozen=True)
class Side:
    """One of two versions.

    Attributes:
        tables: A record table for every record set.
        manifest: The metadata document.
        making: How it came about; ``None`` where nobody knows.
        rows: Where its rows are from, likewise.
        record: What the build noted that wrote it.
        plan: The plan that would write it, where it is one.
        others: Records of record sets that are not copick's, where they were read.
        root: Where relative URLs of its rows start if its manifest does not say, ``""`` where that is not known.
    """

    tables: Tables
    manifest: Mapping[str, Any]
    making: Making | None = None
    rows: RowOrigins | None = None
    record: BuildRecord | None = None
    plan: Plan | None = None
    others: Mapping[str, KeyedRecords] = field(default_factory=dict)
    root: str = ""

    @classmethod
    def of_existing(cls, existing: Existing, root: str = "") -> Side:
        """What is there, in the project at a root."""
        record = existing.record
        if record is None:
            return cls(existing.tables, existing.manifest, root=root)
        making = Making.of_origin(record.origin) if record.origin else None
        return cls(existing.tables, existing.manifest, making, WrittenRows(existing, record, making), record, root=root)

    @classmethod
    def of_plan(cls, plan: Plan, tables: Tables, manifest: Mapping[str, Any], by: Origin) -> Side:
        """What would be written.

        Args:
            plan: The plan.
            tables: What would be written: the plan's, and what others changed if that is kept.
            manifest: The metadata document.
            by: What the build record would say.
        """
        return cls(tables, manifest, Making.of_origin(by), PlannedRows(plan, tables), plan=plan)

    @property
    def called(self) -> Called:
        """What sources call its rows."""
        return unknown if self.rows is None else self.rows.called

    @property
    def untold(self) -> Cause:
        """What to say of a row of which nobody knows where it is from, or why."""
        if self.record is None and self.plan is None:
            return Cause(CauseKind.UNKNOWN, "what is there has no build record that says how it came about")
        if self.making is None:
            return Cause(CauseKind.UNKNOWN, "the build record does not say how what is there came about")
        return Cause(CauseKind.UNKNOWN, "nothing says where these are from")

    @property
    def written(self) -> WrittenRows | None:
        """What a build noted of its rows."""
        return self.rows if isinstance(self.rows, WrittenRows) else None
