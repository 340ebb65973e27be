"""The artifact types that the portal has: what a layer has to ask for each, and the table that the answers make.

Names, places and sizes are those that copick gives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity
from croissant_recipes.language.checked import LayerSpec, TypeFilter
from croissant_recipes.language.portal_schema import Field, annotation_fields, run_fields
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.sources.portal.conditions import (
    RunScope,
    Wanted,
    at,
    both,
    metadata,
    wanted_annotations,
    wanted_tomograms,
)
from croissant_recipes.sources.portal.fetching import Fetch, all_rows
from croissant_recipes.sources.portal.overview import TOMO_TYPE_FIELDS, Overview, tomo_type
from croissant_recipes.sources.portal.portal_objects import SEGMENTATION_SHAPES, USER, object_name
from croissant_recipes.sources.portal.queries import Clause, Row, Selection, numbers
from croissant_recipes.sources.portal.transport import Endpoint

ROOT = "portal"
BUCKET = "s3://cryoet-data-portal-public"

Read = Callable[[Fetch], Sequence[Row]]
"""Gives the rows of a fetch."""

Columns = dict[str, Sequence[object]]

_FIRST_AUTHOR = "authors(first: 1, orderBy: [{authorListOrder: asc}, {id: asc}])"
_AUTHOR: Selection = {"name": {}, "authorListOrder": {}}


def _day(text: str) -> date:
    """The day of an instant, UTC: the portal gives days as their midnights."""
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo is None else instant.astimezone(UTC)).date()


_FROM_TEXT: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "enum": str,
    "date": _day,
}


@dataclass(frozen=True)
class Reading:
    """The rows of one artifact type that a layer needs.

    Attributes:
        main: Its rows.
        among: Fetches of ids only; a row counts only if its id is in each. There is one for each author past the first,
            as a condition can ask for one author.
        authors: The author lists of the annotations, where a template joins them.
        exact: Numbers that must be equal, by GraphQL field of the annotation or tomogram.
        most: How many rows there are at most, about.
        fields: What the layer's templates of sessions and users name.
        names: copick's names by object id.
    """

    main: Fetch
    among: tuple[Fetch, ...]
    authors: Fetch | None
    exact: Mapping[str, float]
    most: int
    fields: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)

    def fetches(self) -> Iterable[Fetch]:
        yield self.main
        yield from self.among
        if self.authors is not None:
            yield self.authors


class PortalType(ABC):
    """An artifact type that the portal has.

    Attributes:
        name: As recipes name it.
        table_name: The portal's table of what becomes a row.
        record_path: Relations that lead from there to the record, which is what ``where`` and ``authors`` are about.
        run_path: Relations that lead from there to the run.
        author_table, owner: The portal's table of authors, and the id there of the record that they are authors of.
    """

    name: str
    table_name: str
    record_path: tuple[str, ...]
    run_path: tuple[str, ...]
    author_table: str
    owner: str

    @abstractmethod
    def plan(self, layer: LayerSpec, overview: Overview) -> Reading | None:
        """What to ask for a layer; ``None`` where it can select nothing."""

    @abstractmethod
    def table(self, reading: Reading, scope: RunScope, read: Read) -> tuple[pd.DataFrame, tuple[Diagnostic, ...]]:
        """The artifact table, by id, and what there is to say about rows left out."""

    @abstractmethod
    def modified(self, table: pd.DataFrame, overview: Overview) -> dict[str, str]:
        """When the records of rows were changed last, as far as the counts of the overview tell it: for all tomograms
        of a type and size, for all annotations of an object, by what the portal has it for."""

    @abstractmethod
    def of_run(self, where: Clause) -> Clause:
        """A condition on runs that have a row for which a condition on rows holds."""

    @abstractmethod
    def run_of(self, row: Row) -> int:
        """The id of a row's run."""

    def record_of(self, row: Row) -> Row:
        for relation in self.record_path:
            row = row[relation]
        return row

    def rows(self, reading: Reading, scope: RunScope, read: Read) -> list[Row]:
        """Those rows among the fetched ones that every condition holds for."""
        kept: Iterable[Row] = read(reading.main)
        for fetch in reading.among:
            ids = {row["id"] for row in read(fetch)}
            kept = [row for row in kept if row["id"] in ids]
        chosen, exact = set(scope.chosen), reading.exact.items()
        return [
            row
            for row in kept
            if self.run_of(row) in chosen and all(self.record_of(row)[name] == value for name, value in exact)
        ]

    def by_author(self, chosen: TypeFilter, selection: Selection, where: Clause) -> tuple[Fetch, ...]:
        """The rows of the first author, then the ids of each other author's; the rows alone where none is asked for."""
        if not chosen.authors:
            return (Fetch(self.name, self.table_name, selection, where, self.run_path),)
        return tuple(
            Fetch(
                f"{self.name} by {author}",
                self.table_name,
                {} if index else selection,
                both(where, at(self.record_path, _by(author))),
                self.run_path,
            )
            for index, author in enumerate(chosen.authors)
        )

    def author_lists(self, endpoint: Endpoint, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The author lists of records by portal id.

        Raises:
            PortalError: A query stays without an answer.
        """
        wanted = sorted({int(i) for i in ids})
        selection = {self.owner: {}, **_AUTHOR}
        where = {self.owner: {"_in": wanted}}
        found = all_rows(endpoint, f"authors of {self.name}", self.author_table, selection, where)
        lists = _in_order(found.rows, self.owner)
        return {str(i): lists.get(i, ()) for i in wanted}


class Tomograms(PortalType):
    """Tomograms, by their portal id."""

    name = "tomograms"
    table_name = "tomograms"
    record_path = ()
    run_path = ("tomogramVoxelSpacing", "run")
    author_table, owner = "tomogramAuthors", "tomogramId"

    def plan(self, layer: LayerSpec, overview: Overview) -> Reading | None:
        chosen = layer.filters[self.name]
        wanted = wanted_tomograms(chosen, overview.tomogram_groups, overview.tomograms)
        if wanted is None:
            return None
        data = metadata(self.name, chosen.where)
        selection: Selection = {
            "s3OmezarrDir": {},
            "depositionId": {},
            **TOMO_TYPE_FIELDS,
            "tomogramVoxelSpacing": {"runId": {}, "voxelSpacing": {}},
            **{name: {} for name in data.exact},
        }
        where = both(wanted, data.clause, overview.holdings.released)
        first, *others = self.by_author(chosen, selection, where)
        return Reading(first, tuple(others), None, data.exact, int(overview.tomograms["count"].sum()))

    def of_run(self, where: Clause) -> Clause:
        return {"tomogramVoxelSpacings": {"tomograms": where}}

    def run_of(self, row: Row) -> int:
        run: int = row["tomogramVoxelSpacing"]["runId"]
        return run

    def table(self, reading: Reading, scope: RunScope, read: Read) -> tuple[pd.DataFrame, tuple[Diagnostic, ...]]:
        rows = self.rows(reading, scope, read)
        present = [row for row in rows if row["s3OmezarrDir"]]
        columns: Columns = {
            "run": [str(self.run_of(row)) for row in present],
            "voxel_size": [row["tomogramVoxelSpacing"]["voxelSpacing"] for row in present],
            "tomo_type": [tomo_type(row) for row in present],
            "portal_tomogram_id": [str(row["id"]) for row in present],
            **_places(row["s3OmezarrDir"] for row in present),
        }
        without = [row["id"] for row in rows if not row["s3OmezarrDir"]]
        message = f"the portal has no OME-Zarr of {numbers('tomogram', without)}, left out"
        told = (Diagnostic(Code.NOT_EXPORTED, message, Severity.WARNING),) if without else ()
        return _with_ids(tables.artifacts(self.name, columns), present, present), told

    def modified(self, table: pd.DataFrame, overview: Overview) -> dict[str, str]:
        kind = ["tomo_type", "voxel_size"]
        found = table[kind].drop_duplicates().merge(overview.tomograms, on=kind).sort_values("modified")
        return {f"{t}@{v}": m for t, v, m in zip(*(found[c] for c in (*kind, "modified")), strict=True)}


class Annotations(PortalType):
    """Picks or segmentations, by the id of the annotation file that they are read from."""

    table_name = "annotationFiles"
    record_path = ("annotationShape", "annotation")
    run_path = (*record_path, "run")
    author_table, owner = "annotationAuthors", "annotationId"

    def plan(self, layer: LayerSpec, overview: Overview) -> Reading | None:
        chosen = layer.filters[self.name]
        wanted = wanted_annotations(chosen, overview.names, only_named=overview.only_named)
        most = _most(wanted, overview)
        if not most:
            return None
        data = metadata(self.name, chosen.where)
        objects: Clause = {} if wanted.objects is None else {"objectId": {"_in": list(wanted.objects)}}
        of_annotation = both(data.clause, objects, overview.holdings.released)
        fields = layer.template_fields
        selection, of_file = self._selection(fields, data.exact), self._of_file(wanted, of_annotation)
        first, *others = self.by_author(chosen, selection, of_file)
        authors = self._author_lists(chosen, wanted, of_annotation) if "authors" in fields else None
        return Reading(first, tuple(others), authors, data.exact, most, fields, overview.names)

    def of_run(self, where: Clause) -> Clause:
        file, shape = dict(where), dict(where["annotationShape"])
        del file["annotationShape"]
        annotation = shape.pop("annotation", {})
        return {
            "annotations": {**annotation, "annotationShapes": {**shape, **({"annotationFiles": file} if file else {})}}
        }

    def run_of(self, row: Row) -> int:
        run: int = self.record_of(row)["runId"]
        return run

    def table(self, reading: Reading, scope: RunScope, read: Read) -> tuple[pd.DataFrame, tuple[Diagnostic, ...]]:
        rows, fields = self.rows(reading, scope, read), reading.fields
        annotations = [self.record_of(row) for row in rows]
        files = [str(row["id"]) for row in rows]
        columns = {
            "run": [str(a["runId"]) for a in annotations],
            "user_id": [USER] * len(rows),
            "session_id": files,
            "portal_object_name": [a["objectName"] for a in annotations],
            "portal_annotation_id": [str(a["id"]) for a in annotations],
            "portal_annotation_file_id": files,
            **_places(row["s3Path"] for row in rows),
            **self._own_columns(rows, [_name_of(a, reading.names) for a in annotations]),
        }
        table = _with_ids(tables.artifacts(self.name, columns), rows, annotations)
        known = annotation_fields()
        table = _with_fields(table, annotations, "annotation", known, [f for f in fields if f in known])
        if "annotation_file_id" in fields:
            table["annotation.annotation_file_id"] = table["session_id"]
        authors = self._authors(reading, annotations, read)
        for name, joined in (("author", lambda a: a[0] if a else ""), ("authors", ",".join)):
            if name in fields:
                table[f"annotation.{name}"] = pd.Series([joined(a) for a in authors], dtype=object)
        return table, ()

    def modified(self, table: pd.DataFrame, overview: Overview) -> dict[str, str]:
        taken = set(table[ARTIFACTS[self.name].object_column])
        return {o.identifier: o.modified for o in overview.objects if overview.names.get(o.identifier) in taken}

    def _own_columns(self, rows: Sequence[Row], names: Sequence[str]) -> Columns:
        return {"object_name": names, "voxel_size": [_voxel_size(row, float("nan")) for row in rows]}

    def _of_file(self, wanted: Wanted, of_annotation: Clause) -> Clause:
        clauses = [at(self.record_path, of_annotation), {"annotationShape": _of_shapes(wanted)}]
        if wanted.files is not None:
            clauses.append({"id": {"_in": list(wanted.files)}})
        if wanted.sizes is not None:
            clauses.append({"tomogramVoxelSpacing": {"voxelSpacing": wanted.sizes}})
        return both(*clauses)

    def _selection(self, fields: Collection[str], exact: Iterable[str]) -> dict[str, Selection]:
        known = annotation_fields()
        wanted = {"id", "runId", "depositionId", "objectId", "objectName", *exact}
        wanted |= {known[name].graphql_name for name in fields if name in known}
        annotation: dict[str, Selection] = {name: {} for name in sorted(wanted)}
        if "author" in fields and "authors" not in fields:
            annotation[_FIRST_AUTHOR] = {"edges": {"node": {"name": {}}}}
        shape = {"annotation": annotation}
        return {"s3Path": {}, "annotationShape": shape, "tomogramVoxelSpacing": {"voxelSpacing": {}}}

    def _author_lists(self, chosen: TypeFilter, wanted: Wanted, of_annotation: Clause) -> Fetch:
        clauses = [of_annotation, {"annotationShapes": _of_shapes(wanted)}]
        if chosen.authors:
            clauses.append(_by(chosen.authors[0]))
        selection, where = {self.owner: {}, **_AUTHOR}, {"annotation": both(*clauses)}
        return Fetch(f"authors of {self.name}", self.author_table, selection, where, ("annotation", "run"))

    def _authors(self, reading: Reading, annotations: Sequence[Row], read: Read) -> list[Sequence[str]]:
        """The authors of each annotation, at least the first where a template names it."""
        if reading.authors is not None:
            lists = _in_order(read(reading.authors), self.owner)
            return [lists.get(a["id"], ()) for a in annotations]
        if "author" not in reading.fields:
            return [()] * len(annotations)
        return [[edge["node"]["name"] for edge in a["authors"]["edges"]] for a in annotations]


class Picks(Annotations):
    name = "picks"


class Segmentations(Annotations):
    name = "segmentations"

    def _own_columns(self, rows: Sequence[Row], names: Sequence[str]) -> Columns:
        return {
            "name": names,
            # copick gives a volume whose voxel spacing the portal does not know the size 0.
            "voxel_size": [_voxel_size(row, 0.0) for row in rows],
            "segmentation_type": [SEGMENTATION_SHAPES[row["annotationShape"]["shapeType"]] for row in rows],
        }

    def _of_file(self, wanted: Wanted, of_annotation: Clause) -> Clause:
        # A mask has an MRC file too; copick reads the OME-Zarr.
        return both(super()._of_file(wanted, of_annotation), {"format": {"_eq": "zarr"}})

    def _selection(self, fields: Collection[str], exact: Iterable[str]) -> dict[str, Selection]:
        selection = super()._selection(fields, exact)
        return {**selection, "annotationShape": {**selection["annotationShape"], "shapeType": {}}}


PORTAL_TYPES: Mapping[str, PortalType] = {t.name: t for t in (Tomograms(), Picks(), Segmentations())}
"""By the names that recipes have for them. Runs are read with the overview, whatever a layer takes."""


def runs(rows: Sequence[Row], layer: LayerSpec) -> pd.DataFrame:
    """The table of runs, by id, with the fields that the layer uses."""
    ids = [str(row["id"]) for row in rows]
    table = tables.artifacts("runs", {"name": ids, "portal_run_id": ids, "run_alias": [row["name"] for row in rows]})
    table["portal_dataset_id"] = pd.Series([str(row["datasetId"]) for row in rows], dtype="str")
    return _with_fields(table, rows, "run", run_fields(), layer.run_fields)


def _most(wanted: Wanted, overview: Overview) -> int:
    """How many shapes of what is wanted the datasets have."""
    if wanted.is_nothing:
        return 0
    objects = [o for o in overview.objects if wanted.objects is None or o.identifier in wanted.objects]
    return sum(o.shapes.get(shape, 0) for o in objects for shape in wanted.shapes)


def _by(author: str) -> Clause:
    return {"authors": {"name": {"_eq": author}}}


def _of_shapes(wanted: Wanted) -> Clause:
    return {"shapeType": {"_in": list(wanted.shapes)}}


def _in_order(rows: Iterable[Row], owner: str) -> dict[int, tuple[str, ...]]:
    """Names in the order of the author list, by the id of what they are the authors of."""
    listed: dict[int, list[tuple[int, int, str]]] = {}
    for row in rows:
        listed.setdefault(row[owner], []).append((row["authorListOrder"], row["id"], row["name"]))
    return {record: tuple(name for _, _, name in sorted(found)) for record, found in listed.items()}


def _name_of(annotation: Row, names: Mapping[str, str]) -> str:
    """copick has one name for each object id, however annotations spell it."""
    return names.get(annotation["objectId"]) or object_name(annotation["objectName"], annotation["objectId"])


def _with_ids(table: pd.DataFrame, rows: Sequence[Row], records: Sequence[Row]) -> pd.DataFrame:
    """With the number that rows are in portal-id order by, and the deposition that their records came with."""
    depositions = ["" if record["depositionId"] is None else str(record["depositionId"]) for record in records]
    return table.assign(
        portal_id=pd.Series([row["id"] for row in rows], dtype="int64"),
        portal_deposition_id=pd.Series(depositions, dtype="str"),
    )


def _with_fields(
    table: pd.DataFrame, rows: Sequence[Row], prefix: str, known: Mapping[str, Field], fields: Iterable[str]
) -> pd.DataFrame:
    """With a column for each field, values as Python numbers, flags, texts and days, ``None`` where the portal has
    none."""
    for name in sorted(fields):
        field = known[name]
        convert = _FROM_TEXT[field.type]
        values = [None if row[field.graphql_name] is None else convert(row[field.graphql_name]) for row in rows]
        table[f"{prefix}.{name}"] = pd.Series(values, dtype=object)
    return table


def _places(urls: Iterable[str]) -> dict[str, Sequence[object]]:
    below = BUCKET + "/"
    cleaned = [url.rstrip("/") for url in urls]
    return {
        "root": [ROOT if url.startswith(below) else "" for url in cleaned],
        "path": [url.removeprefix(below) for url in cleaned],
    }


def _voxel_size(row: Row, unknown: float) -> float:
    spacing = row["tomogramVoxelSpacing"]
    return unknown if spacing is None else float(spacing["voxelSpacing"])
