"""Rows that are there under another key: what looks like a removal and an addition, and is neither.

All of it is done on columns: a row is a position, and only the rows that one side has alone are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from croissant_recipes import tables
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.tables import Positions


class Way(StrEnum):
    """What tells that two rows are one.

    ``SOURCE_NAME``: one source has both, under one name; ``PORTAL_ID``: the id of the portal's record; ``SHA256``,
    ``URL``: a value that one row of either side has.
    ``ROWS``, of runs: all that is renamed out of one is now in the other. ``RUN``: its run is renamed, and all else of
    its key stays.
    """

    SOURCE_NAME = "source name"
    PORTAL_ID = "portal id"
    SHA256 = "sha256"
    URL = "url"
    ROWS = "rows"
    RUN = "run"


WAYS = tuple(Way)

SOURCE = "source"

Called = Callable[[str, Positions], pd.DataFrame]
"""What sources call some rows of a record set, given by their positions: ``SOURCE``, which source that is (empty where
nobody knows), and the columns of the key."""


def unknown(record_set: str, positions: Positions) -> pd.DataFrame:
    """``Called`` of rows of which nobody knows where they are from."""
    return tables.make({SOURCE: [""] * len(positions)}, (SOURCE, *RECORD_SETS[record_set].key))


# Of annotations the file comes first: an annotation may have several, each of which is a row.
_IDENTITIES = {
    "portal_annotation_file_id": Way.PORTAL_ID,
    "portal_annotation_id": Way.PORTAL_ID,
    "portal_tomogram_id": Way.PORTAL_ID,
    "portal_run_id": Way.PORTAL_ID,
    "sha256": Way.SHA256,
    "url": Way.URL,
}
"""The columns that tell what a row is of, whatever it is called; the surest first."""


@dataclass(frozen=True)
class Renames:
    """Renamed rows of one record set: the n-th of each belong together.

    Attributes:
        old, new: Positions in the table before and in the one after.
        ways: What told it, as positions in ``WAYS``.
    """

    old: Positions
    new: Positions
    ways: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.old)


NONE = Renames(np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.int8))


@dataclass(frozen=True)
class Sides:
    """One record set before and after.

    Attributes:
        old, new: The tables.
        only_old, only_new: Positions of the rows whose key the other has not.
        called_before, called_after: What sources call its rows.
    """

    old: pd.DataFrame
    new: pd.DataFrame
    only_old: Positions
    only_new: Positions
    called_before: Called = unknown
    called_after: Called = unknown


def find(sides: Mapping[str, Sides]) -> dict[str, Renames]:
    """The renamed rows of every record set, of the rows that one side has alone. None of these is in two of them."""
    found = {name: _Found(name, of) for name, of in sides.items()}
    for rows in found.values():
        rows.by_source_name()
        rows.by_identity()
    if "runs" in found:
        runs = found["runs"]
        runs.add(*_runs_of_rows(found), Way.ROWS)
        before, after = runs.names()
        for rows in found.values():
            rows.by_run(before, after)
    return {name: rows.renames() for name, rows in found.items()}


class _Found:
    """What is found so far of one record set, and the rows that are left."""

    def __init__(self, record_set: str, sides: Sides) -> None:
        self.record_set, self.sides = record_set, sides
        self.left_old, self.left_new = sides.only_old, sides.only_new
        self._pairs: list[tuple[Positions, Positions, Way]] = []

    def __bool__(self) -> bool:
        return bool(len(self.left_old) and len(self.left_new))

    def add(self, old: Positions, new: Positions, way: Way) -> None:
        if len(old):
            self._pairs.append((old, new, way))
            self.left_old = self.left_old[~np.isin(self.left_old, old)]
            self.left_new = self.left_new[~np.isin(self.left_new, new)]

    def by_source_name(self) -> None:
        """Rows that one source has under one name, whatever the recipe makes of it: as far as no other one of the rows
        that are left is made of the same."""
        if not self or self.sides.called_before is unknown or self.sides.called_after is unknown:
            return
        of = SOURCE, *RECORD_SETS[self.record_set].key
        old = self.sides.called_before(self.record_set, self.left_old)
        new = self.sides.called_after(self.record_set, self.left_new)
        at_old, at_new = (np.flatnonzero((t[SOURCE] != "") & ~tables.shares_key(t, of)) for t in (old, new))
        met = tables.match(tables.take(old, at_old), tables.take(new, at_new), of)
        self.add(self.left_old[at_old[met.old]], self.left_new[at_new[met.new]], Way.SOURCE_NAME)

    def by_identity(self) -> None:
        for column, way in _IDENTITIES.items():
            if self and column in self.sides.new:
                old, new = self.sides.old[column], self.sides.new[column]
                self.add(*_alike(old, new, self.left_old, self.left_new), way)

    def by_run(self, before: pa.Array, after: pa.Array) -> None:
        """Rows of renamed runs, whose names are given, that have nothing else that tells what they are."""
        key = list(RECORD_SETS[self.record_set].key)
        if not self or not len(before) or "run" not in key:
            return
        left = self.sides.old[key].take(self.left_old)
        places = pc.index_in(tables.arrow_texts(left["run"]), value_set=before)
        renamed = pc.is_valid(places).to_numpy(zero_copy_only=False)
        runs = pd.Series(after.take(pc.drop_null(places)), dtype=left["run"].dtype)
        called = left[renamed].assign(run=runs.array)
        at = self.left_old[renamed]
        met = tables.match(called, self.sides.new[key].take(self.left_new), key)
        self.add(at[met.old], self.left_new[met.new], Way.RUN)

    def names(self) -> tuple[pa.Array, pa.Array]:
        """What the renamed rows of a record set of things with a name were called, and what they are."""
        renamed = self.renames()
        before, after = self.sides.old["name"].take(renamed.old), self.sides.new["name"].take(renamed.new)
        return tables.arrow_texts(before), tables.arrow_texts(after)

    def moved_runs(self) -> Iterator[pd.DataFrame]:
        """``old`` and ``new`` run of every renamed row that is of another run now."""
        if self._pairs and "run" in self.sides.new:
            renamed = self.renames()
            before = self.sides.old["run"].take(renamed.old).array
            after = self.sides.new["run"].take(renamed.new).array
            runs = pd.DataFrame({"old": before, "new": after})
            yield runs[tables.differs(runs["old"], runs["new"])]

    def renames(self) -> Renames:
        """In the order of the keys after."""
        if not self._pairs:
            nothing = np.zeros(0, dtype=np.intp)
            return Renames(nothing, nothing, np.zeros(0, dtype=np.int8))
        old, new = (np.concatenate([pair[side] for pair in self._pairs]) for side in (0, 1))
        ways = np.concatenate([np.full(len(o), WAYS.index(way), dtype=np.int8) for o, _, way in self._pairs])
        (codes,) = tables.key_codes([self.sides.new.take(new)], RECORD_SETS[self.record_set].key)
        order = np.argsort(codes, kind="stable")
        return Renames(old[order], new[order], ways[order])


def _alike(old: pd.Series, new: pd.Series, left_old: Positions, left_new: Positions) -> tuple[Positions, Positions]:
    """The rows that are left and have a value in common that no other row of either side has. A value that stands in
    several rows tells none of them from the others, and an empty one tells nothing."""
    values = tables.arrow_texts(old.take(left_old)), tables.arrow_texts(new.take(left_new))
    common = pc.unique(pc.filter(values[0], pc.is_in(values[0], value_set=values[1])))
    common = pc.filter(common, pc.not_equal(common, ""))
    for column in (old, new):
        if len(common):
            common = _once(tables.arrow_texts(column), common)
    if not len(common):
        return left_old[:0], left_new[:0]
    at = [pc.index_in(side, value_set=common) for side in values]
    places = [pc.fill_null(found, -1).to_numpy(zero_copy_only=False) for found in at]
    rows = [np.flatnonzero(place >= 0) for place in places]
    ordered = [row[np.argsort(place[row])] for row, place in zip(rows, places, strict=True)]
    return left_old[ordered[0]], left_new[ordered[1]]


def _once(column: pa.Array, values: pa.Array) -> pa.Array:
    """The values that stand in a column once."""
    places = pc.drop_null(pc.index_in(column, value_set=values)).to_numpy(zero_copy_only=False)
    return values.filter(pa.array(np.bincount(places, minlength=len(values)) == 1))


def _runs_of_rows(found: Mapping[str, _Found]) -> tuple[Positions, Positions]:
    """Runs that are left, where all that is renamed out of one is now in the other, and nothing else is."""
    runs = found["runs"]
    moved = [pair for rows in found.values() for pair in rows.moved_runs()]
    if not runs or not moved:
        return runs.left_old[:0], runs.left_new[:0]
    pairs = pd.concat(moved, ignore_index=True).drop_duplicates(ignore_index=True)
    one = pairs[~pairs["old"].duplicated(keep=False) & ~pairs["new"].duplicated(keep=False)]
    old, new = runs.sides.old.take(runs.left_old), runs.sides.new.take(runs.left_new)
    one = one[one["old"].isin(old["name"]) & one["new"].isin(new["name"])]
    at = (
        pd.Index(old["name"]).get_indexer(pd.Index(one["old"])),
        pd.Index(new["name"]).get_indexer(pd.Index(one["new"])),
    )
    ids = [side["portal_run_id"].take(rows).array for side, rows in zip((old, new), at, strict=True)]
    # Two records of the portal are two runs, whatever of one is a copy of something of the other.
    may = np.asarray((ids[0] == "") | (ids[1] == ""), dtype=np.bool_)
    return runs.left_old[at[0][may]], runs.left_new[at[1][may]]
