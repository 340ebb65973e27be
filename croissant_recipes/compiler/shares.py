"""How the rows of each object are shared out among the splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from croissant_recipes.schema import ARTIFACTS

SHARED = ("picks", "segmentations")
"""The types of artifact that are shown by object, which are those that a draw can be stratified by."""


@dataclass(frozen=True)
class ObjectShares:
    """Where the rows of one object are.

    Attributes:
        artifact: Their type.
        object: What is picked or segmented.
        rows: How many rows each split has, all splits in order.
        without: How many are of runs that are in no split.
    """

    artifact: str
    object: str
    rows: Mapping[str, int]
    without: int

    def share(self, split: str) -> float:
        """The part of the rows in splits that is in this one."""
        return self.rows[split] / max(sum(self.rows.values()), 1)


def of(tables: Mapping[str, pd.DataFrame], splits: Sequence[str]) -> Iterator[ObjectShares]:
    """The shares of every object, by type and name; nothing where there are no splits.

    Args:
        tables: Record tables.
        splits: The names of the splits.
    """
    if not splits:
        return
    of_runs = tables["runs"].set_index("name")["split"]
    for artifact in SHARED:
        described = ARTIFACTS[artifact]
        column = str(described.object_column)
        rows = pd.concat([tables[record_set][["run", column]] for record_set in described.record_sets])
        counted = pd.DataFrame({"object": rows[column], "split": rows["run"].map(of_runs).fillna("")}).value_counts()
        found: dict[str, dict[str, int]] = {}
        for name, split, n in counted.reset_index().itertuples(index=False, name=None):
            found.setdefault(name, {})[split] = int(n)
        for name in sorted(found):
            yield ObjectShares(artifact, name, {s: found[name].get(s, 0) for s in splits}, found[name].get("", 0))
