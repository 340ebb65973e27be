"""What a dataset is made of: counts of its record tables, of one version or of two side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from croissant_recipes import tables
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS, ArtifactType

NO_SPLIT = ""
"""The split of runs that are in none."""

_NAMED = tuple(a for a in ARTIFACTS.values() if a.of_run and a.object_column)
_SIZED = tuple(a for a in ARTIFACTS.values() if "voxel_size" in RECORD_SETS[a.record_sets[0]].columns)


@dataclass(frozen=True)
class Composition:
    """What one version holds.

    Attributes:
        runs: How many runs each split has, by name, ``NO_SPLIT`` last where a run is in none.
        objects: How many rows each object has in each split, by type of artifact and object; of types that are of an
            object.
        sizes: How many rows there are of each voxel size in Å, by type of artifact and size; ``None`` where it is not
            known.
    """

    runs: Mapping[str, int]
    objects: Mapping[tuple[str, str], Mapping[str, int]]
    sizes: Mapping[tuple[str, float | None], int]


def of(records: Mapping[str, pd.DataFrame]) -> Composition:
    """Count record tables, of which there is one for each record set."""
    of_runs = _SplitsOfRuns(records["runs"])
    objects = {
        (artifact.name, name): counts for artifact in _NAMED for name, counts in _by_object(artifact, records, of_runs)
    }
    sizes = {
        (artifact.name, size): n
        for artifact in _SIZED
        for size, n in _by_size([records[name] for name in artifact.record_sets])
    }
    return Composition(of_runs.counts(), objects, sizes)


@dataclass(frozen=True)
class Counted:
    """A number before and after."""

    before: int
    after: int


@dataclass(frozen=True)
class ObjectRows:
    """The rows of one object.

    Attributes:
        artifact, object: The type of artifact, and what the rows are of.
        splits: How many rows each split has, all splits of the comparison in order.
    """

    artifact: str
    object: str
    splits: Mapping[str, Counted]

    @property
    def total(self) -> Counted:
        return Counted(sum(n.before for n in self.splits.values()), sum(n.after for n in self.splits.values()))


@dataclass(frozen=True)
class SizedRows:
    """The rows of one type of artifact that have one voxel size, in Å; ``None`` where it is unknown."""

    artifact: str
    voxel_size: float | None
    rows: Counted


@dataclass(frozen=True)
class Compared:
    """What two versions hold, side by side. Without one before, every number before is 0.

    Attributes:
        runs: The runs of each split, by name, ``NO_SPLIT`` last where a run is in none.
        objects: By type of artifact, then by object.
        sizes: By type of artifact, then by voxel size, unknown ones last.
    """

    runs: Mapping[str, Counted]
    objects: tuple[ObjectRows, ...]
    sizes: tuple[SizedRows, ...]


def compare(before: Composition | None, after: Composition) -> Compared:
    """Two versions side by side."""
    was = before or Composition({}, {}, {})
    runs = _in_order({*after.runs, *was.runs})
    splits = _in_order({*runs, *(split for side in (was, after) for of in side.objects.values() for split in of)})
    order = list(ARTIFACTS)

    def of_splits(key: tuple[str, str]) -> dict[str, Counted]:
        old, new = was.objects.get(key, {}), after.objects.get(key, {})
        return {split: Counted(old.get(split, 0), new.get(split, 0)) for split in splits}

    def place(key: tuple[str, float | None]) -> tuple[int, bool, float]:
        return order.index(key[0]), key[1] is None, key[1] or 0.0

    return Compared(
        {split: Counted(was.runs.get(split, 0), after.runs.get(split, 0)) for split in runs},
        tuple(
            ObjectRows(*key, of_splits(key))
            for key in sorted({*was.objects, *after.objects}, key=lambda key: (order.index(key[0]), key[1]))
        ),
        tuple(
            SizedRows(*key, Counted(was.sizes.get(key, 0), after.sizes.get(key, 0)))
            for key in sorted({*was.sizes, *after.sizes}, key=place)
        ),
    )


def _in_order(splits: Iterable[str]) -> list[str]:
    return sorted(splits, key=lambda split: (split == NO_SPLIT, split))


class _SplitsOfRuns:
    """The splits of runs, as small integers."""

    def __init__(self, runs: pd.DataFrame) -> None:
        self.runs = tables.arrow_texts(runs["name"])
        self.of_runs = tables.arrow_texts(runs["split"])
        self.names = [*sorted({str(s) for s in runs["split"].unique()} - {NO_SPLIT}), NO_SPLIT]
        self._codes = pc.index_in(self.of_runs, value_set=pa.array(self.names, type=pa.large_string())).to_numpy()

    def codes(self, of_rows: pd.Series) -> tables.Codes:
        """The split of each row by the name of its run."""
        at = pc.index_in(tables.arrow_texts(of_rows), value_set=self.runs)
        known = pc.fill_null(at, -1).to_numpy()
        # A row of a run that there is not is in no split; so are all where there is no run at all.
        found: tables.Codes = np.append(self._codes, len(self.names) - 1).astype(np.int64)[known]
        return found

    def counts(self) -> dict[str, int]:
        counted = np.bincount(self._codes, minlength=len(self.names))
        told = zip(self.names, counted.tolist(), strict=True)
        return {name: n for name, n in told if n or name != NO_SPLIT}


def _by_object(
    artifact: ArtifactType, records: Mapping[str, pd.DataFrame], of_runs: _SplitsOfRuns
) -> Iterator[tuple[str, dict[str, int]]]:
    column = str(artifact.object_column)
    rows = tables.concat([records[name][["run", column]] for name in artifact.record_sets])
    objects = tables.arrow_texts(rows[column]).dictionary_encode()
    width = len(of_runs.names)
    cells = objects.indices.to_numpy().astype(np.int64) * width + of_runs.codes(rows["run"])
    counted = np.bincount(cells, minlength=len(objects.dictionary) * width).reshape(-1, width).tolist()
    for name, of_splits in zip(objects.dictionary.to_pylist(), counted, strict=True):
        yield name, {split: n for split, n in zip(of_runs.names, of_splits, strict=True) if n}


def _by_size(frames: Sequence[pd.DataFrame]) -> Iterator[tuple[float | None, int]]:
    sizes = np.concatenate([frame["voxel_size"].to_numpy() for frame in frames])
    for size, n in zip(*np.unique(sizes, return_counts=True), strict=True):
        yield None if size != size else float(size), int(n)
