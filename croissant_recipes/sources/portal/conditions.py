"""``where`` clauses of the portal's GraphQL: plain nested mappings, put together from single conditions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

from croissant_recipes.language.portal_schema import fields_of
from croissant_recipes.language.recipe import Scalar

Clause = dict[str, Any]

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
        known: Ids of all runs of the datasets, sorted.
        chosen: Ids of those read, sorted.
    """

    datasets: tuple[int, ...]
    known: tuple[int, ...]
    chosen: tuple[int, ...]

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
