"""What datasets hold, asked in a few counts: objects, tomogram types, runs. It decides what else is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from croissant_recipes.language.portal_schema import run_fields
from croissant_recipes.sources.base import Request
from croissant_recipes.sources.portal.conditions import Clause, at
from croissant_recipes.sources.portal.fetching import Row, Rows, Selection, all_rows, groups_query, rows_query
from croissant_recipes.sources.portal.objects import PortalObject, portal_objects
from croissant_recipes.sources.portal.query import Query
from croissant_recipes.sources.portal.tables import tomo_type
from croissant_recipes.sources.portal.transport import Answer, Endpoint

_TOMOGRAM_GROUP: Selection = {
    "reconstructionMethod": {},
    "processing": {},
    "processingSoftware": {},
    "ctfCorrected": {},
    "tomogramVoxelSpacing": {"voxelSpacing": {}},
}


@dataclass(frozen=True)
class Overview:
    """What the datasets hold.

    Attributes:
        runs: Rows of the runs, by id.
        titles: Of the datasets that the portal has, by id.
        missing: Datasets that it does not have.
        objects: By object id.
        tomogram_groups: Distinct combinations of what makes a tomogram's type and size, with counts; empty where no
            layer reads tomograms.
        requests: What was asked for it.
    """

    runs: Sequence[Row]
    titles: Mapping[int, str]
    missing: tuple[int, ...]
    objects: tuple[PortalObject, ...]
    tomogram_groups: Sequence[Row]
    requests: tuple[Request, ...]

    @cached_property
    def tomograms(self) -> pd.DataFrame:
        """One row for each tomogram group, in their order: ``tomo_type``, ``voxel_size`` (Å) and ``count``."""
        by = [group["groupBy"] for group in self.tomogram_groups]
        return pd.DataFrame(
            {
                "tomo_type": pd.Series([tomo_type(b) for b in by], dtype="str"),
                "voxel_size": pd.Series([_spacing(b) for b in by], dtype="float64"),
                "count": pd.Series([group["count"] for group in self.tomogram_groups], dtype="int64"),
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
    run_names: Collection[str],
    with_tomograms: bool,
) -> Overview:
    """Ask for it, all at once.

    Args:
        run_names: Fields that run-name templates use.

    Raises:
        PortalError: A query stays without an answer.
    """
    of_datasets: Clause = {"datasetId": {"_in": list(datasets)}}
    queries = [_datasets_query(datasets), _objects_query(of_datasets), _shapes_query(of_datasets)]
    if with_tomograms:
        queries.append(_tomograms_query(of_datasets))
    futures = [executor.submit(endpoint.ask, query) for query in queries]
    runs = _all_runs(endpoint, of_datasets, run_names)
    there, objects, shapes, *tomograms = answers = [future.result() for future in futures]
    titles = {row["id"]: row["title"] for row in there.data["rows"]}
    return Overview(
        runs=runs.rows,
        titles=titles,
        missing=tuple(d for d in datasets if d not in titles),
        objects=portal_objects(groups(objects), groups(shapes)),
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
    return groups_query("annotated objects", "annotations", group_by, where, "count max { id }")


def _shapes_query(of_datasets: Clause) -> Query:
    group_by: Selection = {"shapeType": {}, "annotation": {"objectId": {}}}
    return groups_query("shapes of objects", "annotationShapes", group_by, at(("annotation", "run"), of_datasets))


def _tomograms_query(of_datasets: Clause) -> Query:
    where = at(("tomogramVoxelSpacing", "run"), of_datasets)
    return groups_query("tomogram types", "tomograms", _TOMOGRAM_GROUP, where)
