"""What datasets hold, for who starts to write a recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from croissant_recipes.options import CacheMode
from croissant_recipes.sources.portal.authors import authors_query
from croissant_recipes.sources.portal.failures import no_datasets, reported
from croissant_recipes.sources.portal.fetching import Row, Selection, groups_query
from croissant_recipes.sources.portal.objects import PICKS_SHAPES, SEGMENTATION_SHAPES, PortalObject
from croissant_recipes.sources.portal.overview import Overview, groups, survey
from croissant_recipes.sources.portal.query import Query
from croissant_recipes.sources.portal.response_cache import ResponseCache, default_folder
from croissant_recipes.sources.portal.transport import PORTAL_URL, Endpoint

Counts = tuple[tuple[str, int], ...]
"""Values with how many records have them, the most frequent first."""


@dataclass(frozen=True)
class ListedDataset:
    """A dataset: its id, its title, and how many runs it has."""

    id: int
    title: str
    runs: int


@dataclass(frozen=True)
class ListedObject:
    """An object with how many picks and segmentations of it there are.

    Attributes:
        name: copick's name of it, as selectors take it.
        spelled: The object as the portal spells it.
        identifier: The portal's object id.
        picks, segmentations, instance_segmentations: Numbers of annotation shapes.
        method_types: How they were made.
    """

    name: str
    spelled: str
    identifier: str
    picks: int
    segmentations: int
    instance_segmentations: int
    method_types: Counts


@dataclass(frozen=True)
class ListedTomograms:
    """How many tomograms of a type and voxel size (Å) there are."""

    tomo_type: str
    voxel_size: float
    count: int


@dataclass(frozen=True)
class Listing:
    """What datasets hold.

    Attributes:
        datasets: In the order asked for.
        objects: By name.
        tomograms: By type and voxel size.
        method_types, depositions: Of annotations.
        authors: By artifact type: ``picks``, ``segmentations``, ``tomograms``.
    """

    datasets: tuple[ListedDataset, ...]
    objects: tuple[ListedObject, ...]
    tomograms: tuple[ListedTomograms, ...]
    method_types: Counts
    depositions: Counts
    authors: Mapping[str, Counts]

    @property
    def run_count(self) -> int:
        return sum(d.runs for d in self.datasets)

    @property
    def voxel_sizes(self) -> tuple[float, ...]:
        """Of tomograms, in Å."""
        return tuple(sorted({t.voxel_size for t in self.tomograms}))


def listing(datasets: Sequence[int], url: str | None = None, *, jobs: int = 8, cache: CacheMode = "use") -> Listing:
    """Ask what datasets hold.

    Args:
        url: Another GraphQL endpoint than the portal's own.
        jobs: Requests in flight.

    Raises:
        DiagnosticError: A dataset does not exist, or a query stays without an answer.
    """
    url = url or PORTAL_URL
    wanted = tuple(dict.fromkeys(datasets))
    with (
        reported("the portal", wanted, url),
        Endpoint(url, ResponseCache(default_folder()), cache) as endpoint,
        ThreadPoolExecutor(max(jobs, 1)) as executor,
    ):
        artifacts = ("tomograms", "picks", "segmentations")
        authors = {a: executor.submit(endpoint.ask, authors_query(a, wanted)) for a in artifacts}
        methods = executor.submit(endpoint.ask, _methods_query(wanted))
        overview = survey(endpoint, executor, wanted, run_names=(), with_tomograms=True)
        if overview.missing:
            raise no_datasets("the portal", overview.missing, url)
        return _listing(
            wanted,
            overview,
            groups(methods.result()),
            {artifact: _counts(groups(asked.result()), "name") for artifact, asked in authors.items()},
        )


def _methods_query(datasets: Sequence[int]) -> Query:
    where = {"run": {"datasetId": {"_in": list(datasets)}}}
    group_by: Selection = {"objectId": {}, "methodType": {}, "deposition": {"id": {}}}
    return groups_query("methods and depositions", "annotations", group_by, where)


def _listing(
    datasets: Sequence[int], overview: Overview, methods: Sequence[Row], authors: Mapping[str, Counts]
) -> Listing:
    runs = Counter(row["datasetId"] for row in overview.runs)
    columns = ["tomo_type", "voxel_size"]
    tomograms = overview.tomograms.groupby(columns, as_index=False, sort=True)["count"].sum()
    return Listing(
        datasets=tuple(ListedDataset(d, overview.titles[d], runs[d]) for d in datasets),
        objects=tuple(sorted((_object(o, methods) for o in overview.objects), key=lambda o: (o.name, o.identifier))),
        tomograms=tuple(ListedTomograms(*row) for row in tomograms.itertuples(index=False, name=None)),
        method_types=_counts(methods, "methodType"),
        depositions=_counts(methods, "deposition", "id"),
        authors=authors,
    )


def _object(found: PortalObject, methods: Sequence[Row]) -> ListedObject:
    of_type = {"binary": 0, "instance": 0}
    for shape, kind in SEGMENTATION_SHAPES.items():
        of_type[kind] += found.shapes.get(shape, 0)
    return ListedObject(
        found.name,
        found.spelled,
        found.identifier,
        sum(found.shapes.get(shape, 0) for shape in PICKS_SHAPES),
        of_type["binary"],
        of_type["instance"],
        _counts([m for m in methods if m["groupBy"]["objectId"] == found.identifier], "methodType"),
    )


def _counts(rows: Sequence[Row], *path: str) -> Counts:
    counts: Counter[str] = Counter()
    for row in rows:
        value = row["groupBy"]
        for part in path:
            value = None if value is None else value[part]
        if value is not None:
            counts[str(value)] += row["count"]
    return tuple(sorted(counts.items(), key=lambda c: (-c[1], c[0])))
