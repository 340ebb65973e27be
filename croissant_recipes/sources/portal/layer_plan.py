"""From a layer's filters to the rows that have to be asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from croissant_recipes.language.checked import LayerSpec, Take, TypeFilter
from croissant_recipes.language.portal_schema import annotation_fields
from croissant_recipes.sources.portal import pushdown
from croissant_recipes.sources.portal.conditions import Clause, RunScope, at, both, metadata
from croissant_recipes.sources.portal.fetching import Fetch, Selection
from croissant_recipes.sources.portal.layer_reading import LayerReading, Reading
from croissant_recipes.sources.portal.objects import PICKS_SHAPES, SEGMENTATION_SHAPES
from croissant_recipes.sources.portal.overview import Overview
from croissant_recipes.sources.portal.pushdown import Wanted

_ANNOTATION_PATH = ("annotationShape", "annotation")
_SHAPES = {"picks": PICKS_SHAPES, "segmentations": tuple(SEGMENTATION_SHAPES)}
_RUN_PATHS = {
    "annotationFiles": (*_ANNOTATION_PATH, "run"),
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


def plan_layer(
    layer: LayerSpec, datasets: Sequence[int], overview: Overview, names: Mapping[str, str], *, only_named: bool
) -> LayerReading:
    """What to ask for a layer.

    Args:
        names: copick's names by object id.
        only_named: Whether annotations of other objects are none of the source's.
    """
    known = tuple(sorted(row["id"] for row in overview.runs))
    scope = RunScope(tuple(datasets), known, pushdown.chosen_runs(layer.filters["runs"], overview.runs))
    reading = LayerReading(layer, scope, {})
    if not scope.chosen:
        return reading
    found = [_tomograms(layer.filters["tomograms"], overview)]
    for artifact, shapes in _SHAPES.items():
        chosen = layer.filters[artifact]
        wanted = _wanted(chosen, names, shapes, only_named)
        most = _most(wanted, overview)
        if most:
            found.append(_annotations(chosen, wanted, reading.session_fields, most))
    return LayerReading(layer, scope, {r.artifact: r for r in found if r is not None})


def _tomograms(chosen: TypeFilter, overview: Overview) -> Reading | None:
    if chosen.take is Take.NONE:
        return None
    wanted = pushdown.wanted_tomograms(chosen, overview.tomogram_groups, overview.tomograms)
    if wanted is None:
        return None
    data = metadata("tomograms", chosen.where)
    selection = {**_TOMOGRAM_SELECTION, **{name: {} for name in data.exact}}
    first, *others = _by_author(chosen, "tomograms", selection, both(wanted, data.clause), ())
    return Reading("tomograms", first, tuple(others), None, data.exact, int(overview.tomograms["count"].sum()))


def _wanted(chosen: TypeFilter, names: Mapping[str, str], shapes: tuple[str, ...], only_named: bool) -> Wanted:
    if chosen.take is Take.NONE:
        return Wanted((), None, ())
    wanted = pushdown.wanted_annotations(chosen, names, shapes)
    if only_named and wanted.objects is None:
        return Wanted(tuple(sorted(names)), wanted.files, wanted.shapes, wanted.sizes)
    return wanted


def _most(wanted: Wanted, overview: Overview) -> int:
    """How many shapes of what is wanted the datasets have."""
    if wanted.is_nothing:
        return 0
    objects = [o for o in overview.objects if wanted.objects is None or o.identifier in wanted.objects]
    return sum(o.shapes.get(shape, 0) for o in objects for shape in wanted.shapes)


def _annotations(chosen: TypeFilter, wanted: Wanted, session_fields: frozenset[str], most: int) -> Reading:
    data = metadata(chosen.artifact, chosen.where)
    objects: Clause = {} if wanted.objects is None else {"objectId": {"_in": list(wanted.objects)}}
    of_annotation = both(data.clause, objects)
    selection = _file_selection(chosen.artifact, session_fields, data.exact)
    of_file = _file_clause(chosen.artifact, wanted, of_annotation)
    first, *others = _by_author(chosen, "annotationFiles", selection, of_file, _ANNOTATION_PATH)
    authors = _author_lists(chosen, wanted, of_annotation) if "authors" in session_fields else None
    return Reading(chosen.artifact, first, tuple(others), authors, data.exact, most)


def _file_clause(artifact: str, wanted: Wanted, of_annotation: Clause) -> Clause:
    clauses = [at(_ANNOTATION_PATH, of_annotation), {"annotationShape": _of_shapes(wanted)}]
    if wanted.files is not None:
        clauses.append({"id": {"_in": list(wanted.files)}})
    if wanted.sizes is not None:
        clauses.append({"tomogramVoxelSpacing": {"voxelSpacing": wanted.sizes}})
    if artifact == "segmentations":
        # A mask has an MRC file too; copick reads the OME-Zarr.
        clauses.append({"format": {"_eq": "zarr"}})
    return both(*clauses)


def _author_lists(chosen: TypeFilter, wanted: Wanted, of_annotation: Clause) -> Fetch:
    clauses = [of_annotation, {"annotationShapes": _of_shapes(wanted)}]
    if chosen.authors:
        clauses.append(_by(chosen.authors[0]))
    selection: Selection = {"annotationId": {}, "name": {}, "authorListOrder": {}}
    where = {"annotation": both(*clauses)}
    table = "annotationAuthors"
    return Fetch(f"authors of {chosen.artifact}", table, selection, where, _RUN_PATHS[table])


def _by_author(
    chosen: TypeFilter, table: str, selection: Selection, where: Clause, path: tuple[str, ...]
) -> Iterable[Fetch]:
    """The rows of the first author, then the ids of each other author's; the rows alone where none is asked for."""
    if not chosen.authors:
        yield Fetch(chosen.artifact, table, selection, where, _RUN_PATHS[table])
    for index, author in enumerate(chosen.authors):
        what = f"{chosen.artifact} by {author}"
        yield Fetch(what, table, {} if index else selection, both(where, at(path, _by(author))), _RUN_PATHS[table])


def _by(author: str) -> Clause:
    return {"authors": {"name": {"_eq": author}}}


def _of_shapes(wanted: Wanted) -> Clause:
    return {"shapeType": {"_in": list(wanted.shapes)}}


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
