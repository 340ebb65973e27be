"""Datasets of the CryoET Data Portal as a source: a layer's filters become queries, their answers artifact tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity
from croissant_recipes.language import recipe
from croissant_recipes.language.checked import LayerSpec, Take
from croissant_recipes.options import CacheMode
from croissant_recipes.sources.base import FileFacts, Inventory, Progress, Request, Root, empty_tables
from croissant_recipes.sources.portal import layer_reading, tables
from croissant_recipes.sources.portal.authors import author_lists
from croissant_recipes.sources.portal.failures import no_datasets, numbers, reported
from croissant_recipes.sources.portal.layer_plan import plan_layer
from croissant_recipes.sources.portal.layer_reading import LayerReading
from croissant_recipes.sources.portal.objects import PICKS_SHAPES, SEGMENTATION_SHAPES, PortalObject, pickable
from croissant_recipes.sources.portal.overview import Overview, survey
from croissant_recipes.sources.portal.pool import FetchPool
from croissant_recipes.sources.portal.response_cache import ResponseCache, default_folder
from croissant_recipes.sources.portal.transport import PORTAL_URL, Endpoint, Limits

_UNREAD = "copick reads points and masks only"


class PortalSource:
    """A source of portal datasets.

    Args:
        name: The source's name in the recipe.
        spec: Its datasets and endpoint.
        jobs: Requests in flight.
        cache: Whether answers on disk are used, replaced, or all there is.
        limits, sleep: See ``Endpoint``.
        names: copick's names by object id where a copick config gives them; the source then holds no annotation of any
            other object.
    """

    def __init__(
        self,
        name: str,
        spec: recipe.PortalSource,
        jobs: int,
        cache: CacheMode = "use",
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sleep: Callable[[float], None] = time.sleep,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.datasets = tuple(sorted(set(spec.datasets)))
        self.url = spec.url or PORTAL_URL
        self._jobs, self._mode, self._limits, self._sleep = max(jobs, 1), cache, limits, sleep
        self._names = names
        self._subject = f"source {name!r}"

    def scan(self, layers: Sequence[LayerSpec], progress: Progress) -> Sequence[Inventory]:
        """See ``Source``. Pickable objects are those of the datasets, whatever the layers read.

        Raises:
            DiagnosticError: A dataset does not exist, a query stays without an answer, or one is not cached offline.
        """
        kept = ResponseCache(default_folder())
        with self._reported(), self._endpoint(kept) as endpoint:
            inventories = self._scan(endpoint, layers, progress)
        if kept.problem and inventories:
            note = Diagnostic(Code.CACHE, f"the portal's answers cannot be kept: {kept.problem}", Severity.WARNING)
            inventories[0] = _with_diagnostic(inventories[0], note)
        return inventories

    def read_files(
        self,
        files: Sequence[tuple[str, str]],
        *,
        sha256: bool,  # noqa: ARG002
        progress: Progress,  # noqa: ARG002
    ) -> Mapping[tuple[str, str], FileFacts]:
        """Nothing is read from the portal's bucket: its sizes come with the metadata, and its files have no sha256."""
        return {file: FileFacts() for file in files}

    def authors(self, artifact: str, ids: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """The author lists of some annotations (``picks``, ``segmentations``) or ``tomograms``, by portal id.

        Raises:
            DiagnosticError: As ``scan``.
        """
        with self._reported(), self._endpoint(ResponseCache(default_folder())) as endpoint:
            return author_lists(endpoint, artifact, ids)

    def _reported(self) -> AbstractContextManager[None]:
        return reported(self._subject, self.datasets, self.url)

    def _endpoint(self, kept: ResponseCache) -> Endpoint:
        return Endpoint(self.url, kept, self._mode, self._limits, self._sleep)

    def _scan(self, endpoint: Endpoint, layers: Sequence[LayerSpec], progress: Progress) -> list[Inventory]:
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="portal") as executor:
            overview = self._survey(endpoint, executor, layers, progress)
            names = {o.identifier: o.name for o in overview.objects} if self._names is None else self._names
            readings = [
                plan_layer(layer, self.datasets, overview, names, only_named=self._names is not None)
                for layer in layers
            ]
            with FetchPool(endpoint, executor) as pool, progress.task(f"{self.name}: portal", None) as task:
                for reading in readings:
                    pool.start(reading, task)
                inventories = [self._inventory(reading, overview, names, pool) for reading in readings]
        if inventories:
            inventories[0] = _with_requests(inventories[0], overview.requests)
        return inventories

    def _survey(
        self, endpoint: Endpoint, executor: ThreadPoolExecutor, layers: Sequence[LayerSpec], progress: Progress
    ) -> Overview:
        with progress.task(f"{self.name}: what the portal has", None):
            overview = survey(
                endpoint,
                executor,
                self.datasets,
                run_names={f for layer in layers if layer.run_name for f in layer.run_name.fields},
                with_tomograms=any(layer.filters["tomograms"].take is not Take.NONE for layer in layers),
            )
        if overview.missing:
            raise no_datasets(self._subject, overview.missing, self.url)
        return overview

    def _inventory(
        self, layer: LayerReading, overview: Overview, names: Mapping[str, str], pool: FetchPool
    ) -> Inventory:
        found = empty_tables()
        chosen = set(layer.scope.chosen)
        runs = [row for row in overview.runs if row["id"] in chosen]
        found["runs"] = tables.runs(runs, layer.run_fields)
        diagnostics = []
        datasets = {str(row["id"]): str(row["datasetId"]) for row in runs}
        for artifact, reading in layer.readings.items():
            table, without_file = layer_reading.table(reading, layer, pool.read, tables.name_of(names))
            found[artifact] = table.assign(portal_dataset_id=table["run"].map(datasets).astype("str"))
            if without_file:
                diagnostics.append(_without_file(without_file))
        vocabulary = _vocabulary(overview, names)
        for artifact in ("tomograms", "picks", "segmentations"):
            if layer.layer.filters[artifact].authors and found[artifact].empty:
                vocabulary[f"{artifact}.authors"] = pool.author_names(artifact, self.datasets)
        if any(a in layer.readings for a in ("picks", "segmentations")):
            diagnostics += _unread_shapes(overview.objects)
        return Inventory(
            tables=found,
            roots={tables.ROOT: Root(tables.BUCKET, base_url=tables.BUCKET)},
            objects=pickable(overview.objects),
            diagnostics=tuple(diagnostics),
            vocabulary=vocabulary,
            requests=tuple(pool.new_requests()),
        )


def _vocabulary(overview: Overview, names: Mapping[str, str]) -> dict[str, Sequence[str]]:
    objects = [o for o in overview.objects if o.identifier in names]
    sizes = overview.tomograms.drop_duplicates(["tomo_type", "voxel_size"])
    return {
        "runs": sorted({str(r["id"]) for r in overview.runs} | {r["name"] for r in overview.runs}),
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


def _unread_shapes(objects: Iterable[PortalObject]) -> list[Diagnostic]:
    counts: dict[str, int] = {}
    for o in objects:
        for shape, count in o.shapes.items():
            if shape not in PICKS_SHAPES and shape not in SEGMENTATION_SHAPES:
                counts[shape] = counts.get(shape, 0) + count
    return [
        Diagnostic(Code.NOT_EXPORTED, f"{count} annotations of shape {shape} are left out: {_UNREAD}", Severity.INFO)
        for shape, count in sorted(counts.items())
    ]


def _without_file(ids: Sequence[int]) -> Diagnostic:
    return Diagnostic(
        Code.NOT_EXPORTED,
        f"the portal has no OME-Zarr of {numbers('tomogram', ids)}, left out",
        Severity.WARNING,
    )


def _with_diagnostic(inventory: Inventory, diagnostic: Diagnostic) -> Inventory:
    return replace(inventory, diagnostics=(*inventory.diagnostics, diagnostic))


def _with_requests(inventory: Inventory, requests: Iterable[Request]) -> Inventory:
    return replace(inventory, requests=(*requests, *inventory.requests))
