"""copick projects of config type ``mlcroissant``: a Croissant and, where there is one, the overlay on top of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant.reader import StoredCroissant, read_croissant, without_secrets
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.sources.base import Inventory, Means, Progress, Root, empty_tables
from croissant_recipes.sources.croissant_source import ROOT, artifact_tables, root_at
from croissant_recipes.sources.file_facts import FileRoot
from croissant_recipes.sources.folder_project import OVERLAY, file_root, open_root, root_of
from croissant_recipes.sources.identity import identity_of
from croissant_recipes.sources.project_config import ProjectConfig, checked_by, facts, plain_objects
from croissant_recipes.sources.project_folders import Other, scan_project
from croissant_recipes.sources.rooted_files import RootedFiles
from croissant_recipes.sources.wanted import Wanted


class CroissantProject(RootedFiles):
    """A Croissant that a copick config opens, with the config's overlay.

    Raises:
        DiagnosticError: ``CONFIG`` if copick would refuse the config.
    """

    def __init__(self, config: ProjectConfig, means: Means) -> None:
        from copick.impl.mlcroissant import CopickConfigMLCroissant

        super().__init__(means.workers)
        made = checked_by(config, CopickConfigMLCroissant)
        self._config = config
        self._objects = plain_objects(made.pickable_objects)
        self._facts = facts(made)
        self._base: Location | None = None
        self._found: tuple[StoredCroissant, Inventory] | None = None

    def scan(self, layers: Sequence[LayerSpec], progress: Progress) -> Sequence[Inventory]:
        """One inventory for all layers.

        Raises:
            DiagnosticError: ``UNREACHABLE`` if the Croissant or the overlay cannot be read, ``CROISSANT`` if the
                Croissant is not usable.
        """
        with progress.task(f"reading {self._config.source}", 1) as task:
            manifest = self._config.place_of("croissant_url")
            found = read_croissant(manifest, self._config.fs_args("croissant_fs_args"), self._workers)
            existing = without_secrets(found)
            task.advance()
        self._base = self._config.place("croissant_base_url") or existing.base
        # copick takes what the Croissant says for what the project is, but not its objects over the config's.
        objects = self._objects or tuple(existing.config.get("pickable_objects", ()))
        inventory = Inventory(
            tables=artifact_tables(existing.tables),
            roots={ROOT: root_at(self._base)},
            objects=objects,
            config={key: _first(existing.config.get(key), value) for key, value in self._facts.items()},
            manifest=existing.manifest,
            diagnostics=existing.diagnostics,
        )
        if self._config.place("overlay_root"):
            inventory = self._with_overlay(inventory, Wanted.by(layers), progress)
        self._found = existing, inventory
        return [inventory] * len(layers)

    def _with_overlay(self, croissant: Inventory, wanted: Wanted, progress: Progress) -> Inventory:
        root = open_root(self._config, OVERLAY, "overlay", self._workers)
        below = dict(croissant.tables)
        if self._base and root.location.is_same_place(self._base):
            # The overlay is where the Croissant's own files are, and its folders are what copick then goes by.
            below = {**empty_tables(), "runs": below["runs"]}
        found = scan_project(self._config.source, [root], wanted, croissant.objects, progress, Other.of(below))
        self._tokens = found.tokens
        roots: dict[str, Root] = {**croissant.roots, OVERLAY: root_of(root, primary=False)}
        return Inventory(
            tables=lay_over(below, found.tables),
            roots=roots,
            objects=croissant.objects,
            config=croissant.config,
            manifest=croissant.manifest,
            diagnostics=(*croissant.diagnostics, *found.diagnostics),
        )

    def _file_roots(self) -> Mapping[str, FileRoot]:
        assert self._base is not None, "a project is scanned before its files are read"
        roots = {ROOT: FileRoot(self._base, self._config.fs_args("static_fs_args"))}
        if self._config.place("overlay_root"):
            roots[OVERLAY] = file_root(self._config, "overlay")
        return roots

    def identity(self, layers: Sequence[LayerSpec], files: Sequence[tuple[str, str]]) -> str:
        """See ``Source``."""
        assert self._found is not None, "a project has an identity once it was scanned"
        croissant, inventory = self._found
        scanned = [(layer, inventory) for layer in layers]
        return identity_of(scanned, files, facts=self._read, tokens=self._tokens, of=[croissant.digest])


def lay_over(below: Mapping[str, pd.DataFrame], above: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Artifact tables of which those above win where two have one artifact, except for runs: what is known of a run is
    known from below. Columns that only those below have are empty in rows from above."""
    laid = {}
    for artifact, lower in below.items():
        upper, key = above[artifact], list(ARTIFACTS[artifact].key)
        first, second = (lower, upper) if artifact == "runs" else (upper, lower)
        if not len(upper):
            laid[artifact] = lower
            continue
        both = pd.concat([first, second], ignore_index=True).drop_duplicates(key, keep="first")
        columns = list(lower.columns)
        texts = [c for c in columns if pd.api.types.is_string_dtype(lower[c])]
        laid[artifact] = tables.sort_by(both[columns].fillna(dict.fromkeys(texts, "")), key)
    return laid


def _first(*values: object) -> object:
    return next((v for v in values if v is not None), None)
