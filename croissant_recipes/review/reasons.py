"""Why a version differs from the one before it: one cause for each change."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from croissant_recipes.croissant.diff import Changes
from croissant_recipes.review import stored_causes
from croissant_recipes.review.causes import Cause, Causes, Ids, Ledger
from croissant_recipes.review.making import Comparison
from croissant_recipes.review.metadata_causes import MetadataCauses
from croissant_recipes.review.row_causes import RowCauses
from croissant_recipes.review.side import Side
from croissant_recipes.review.split_causes import SplitCauses

_NOTHING = Side({}, {})


def of_changes(changes: Changes, before: Side | None, after: Side) -> Causes:
    """The cause of every change of one version to another."""
    before, ledger = before or _NOTHING, Ledger()
    comparison = None
    if before.making is not None and after.making is not None and changes.exists:
        comparison = Comparison(before.making, after.making)
    if after.plan is None:
        stored = stored_causes.StoredCauses(changes, before, after, comparison, ledger)
        return _numbered(ledger, stored.rows(), stored.split_moves(), stored.objects(), stored.metadata())
    splits = SplitCauses(after.plan, before, comparison)
    rows = RowCauses(changes, before, after, after.plan, comparison, ledger, splits).find()
    others = MetadataCauses(changes, after.plan, comparison, before, after.manifest)
    return _numbered(ledger, rows, _of_moves(changes, rows, splits, ledger), others.objects(), others.metadata())


def _of_moves(changes: Changes, rows: Mapping[str, Mapping[str, Ids]], splits: SplitCauses, ledger: Ledger) -> Ids:
    """Why runs moved between splits. A run that is renamed too has a cause for its name."""
    moves, runs = changes.split_moves, changes.tables["runs"]
    found = splits.of(moves["run"], ledger)
    at = pd.Index(runs.after["name"]).get_indexer(pd.Index(moves["run"]))
    found[at >= 0] = rows["runs"]["changed"][at[at >= 0]] if (at >= 0).any() else found[at >= 0]
    return found


def _numbered(
    ledger: Ledger,
    rows: Mapping[str, Mapping[str, Ids]],
    moves: Ids,
    objects: Mapping[str, Cause],
    metadata: Mapping[str, Cause],
) -> Causes:
    """With the causes that something has, each once, in the order of the rows."""
    ids = [*(of for kinds in rows.values() for of in kinds.values()), moves]
    used = list(dict.fromkeys(number for of in ids for number in pd.unique(of).tolist()))
    named = ledger.all(used)
    position = {cause: at for at, cause in enumerate(dict.fromkeys(named[number] for number in used))}
    new = np.zeros(max(used, default=-1) + 1, dtype=np.int32)
    for number in used:
        new[number] = position[named[number]]
    renumbered = {name: {kind: new[of] for kind, of in kinds.items()} for name, kinds in rows.items()}
    return Causes(tuple(position), renumbered, objects, metadata, new[moves])
