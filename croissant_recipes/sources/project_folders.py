"""What the folders of a copick project hold, as artifact tables.

Three rounds of listings: the runs, what each run that a layer takes has, and the folders of the artifact types that a
layer takes. Roots are listed in turn; where two hold the same artifact, that of the later root counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.access import reading
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, did_you_mean, in_order, listing
from croissant_recipes.location import Location
from croissant_recipes.schema import (
    ARTIFACT_TYPES,
    ARTIFACTS,
    OBJECTS_FOLDER,
    RUNS_FOLDER,
    SEGMENTATION_FOLDERS,
    SPACING_PREFIX,
)
from croissant_recipes.sources import copick_names as names
from croissant_recipes.sources.base import Progress
from croissant_recipes.sources.listing import Entry, Lister
from croissant_recipes.sources.wanted import Wanted

_Key = tuple[Any, ...]
_Place = tuple[str, str]
_SHOWN_RUNS = 5


@dataclass(frozen=True)
class ProjectRoot:
    """A root of a project.

    Attributes:
        name: Its key in the inventory's roots.
        location: Where it lies.
        fs_args: fsspec keyword arguments, which may hold credentials.
        lister: Lists folders below it.
    """

    name: str
    location: Location
    fs_args: Mapping[str, Any] = field(repr=False)
    lister: Lister = field(repr=False)


@dataclass(frozen=True)
class Other:
    """What the project holds besides its folders: the rows of a Croissant or of the portal.

    Attributes:
        runs: Names of runs.
        tomograms: Tomogram types by run and voxel size (Å); features of these are features too.
    """

    runs: frozenset[str] = frozenset()
    tomograms: Mapping[tuple[str, float], frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Mapping[str, pd.DataFrame]) -> Other:
        """What artifact tables hold."""
        tomograms: dict[tuple[str, float], set[str]] = {}
        for run, size, tomo_type in zip(*(found["tomograms"][c] for c in ARTIFACTS["tomograms"].key), strict=True):
            tomograms.setdefault((run, size), set()).add(tomo_type)
        return cls(frozenset(found["runs"]["name"]), {key: frozenset(types) for key, types in tomograms.items()})


@dataclass(frozen=True)
class ProjectScan:
    """What was found.

    Attributes:
        tables: One artifact table per type, sorted by key.
        diagnostics: Names that copick cannot read back, artifacts that a Croissant has no place for.
        tokens: Size and change token of files by root and path, where the listing gave them.
    """

    tables: Mapping[str, pd.DataFrame]
    diagnostics: tuple[Diagnostic, ...]
    tokens: Mapping[_Place, tuple[int, str]]


def scan_project(
    source: str,
    roots: Sequence[ProjectRoot],
    wanted: Wanted,
    objects: Sequence[Mapping[str, Any]],
    progress: Progress,
    other: Other | None = None,
) -> ProjectScan:
    """Lists a project.

    Args:
        source: The source's name, for messages.
        roots: The static root first.
        wanted: What the layers take.
        objects: The project's pickable objects.
        progress: Told of every folder.
        other: What the folders lie on top of.

    Raises:
        DiagnosticError: ``UNREACHABLE`` where a folder cannot be read.
    """
    scan = _Scan(source, wanted, other or Other())
    with progress.task(f"listing {source}", len(roots)) as task:

        def listed(root: ProjectRoot, paths: Sequence[str]) -> Iterator[tuple[str, list[Entry]]]:
            with reading(f"source {source!r}:", root.location, root.fs_args):
                for path, entries in zip(paths, root.lister.directories(paths), strict=True):
                    task.advance()
                    yield path, entries

        runs = {root.name: scan.run_names(root, _only(listed(root, [RUNS_FOLDER]))) for root in roots}
        everything = sorted({*scan.other.runs, *(run for found in runs.values() for run in found)})
        scan.found["runs"] = {(run,): ("", "") for run in everything}
        taken = set(wanted.runs(everything))
        for root in roots if scan.folders else ():
            paths = [f"{RUNS_FOLDER}/{run}" for run in runs[root.name] if run in taken]
            task.extend(len(paths))
            inner = [p for path, entries in listed(root, paths) for p in scan.folders_of(root, path, entries)]
            task.extend(len(inner))
            for path, entries in listed(root, inner):
                scan.read_folder(root, path, entries)
        for root in roots if "objects" in wanted.types else ():
            task.extend(1)
            scan.read_objects(root, _only(listed(root, [OBJECTS_FOLDER])), objects)
    return scan.result()


def filaments_left_out(source: str, counts: Mapping[str, int]) -> Diagnostic:
    """What is said of filaments, given how many sets of them runs have."""
    runs, count = sorted(counts), sum(counts.values())
    filaments = f"{count} sets of filaments" if count > 1 else "1 set of filaments"
    where = f"runs {listing(runs, _SHOWN_RUNS)}" if len(runs) > 1 else f"run {runs[0]!r}"
    verb = "are" if count > 1 else "is"
    message = f"source {source!r}: {filaments} in {where} {verb} left out: a Croissant has no place for filaments"
    return Diagnostic(Code.NOT_EXPORTED, message, Severity.WARNING, "export them as picks to keep them")


def map_left_out(source: str, place: str, name: str) -> Diagnostic:
    """What is said of the density map of an object that is no particle."""
    message = f"source {source!r}: {place} is left out: only particles have a density map in a Croissant"
    hint = f"set is_particle of {name!r} in the copick config if it is one"
    return Diagnostic(Code.NOT_EXPORTED, message, Severity.WARNING, hint)


def _only(listed: Iterator[tuple[str, list[Entry]]]) -> list[Entry]:
    return [entry for _, entries in listed for entry in entries]


class _Scan:
    """Collects what listings say."""

    def __init__(self, source: str, wanted: Wanted, other: Other) -> None:
        self.source = source
        self.wanted = wanted
        self.other = other
        self.found: dict[str, dict[_Key, _Place]] = {artifact: {} for artifact in ARTIFACT_TYPES}
        self._features: list[tuple[ProjectRoot, str, str, float, str]] = []
        self._filaments: dict[str, set[tuple[str, ...]]] = {}
        self._tokens: dict[_Place, tuple[int, str]] = {}
        self._diagnostics: list[Diagnostic] = []
        self.folders = self._readers()

    def _readers(self) -> dict[str, Callable[[ProjectRoot, str, str, list[Entry]], None]]:
        """What reads each folder of a run, for the folders that a layer asks for."""
        readers: dict[str, Callable[[ProjectRoot, str, str, list[Entry]], None]] = {}
        if self.wanted.types & {"tomograms", "features"}:
            readers[SPACING_PREFIX] = self._read_spacing
        if "picks" in self.wanted.types:
            readers["Picks"] = self._read_picks
        if "meshes" in self.wanted.types:
            readers["Meshes"] = self._read_meshes
        if "segmentations" in self.wanted.types:
            readers |= dict.fromkeys(SEGMENTATION_FOLDERS, self._read_segmentations)
        if readers:
            readers["Filaments"] = lambda _root, run, _path, entries: self._read_filaments(run, entries)
        return readers

    def run_names(self, root: ProjectRoot, entries: list[Entry]) -> list[str]:
        """The runs of one root."""
        runs = []
        for entry in self._visible(root, RUNS_FOLDER, entries):
            if entry.is_dir:
                runs.append(entry.name)
            elif entry.is_link:
                self._leave_out(root, f"{RUNS_FOLDER}/{entry.name}", "it is a link that leads to no folder", None)
        return runs

    def folders_of(self, root: ProjectRoot, path: str, entries: list[Entry]) -> Iterator[str]:
        """The folders of a run that have to be listed."""
        run = path.rpartition("/")[2]
        sign = names.pattern_sign(run)
        if sign is not None:
            problem = f"copick takes {sign!r} in the name of a run for a pattern and finds nothing in it"
            message = f"source {self.source!r}: what {self._place(root, path)} holds is left out: {problem}"
            self._diagnostics.append(self._warning(Code.FILE_NAME, message, f"name the run without {sign!r}"))
            return
        for entry in self._visible(root, path, entries):
            inner = f"{path}/{entry.name}"
            if not entry.name.startswith(SPACING_PREFIX):
                if entry.is_dir and entry.name in self.folders:
                    yield inner
            elif SPACING_PREFIX in self.folders:
                try:
                    names.parse_spacing(entry.name)
                except names.BadNameError as bad:
                    self._leave_out(root, inner, bad.problem, bad.hint)
                    continue
                if entry.is_dir:
                    yield inner
                else:
                    self._leave_out(root, inner, "it is a file, not a folder of tomograms", None)

    def read_folder(self, root: ProjectRoot, path: str, entries: list[Entry]) -> None:
        _, run, folder = path.split("/")
        key = SPACING_PREFIX if folder.startswith(SPACING_PREFIX) else folder
        self.folders[key](root, run, path, self._visible(root, path, entries))

    def _read_picks(self, root: ProjectRoot, run: str, path: str, entries: list[Entry]) -> None:
        self._read_files(root, run, path, entries, ".json", self.found["picks"])

    def _read_meshes(self, root: ProjectRoot, run: str, path: str, entries: list[Entry]) -> None:
        self._read_files(root, run, path, entries, ".glb", self.found["meshes"])

    def _read_files(
        self,
        root: ProjectRoot,
        run: str,
        path: str,
        entries: list[Entry],
        ending: str,
        found: dict[_Key, _Place],
    ) -> None:
        for entry in entries:
            if not entry.name.endswith(ending):
                continue
            place = (root.name, f"{path}/{entry.name}")
            try:
                who = names.parse_file(entry.name, ending)
            except names.BadNameError as bad:
                self._leave_out(root, place[1], bad.problem, bad.hint)
                continue
            if entry.is_dir:
                self._leave_out(root, place[1], "it is a folder, not a file", None)
                continue
            found[run, *who] = place
            if entry.token is not None and entry.size is not None:
                self._tokens[place] = entry.size, entry.token

    def _read_segmentations(self, root: ProjectRoot, run: str, path: str, entries: list[Entry]) -> None:
        folder = path.rpartition("/")[2]
        for entry in self._stores(root, path, entries):
            inner = f"{path}/{entry.name}"
            try:
                key = names.parse_segmentation(entry.name, folder)
            except names.BadNameError as bad:
                self._leave_out(root, inner, bad.problem, bad.hint)
                continue
            self.found["segmentations"][run, *key] = (root.name, inner)

    def _read_spacing(self, root: ProjectRoot, run: str, path: str, entries: list[Entry]) -> None:
        size = names.parse_spacing(path.rpartition("/")[2])
        for entry in self._stores(root, path, entries):
            if names.is_feature(entry.name):
                # Its tomogram may lie in the other root.
                self._features.append((root, run, path, size, entry.name))
                continue
            inner = f"{path}/{entry.name}"
            try:
                key = (run, size, names.parse_tomogram(entry.name))
            except names.BadNameError as bad:
                self._leave_out(root, inner, bad.problem, bad.hint)
                continue
            self.found["tomograms"][key] = (root.name, inner)

    def _read_filaments(self, run: str, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.name.endswith(".json"):
                parts = tuple(entry.name[: -len(".json")].split("_", 2))
                if len(parts) == 3 and all(parts):
                    self._filaments.setdefault(run, set()).add(parts)

    def read_objects(self, root: ProjectRoot, entries: list[Entry], objects: Sequence[Mapping[str, Any]]) -> None:
        particles = {o["name"]: o["is_particle"] for o in objects}
        for entry in self._stores(root, OBJECTS_FOLDER, self._visible(root, OBJECTS_FOLDER, entries)):
            name, path = entry.name[: -len(names.ZARR)], f"{OBJECTS_FOLDER}/{entry.name}"
            if name not in particles:
                hint = did_you_mean(name, particles, what="the pickable objects are")
                self._leave_out(root, path, f"no pickable object is named {name!r}", hint)
            elif particles[name]:
                self.found["objects"][name,] = (root.name, path)
            else:
                self._diagnostics.append(map_left_out(self.source, self._place(root, path), name))

    def result(self) -> ProjectScan:
        self._match_features()
        self._count_filaments()
        return ProjectScan(
            {artifact: _table(artifact, rows) for artifact, rows in self.found.items()},
            in_order(self._diagnostics),
            self._tokens,
        )

    def _match_features(self) -> None:
        tomograms: dict[tuple[str, float], set[str]] = {k: set(v) for k, v in self.other.tomograms.items()}
        for run, size, tomo_type in self.found["tomograms"]:
            tomograms.setdefault((run, size), set()).add(tomo_type)
        known = {key: frozenset(types) for key, types in tomograms.items()}
        for root, run, path, size, name in self._features:
            try:
                # copick turns every '.zarr' of the path into '_' on its way to the features.
                types = frozenset() if names.ZARR in run else known.get((run, size), frozenset())
                for tomo_type, feature_type in names.parse_features(name, types, path.rpartition("/")[2]):
                    self.found["features"][run, size, tomo_type, feature_type] = (root.name, f"{path}/{name}")
            except names.BadNameError as bad:
                self._leave_out(root, f"{path}/{name}", bad.problem, bad.hint)

    def _count_filaments(self) -> None:
        if self._filaments:
            counts = {run: len(found) for run, found in self._filaments.items()}
            self._diagnostics.append(filaments_left_out(self.source, counts))

    def _visible(self, root: ProjectRoot, path: str, entries: list[Entry]) -> list[Entry]:
        """Without what is hidden, and without names that no file can hold as text."""
        kept = []
        for entry in entries:
            if names.is_hidden(entry.name):
                continue
            if names.is_writable(entry.name):
                kept.append(entry)
            else:
                problem = "its name is not valid UTF-8"
                self._leave_out(root, f"{path}/{entry.name}", problem, "give it a name in UTF-8")
        return kept

    def _stores(self, root: ProjectRoot, path: str, entries: list[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if not entry.name.endswith(names.ZARR):
                continue
            if entry.is_dir:
                yield entry
            else:
                self._leave_out(root, f"{path}/{entry.name}", "it is a file, and copick reads folders of zarr", None)

    def _leave_out(self, root: ProjectRoot, path: str, problem: str, hint: str | None) -> None:
        message = f"source {self.source!r}: {self._place(root, path)} is left out: {problem}"
        self._diagnostics.append(self._warning(Code.FILE_NAME, message, hint))

    @staticmethod
    def _place(root: ProjectRoot, path: str) -> str:
        return names.shown(str(root.location / path))

    @staticmethod
    def _warning(code: Code, message: str, hint: str | None) -> Diagnostic:
        return Diagnostic(code, message, Severity.WARNING, hint)


def _table(artifact: str, rows: Mapping[_Key, _Place]) -> pd.DataFrame:
    """The rows, sorted by key."""
    ordered = sorted(rows)
    key = ARTIFACTS[artifact].key
    columns: dict[str, Sequence[object]] = {name: [row[i] for row in ordered] for i, name in enumerate(key)}
    if artifact != "runs":
        columns["root"] = [rows[row][0] for row in ordered]
        columns["path"] = [rows[row][1] for row in ordered]
    return tables.artifacts(artifact, columns)
