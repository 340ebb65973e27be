"""Rows that a layer might have taken, sought among what its sources hold: what became of each, and at which line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.compiler.layers import Choice, Fate, LayerRows
from croissant_recipes.diagnostics import Span
from croissant_recipes.language import matching
from croissant_recipes.language.checked import LayerSpec, Take, TypeFilter
from croissant_recipes.language.selectors import Selector
from croissant_recipes.language.yaml_nodes import Document
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.tables import Mask, Positions

GONE = -1
"""Beside ``Fate``: no source of the layer shows the row, and no name of it is left out. It is not there, or what it
says beside its names (``where``, ``authors``, what its run holds) is asked of the source and is not so."""


class Condition(IntEnum):
    """Whose filter decides: that of the row's own type, or that of its run."""

    OWN = 0
    RUN = 1


@dataclass(frozen=True)
class Sought:
    """What became of rows.

    Attributes:
        rows: The position of each among what the sources hold, -1 where it is not there.
        fates: ``Fate`` of each, or ``GONE``; where its run decides, that of the run.
        selectors: As ``Choice`` has them.
        conditions: ``Condition``.
    """

    rows: Positions
    fates: npt.NDArray[np.int8]
    selectors: npt.NDArray[np.int16]
    conditions: npt.NDArray[np.int8]


def seek(layer: LayerRows, artifact: str, source: int, wanted: pd.DataFrame) -> Sought:
    """Look for rows by the key that a source has for them.

    Args:
        layer: The layer.
        artifact: Their type.
        source: The position of the source among the layer's.
        wanted: Their keys.
    """
    described = ARTIFACTS[artifact]
    table, part = layer.stock.table(artifact), layer.stock.slices(artifact)[source]
    rows = tables.places(table.iloc[part], wanted, described.key)
    rows[rows >= 0] += part.start
    there = rows >= 0
    choice, chosen = layer.choices[artifact], layer.spec.filters[artifact]
    fates = np.full(len(rows), GONE, dtype=np.int8)
    selectors = np.full(len(rows), -1, dtype=np.int16)
    fates[there], selectors[there] = choice.fates[rows[there]], choice.selectors[rows[there]]
    if not there.all():
        by_name = by_names(chosen, tables.take(wanted, np.flatnonzero(~there)))
        named = np.where(by_name.fates == Fate.TAKEN, GONE, by_name.fates)
        fates[~there], selectors[~there] = named, by_name.selectors
    conditions = np.full(len(rows), Condition.OWN, dtype=np.int8)
    if described.of_run:
        asked = np.flatnonzero((fates == Fate.RUN_LEFT_OUT) | (fates == GONE))
        at, names = pd.factorize(wanted["run"].take(asked))
        runs = seek(layer, "runs", source, tables.make({"name": names.tolist()}, ("name",)))
        decide = runs.fates[at] != Fate.TAKEN
        asked, at = asked[decide], at[decide]
        fates[asked], selectors[asked] = runs.fates[at], runs.selectors[at]
        conditions[asked] = Condition.RUN
    return Sought(rows, fates, selectors, conditions)


def by_names(chosen: TypeFilter, table: pd.DataFrame) -> Choice:
    """What ``select`` and ``exclude`` make of rows, whatever else is known of them. Runs may have a second name,
    ``run_alias``."""
    if chosen.take is Take.NONE:
        return Choice.of(len(table), Fate.NOT_SELECTED)
    choice = Choice.of(len(table), Fate.TAKEN)
    if chosen.take is Take.SELECTED:
        choice.fates[:] = Fate.NOT_SELECTED
        for at, placed in enumerate(chosen.select):
            taken = _matches(placed.selector, table) & (choice.selectors < 0)
            choice.fates[taken], choice.selectors[taken] = Fate.TAKEN, at
    for at, placed in enumerate(chosen.exclude):
        out = _matches(placed.selector, table) & (choice.fates == Fate.TAKEN)
        choice.fates[out], choice.selectors[out] = Fate.EXCLUDED, at
    return choice


def _matches(selector: Selector, table: pd.DataFrame) -> Mask:
    found = matching.match(selector, table)
    if "run_alias" in table and "name" in table:
        found = found | matching.match(selector, table.assign(name=table["run_alias"]))
    return found


@dataclass(frozen=True)
class Reason:
    """Why a layer has no row.

    Attributes:
        what: In one sentence, without the place.
        span: Where the recipe says so.
        decided_by: The types of artifacts whose filters decide it.
    """

    what: str
    span: Span | None
    decided_by: tuple[str, ...]


def reason(spec: LayerSpec, document: Document, artifact: str, fate: int, selector: int, condition: int) -> Reason:
    """Why a layer has no row of ``fate``, which is neither ``TAKEN`` nor ``GONE``."""
    decides = "runs" if condition == Condition.RUN else artifact
    chosen = spec.filters[decides]
    span = chosen.span or spec.span
    of = ARTIFACTS[decides].many
    if fate == Fate.EXCLUDED:
        placed = chosen.exclude[selector]
        return Reason(f"`exclude` {placed.text!r} of {spec.label} leaves out these {of}", placed.span, (decides,))
    if fate in (Fate.RUN_LACKS, Fate.RUN_HOLDS):
        item = (chosen.having if fate == Fate.RUN_LACKS else chosen.lacking)[selector]
        what = "lack" if fate == Fate.RUN_LACKS else "have"
        key = "having" if fate == Fate.RUN_LACKS else "lacking"
        return Reason(f"`{key}` of {spec.label} leaves out runs that {what} {item.text}", item.span, (item.artifact,))
    if fate == Fate.COLLIDED:
        return Reason(f"in {spec.label}, {of} of one key collide, and another one is kept", span, (decides,))
    if chosen.take is Take.SELECTED:
        placed = chosen.select[0]
        single = len(chosen.select) == 1
        what = f"{placed.text!r} of {spec.label} does" if single else f"the selectors of {spec.label} do"
        return Reason(f"{what} not select these {of}", placed.span if single else span, (decides,))
    if not chosen.named and spec.number:
        return Reason(f"{spec.label} takes no {of}", document.key_span("layers", spec.index, "others"), (decides,))
    return Reason(f"{spec.label} takes no {of}", span, (decides,))
