"""copick projects of config type ``cryoet_data_portal``: portal datasets with an overlay of the project's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, listing
from croissant_recipes.language import source_kinds
from croissant_recipes.language.checked import LayerSpec, Take, TypeFilter
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACT_TYPES
from croissant_recipes.sources.base import Inventory, Means, Progress, PublishedRecord
from croissant_recipes.sources.file_facts import FileRoot
from croissant_recipes.sources.folder_project import OVERLAY, file_root, open_root, root_of
from croissant_recipes.sources.identity import identity_of
from croissant_recipes.sources.portal.datasets import PortalSource
from croissant_recipes.sources.portal.portal_tables import BUCKET, ROOT
from croissant_recipes.sources.project_config import ProjectConfig, checked_by, facts, plain_objects
from croissant_recipes.sources.project_folders import Other, ProjectScan, scan_project
from croissant_recipes.sources.rooted_files import RootedFiles
from croissant_recipes.sources.wanted import Wanted

_AFTER_THE_PORTAL = 2**62
"""The ``portal_id`` of what the overlay holds."""


class PortalProject(RootedFiles):
    """What a copick config makes of portal datasets: only annotations of its pickable objects, by its names for them,
    and whatever its overlay holds for the portal's runs.

    Args:
        url: Another GraphQL endpoint than the portal's own, which is the only one that a config can mean.

    Raises:
        DiagnosticError: ``CONFIG`` if copick would refuse the config.
    """

    def __init__(self, config: ProjectConfig, means: Means, *, url: str | None = None) -> None:
        from copick.impl.cryoet_data_portal import CopickConfigCDP

        super().__init__(means.workers)
        made = checked_by(config, CopickConfigCDP)
        if not made.dataset_ids:
            raise config.refuse([("dataset_ids is empty", "name at least one dataset")])
        self._config = config
        self._objects = plain_objects(made.pickable_objects)
        self._facts = facts(made)
        names = {o.identifier: o.name for o in made.pickable_objects if o.identifier is not None}
        spec = source_kinds.PortalSource(datasets=tuple(made.dataset_ids), url=url)
        self._portal = PortalSource(config.source, spec, means, names=names)
        self._scanned: list[tuple[LayerSpec, Inventory]] = []

    def scan(self, layers: Sequence[LayerSpec], progress: Progress) -> Sequence[Inventory]:
        """One inventory per layer.

        Raises:
            DiagnosticError: As ``PortalSource.scan``, and ``UNREACHABLE`` if the overlay cannot be read.
        """
        wanted = Wanted.by(layers)
        # A folder of features names its tomogram, which a layer's own filter of tomograms may leave out.
        every = [_every_tomogram(layers[0])] if "features" in wanted.types else []
        scanned = self._portal.scan([*layers, *every], progress)
        inventories = scanned[: len(layers)]
        found = self._scan_overlay(wanted, scanned[-1], progress)
        strays = self._strays(found)
        roots = {
            ROOT: replace(inventories[0].roots[ROOT], primary=False),
            # A published Croissant goes without it: the data of its other rows stays in the portal's bucket.
            OVERLAY: replace(
                root_of(open_root(self._config, OVERLAY, "overlay", self._workers), primary=True), published=False
            ),
        }
        made = [
            replace(
                inventory,
                tables={a: _with_overlay(inventory, layer.filters[a], found.tables[a]) for a in ARTIFACT_TYPES},
                roots=roots,
                objects=self._objects,
                config=self._facts,
                diagnostics=(*inventory.diagnostics, *found.diagnostics, *strays),
            )
            for inventory, layer in zip(inventories, layers, strict=True)
        ]
        self._scanned = list(zip(layers, made, strict=True))
        return made

    def _file_roots(self) -> Mapping[str, FileRoot]:
        return {ROOT: FileRoot(Location.parse(BUCKET)), OVERLAY: file_root(self._config, "overlay")}

    def identity(self, layers: Sequence[LayerSpec], files: Sequence[tuple[str, str]]) -> str:
        """See ``Source``: that of the portal's datasets, with what the overlay adds."""
        scanned = [(layer, inventory) for layer, inventory in self._scanned if layer in layers]
        portal = self._portal.identity(layers, [])
        return identity_of(scanned, files, facts=self._read, tokens=self._tokens, runs_chosen=True, of=[portal])

    def records(self, datasets: Sequence[int], depositions: Sequence[int]) -> Sequence[PublishedRecord]:
        """See ``KnowsRecords``."""
        return self._portal.records(datasets, depositions)

    def _strays(self, found: ProjectScan) -> list[Diagnostic]:
        """What is said of runs that the overlay alone has: copick does not list them."""
        held = {run for table in found.tables.values() if "run" in table for run in table["run"]}
        strays = sorted(held - self._portal.run_ids)
        if not strays:
            return []
        runs = f"what the overlay holds of {listing(strays)} is left out: the datasets have no run of this id"
        hint = "name its folders after the ids of the portal's runs"
        return [Diagnostic(Code.NOT_EXPORTED, f"source {self._config.source!r}: {runs}", Severity.WARNING, hint)]

    def _scan_overlay(self, wanted: Wanted, below: Inventory, progress: Progress) -> ProjectScan:
        root = open_root(self._config, OVERLAY, "overlay", self._workers)
        # The portal's names of runs, which a layer may select by, are not those of the overlay's folders.
        any_run = Wanted(wanted.types, (TypeFilter("runs", Take.ALL),))
        found = scan_project(self._config.source, [root], any_run, self._objects, progress, Other.of(below.tables))
        self._tokens = found.tokens
        return found


def _every_tomogram(layer: LayerSpec) -> LayerSpec:
    takes = {a: Take.ALL if a in ("runs", "tomograms") else Take.NONE for a in ARTIFACT_TYPES}
    filters = {a: TypeFilter(a, take) for a, take in takes.items()}
    return LayerSpec(layer.index, layer.operation, layer.sources, filters)


def _with_overlay(inventory: Inventory, chosen: TypeFilter, above: pd.DataFrame) -> pd.DataFrame:
    """The portal's rows of one type, then the overlay's for the same runs, which have no portal metadata to fit
    ``where`` and ``authors``. Both keep a row of one key, as in copick."""
    below = inventory.table(chosen.artifact)
    if chosen.artifact == "runs" or chosen.where or chosen.authors:
        return below
    if "run" in above:
        above = above[above["run"].isin(set(inventory.table("runs")["name"]))]
    if above.empty:
        return below
    empty = {"portal_dataset_id": "", "portal_deposition_id": "", "portal_id": _AFTER_THE_PORTAL}
    missing = {c: empty.get(c) for c in below.columns if c not in above}
    above = above.assign(
        **{c: pd.Series([v] * len(above), index=above.index, dtype=below[c].dtype) for c, v in missing.items()}
    )
    return (
        pd.concat([below, above[list(below.columns)]], ignore_index=True)
        if len(below)
        else above.reset_index(drop=True)
    )
