"""What datasets hold, asked in a few counts: for the source, which decides by it what else to ask, and for who starts
to write a recipe."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.language.checked import WHERE_TYPES
from croissant_recipes.language.portal_schema import run_fields
from croissant_recipes.sources.base import Request
from croissant_recipes.sources.portal.conditions import at, both
from croissant_recipes.sources.portal.fetching import Rows, all_rows
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


@dataclass(frozen=True)
class Overview:
    """What the datasets hold.

    Attributes:
        runs: Rows of the runs, by id.
        titles: Of the datasets that the portal has, by id.
        objects: By object id.
        names: copick's names by object id.
        only_named: Whether annotations of other objects are none of the source's.
        tomogram_groups: Distinct combinations of what makes a tomogram's type and size, with counts; empty where no
            layer reads tomograms.
        requests: What was asked for it.
    """

    runs: Sequence[Row]
    titles: Mapping[int, str]
    objects: tuple[PortalObject, ...]
    names: Mapping[str, str]
    only_named: bool
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
    datasets: Sequence[int],
    *,
    subject: str,
    names: Mapping[str, str] | None = None,
    run_names: Collection[str] = (),
    with_tomograms: bool = True,
) -> Overview:
    """Ask for it, all at once.

    Args:
        subject: What it is asked for, as messages name it.
        names: copick's names by object id where a config gives them, and no other objects are the source's.
        run_names: Fields that run-name templates use.

    Raises:
        DiagnosticError: A dataset does not exist.
        PortalError: A query stays without an answer.
    """
    of_datasets: Clause = {"datasetId": {"_in": list(datasets)}}
    queries = [_datasets_query(datasets), _objects_query(of_datasets), _shapes_query(of_datasets)]
    if with_tomograms:
        queries.append(_tomograms_query(of_datasets))
    futures = [executor.submit(endpoint.ask, query) for query in queries]
    try:
        runs = _all_runs(endpoint, of_datasets, run_names)
        there, objects, shapes, *tomograms = answers = [future.result() for future in futures]
    finally:
        # The executor may outlive this, and the endpoint's connections do not.
        wait(futures)
    titles = {row["id"]: row["title"] for row in there.data["rows"]}
    if missing := [d for d in datasets if d not in titles]:
        raise _no_datasets(subject, missing, endpoint.url)
    found = portal_objects(groups(objects), groups(shapes))
    return Overview(
        runs=runs.rows,
        titles=titles,
        objects=found,
        names={o.identifier: o.name for o in found} if names is None else names,
        only_named=names is not None,
        tomogram_groups=[group for answer in tomograms for group in groups(answer)],
        requests=(*(answer.request for answer in answers), *runs.requests),
    )


def groups(answer: Answer) -> Sequence[Row]:
    """The groups of an aggregate's answer."""
    return answer.data["rows"]["aggregate"] or ()


def _all_runs(endpoint: Endpoint, of_datasets: Clause, names: Collection[str]) -> Rows:
    wanted = {"name", "datasetId", *(run_fields()[name].graphql_name for name in names)} - {"id"}
    # Short rows, and nothing else can be asked before they are there.
    limit = 4 * endpoint.limits.page_rows
    return all_rows(endpoint, "runs", "runs", {name: {} for name in sorted(wanted)}, of_datasets, limit=limit)


def _datasets_query(datasets: Sequence[int]) -> Query:
    where = {"id": {"_in": list(datasets)}}
    return rows_query("datasets", "datasets", {"id": {}, "title": {}}, where, len(datasets) + 1)


def _objects_query(of_datasets: Clause) -> Query:
    group_by: Selection = {"objectId": {}, "objectName": {}, "annotationPublication": {}}
    where = {"run": of_datasets}
    return groups_query("annotated objects", "annotations", group_by, where, "count max { id lastModifiedDate }")


def _shapes_query(of_datasets: Clause) -> Query:
    group_by: Selection = {"shapeType": {}, "annotation": {"objectId": {}}}
    return groups_query("shapes of objects", "annotationShapes", group_by, at(("annotation", "run"), of_datasets))


def _tomograms_query(of_datasets: Clause) -> Query:
    where = at(("tomogramVoxelSpacing", "run"), of_datasets)
    group_by = {**TOMO_TYPE_FIELDS, "tomogramVoxelSpacing": {"voxelSpacing": {}}}
    return groups_query("tomogram types", "tomograms", group_by, where, "count max { lastModifiedDate }")


def authors_query(artifact: str, datasets: Sequence[int]) -> Query:
    """The authors of an artifact type of the datasets, with how many records each is an author of."""
    of_datasets: Clause = {"run": {"datasetId": {"_in": list(datasets)}}}
    if artifact == "tomograms":
        return groups_query("authors of tomograms", "tomogramAuthors", {"name": {}}, at(("tomogram",), of_datasets))
    of_shapes = {"annotationShapes": {"shapeType": {"_in": list(SHAPES[artifact])}}}
    where = at(("annotation",), both(of_datasets, of_shapes))
    return groups_query(f"authors of {artifact}", "annotationAuthors", {"name": {}}, where)


def tomo_type(row: Row) -> str:
    """copick's tomogram type: method, processing and, where the portal has them, software and CTF correction."""
    parts = [row["reconstructionMethod"], row["processing"], row["processingSoftware"] or ""]
    words = [w for w in map(_camel_case, parts) if w]
    return "-".join([*words, "ctfdeconv"] if row["ctfCorrected"] else words)


def _camel_case(text: str) -> str:
    joined = re.sub("[_-]+", " ", text).title().replace(" ", "")
    return joined[:1].lower() + joined[1:]


def _no_datasets(subject: str, missing: Sequence[int], url: str) -> DiagnosticError:
    return DiagnosticError(
        *(
            Diagnostic(
                Code.DATASET_UNKNOWN,
                f"{subject}: the portal at {url} has no dataset {dataset}",
                hint="https://cryoetdataportal.czscience.com lists the datasets with their ids",
            )
            for dataset in missing
        )
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
        authors: By artifact type: ``picks``, ``segmentations``, ``tomograms``.
    """

    titles: Mapping[int, str]
    runs: Mapping[int, int]
    objects: Sequence[PortalObject]
    tomograms: Sequence[ListedTomograms]
    method_types: Counts
    depositions: Counts
    methods_of: Mapping[str, Counts]
    authors: Mapping[str, Counts]


def contents(datasets: Sequence[int], url: str | None = None, *, jobs: int = 8) -> Contents:
    """Ask what datasets hold.

    Args:
        url: Another GraphQL endpoint than the portal's own.
        jobs: Requests in flight.

    Raises:
        DiagnosticError: A dataset does not exist, or a query stays without an answer.
    """
    url, subject = url or PORTAL_URL, "the portal"
    wanted = tuple(dict.fromkeys(datasets))
    with (
        reported(subject, wanted, url),
        Endpoint(url, ResponseCache(default_folder())) as endpoint,
        ThreadPoolExecutor(max(jobs, 1)) as executor,
    ):
        authors = {a: executor.submit(endpoint.ask, authors_query(a, wanted)) for a in WHERE_TYPES}
        asked = executor.submit(endpoint.ask, _methods_query(wanted))
        overview = survey(endpoint, executor, wanted, subject=subject)
        methods, columns = groups(asked.result()), ["tomo_type", "voxel_size"]
        tomograms = overview.tomograms.groupby(columns, as_index=False, sort=True)["count"].sum()
        return Contents(
            titles={d: overview.titles[d] for d in wanted},
            runs=Counter(row["datasetId"] for row in overview.runs),
            objects=sorted(overview.objects, key=lambda o: (o.name, o.identifier)),
            tomograms=[ListedTomograms(*row) for row in tomograms.itertuples(index=False, name=None)],
            method_types=_counts(methods, "methodType"),
            depositions=_counts(methods, "deposition", "id"),
            methods_of={
                o.identifier: _counts([m for m in methods if m["groupBy"]["objectId"] == o.identifier], "methodType")
                for o in overview.objects
            },
            authors={artifact: _counts(groups(answer.result()), "name") for artifact, answer in authors.items()},
        )


def _methods_query(datasets: Sequence[int]) -> Query:
    where = {"run": {"datasetId": {"_in": list(datasets)}}}
    group_by: Selection = {"objectId": {}, "methodType": {}, "deposition": {"id": {}}}
    return groups_query("methods and depositions", "annotations", group_by, where)


def _counts(rows: Sequence[Row], *path: str) -> Counts:
    counts: Counter[str] = Counter()
    for row in rows:
        value = row["groupBy"]
        for part in path:
            value = None if value is None else value[part]
        if value is not None:
            counts[str(value)] += row["count"]
    return tuple(sorted(counts.items(), key=lambda c: (-c[1], c[0])))
