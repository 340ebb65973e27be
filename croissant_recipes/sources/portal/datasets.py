"""A part of the CryoET Data Portal as a source: a layer's filters become queries, their answers artifact tables."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity
from croissant_recipes.language import source_kinds
from croissant_recipes.language.checked import LayerSpec, Take
from croissant_recipes.location import Location
from croissant_recipes.sources.base import (
    ArrayFacts,
    FileFacts,
    Inventory,
    Means,
    Progress,
    PublishedRecord,
    Request,
    Root,
    empty_tables,
)
from croissant_recipes.sources.data_reader import DataReader
from croissant_recipes.sources.file_facts import FileRoot
from croissant_recipes.sources.identity import identity_of
from croissant_recipes.sources.portal import held_runs
from croissant_recipes.sources.portal.conditions import RunScope, run_scope
from croissant_recipes.sources.portal.fetching import FetchPool, Rows
from croissant_recipes.sources.portal.holdings import asked_for, find
from croissant_recipes.sources.portal.overview import Overview, authors_query, run_rows, survey
from croissant_recipes.sources.portal.portal_objects import SEGMENTATION_SHAPES, SHAPES, pickable
from croissant_recipes.sources.portal.portal_tables import BUCKET, PORTAL_TYPES, ROOT, Reading, runs
from croissant_recipes.sources.portal.published import published
from croissant_recipes.sources.portal.queries import Row, reported
from croissant_recipes.sources.portal.response_cache import ResponseCache, default_folder
from croissant_recipes.sources.portal.transport import PORTAL_URL, Endpoint, Limits
from croissant_recipes.sources.wanted import taken

_EXPECTED_ROWS = 10
"""Of one type and run, where nobody knows how many runs there are. Where there are more, they are read in turn."""

_UNREAD = "copick reads points and masks only"


@dataclass(frozen=True)
class LayerReading:
    """What a layer reads.

    Attributes:
        scope: The runs of which something is read.
        runs: The rows of the runs that the layer selects.
        readings: By artifact type; a type that the layer cannot select anything of has none.
    """

    layer: LayerSpec
    scope: RunScope
    runs: Sequence[Row]
    readings: Mapping[str, Reading]


class PortalSource:
    """A source of portal datasets.

    Args:
        name: The source's name in the recipe.
        spec: What it holds, and its endpoint.
        means: What asks, and whether answers on disk are used, replaced, or all there is.
        limits, sleep: See ``Endpoint``.
        names: copick's names by object id where a copick config gives them; the source then holds no annotation of any
            other object.
    """

    def __init__(
        self,
        name: str,
        spec: source_kinds.PortalSource,
        means: Means,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sleep: Callable[[float], None] = time.sleep,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.spec = spec
        self.url = spec.url or PORTAL_URL
        self._workers, self._mode, self._limits, self._sleep = means.workers, means.cache, limits, sleep
        self._names = names
        self._scanned: list[tuple[LayerSpec, Inventory]] = []
        self._overview: Overview | None = None
        self._subject = f"source {name!r}"

    def scan(self, layers: Sequence[LayerSpec], progress: Progress) -> Sequence[Inventory]:
        """See ``Source``. Pickable objects are those of the datasets, whatever the layers read.

        Raises:
            DiagnosticError: A dataset or deposition does not exist, a query stays without an
                answer, or one is not cached offline.
        """
        kept = ResponseCache(default_folder())
        with self._reported(), self._endpoint(kept) as endpoint:
            inventories = self._scan(endpoint, layers, progress)
        self._scanned = list(zip(layers, inventories, strict=True))
        if kept.problem and inventories:
            note = Diagnostic(Code.CACHE, f"the portal's answers cannot be kept: {kept.problem}", Severity.WARNING)
            inventories[0] = _with_diagnostic(inventories[0], note)
        return inventories

    @property
    def run_ids(self) -> frozenset[str]:
        """The ids of all runs of the datasets, once they were scanned: copick's names of them."""
        assert self._overview is not None, "a portal has runs once it was scanned"
        return frozenset(str(row["id"]) for row in self._overview.runs)

    def read_files(
        self,
        files: Sequence[tuple[str, str]],
        *,
        sha256: bool,  # noqa: ARG002
        progress: Progress,  # noqa: ARG002
    ) -> Mapping[tuple[str, str], FileFacts]:
        """Nothing is read from the portal's bucket: its sizes come with the metadata, and its files have no sha256."""
        return {file: FileFacts() for file in files}

    def read_points(
        self, files: Sequence[tuple[str, str]], *, sha256: bool, progress: Progress
    ) -> Mapping[tuple[str, str], FileFacts]:
        """See ``ReadsData``: from the portal's bucket, without credentials."""
        return self._data().points(files, sha256=sha256, progress=progress)

    def read_arrays(
        self, stores: Sequence[tuple[str, str]], *, progress: Progress
    ) -> Mapping[tuple[str, str], ArrayFacts]:
        """See ``ReadsData``: from the portal's bucket, without credentials."""
        return self._data().arrays(stores, progress)

    def _data(self) -> DataReader:
        return DataReader({ROOT: FileRoot(Location.parse(BUCKET))}, self._workers)

    def identity(self, layers: Sequence[LayerSpec], files: Sequence[tuple[str, str]]) -> str:  # noqa: ARG002
        """See ``Source``: the endpoint, the rows, which have the portal's ids, and when their records were changed."""
        assert self._overview is not None, "a portal has an identity once it was scanned"
        scanned = [(layer, inventory) for layer, inventory in self._scanned if layer in layers]
        modified: dict[str, dict[str, str]] = {name: {} for name in PORTAL_TYPES}
        for layer, inventory in scanned:
            rows = taken(layer, inventory.tables, runs_chosen=True)
            for name, kind in PORTAL_TYPES.items():
                modified[name] |= kind.modified(rows[name], self._overview)
        of = [str(Location.parse(self.url)), *self._overview.holdings.datasets, modified]
        return identity_of(scanned, runs_chosen=True, of=of)

    def authors(self, artifact: str, ids: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """The author lists of some annotations (``picks``, ``segmentations``) or ``tomograms``, by portal id.

        Raises:
            DiagnosticError: As ``scan``.
        """
        with self._reported(), self._endpoint(ResponseCache(default_folder())) as endpoint:
            return PORTAL_TYPES[artifact].author_lists(endpoint, ids)

    def records(self, datasets: Sequence[int], depositions: Sequence[int]) -> Sequence[PublishedRecord]:
        """See ``KnowsRecords``."""
        with (
            self._reported(),
            self._endpoint(ResponseCache(default_folder())) as endpoint,
            self._workers.threads() as executor,
        ):
            return published(endpoint, executor, datasets, depositions)

    def _reported(self) -> AbstractContextManager[None]:
        return reported(self._subject, asked_for(self.spec), self.url)

    def _endpoint(self, kept: ResponseCache) -> Endpoint:
        return Endpoint(self.url, kept, self._mode, self._limits, self._sleep)

    def _scan(self, endpoint: Endpoint, layers: Sequence[LayerSpec], progress: Progress) -> list[Inventory]:
        with self._workers.threads() as executor:
            overview, held = self._survey(endpoint, executor, layers, progress)
            self._overview = overview
            readings = [self._plan(layer, overview, chosen) for layer, chosen in zip(layers, held, strict=True)]
            with FetchPool(endpoint, executor) as pool, progress.task(f"{self.name}: portal", None) as task:
                for layer in readings:
                    for reading in layer.readings.values():
                        most = min(reading.most, layer.scope.most) if layer.scope.most else reading.most
                        pool.start(reading.fetches(), layer.scope, most, task)
                inventories = [self._inventory(layer, overview, pool) for layer in readings]
        if inventories:
            inventories[0] = _with_requests(inventories[0], overview.requests)
        return inventories

    def _survey(
        self, endpoint: Endpoint, executor: Executor, layers: Sequence[LayerSpec], progress: Progress
    ) -> tuple[Overview, list[Rows | None]]:
        """What the portal has, and for each layer the runs that the server chose for it."""
        fields = {f for layer in layers for f in layer.run_fields}
        # What a copick config adds to the portal's rows may be what a run has.
        asked = [self._names is None and held_runs.can_be_asked_for(layer) for layer in layers]
        with_runs = any(not yes or _names_runs(layer) for layer, yes in zip(layers, asked, strict=True))
        with progress.task(f"{self.name}: what the portal has", None):
            holdings, requests = find(endpoint, executor, self.spec, self._subject)
            found = survey(
                endpoint,
                executor,
                holdings,
                spec=self.spec,
                subject=self._subject,
                names=self._names,
                of_runs=fields,
                with_runs=with_runs,
                with_tomograms=any(layer.filters["tomograms"].take is not Take.NONE for layer in layers),
            )
            held = [
                held_runs.ask(endpoint, layer, found, fields) if yes else None
                for layer, yes in zip(layers, asked, strict=True)
            ]
            rows = Rows()
            if not with_runs and not all(held):
                rows = run_rows(endpoint, "runs", found.holdings.runs, fields)
                found = replace(found, runs=rows.rows)
        asked_for_runs = [request for each in (*held, rows) if each for request in each.requests]
        return replace(found, requests=(*requests, *found.requests, *asked_for_runs)), held

    def _plan(self, layer: LayerSpec, overview: Overview, held: Rows | None) -> LayerReading:
        rows = overview.runs
        if held is not None and not _names_runs(layer):
            rows = held.rows
        scope = run_scope(layer.filters["runs"], overview.holdings.datasets, rows)
        chosen = set(scope.chosen)
        # Those that `exclude` leaves out are there, so that it can be told from one that matches nothing.
        named = replace(layer.filters["runs"], exclude=())
        there = set(run_scope(named, scope.datasets, rows).chosen) if layer.filters["runs"].exclude else chosen
        selected = [row for row in rows if row["id"] in there]
        if held is not None:
            ids = chosen & {row["id"] for row in held.rows}
            scope = RunScope(scope.datasets, (), tuple(sorted(ids)), _EXPECTED_ROWS * len(ids))
        planned = {name: kind.plan(layer, overview) for name, kind in PORTAL_TYPES.items()} if scope.chosen else {}
        return LayerReading(
            layer, scope, selected, {name: reading for name, reading in planned.items() if reading is not None}
        )

    def _inventory(self, layer: LayerReading, overview: Overview, pool: FetchPool) -> Inventory:
        found = empty_tables()
        found["runs"] = runs(layer.runs, layer.layer)
        datasets = {str(row["id"]): str(row["datasetId"]) for row in layer.runs}
        diagnostics: list[Diagnostic] = []
        for artifact, reading in layer.readings.items():
            table, told = PORTAL_TYPES[artifact].table(reading, layer.scope, partial(pool.read, scope=layer.scope))
            found[artifact] = table.assign(portal_dataset_id=table["run"].map(datasets).astype("str"))
            diagnostics += told
        vocabulary = _vocabulary(overview, layer.runs)
        for artifact in PORTAL_TYPES:
            if layer.layer.filters[artifact].authors and found[artifact].empty:
                of_type = pool.ask(authors_query(artifact, overview.holdings)).groups
                vocabulary[f"{artifact}.authors"] = sorted(group["groupBy"]["name"] for group in of_type)
        if any(artifact in layer.readings for artifact in SHAPES):
            diagnostics += _unread_shapes(overview)
        return Inventory(
            tables=found,
            roots={ROOT: Root(Location.parse(BUCKET), base_url=BUCKET)},
            objects=pickable(overview.objects),
            config=_project(overview.holdings.datasets),
            diagnostics=tuple(diagnostics),
            vocabulary=vocabulary,
            publications=overview.publications,
            requests=tuple(pool.new_requests()),
        )


def _project(datasets: Sequence[int]) -> dict[str, str]:
    """What copick calls a project that it makes of datasets, which a recipe may name in any order. Its version is that
    of whichever copick is installed, and would make a build depend on that."""
    description = f"This copick project contains data from datasets {list(datasets)}."
    return {"name": "CZ cryoET Data Portal Dataset", "description": description}


def open_portal(name: str, spec: source_kinds.PortalSource, means: Means) -> PortalSource:
    """The source of a recipe's entry. Nothing is asked yet."""
    return PortalSource(name, spec, means)


def _names_runs(layer: LayerSpec) -> bool:
    """Whether a layer selects runs by name, for which all names have to be known."""
    chosen = layer.filters["runs"]
    return chosen.take is not Take.ALL or bool(chosen.exclude)


def _vocabulary(overview: Overview, selected: Sequence[Row]) -> dict[str, Sequence[str]]:
    names = overview.names
    objects = [o for o in overview.objects if o.identifier in names]
    sizes = overview.tomograms.drop_duplicates(["tomo_type", "voxel_size"])
    return {
        "runs": sorted({name for r in (*overview.runs, *selected) for name in (str(r["id"]), r["name"])}),
        "objects": sorted({names[o.identifier] for o in objects}),
        "picks": sorted({names[o.identifier] for o in objects if o.is_particle}),
        "segmentations": sorted(
            names[o.identifier] + ("" if kind == "binary" else f"?{kind}=true")
            for o in objects
            for shape, kind in SEGMENTATION_SHAPES.items()
            if shape in o.shapes
        ),
        "tomograms": sorted(f"{t}@{v}" for t, v in zip(sizes["tomo_type"], sizes["voxel_size"], strict=True)),
        "tomo_types": sorted(set(overview.tomograms["tomo_type"])),
    }


def _unread_shapes(overview: Overview) -> list[Diagnostic]:
    read = {shape for shapes in SHAPES.values() for shape in shapes}
    counts: Counter[str] = Counter()
    for o in overview.objects:
        counts.update({shape: count for shape, count in o.shapes.items() if shape not in read})
    return [
        Diagnostic(Code.NOT_EXPORTED, f"{count} annotations of shape {shape} are left out: {_UNREAD}", Severity.INFO)
        for shape, count in sorted(counts.items())
    ]


def _with_diagnostic(inventory: Inventory, diagnostic: Diagnostic) -> Inventory:
    return replace(inventory, diagnostics=(*inventory.diagnostics, diagnostic))


def _with_requests(inventory: Inventory, requests: Iterable[Request]) -> Inventory:
    return replace(inventory, requests=(*requests, *inventory.requests))
