"""How much a change hurts those who use a dataset, row by row, decided on columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant.diff import Changes, TableChanges
from croissant_recipes.croissant.renames import WAYS, Way
from croissant_recipes.schema import RECORD_SETS, STANDARD_SPLITS
from croissant_recipes.tables import Mask


class ChangeClass(StrEnum):
    """How much a change hurts, the worst last.

    ``METADATA``: what is said of the dataset or of a row is other, and all data and names stay. ``ADDITIVE``: there is
    more, and all that was there stays. ``BREAKING``: something is gone, or is something else. ``SPLIT_UNSAFE``: a model
    may be tested with what it was trained on.
    """

    NONE = "none"
    METADATA = "metadata"
    ADDITIVE = "additive"
    BREAKING = "breaking"
    SPLIT_UNSAFE = "split-unsafe"

    @property
    def rank(self) -> int:
        """Its position among all, the worst last."""
        return CLASSES.index(self)

    @property
    def needs_approval(self) -> bool:
        return self.rank >= ChangeClass.BREAKING.rank


CLASSES = tuple(ChangeClass)

Ranks = npt.NDArray[np.int8]
"""The rank of a class for each row."""


def worst(found: Iterable[ChangeClass]) -> ChangeClass:
    return max(found, key=lambda each: each.rank, default=ChangeClass.NONE)


@dataclass(frozen=True)
class RowClasses:
    """The class of every row of one record set that changes, in the order of ``TableChanges``."""

    added: Ranks
    changed: Ranks
    removed: Ranks
    renamed: Ranks

    def of(self, kind: str) -> Ranks:
        """Those of ``added``, ``changed``, ``removed`` or ``renamed`` rows."""
        found: Ranks = vars(self)[kind]
        return found


def of_rows(changes: Changes) -> dict[str, RowClasses]:
    """The class of every row that changes, by record set."""
    return {name: _of_table(table, name) for name, table in changes.tables.items()}


def _of_table(table: TableChanges, record_set: str) -> RowClasses:
    # Of what others define, nobody knows what is only told of a record.
    other = (
        edited(table.before, table.after) if record_set in RECORD_SETS else np.ones(len(table.after), dtype=np.bool_)
    )
    changed = np.where(other, ChangeClass.BREAKING.rank, ChangeClass.METADATA.rank)
    renamed = _all(table.renamed_after, ChangeClass.BREAKING)
    changed = changed.astype(np.int8)
    if record_set == "runs":
        changed = np.maximum(changed, _of_moves(table.before["split"], table.after["split"]))
        renamed = np.maximum(renamed, _of_moves(table.renamed_before["split"], table.renamed_after["split"]))
    return RowClasses(
        _all(table.added, ChangeClass.ADDITIVE), changed, _all(table.removed, ChangeClass.BREAKING), renamed
    )


def _all(table: pd.DataFrame, of: ChangeClass) -> Ranks:
    return np.full(len(table), of.rank, dtype=np.int8)


_RECORDS = ("portal_annotation_file_id", "portal_tomogram_id", "portal_annotation_id", "portal_run_id")
"""Ids of the portal's records. What lies elsewhere and is of one record, or has one digest, is the same."""

_OF_ONE_FILE = ("portal_annotation_file_id", "portal_tomogram_id")


def edited(before: pd.DataFrame, after: pd.DataFrame) -> Mask:
    """Where rows hold other data than before. What is only told of them may differ: where the same file lies, what the
    portal calls it, a digest or an id that was not known. The split of a run is not looked at.

    Args:
        before, after: The n-th of one and the n-th of the other are one row.
    """
    found = np.zeros(len(after), dtype=np.bool_)
    if not len(after):
        return found
    digests = _both(before, after, "sha256")
    same_bytes = digests & ~_differs(before, after, "sha256")
    same = same_bytes.copy()
    for column in _OF_ONE_FILE:
        same |= _both(before, after, column) & ~_differs(before, after, column)
    same &= ~(digests & ~same_bytes)
    found |= digests & ~same_bytes
    found |= _differs(before, after, "url") & ~same
    for column in _RECORDS:
        found |= _both(before, after, column) & _differs(before, after, column) & ~same_bytes
    if "voxel_size" in after:
        known = before["voxel_size"].notna().to_numpy()
        found |= known & _differs(before, after, "voxel_size")
    return found


def edited_and_renamed(table: TableChanges) -> Mask:
    """Where renamed rows hold other data besides. Data of a renamed run lies elsewhere by that: copick's folders are
    named by runs."""
    by_run = table.ways == WAYS.index(Way.RUN)
    before = table.renamed_before
    if "url" in before and by_run.any():
        before = before.assign(url=before["url"].mask(by_run, table.renamed_after["url"]))
    # A voxel size of a key is part of the name.
    if "voxel_size" in table.key:
        before = before.assign(voxel_size=table.renamed_after["voxel_size"])
    return edited(before, table.renamed_after)


def _both(before: pd.DataFrame, after: pd.DataFrame, column: str) -> Mask:
    """Where both say something."""
    if column not in after:
        return np.zeros(len(after), dtype=np.bool_)
    return np.asarray((before[column] != "").to_numpy() & (after[column] != "").to_numpy(), dtype=np.bool_)


def _differs(before: pd.DataFrame, after: pd.DataFrame, column: str) -> Mask:
    if column not in after:
        return np.zeros(len(after), dtype=np.bool_)
    return tables.differs(before[column], after[column])


# Splits

_KEPT_APART = frozenset({STANDARD_SPLITS["validation"], STANDARD_SPLITS["test"]})


def is_kept_apart(split: str) -> bool:
    """Whether what is in a split of this name is to be seen by no training: ``test``, ``val``, ``eval`` or
    ``validation``, in any case."""
    return STANDARD_SPLITS.get(split.casefold()) in _KEPT_APART


def of_move(before: str, after: str) -> ChangeClass:
    """The class of a run that was in one split and is in another; ``""`` is none."""
    if before == after:
        return ChangeClass.NONE
    meant = [STANDARD_SPLITS.get(split.casefold()) for split in (before, after)]
    if meant[0] is not None and meant[0] == meant[1]:
        # Another name for the same: who asks for the old one finds nothing, and nothing leaks.
        return ChangeClass.BREAKING
    if is_kept_apart(before) or is_kept_apart(after):
        return ChangeClass.SPLIT_UNSAFE
    return ChangeClass.BREAKING if before else ChangeClass.ADDITIVE


def _of_moves(before: pd.Series, after: pd.Series) -> Ranks:
    pairs: Mapping[tuple[str, str], int] = {
        pair: of_move(*pair).rank for pair in set(zip(before.tolist(), after.tolist(), strict=True))
    }
    return np.array([pairs[pair] for pair in zip(before.tolist(), after.tolist(), strict=True)], dtype=np.int8)
