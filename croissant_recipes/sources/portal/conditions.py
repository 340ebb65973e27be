"""What a layer's filters mean for the portal: runs, and conditions that hold for every row that they can select.

Conditions are ``where`` clauses of the portal's GraphQL, plain nested mappings. They may hold for more rows: the
compiler applies the selectors themselves to what comes back.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
import pandas as pd

from croissant_recipes.language.checked import Take, TypeFilter
from croissant_recipes.language.matching import match_any, match_texts
from croissant_recipes.language.portal_schema import fields_of
from croissant_recipes.language.recipe import Scalar
from croissant_recipes.language.selectors import Selector, as_number
from croissant_recipes.sources.portal.portal_objects import SEGMENTATION_SHAPES, SHAPES, USER
from croissant_recipes.sources.portal.queries import Clause, Row

_FILE_ID = re.compile("[1-9][0-9]{0,9}\\Z")
_NAME_COLUMN = {"picks": "object_name", "segmentations": "name"}
_TOLERANCE = 1e-6
"""Relative. The server may hold a number with fewer digits than it was asked with, so that equality is decided here."""


def at(path: Iterable[str], clause: Clause) -> Clause:
    """A clause on the record that a path of relations leads to."""
    return reduce(lambda inner, relation: {relation: inner}, reversed(tuple(path)), clause)


def both(*clauses: Clause) -> Clause:
    """What holds where every clause holds. No two of them may ask one operator of one field differently."""
    merged: Clause = {}
    for clause in clauses:
        for key, value in clause.items():
            if key in merged and isinstance(value, Mapping):
                merged[key] = both(merged[key], dict(value))
            elif merged.setdefault(key, value) != value:
                raise ValueError(f"two values for {key}: {merged[key]!r} and {value!r}")
    return merged


def near(low: float, high: float) -> Clause:
    """Numbers from ``low`` to ``high``, and a little more on both sides."""
    return {"_gte": low - abs(low) * _TOLERANCE, "_lte": high + abs(high) * _TOLERANCE}


@dataclass(frozen=True)
class Metadata:
    """``where`` of a recipe as the portal is asked it.

    Attributes:
        clause: On the annotation or tomogram.
        exact: Numbers that the answer's rows must equal, by GraphQL field, as the clause only comes near them.
    """

    clause: Clause
    exact: Mapping[str, float]


def metadata(artifact: str, where: Mapping[str, Scalar]) -> Metadata:
    """``where`` of one artifact type, its values already coerced."""
    clause: Clause = {}
    exact = {}
    for name, value in where.items():
        field = fields_of(artifact)[name]
        if field.type == "float":
            exact[field.graphql_name] = float(value)
            clause[field.graphql_name] = near(float(value), float(value))
        else:
            clause[field.graphql_name] = {"_eq": value}
    return Metadata(clause, exact)


@dataclass(frozen=True)
class RunScope:
    """The runs that a layer reads.

    Attributes:
        datasets: Dataset ids, sorted.
        known: Ids of all runs of the datasets, sorted; empty where they are not known.
        chosen: Ids of those read, sorted.
        most: How many rows of one type there are at most, about; 0 where all that is known is how many there are of all
            runs.
    """

    datasets: tuple[int, ...]
    known: tuple[int, ...]
    chosen: tuple[int, ...]
    most: int = 0

    def batches(self, count: int) -> list[tuple[int, ...]]:
        """The chosen runs in at most ``count`` parts of nearly equal size."""
        total = len(self.chosen)
        count = max(min(count, total), 1)
        cuts = [total * i // count for i in range(count + 1)]
        return [self.chosen[a:b] for a, b in pairwise(cuts) if b > a]

    def clause(self, batch: Sequence[int]) -> Clause:
        """The shortest clause on a run that holds for the batch and for no other known run."""
        if len(batch) == len(self.known):
            return self.in_datasets
        between = bisect_right(self.known, batch[-1]) - bisect_left(self.known, batch[0])
        if between == len(batch):
            return {**self.in_datasets, "id": {"_gte": batch[0], "_lte": batch[-1]}}
        return {"id": {"_in": list(batch)}}

    @property
    def in_datasets(self) -> Clause:
        return {"datasetId": {"_in": list(self.datasets)}}


@dataclass(frozen=True)
class Wanted:
    """What the selectors of picks or segmentations can select.

    Attributes:
        objects: Object ids, ``None`` for any.
        files: Annotation file ids, ``None`` for any.
        shapes: Shape types.
        sizes: Condition on the voxel spacing, ``None`` for any.
    """

    objects: tuple[str, ...] | None
    files: tuple[int, ...] | None
    shapes: tuple[str, ...]
    sizes: Clause | None = None

    @property
    def is_nothing(self) -> bool:
        return self.objects == () or self.files == () or not self.shapes


def wanted_annotations(chosen: TypeFilter, names: Mapping[str, str], *, only_named: bool) -> Wanted:
    """What a filter of picks or segmentations can select.

    Args:
        names: copick's names by object id.
        only_named: Whether annotations of other objects are none of the source's.
    """
    if chosen.take is Take.NONE:
        return Wanted((), None, ())
    shapes, anything = SHAPES[chosen.artifact], tuple(sorted(names)) if only_named else None
    if chosen.take is Take.ALL:
        return Wanted(anything, None, shapes)
    selectors = [p.selector for p in chosen.select if _can_match_user(p.selector)]
    objects = _objects(selectors, _NAME_COLUMN[chosen.artifact], names)
    return Wanted(
        anything if objects is None else objects,
        _files(selectors),
        tuple(s for s in shapes if any(t.types is None or SEGMENTATION_SHAPES.get(s) in t.types for t in selectors)),
        _sizes(selectors),
    )


def _can_match_user(selector: Selector) -> bool:
    return all(match_texts(p, [USER])[0] for column, p in selector.parts if column == "user_id")


def _objects(selectors: Sequence[Selector], column: str, names: Mapping[str, str]) -> tuple[str, ...] | None:
    ids = sorted(names)
    found = np.zeros(len(ids), dtype=np.bool_)
    for selector in selectors:
        mask = np.ones(len(ids), dtype=np.bool_)
        for part, pattern in selector.parts:
            if part == column:
                mask &= match_texts(pattern, [names[i] for i in ids])
        found |= mask
    return None if selectors and found.all() else tuple(i for i, yes in zip(ids, found, strict=True) if yes)


def _files(selectors: Iterable[Selector]) -> tuple[int, ...] | None:
    ids = []
    for selector in selectors:
        exact = [p.text for column, p in selector.parts if column == "session_id" and p.is_exact]
        if not exact:
            return None
        # Portal sessions are annotation file ids; any other text selects nothing there.
        ids += [int(text) for text in exact if _FILE_ID.match(text) and int(text) < 2**31]
    return tuple(sorted(set(ids)))


def _sizes(selectors: Iterable[Selector]) -> Clause | None:
    sizes = []
    for selector in selectors:
        numbers = [as_number(p.text) for column, p in selector.parts if column == "voxel_size" and not p.regex]
        if not numbers or numbers[0] is None or not 0 < numbers[0] < math.inf:
            return None
        sizes.append(numbers[0])
    return near(min(sizes), max(sizes)) if sizes else None


def wanted_tomograms(chosen: TypeFilter, groups: Sequence[Row], table: pd.DataFrame) -> Clause | None:
    """A condition on tomograms, ``None`` where the filter can select none.

    Args:
        groups: What makes types and sizes, as the portal groups it.
        table: ``tomo_type`` and ``voxel_size`` of each group.
    """
    if chosen.take is Take.NONE:
        return None
    if chosen.take is Take.ALL:
        return {}
    mask = match_any([p.selector for p in chosen.select], table)
    if mask.all() and len(mask):
        return {}
    by = [group["groupBy"] for group, yes in zip(groups, mask, strict=True) if yes]
    if not by:
        return None
    clause: Clause = {}
    for field in ("reconstructionMethod", "processing", "processingSoftware", "ctfCorrected"):
        # A condition on values does not hold for a missing one, so a field that some rows lack is not asked about.
        here, anywhere = {b[field] for b in by}, {group["groupBy"][field] for group in groups}
        if here == {None}:
            clause[field] = {"_is_null": True}
        elif None not in here and here != anywhere:
            clause[field] = {"_in": sorted(here)}
    sizes = table["voxel_size"][mask]
    if set(sizes) != set(table["voxel_size"]) and not sizes.isna().any():
        clause["tomogramVoxelSpacing"] = {"voxelSpacing": near(float(sizes.min()), float(sizes.max()))}
    return clause


def run_scope(chosen: TypeFilter, datasets: Sequence[int], rows: Sequence[Row]) -> RunScope:
    """The runs that a layer reads, of all runs of the datasets. A run answers to its id and to its portal name."""
    known = tuple(sorted(row["id"] for row in rows))
    if chosen.take is Take.NONE and chosen.named:
        return RunScope(tuple(datasets), known, ())
    ids, aliases = [str(r["id"]) for r in rows], [r["name"] for r in rows]
    found = np.full(len(rows), chosen.take is not Take.SELECTED)
    for placed in chosen.select:
        found |= _match_runs(placed.selector, ids, aliases)
    for placed in chosen.exclude:
        found &= ~_match_runs(placed.selector, ids, aliases)
    return RunScope(tuple(datasets), known, tuple(sorted(r["id"] for r, yes in zip(rows, found, strict=True) if yes)))


def _match_runs(
    selector: Selector, ids: Sequence[str], aliases: Sequence[str]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    mask = np.ones(len(ids), dtype=np.bool_)
    for _, pattern in selector.parts:
        mask &= match_texts(pattern, ids) | match_texts(pattern, aliases)
    return mask
