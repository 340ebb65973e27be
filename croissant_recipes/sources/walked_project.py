"""copick projects of a config type that has no reader here: what copick's own root lists, object by object.

It is slower than listing folders, and works for whatever copick can open. Nothing but lists and places is asked of
copick's objects: ``zarr()`` of some makes a store where there is none.
"""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from croissant_recipes import tables
from croissant_recipes.access import explain
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity, did_you_mean, in_order
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.language.source_kinds import CONFIG_TYPES
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS
from croissant_recipes.sources.base import Inventory, Means, Progress, Root
from croissant_recipes.sources.file_facts import FileRoot
from croissant_recipes.sources.folder_project import OVERLAY
from croissant_recipes.sources.identity import identity_of
from croissant_recipes.sources.project_config import ProjectConfig, facts, plain_objects, refused_by_copick
from croissant_recipes.sources.project_folders import filaments_left_out, map_left_out
from croissant_recipes.sources.rooted_files import RootedFiles
from croissant_recipes.sources.wanted import Wanted

_FILES = "files"
"""The root of what lies on this machine and below no root of the config."""

_Key = tuple[Any, ...]


class _Artifact(NamedTuple):
    """One artifact that copick lists: its type, its key in a table, and where copick's object says that it is."""

    kind: str
    key: _Key
    fs: Any
    path: str

    @property
    def place(self) -> Location:
        return Location.parse(self.fs.unstrip_protocol(self.path))


@dataclass
class _Walk:
    """What was found in some runs."""

    artifacts: list[_Artifact] = field(default_factory=list)
    filaments: dict[str, int] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


@dataclass(frozen=True)
class _Known:
    """A root that the config names.

    Attributes:
        name: ``static``, ``overlay`` and the like.
        location: As the config gives it.
        fs_args: fsspec keyword arguments.
    """

    name: str
    location: Location
    fs_args: Mapping[str, Any] = field(repr=False)

    def way_to(self, artifact: _Artifact) -> str | None:
        """The path of an artifact below the root, as its filesystem sees both."""
        protocols = {artifact.fs.protocol} if isinstance(artifact.fs.protocol, str) else set(artifact.fs.protocol)
        if (self.location.protocol or "file") not in protocols:
            return None
        top = artifact.fs._strip_protocol(self.location.url).rstrip("/") + "/"
        path: str = artifact.fs._strip_protocol(artifact.path)
        return path[len(top) :] if path.startswith(top) else None


class WalkedProject(RootedFiles):
    """A project as copick opens it.

    Raises:
        DiagnosticError: ``CONFIG`` if copick does not know the type, or refuses the config.
    """

    def __init__(self, config: ProjectConfig, means: Means) -> None:
        super().__init__(means.workers)
        self._config = config
        self._secrets = {k: v for k, v in config.values.items() if k.endswith("_fs_args")}
        self._root = self._opened()
        self._roots: dict[str, FileRoot] = {}
        self._inventory: Inventory | None = None

    def scan(self, layers: Sequence[LayerSpec], progress: Progress) -> Sequence[Inventory]:
        """One inventory for all layers.

        Raises:
            DiagnosticError: ``UNREACHABLE`` where copick cannot list something, or finds nothing at all.
        """
        wanted, source = Wanted.by(layers), self._config.source
        objects = plain_objects(self._root.config.pickable_objects)
        with self._listing("its runs"):
            runs = {run.name: run for run in self._root.runs}
        chosen = [runs[name] for name in wanted.runs(sorted(runs))] if wanted.types - {"runs", "objects"} else []
        with progress.task(f"listing {source}", len(chosen)) as task, self._workers.threads() as pool:
            walks = []
            for walk in pool.map(lambda run: self._walk_run(run, wanted), chosen):
                task.advance()
                walks.append(walk)
        if "objects" in wanted.types:
            walks.append(self._walk_objects())
        artifacts = [artifact for walk in walks for artifact in walk.artifacts]
        if not runs and not artifacts:
            message = f"{self._config.shown}: copick finds no run in it"
            raise DiagnosticError(Diagnostic(Code.UNREACHABLE, message, hint="correct its roots, or mount them"))
        filaments = {run: count for walk in walks for run, count in walk.filaments.items()}
        diagnostics = [d for walk in walks for d in walk.diagnostics]
        diagnostics += [filaments_left_out(source, filaments)] if filaments else []
        found, roots = self._placed(artifacts)
        self._inventory = Inventory(
            tables={"runs": tables.artifacts("runs", {"name": sorted(runs)})} | found,
            roots=roots,
            objects=objects,
            config=facts(self._root.config),
            diagnostics=in_order(diagnostics),
        )
        return [self._inventory] * len(layers)

    def _file_roots(self) -> Mapping[str, FileRoot]:
        return self._roots

    def identity(self, layers: Sequence[LayerSpec], files: Sequence[tuple[str, str]]) -> str:
        """See ``Source``."""
        assert self._inventory is not None, "a project has an identity once it was scanned"
        return identity_of([(layer, self._inventory) for layer in layers], files, facts=self._read)

    def _opened(self) -> Any:
        import copick
        from pydantic import ValidationError

        config = self._config
        # copick starts relative paths at the working directory.
        placed = {key: place.url for key in config.values if key.endswith("_root") and (place := config.place(key))}
        text = json.dumps({**config.values, "config_type": config.config_type, **placed})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return copick.from_string(text)
        except ValidationError as error:
            raise refused_by_copick(config, error) from None
        except Exception as error:
            if isinstance(error, ValueError) and "Unknown config_type" in str(error):
                known = re.findall("'([^']+)'", str(error).partition("Supported")[2]) or list(CONFIG_TYPES)
                hint = did_you_mean(config.config_type, known, what="the types are")
                raise config.refuse([(f"config_type {config.config_type!r} is unknown", hint)]) from None
            raise config.refuse([(f"copick cannot open it: {explain(error, self._secrets)}", None)]) from None

    @contextmanager
    def _listing(self, what: str) -> Iterator[None]:
        """Turns whatever copick and its file systems raise inside into one diagnostic."""
        try:
            yield
        except DiagnosticError:
            raise
        except Exception as error:
            told = explain(error, self._secrets)
            told = told if isinstance(error, OSError) else f"{type(error).__name__}: {told}"
            message = f"source {self._config.source!r}: copick cannot list {what}: {told}"
            raise DiagnosticError(Diagnostic(Code.UNREACHABLE, message)) from None

    def _walk_run(self, run: Any, wanted: Wanted) -> _Walk:
        walk, name = _Walk(), run.name
        if wanted.types & {"tomograms", "features"}:
            with self._listing(f"the tomograms of run {name!r}"):
                for spacing in run.voxel_spacings:
                    for tomogram in spacing.tomograms:
                        key = (name, spacing.voxel_size, tomogram.tomo_type)
                        if "tomograms" in wanted.types:
                            self._add(walk, "tomograms", key, tomogram)
                        for features in tomogram.features if "features" in wanted.types else ():
                            self._add(walk, "features", (*key, features.feature_type), features)
        for artifact in ("picks", "meshes"):
            if artifact in wanted.types:
                with self._listing(f"the {artifact} of run {name!r}"):
                    for found in getattr(run, artifact):
                        who = (found.user_id, found.session_id, found.pickable_object_name)
                        self._add(walk, artifact, (name, *who), found)
        if "segmentations" in wanted.types:
            with self._listing(f"the segmentations of run {name!r}"):
                for found in run.segmentations:
                    who = (found.user_id, found.session_id, found.name)
                    self._add(walk, "segmentations", (name, found.voxel_size, *who, found.segmentation_type), found)
        with self._listing(f"the filaments of run {name!r}"), suppress(NotImplementedError):
            walk.filaments = {name: count} if (count := len(run.filaments)) else {}
        return walk

    def _walk_objects(self) -> _Walk:
        walk, source = _Walk(), self._config.source
        with self._listing("its density maps"):
            for found in self._root.pickable_objects:
                placed = _place_of(found)
                if placed is None or not placed[0].exists(placed[1]):
                    continue
                artifact = _Artifact("objects", (found.name,), *placed)
                if found.is_particle:
                    walk.artifacts.append(artifact)
                else:
                    walk.diagnostics.append(map_left_out(source, str(artifact.place), found.name))
        return walk

    def _add(self, walk: _Walk, kind: str, key: _Key, found: Any) -> None:
        placed = _place_of(found)
        sizes = [part for part in key if isinstance(part, float)]
        shown, problem = f"{ARTIFACTS[kind].many} {'/'.join(map(str, key))}", None
        if not all(math.isfinite(size) and size > 0 for size in sizes) or not all(part != "" for part in key):
            problem = "a part of its name is empty or no voxel size"
        elif placed is None:
            problem = "copick does not say where it lies"
        else:
            artifact = _Artifact(kind, key, *placed)
            if artifact.fs.exists(artifact.path):
                walk.artifacts.append(artifact)
                return
            problem = f"copick looks for it at {artifact.place}, and nothing is there"
        message = f"source {self._config.source!r}: {shown} is left out: {problem}"
        walk.diagnostics.append(Diagnostic(Code.FILE_NAME, message, Severity.WARNING))

    def _placed(self, artifacts: Sequence[_Artifact]) -> tuple[dict[str, Any], dict[str, Root]]:
        """The tables, and the roots that their rows are relative to: those of the config, and the top of whatever lies
        elsewhere."""
        known = self._known_roots()
        rows: dict[str, dict[_Key, tuple[str, str]]] = {kind: {} for kind in ARTIFACT_TYPES[1:]}
        self._roots = {root.name: FileRoot(root.location, root.fs_args) for root in known}
        roots = {r.name: Root(r.location.public, primary=r is known[0], reads_files=True) for r in known}
        local: list[tuple[_Artifact, str]] = []
        for artifact in artifacts:
            ways = [(r.name, way) for r in known if (way := r.way_to(artifact)) is not None]
            # Of roots in one another the inner one.
            place = artifact.place
            if ways:
                rows[artifact.kind][artifact.key] = min(ways, key=lambda found: len(found[1]))
            elif place.is_local:
                local.append((artifact, place.path))
            else:
                top = _top_of(place)
                self._roots.setdefault(str(top), FileRoot(top, getattr(artifact.fs, "storage_options", {})))
                roots.setdefault(str(top), Root(top, primary=False, base_url=str(top), reads_files=True))
                rows[artifact.kind][artifact.key] = (str(top), place.relative_to(top) or "")
        if local:
            top = Location.parse(os.path.commonpath([os.path.dirname(path) for _, path in local]))
            self._roots[_FILES] = FileRoot(top)
            roots[_FILES] = Root(top, primary=not known, reads_files=True)
        if len(known) == 1 and known[0].name == OVERLAY and len(roots) > 1:
            # It lies on top of what others have, and does not go where the Croissant goes.
            roots[OVERLAY] = replace(roots[OVERLAY], published=False)
            for artifact, path in local:
                rows[artifact.kind][artifact.key] = (_FILES, os.path.relpath(path, top.path))
        return {kind: _table(kind, found) for kind, found in rows.items()}, roots

    def _known_roots(self) -> list[_Known]:
        """The roots that the config names, the overlay last, and alone where another is the same place."""
        found = []
        for key in sorted((k for k in self._config.values if k.endswith("_root")), key=lambda k: k == "overlay_root"):
            place, name = self._config.place(key), key.removesuffix("_root")
            if place is not None:
                found.append(_Known(name, place, self._config.fs_args(f"{name}_fs_args")))
        return [r for at, r in enumerate(found) if all(o.location != r.location for o in found[at + 1 :])]


def _place_of(found: Any) -> tuple[Any, str] | None:
    """Filesystem and path of one of copick's objects: those that it reads, the static ones where it is read-only."""
    side = "static" if getattr(found, "read_only", False) else "overlay"
    for fs, path in (("fs", "path"), (f"fs_{side}", f"{side}_path")):
        place = getattr(found, fs, None), getattr(found, path, None)
        if place[0] is not None and place[1]:
            return place[0], str(place[1])
    return None


def _top_of(place: Location) -> Location:
    """The host or bucket of a place, or its first folder where there is neither."""
    first = "" if place.host else f"/{place.path.removeprefix('/').partition('/')[0]}"
    return Location(first, place.protocol, place.host)


def _table(artifact: str, rows: Mapping[_Key, tuple[str, str]]) -> Any:
    """The rows, sorted by key."""
    ordered = sorted(rows)
    columns: dict[str, list[object]] = {name: [k[i] for k in ordered] for i, name in enumerate(ARTIFACTS[artifact].key)}
    columns["root"] = [rows[key][0] for key in ordered]
    columns["path"] = [rows[key][1] for key in ordered]
    return tables.artifacts(artifact, columns)
