"""One layer of a portal source: which rows it needs, and its tables once they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from croissant_recipes.checked import LayerSpec, Take, TypeFilter
from croissant_recipes.portal_schema import annotation_fields
from croissant_recipes.sources.portal import pushdown, tables
from croissant_recipes.sources.portal.authors import in_order
from croissant_recipes.sources.portal.conditions import Clause, RunScope, at, both, metadata
from croissant_recipes.sources.portal.fetching import Fetch, Row, Selection
from croissant_recipes.sources.portal.objects import PICKS_SHAPES, SEGMENTATION_SHAPES
from croissant_recipes.sources.portal.overview import Overview

ANNOTATION_PATH = ("annotationShape", "annotation")
_ANNOTATION_SHAPES = {"picks": PICKS_SHAPES, "segmentations": tuple(SEGMENTATION_SHAPES)}
_RUN_PATHS = {
    "annotationFiles": (*ANNOTATION_PATH, "run"),
    "annotationAuthors": ("annotation", "run"),
    "tomograms": ("tomogramVoxelSpacing", "run"),
}
_FIRST_AUTHOR = "authors(first: 1, orderBy: [{authorListOrder: asc}, {id: asc}])"

_TOMOGRAM_SELECTION: Selection = {
    "s3OmezarrDir": {},
    "reconstructionMethod": {},
    "processing": {},
    "processingSoftware": {},
    "ctfCorrected": {},
    "tomogramVoxelSpacing": {"runId": {}, "voxelSpacing": {}},
}

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


def plan(
    layer: LayerSpec, datasets: Sequence[int], overview: Overview, names: Mapping[str, str], *, only_named: bool
) -> LayerReading:
    """What to ask for a layer.

    Args:
        names: copick's names by object id.
        only_named: Whether annotations of other objects are none of the source's.
    """
    known = tuple(sorted(row["id"] for row in overview.runs))
    scope = RunScope(tuple(datasets), known, pushdown.chosen_runs(layer.filters["runs"], overview.runs))
    session_fields = layer.session_id.fields if layer.session_id else frozenset()
    readings = {}
    if scope.chosen:
        if reading := _tomogram_reading(layer.filters["tomograms"], overview):
            readings["tomograms"] = reading
        for artifact in _ANNOTATION_SHAPES:
            chosen = layer.filters[artifact]
            if reading := _annotation_reading(chosen, overview, names, session_fields, only_named):
                readings[artifact] = reading
    return LayerReading(layer, scope, readings)


def _tomogram_reading(chosen: TypeFilter, overview: Overview) -> Reading | None:
    if chosen.take is Take.NONE:
        return None
    wanted = pushdown.wanted_tomograms(chosen, overview.tomogram_groups, overview.tomograms)
    if wanted is None:
        return None
    data = metadata("tomograms", chosen.where)
    selection = {**_TOMOGRAM_SELECTION, **{name: {} for name in data.exact}}
    first, *others = _by_author("tomograms", chosen, "tomograms", selection, both(wanted, data.clause), ())
    return Reading("tomograms", first, tuple(others), None, data.exact, int(overview.tomograms["count"].sum()))


def _annotation_reading(
    chosen: TypeFilter, overview: Overview, names: Mapping[str, str], session_fields: frozenset[str], only_named: bool
) -> Reading | None:
    if chosen.take is Take.NONE:
        return None
    wanted = pushdown.wanted_annotations(chosen, names, _ANNOTATION_SHAPES[chosen.artifact])
    if wanted.is_nothing or (only_named and not names):
        return None
    data = metadata(chosen.artifact, chosen.where)
    objects = wanted.objects if wanted.objects is not None or not only_named else tuple(sorted(names))
    of_annotation = both(data.clause, {} if objects is None else {"objectId": {"_in": list(objects)}})
    shapes = {"shapeType": {"_in": list(wanted.shapes)}}
    of_file = both({"annotationShape": shapes}, at(ANNOTATION_PATH, of_annotation))
    if wanted.files is not None:
        of_file = both(of_file, {"id": {"_in": list(wanted.files)}})
    if wanted.sizes is not None:
        of_file = both(of_file, at(("tomogramVoxelSpacing",), {"voxelSpacing": wanted.sizes}))
    if chosen.artifact == "segmentations":
        # A mask has an MRC file too; copick reads the OME-Zarr.
        of_file = both(of_file, {"format": {"_eq": "zarr"}})
    selection = _file_selection(chosen.artifact, session_fields, data.exact)
    first, *others = _by_author(chosen.artifact, chosen, "annotationFiles", selection, of_file, ANNOTATION_PATH)
    authors = None
    if "authors" in session_fields:
        of_author = {"annotation": both(of_annotation, {"annotationShapes": shapes}, _author_clause(chosen))}
        authors = Fetch(
            f"authors of {chosen.artifact}",
            "annotationAuthors",
            {"annotationId": {}, "name": {}, "authorListOrder": {}},
            of_author,
            _RUN_PATHS["annotationAuthors"],
        )
    most = sum(
        o.shapes.get(s, 0)
        for o in overview.objects
        if objects is None or o.identifier in objects
        for s in wanted.shapes
    )
    return Reading(chosen.artifact, first, tuple(others), authors, data.exact, most) if most else None


def _by_author(
    what: str, chosen: TypeFilter, table: str, selection: Selection, where: Clause, path: tuple[str, ...]
) -> Iterable[Fetch]:
    """The rows of the first author, then the ids of each other author's, or the rows alone where none is asked for."""
    for index, author in enumerate(chosen.authors or (None,)):
        clause = where if author is None else both(where, at(path, {"authors": {"name": {"_eq": author}}}))
        by = "" if author is None else f" by {author}"
        yield Fetch(f"{what}{by}", table, {} if index else selection, clause, _RUN_PATHS[table])


def _author_clause(chosen: TypeFilter) -> Clause:
    return {"authors": {"name": {"_eq": chosen.authors[0]}}} if chosen.authors else {}


def _file_selection(artifact: str, session_fields: frozenset[str], exact: Mapping[str, float]) -> Selection:
    known = annotation_fields()
    wanted = {"id", "runId", "objectId", "objectName", *exact}
    wanted |= {known[name].graphql_name for name in session_fields if name in known}
    annotation: dict[str, Selection] = {name: {} for name in sorted(wanted)}
    if "author" in session_fields and "authors" not in session_fields:
        annotation[_FIRST_AUTHOR] = {"edges": {"node": {"name": {}}}}
    shape: dict[str, Selection] = {"annotation": annotation}
    if artifact == "segmentations":
        shape["shapeType"] = {}
    return {"s3Path": {}, "annotationShape": shape, "tomogramVoxelSpacing": {"voxelSpacing": {}}}


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
