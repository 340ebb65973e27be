"""Why a plan differs from the version before it: one cause for each change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant import diff
from croissant_recipes.croissant.build_record import BuildRecord
from croissant_recipes.croissant.diff import Changes
from croissant_recipes.croissant.drift import Existing
from croissant_recipes.croissant.renames import Called, unknown
from croissant_recipes.review.causes import UNKNOWN, Cause, Causes, Ids, Ledger
from croissant_recipes.review.making import Comparison, Making
from croissant_recipes.review.metadata_causes import MetadataCauses
from croissant_recipes.review.row_causes import RowCauses
from croissant_recipes.review.row_origins import PlannedRows, RowOrigins, Tables, WrittenRows
from croissant_recipes.review.split_causes import SplitCauses


@dataclass(frozen=True)
class Before:
    """A version that a plan is compared with.

    Attributes:
        tables: Its record tables.
        manifest: Its metadata document.
        rows: Where its rows are from; ``None`` where nobody knows.
        making: How it came about, likewise.
        record: What the build noted that wrote it.
    """

    tables: Tables
    manifest: Mapping[str, Any]
    rows: RowOrigins | None = None
    making: Making | None = None
    record: BuildRecord | None = None

    @classmethod
    def of_existing(cls, existing: Existing) -> Before:
        """What is there."""
        record = existing.record
        if record is None:
            return cls(existing.tables, existing.manifest)
        making = Making.of_origin(record.origin) if record.origin else None
        return cls(existing.tables, existing.manifest, WrittenRows(existing, record, making), making, record)

    @classmethod
    def of_plan(cls, plan: Plan, manifest: Mapping[str, Any]) -> Before:
        """Another plan, over the same sources."""
        found = plan.content.tables
        return cls(found, manifest, PlannedRows(plan, found), Making.of_plan(plan))


def compare(before: Before | None, plan: Plan, tables: Tables, manifest: Mapping[str, Any]) -> tuple[Changes, Causes]:
    """What differs between a version and a plan, and why.

    Args:
        before: The version, ``None`` where there is none.
        plan: The plan.
        tables: What would be written: the plan's rows, and what others changed if that is kept.
        manifest: The metadata document.
    """
    after = PlannedRows(plan, tables)
    known = before.rows if before else None
    called: tuple[Called, Called] = (known.called if known else unknown, after.called if known else unknown)
    changes = diff.compare(
        before.tables if before else None, tables, before.manifest if before else None, manifest, called
    )
    return changes, causes(changes, before, plan, after, manifest)


def causes(
    changes: Changes, before: Before | None, plan: Plan, after: PlannedRows, manifest: Mapping[str, Any]
) -> Causes:
    """The cause of every change, see ``compare``."""
    making = before.making if before else None
    comparison = Comparison(making, Making.of_plan(plan)) if making and changes.exists else None
    ledger, splits = Ledger(), SplitCauses(plan, comparison)
    found = RowCauses(changes, plan, before.rows if before else None, after, comparison, ledger, splits).find()
    moves = _of_moves(changes, found, ledger)
    others = MetadataCauses(
        changes, plan, comparison, before.record if before else None, before.manifest if before else {}, manifest
    )
    return _numbered(ledger, found, moves, others.objects(), others.metadata())


def _numbered(
    ledger: Ledger, rows: Mapping[str, Mapping[str, Ids]], moves: Ids, *others: Mapping[str, Cause]
) -> Causes:
    """With causes that something has, each once, in the order of the rows."""
    ids = [*(of for kinds in rows.values() for of in kinds.values()), moves]
    used = list(dict.fromkeys(n for of in ids for n in pd.unique(of).tolist()))
    named = ledger.all(used)
    position = {cause: at for at, cause in enumerate(dict.fromkeys(named[n] for n in used))}
    new = np.zeros(max(used, default=-1) + 1, dtype=np.int32)
    for number in used:
        new[number] = position[named[number]]
    return Causes(
        causes, {name: {k: new[of] for k, of in kinds.items()} for name, kinds in rows.items()}, *others, new[moves]
    )


def _of_moves(changes: Changes, found: Mapping[str, Mapping[str, Any]], ledger: Ledger) -> Any:
    """Why runs moved between splits: that of the change, or else of the new name."""
    moves, runs = changes.split_moves, changes.tables["runs"]
    by_run: dict[str, int] = {}
    for names, kind in ((runs.renamed_after["name"], "renamed"), (runs.after["name"], "changed")):
        if len(names):
            by_run |= dict(zip(names, found["runs"][kind].tolist(), strict=True))
    nothing = -1 if not len(moves) else ledger.number(UNKNOWN)
    return np.array([by_run.get(run, nothing) for run in moves["run"]], dtype=np.int32)


def by_cause(found: Causes, record_set: str, kind: str) -> dict[int, np.ndarray[Any, Any]]:
    """Positions of rows by the number of their cause."""
    ids = found.rows.get(record_set, {}).get(kind, np.zeros(0, dtype=np.int32))
    return {int(i): np.flatnonzero(ids == i) for i in pd.unique(ids)}
