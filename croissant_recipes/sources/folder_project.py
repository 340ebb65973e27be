"""copick projects of config type ``filesystem``: what their roots hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from croissant_recipes.access import reading
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.sources.base import Inventory, Means, Progress, Root
from croissant_recipes.sources.file_facts import FileRoot
from croissant_recipes.sources.identity import identity_of
from croissant_recipes.sources.listing import open_lister
from croissant_recipes.sources.project_config import ProjectConfig, checked_by, facts, plain_objects
from croissant_recipes.sources.project_folders import ProjectRoot, scan_project
from croissant_recipes.sources.rooted_files import RootedFiles
from croissant_recipes.sources.wanted import Wanted
from croissant_recipes.work import Workers

STATIC, OVERLAY = "static", "overlay"


class FilesystemProject(RootedFiles):
    """A project below one root (``overlay``) or two (``static`` and, laid over it, ``overlay``).

    Raises:
        DiagnosticError: ``CONFIG`` if copick would refuse the config.
    """

    def __init__(self, config: ProjectConfig, means: Means) -> None:
        from copick.impl.filesystem import CopickConfigFSSpec

        super().__init__(means.workers)
        made = checked_by(config, CopickConfigFSSpec)
        self._config = config
        self._objects = plain_objects(made.pickable_objects)
        self._facts = facts(made)
        self._places = _places(config)
        self._inventory: Inventory | None = None

    def scan(self, layers: Sequence[LayerSpec], progress: Progress) -> Sequence[Inventory]:
        """One inventory for all layers.

        Raises:
            DiagnosticError: ``UNREACHABLE`` if a root cannot be read.
        """
        roots = [open_root(self._config, name, key, self._workers) for name, key in self._places.items()]
        _refuse_nothing(self._config, roots[0])
        found = scan_project(self._config.source, roots, Wanted.by(layers), self._objects, progress)
        self._tokens = found.tokens
        self._inventory = Inventory(
            tables=found.tables,
            roots={r.name: root_of(r, primary=r is roots[0]) for r in roots},
            objects=self._objects,
            config=self._facts,
            diagnostics=found.diagnostics,
        )
        return [self._inventory] * len(layers)

    def _file_roots(self) -> Mapping[str, FileRoot]:
        return {name: file_root(self._config, key) for name, key in self._places.items()}

    def identity(self, layers: Sequence[LayerSpec], files: Sequence[tuple[str, str]]) -> str:
        """See ``Source``."""
        assert self._inventory is not None, "a project has an identity once it was scanned"
        scanned = [(layer, self._inventory) for layer in layers]
        return identity_of(scanned, files, facts=self._read, tokens=self._tokens)


def open_root(config: ProjectConfig, name: str, key: str, workers: Workers) -> ProjectRoot:
    """The root that ``<key>_root`` of a config gives.

    Raises:
        DiagnosticError: ``UNREACHABLE`` if its filesystem cannot be opened.
    """
    place = file_root(config, key)
    with reading(f"source {config.source!r}:", place.location, place.fs_args):
        return ProjectRoot(name, place.location, place.fs_args, open_lister(place.location, place.fs_args, workers))


def file_root(config: ProjectConfig, key: str) -> FileRoot:
    """Where files below ``<key>_root`` of a config are read."""
    return FileRoot(config.place_of(f"{key}_root"), config.fs_args(f"{key}_fs_args"))


def root_of(root: ProjectRoot, *, primary: bool) -> Root:
    return Root(root.location.public, primary, reads_files=True)


def _places(config: ProjectConfig) -> dict[str, str]:
    """The config's keys by root, the lower root first."""
    static, overlay = config.place("static_root"), config.place("overlay_root")
    return {OVERLAY: "overlay"} if static in (None, overlay) else {STATIC: "static", OVERLAY: "overlay"}


def _refuse_nothing(config: ProjectConfig, root: ProjectRoot) -> None:
    """A root that is not there lists like an empty one: every build would quietly lose all its rows."""
    with reading(f"source {config.source!r}:", root.location, root.fs_args):
        entries: list[Any] = next(iter(root.lister.directories([""])))
    if not entries:
        message = f"{config.shown}: its {root.name}_root {root.location} does not exist, or is empty"
        raise DiagnosticError(Diagnostic(Code.UNREACHABLE, message, hint=f"correct {root.name}_root, or mount it"))
