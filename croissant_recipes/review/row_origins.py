"""Where the rows of a version are from, in columns: of a plan by their lineage, of a build by what it noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from croissant_recipes import tables
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant import renames, serialize
from croissant_recipes.croissant.build_record import BuildRecord
from croissant_recipes.croissant.drift import Existing
from croissant_recipes.review.making import BASE, Making
from croissant_recipes.schema import RECORD_SETS, SEGMENTATION_RECORD_SETS
from croissant_recipes.tables import Mask, Positions

NOWHERE = -1
"""The layer of a row of which it is not known where it is from."""

_OF_BASE = "/base"
"""Stands for the base among the names of sources, none of which has a slash."""

ORIGIN = ("layer", "source", "row")

Tables = Mapping[str, pd.DataFrame]


class RowOrigins(Protocol):
    """Where the rows of a version are from."""

    def of(self, record_set: str, positions: Positions) -> pd.DataFrame:
        """``layer`` (``NOWHERE`` where that is not known), the position of the ``source`` among the layer's, the
        ``row`` among what these hold (-1 where that is not known), and the columns of the key as the source has
        them."""

    def called(self, record_set: str, positions: Positions) -> pd.DataFrame:
        """See ``renames.Called``."""


@dataclass(frozen=True)
class PlannedRows:
    """The rows of a plan.

    Attributes:
        plan: The plan.
        compared: Its record tables as they are compared: with what others changed, where that is kept.
    """

    plan: Plan
    compared: Tables

    def of(self, record_set: str, positions: Positions) -> pd.DataFrame:
        schema, rows = RECORD_SETS[record_set], self.plan.rows[record_set]
        if schema.artifact is None or "layer" not in rows:
            return _nowhere(record_set, len(positions))
        if self.compared[record_set] is not self.plan.content.tables[record_set]:
            positions = tables.places(rows, tables.take(self.compared[record_set], positions), schema.key)
        known = np.flatnonzero(positions >= 0)
        at = positions[known]
        found = {c: np.full(len(positions), nothing) for c, nothing in zip(ORIGIN, (NOWHERE, 0, -1), strict=True)}
        for column in ORIGIN:
            found[column][known] = rows[column].to_numpy()[at]
        return pd.DataFrame(found | self._named(record_set, found))

    def _named(self, record_set: str, origin: Mapping[str, Any]) -> dict[str, Any]:
        schema = RECORD_SETS[record_set]
        assert schema.artifact is not None
        parts, order = [], []
        columns = [c for c in schema.key if c != "is_multilabel"]
        for number in np.unique(origin["layer"]).tolist():
            at = np.flatnonzero(origin["layer"] == number)
            if number == NOWHERE:
                part = tables.columns(tables.make({"run": [""] * len(at)}, columns), columns)
            else:
                stock = self.plan.resolution.layers[number].stock.table(schema.artifact)
                part = tables.take(tables.columns(stock, columns), origin["row"][at])
                if "is_multilabel" in schema.key:
                    kinds = stock["segmentation_type"].array.take(origin["row"][at])
                    part = part.assign(is_multilabel=kinds == "multilabel")
            parts.append(part)
            order.append(at)
        if not parts:
            return {c: tables.make({}, schema.key)[c].array for c in schema.key}
        if len(parts) == 1:
            return {c: parts[0][c].array for c in schema.key}
        back = np.argsort(np.concatenate(order), kind="stable")
        return {c: pd.concat([p[c] for p in parts]).array.take(back) for c in schema.key}

    def called(self, record_set: str, positions: Positions) -> pd.DataFrame:
        layers = self.plan.resolution.layers
        return _called(self.of(record_set, positions), {n: layer.spec.sources for n, layer in layers.items()})


@dataclass(frozen=True)
class WrittenRows:
    """The rows that a build wrote, and what others made of them.

    Attributes:
        existing: What is there.
        record: What the build noted.
        making: How it came about, as far as the build noted that.
    """

    existing: Existing
    record: BuildRecord
    making: Making | None

    def of(self, record_set: str, positions: Positions) -> pd.DataFrame:
        rows = self.record.rows
        if rows is None or self.making is None or RECORD_SETS[record_set].artifact is None:
            return _nowhere(record_set, len(positions))
        at = self._noted(record_set)[positions]
        known = np.flatnonzero(at >= 0)
        found = rows.origins(record_set, at[known]).drop(columns="selector")
        layers = found["layer"].to_numpy()
        found["layer"] = np.where(np.isin(layers, list(self.making.layers)), layers, NOWHERE)
        if len(known) < len(at):
            back = np.full(len(at), len(known))
            back[known] = np.arange(len(known))
            found = tables.concat([found, _nowhere(record_set, 1)[list(found.columns)]])
            found = tables.take(found, back)
        return found.assign(row=-1)

    def called(self, record_set: str, positions: Positions) -> pd.DataFrame:
        making = self.making
        sources = {n: making.sources_of(n) for n in making.layers} if making else {}
        return _called(self.of(record_set, positions), sources)

    def as_written(self, record_set: str, positions: Positions) -> tuple[Mask, Mask]:
        """Which rows a build wrote under their keys, and which of them are as it wrote them."""
        rows, everything = self.record.rows, np.ones(len(positions), dtype=np.bool_)
        if rows is None or not self._drifted(record_set):
            return everything, everything
        at = self._noted(record_set)[positions]
        there = at >= 0
        now = serialize.row_digests(record_set, tables.take(self.existing.tables[record_set], positions[there]))
        same = np.zeros(len(positions), dtype=np.bool_)
        same[there] = pc.equal(rows.digests(record_set).take(pa.array(at[there])), now).to_numpy(zero_copy_only=False)
        return there, same

    def wrote(self, record_set: str, table: pd.DataFrame) -> tuple[Mask, Mask]:
        """Which rows of a table, none of which is there, a build wrote under their keys, and which of them it wrote as
        they are in the table."""
        rows, nothing = self.record.rows, np.zeros(len(table), dtype=np.bool_)
        if rows is None or not self._drifted(record_set) or not len(table):
            return nothing, nothing
        at = tables.places(rows.keys(record_set), table, RECORD_SETS[record_set].key)
        there, same = at >= 0, nothing
        wanted = serialize.row_digests(record_set, tables.take(table, np.flatnonzero(there)))
        same[there] = pc.equal(rows.digests(record_set).take(pa.array(at[there])), wanted).to_numpy(
            zero_copy_only=False
        )
        return there, same

    def restores(self, record_set: str, positions: Positions, table: pd.DataFrame) -> Mask:
        """Where rows of a table, which are of the keys of those at positions, are as a build wrote them."""
        rows, found = self.record.rows, np.zeros(len(positions), dtype=np.bool_)
        if rows is None or not self._drifted(record_set):
            return found
        at = self._noted(record_set)[positions]
        there = np.flatnonzero(at >= 0)
        now = serialize.row_digests(record_set, tables.take(table, there))
        found[there] = pc.equal(rows.digests(record_set).take(pa.array(at[there])), now).to_numpy(zero_copy_only=False)
        return found

    def _drifted(self, record_set: str) -> bool:
        return record_set not in self.existing.untouched

    def _noted(self, record_set: str) -> Positions:
        """The place among the rows noted of every row that is there, -1 where there is none."""
        table, rows = self.existing.tables[record_set], self.record.rows
        assert rows is not None
        if not self._drifted(record_set) and rows.count(record_set) == len(table):
            return np.arange(len(table))
        return tables.places(rows.keys(record_set), table, RECORD_SETS[record_set].key)


def as_artifacts(record_set: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the key that their type of artifact has."""
    if RECORD_SETS[record_set].artifact != "segmentations":
        return rows
    kinds = pd.Series(
        next(kind for kind, name in SEGMENTATION_RECORD_SETS.items() if name == record_set), rows.index, dtype="str"
    )
    if "is_multilabel" in rows:
        kinds = kinds.mask(rows["is_multilabel"], "multilabel")
    return rows.assign(segmentation_type=kinds)


def _called(rows: pd.DataFrame, sources: Mapping[int, Any]) -> pd.DataFrame:
    layers, positions = rows["layer"].to_numpy(), rows["source"].to_numpy()
    names = np.full(len(rows), "", dtype=object)
    for number, of_layer in sources.items():
        for position, name in enumerate(of_layer):
            names[(layers == number) & (positions == position)] = _OF_BASE if number == BASE else name
    return rows.drop(columns=list(ORIGIN)).assign(**{renames.SOURCE: pd.array(names, dtype="str")})


def _nowhere(record_set: str, rows: int) -> pd.DataFrame:
    key = RECORD_SETS[record_set].key
    empty = tables.make({"layer": [NOWHERE] * rows, "source": [0] * rows, "row": [-1] * rows}, (*ORIGIN, *key))
    return empty.astype(dict.fromkeys(ORIGIN, np.int64))
