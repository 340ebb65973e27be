"""What datasets hold, asked in a few counts: for the source, which decides by it what else to ask, and for who starts
to write a recipe."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.language.checked import WHERE_TYPES
from croissant_recipes.language.portal_schema import run_fields
from croissant_recipes.language.source_kinds import PortalSource as PortalSpec
from croissant_recipes.sources.base import Request
from croissant_recipes.sources.portal.conditions import both
from croissant_recipes.sources.portal.fetching import Rows, all_rows
from croissant_recipes.sources.portal.holdings import Holdings, asked_for, find
from croissant_recipes.sources.portal.portal_objects import SHAPES, PortalObject, portal_objects
from croissant_recipes.sources.portal.queries import (
    Clause,
    Query,
    Row,
    Selection,
    groups_query,
    reported,
    rows_query,
)
from croissant_recipes.sources.portal.response_cache import ResponseCache, default_folder
from croissant_recipes.sources.portal.transport import PORTAL_URL, Answer, Endpoint

TOMO_TYPE_FIELDS: Selection = {
    "reconstructionMethod": {},
    "processing": {},
    "processingSoftware": {},
    "ctfCorrected": {},
}
"""What copick makes a tomogram's type of."""


_OF_DEPOSITION: Selection = {"deposition": {"id": {}, "depositionPublications": {}}}


@dataclass(frozen=True)
class Overview:
    """What a source holds.

    Attributes:
        holdings: The part of the portal that it is.
        runs: Rows of all runs, by id; empty where nobody asked for them.
        titles: Of the datasets that the portal has, by id.
        objects: By object id.
        names: copick's names by object id.
        only_named: Whether annotations of other objects are none of the source's.
        publications: What was published of datasets and depositions, by ``datasets`` or ``depositions`` and id.
        tomogram_groups: Distinct combinations of what makes a tomogram's type and size, with counts; empty where no
            layer reads tomograms.
        requests: What was asked for it.
    """

    holdings: Holdings
    runs: Sequence[Row]
    titles: Mapping[int, str]
    objects: tuple[PortalObject, ...]
    names: Mapping[str, str]
    only_named: bool
    publications: Mapping[str, Mapping[str, str]]
    tomogram_groups: Sequence[Row]
    requests: tuple[Request, ...]

    @cached_property
    def tomograms(self) -> pd.DataFrame:
        """One row for each tomogram group, in their order: ``tomo_type``, ``voxel_size`` (Å), ``count``, and when one
        of them was changed last, as the portal spells it, in ``modified``."""
        by = [group["groupBy"] for group in self.tomogram_groups]
        return pd.DataFrame(
            {
                "tomo_type": pd.Series([tomo_type(b) for b in by], dtype="str"),
                "voxel_size": pd.Series([_spacing(b) for b in by], dtype="float64"),
                "count": pd.Series([group["count"] for group in self.tomogram_groups], dtype="int64"),
                "modified": pd.Series(
                    [group["max"]["lastModifiedDate"] or "" for group in self.tomogram_groups], dtype="str"
                ),
            }
        )


def _spacing(by: Mapping[str, Any]) -> float:
    spacing = by["tomogramVoxelSpacing"]
    return float("nan") if spacing is None else float(spacing["voxelSpacing"])


def survey(
    endpoint: Endpoint,
    executor: Executor,
    holdings: Holdings,
    *,
    spec: PortalSpec,
    subject: str,
    names: Mapping[str, str] | None = None,
    of_runs: Collection[str] = (),
    with_runs: bool = True,
    with_tomograms: bool = True,
) -> Overview:
    """Ask for it, all at once.

    Args:
        spec: What names the datasets.
        subject: What it is asked for, as messages name it.
        names: copick's names by object id where a config gives them, and no other objects are the source's.
        of_runs: Fields of runs that layers use.

    Raises:
        DiagnosticError: A dataset does not exist.
        PortalError: A query stays without an answer.
    """
    queries = [_datasets_query(holdings.datasets), _objects_query(holdings), _shapes_query(holdings)]
    if with_tomograms:
        queries.append(_tomograms_query(holdings))
    futures = [executor.submit(endpoint.ask, query) for query in queries]
    try:
        runs = run_rows(endpoint, "runs", holdings.runs, of_runs) if with_runs else Rows()
        there, objects, shapes, *tomograms = answers = [future.result() for future in futures]
    finally:
        # The executor may outlive this, and the endpoint's connections do not.
        wait(futures)
    titles = {row["id"]: row["title"] for row in there.data["rows"]}
    if missing := [i for i, dataset in enumerate(spec.datasets) if dataset not in titles]:
        raise DiagnosticError(*(_no_dataset(subject, spec, i, endpoint.url) for i in missing))
    found = portal_objects(objects.groups, shapes.groups)
    return Overview(
        holdings=holdings,
        runs=runs.rows,
        titles=titles,
        objects=found,
        names={o.identifier: o.name for o in found} if names is None else names,
        only_named=names is not None,
        publications={
            "datasets": {str(row["id"]): row["datasetPublications"] or "" for row in there.data["rows"]},
            "depositions": _of_depositions([*objects.groups, *(g for answer in tomograms for g in answer.groups)]),
        },
        tomogram_groups=[group for answer in tomograms for group in answer.groups],
        requests=(*(answer.request for answer in answers), *runs.requests),
    )


def run_rows(endpoint: Endpoint, what: str, where: Clause, fields: Collection[str]) -> Rows:
    """The rows of runs, by id, with what selecting and naming them needs.

    Args:
        what: What they are, in readable words.
        fields: Those that templates name.

    Raises:
        PortalError: A query stays without an answer.
    """
    wanted = {"name", "datasetId", *(run_fields()[name].graphql_name for name in fields)} - {"id"}
    # Short rows, and nothing else can be asked before they are there.
    limit = 4 * endpoint.limits.page_rows
    return all_rows(endpoint, what, "runs", {name: {} for name in sorted(wanted)}, where, limit=limit)


def _datasets_query(datasets: Sequence[int]) -> Query:
    where = {"id": {"_in": list(datasets)}}
    return rows_query(
        "datasets", "datasets", {"id": {}, "title": {}, "datasetPublications": {}}, where, len(datasets) + 1
    )


def _objects_query(holdings: Holdings) -> Query:
    group_by: Selection = {"objectId": {}, "objectName": {}, "annotationPublication": {}, **_OF_DEPOSITION}
    functions = "count max { id lastModifiedDate }"
    return groups_query("annotated objects", "annotations", group_by, holdings.annotations, functions)


def _shapes_query(holdings: Holdings, deposition: int | None = None) -> Query:
    of_deposition: Clause = {} if deposition is None else {"depositionId": {"_eq": deposition}}
    group_by: Selection = {"shapeType": {}, "annotation": {"objectId": {}}}
    where: Clause = {"annotation": both(holdings.annotations, of_deposition)}
    return groups_query("shapes of objects", "annotationShapes", group_by, where)


def _tomograms_query(holdings: Holdings) -> Query:
    group_by = {**TOMO_TYPE_FIELDS, "tomogramVoxelSpacing": {"voxelSpacing": {}}, **_OF_DEPOSITION}
    return groups_query("tomogram types", "tomograms", group_by, holdings.tomograms, "count max { lastModifiedDate }")


def _of_depositions(groups: Iterable[Row]) -> dict[str, str]:
    found = (group["groupBy"]["deposition"] for group in groups)
    return {str(d["id"]): d["depositionPublications"] or "" for d in found if d is not None}


def authors_query(artifact: str, holdings: Holdings) -> Query:
    """The authors of an artifact type of a source, with how many records each is an author of."""
    if artifact == "tomograms":
        where: Clause = {"tomogram": both({"run": holdings.runs}, holdings.released)}
        return groups_query("authors of tomograms", "tomogramAuthors", {"name": {}}, where)
    of_shapes = {"annotationShapes": {"shapeType": {"_in": list(SHAPES[artifact])}}}
    where = {"annotation": both(holdings.annotations, of_shapes)}
    return groups_query(f"authors of {artifact}", "annotationAuthors", {"name": {}}, where)


def tomo_type(row: Row) -> str:
    """copick's tomogram type: method, processing and, where the portal has them, software and CTF correction."""
    parts = [row["reconstructionMethod"], row["processing"], row["processingSoftware"] or ""]
    words = [w for w in map(_camel_case, parts) if w]
    return "-".join([*words, "ctfdeconv"] if row["ctfCorrected"] else words)


def _camel_case(text: str) -> str:
    joined = re.sub("[_-]+", " ", text).title().replace(" ", "")
    return joined[:1].lower() + joined[1:]


def _no_dataset(subject: str, spec: PortalSpec, index: int, url: str) -> Diagnostic:
    return Diagnostic(
        Code.DATASET_UNKNOWN,
        f"{subject}: the portal at {url} has no dataset {spec.datasets[index]}",
        hint="https://cryoetdataportal.czscience.com lists the datasets with their ids",
        key=("datasets", index),
    )


Counts = Sequence[tuple[str, int]]
"""Values with how many records have them, the most frequent first."""


@dataclass(frozen=True)
class ListedTomograms:
    """How many tomograms of a type and voxel size (Å) there are."""

    tomo_type: str
    voxel_size: float
    count: int


@dataclass(frozen=True)
class Contents:
    """What datasets hold, for who starts to write a recipe.

    Attributes:
        titles: Of the datasets, by id, in the order asked for.
        runs: How many runs each dataset has.
        objects: By name.
        tomograms: By type and voxel size.
        method_types, depositions: Of annotations.
        methods_of: How the annotations of an object were made, by object id.
        in_depositions: Shape types of the objects that the depositions asked for have, by deposition and object id.
        authors: By artifact type: ``picks``, ``segmentations``, ``tomograms``.
    """

    titles: Mapping[int, str]
    runs: Mapping[int, int]
    objects: Sequence[PortalObject]
    tomograms: Sequence[ListedTomograms]
    method_types: Counts
    depositions: Counts
    methods_of: Mapping[str, Counts]
    in_depositions: Mapping[int, Mapping[str, Collection[str]]]
    authors: Mapping[str, Counts]


def contents(spec: PortalSpec, *, jobs: int = 8) -> Contents:
    """Ask what a source would hold.

    Args:
        jobs: Requests in flight.

    Raises:
        DiagnosticError: A dataset or deposition does not exist, or a query stays without an answer.
    """
    url, subject = spec.url or PORTAL_URL, "the portal"
    with (
        reported(subject, asked_for(spec), url),
        Endpoint(url, ResponseCache(default_folder())) as endpoint,
        ThreadPoolExecutor(max(jobs, 1)) as executor,
    ):
        holdings, _ = find(endpoint, executor, spec, subject)
        authors = {a: executor.submit(endpoint.ask, authors_query(a, holdings)) for a in WHERE_TYPES}
        asked = executor.submit(endpoint.ask, _methods_query(holdings))
        shapes = {d: executor.submit(endpoint.ask, _shapes_query(holdings, d)) for d in dict.fromkeys(spec.depositions)}
        overview = survey(endpoint, executor, holdings, spec=spec, subject=subject)
        methods, columns = asked.result().groups, ["tomo_type", "voxel_size"]
        tomograms = overview.tomograms.groupby(columns, as_index=False, sort=True)["count"].sum()
        return Contents(
            titles={d: overview.titles[d] for d in dict.fromkeys((*spec.datasets, *holdings.datasets))},
            runs=Counter(row["datasetId"] for row in overview.runs),
            objects=sorted(overview.objects, key=lambda o: (o.name, o.identifier)),
            tomograms=[ListedTomograms(*row) for row in tomograms.itertuples(index=False, name=None)],
            method_types=_counts(methods, "methodType"),
            depositions=_counts(methods, "deposition", "id"),
            methods_of={
                o.identifier: _counts([m for m in methods if m["groupBy"]["objectId"] == o.identifier], "methodType")
                for o in overview.objects
            },
            in_depositions={d: _shapes_of_objects(answer.result()) for d, answer in shapes.items()},
            authors={artifact: _counts(answer.result().groups, "name") for artifact, answer in authors.items()},
        )


def _methods_query(holdings: Holdings) -> Query:
    group_by: Selection = {"objectId": {}, "methodType": {}, "deposition": {"id": {}}}
    return groups_query("methods and depositions", "annotations", group_by, holdings.annotations)


def _shapes_of_objects(answer: Answer) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for group in answer.groups:
        by = group["groupBy"]
        if by["annotation"] is not None and by["shapeType"] is not None:
            found.setdefault(by["annotation"]["objectId"], set()).add(by["shapeType"])
    return found


def _counts(rows: Sequence[Row], *path: str) -> Counts:
    counts: Counter[str] = Counter()
    for row in rows:
        value = row["groupBy"]
        for part in path:
            value = None if value is None else value[part]
        if value is not None:
            counts[str(value)] += row["count"]
    return tuple(sorted(counts.items(), key=lambda c: (-c[1], c[0])))
