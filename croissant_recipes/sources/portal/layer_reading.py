"""One layer of a portal source: the rows that it needs, and its tables once they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.sources.portal import tables
from croissant_recipes.sources.portal.authors import in_order
from croissant_recipes.sources.portal.conditions import RunScope
from croissant_recipes.sources.portal.fetching import Fetch, Row

Read = Callable[[Fetch, RunScope], Sequence[Row]]


@dataclass(frozen=True)
class Reading:
    """The rows of one artifact type that a layer needs.

    Attributes:
        artifact: ``tomograms``, ``picks`` or ``segmentations``.
        main: Its rows.
        among: Fetches of ids only; a row counts only if its id is in each. There is one for each author past the first,
            as a condition can ask for one author.
        authors: The author lists of the annotations, where a template joins them.
        exact: Numbers that must be equal, by GraphQL field of the annotation or tomogram.
        most: How many rows there are at most, about.
    """

    artifact: str
    main: Fetch
    among: tuple[Fetch, ...] = ()
    authors: Fetch | None = None
    exact: Mapping[str, float] = field(default_factory=dict)
    most: int = 0

    def fetches(self) -> Iterable[Fetch]:
        yield self.main
        yield from self.among
        if self.authors is not None:
            yield self.authors

    def rows(self, read: Read, scope: RunScope) -> list[Row]:
        """Those rows among the fetched ones that every condition holds for."""
        kept: Iterable[Row] = read(self.main, scope)
        for fetch in self.among:
            ids = {row["id"] for row in read(fetch, scope)}
            kept = [row for row in kept if row["id"] in ids]
        record = _annotation if self.artifact != "tomograms" else _itself
        chosen = set(scope.chosen)
        run = _annotation_run if self.artifact != "tomograms" else _tomogram_run
        return [
            row
            for row in kept
            if run(row) in chosen and all(record(row)[name] == value for name, value in self.exact.items())
        ]


def _itself(row: Row) -> Row:
    return row


def _annotation(row: Row) -> Row:
    found: Row = row["annotationShape"]["annotation"]
    return found


def _annotation_run(row: Row) -> Any:
    return _annotation(row)["runId"]


def _tomogram_run(row: Row) -> Any:
    return row["tomogramVoxelSpacing"]["runId"]


@dataclass(frozen=True)
class LayerReading:
    """What a layer reads.

    Attributes:
        scope: The runs.
        readings: By artifact type; a type that the layer cannot select anything of has none.
    """

    layer: LayerSpec
    scope: RunScope
    readings: Mapping[str, Reading]

    @property
    def session_fields(self) -> frozenset[str]:
        return self.layer.session_id.fields if self.layer.session_id else frozenset()

    @property
    def run_fields(self) -> frozenset[str]:
        return self.layer.run_name.fields if self.layer.run_name else frozenset()


def table(reading: Reading, layer: LayerReading, read: Read, name: tables.NameOf) -> tuple[pd.DataFrame, list[int]]:
    """The artifact table of one type, and the ids of rows that have no file to name."""
    rows = reading.rows(read, layer.scope)
    if reading.artifact == "tomograms":
        return tables.tomograms(rows)
    authors = _authors(reading, rows, read, layer)
    make = tables.picks if reading.artifact == "picks" else tables.segmentations
    return make(rows, name, layer.session_fields, authors), []


def _authors(reading: Reading, rows: Sequence[Row], read: Read, layer: LayerReading) -> tables.Authors:
    if reading.authors is not None:
        return in_order(read(reading.authors, layer.scope), "annotationId")
    if "author" not in layer.session_fields:
        return {}
    return {a["id"]: [edge["node"]["name"] for edge in a["authors"]["edges"]] for a in map(_annotation, rows)}
