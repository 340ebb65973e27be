"""What every source gives the compiler. Sources are the only place that reads artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.intake import TODAY, Files
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.location import Location
from croissant_recipes.options import CacheMode
from croissant_recipes.schema import ARTIFACT_TYPES
from croissant_recipes.work import Workers


@dataclass(frozen=True)
class Root:
    """A place below which artifacts lie.

    Attributes:
        location: Where it lies, without credentials.
        primary: Whether the recipe's ``base_url`` of the source stands for this place. An overlay beside a static
            root is not primary.
        published: Whether it goes where the Croissant goes: in an export, the output's ``base_url`` stands for this
            place too. What lies beside data of others (an overlay on the portal) does not, unless it is where the
            Croissant is written.
        base_url: The URL that the place has wherever it is read (a portal bucket, a published Croissant's base),
            ``None`` where only the recipe can say.
        reads_files: Whether sha256 and voxel sizes of picks and meshes below it are to be read from the files.
    """

    location: Location
    primary: bool = True
    published: bool = field(default=True, kw_only=True)
    base_url: str | None = None
    reads_files: bool = False


@dataclass(frozen=True)
class Request:
    """One request that a source made, for ``plan -v``."""

    what: str
    rows: int
    bytes: int
    cached: bool = False
    age_seconds: float | None = None


@dataclass(frozen=True)
class Inventory:
    """What a source holds for one layer.

    Attributes:
        tables: One artifact table per artifact type (see ``croissant_recipes.tables``). A portal source has already
            applied ``where``, ``authors`` and the layer's ``runs``; other filters the compiler applies itself.
            ``portal_dataset_id`` and ``portal_deposition_id`` name the dataset and deposition of the portal of a row.
            Columns named ``annotation.<field>`` (picks, segmentations) and ``run.<field>`` (runs) feed templates, and
            those of runs conditions too; ``run_alias`` in ``runs`` is a second name that a run answers to.
        roots: The places that the tables' ``root`` column names.
        objects: Pickable objects as plain values of copick's ``PickableObject`` fields, in the source's order.
        config: What is known of the copick project, by the keys of ``PROJECT_KEYS``.
        manifest: The metadata document of an existing Croissant.
        diagnostics: What the source has to say: names it cannot read back, artifacts it leaves out.
        vocabulary: Names that are there although the tables leave them out, for hints, by artifact type.
        requests: What was asked of a server.
        publications: What was published of the portal's ``datasets`` and ``depositions`` that rows are from, by their
            ids, as the portal says it.
    """

    tables: Mapping[str, pd.DataFrame]
    roots: Mapping[str, Root]
    objects: tuple[Mapping[str, Any], ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    vocabulary: Mapping[str, Sequence[str]] = field(default_factory=dict)
    requests: tuple[Request, ...] = ()
    publications: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def table(self, artifact: str) -> pd.DataFrame:
        return self.tables[artifact]


def empty_tables() -> dict[str, pd.DataFrame]:
    """An empty artifact table of every type."""
    return {artifact: _empty(artifact).copy() for artifact in ARTIFACT_TYPES}


@cache
def _empty(artifact: str) -> pd.DataFrame:
    # Every layer starts with seven tables, and making one takes far longer than copying it.
    return tables.artifacts(artifact)


@dataclass(frozen=True)
class PointFacts:
    """What is known from reading the points of a picks file: their centres, with the shift of their transformation.

    Attributes:
        count: How many there are.
        low, high: The smallest and the largest x, y and z.
        nearest: The smallest distance between two of them, infinite where there are not two.
        pair: The positions of two that are so near, from 0.
        in_voxels: Whether all this is in voxels, as files of the portal are, and not in Å.
        problem: Why the points could not be read, ``""`` where they could.
    """

    count: int = 0
    low: tuple[float, float, float] = (0.0, 0.0, 0.0)
    high: tuple[float, float, float] = (0.0, 0.0, 0.0)
    nearest: float = float("inf")
    pair: tuple[int, int] = (0, 0)
    in_voxels: bool = False
    problem: str = ""


@dataclass(frozen=True)
class ArrayFacts:
    """What is known from the metadata of a Zarr store, of the array that copick opens: the largest of its scales.

    Attributes:
        shape: Its voxels along z, y and x, ``None`` where they could not be read.
        voxel_size: In Å along z, y and x, ``None`` where the store states none.
        problem: Why ``shape`` is not known.
        unsized: Why ``voxel_size`` is not known.
    """

    shape: tuple[int, int, int] | None = None
    voxel_size: tuple[float, float, float] | None = None
    problem: str = ""
    unsized: str = ""


@dataclass(frozen=True)
class FileFacts:
    """What is known from reading a picks or mesh file.

    Attributes:
        sha256: Hex digest of the bytes, ``""`` when it was not asked for.
        voxel_size: ``voxel_spacing`` of a picks file in Å, NaN where it says none.
        problem: Why the file could not be read, ``""`` where it could.
        points: What its points are, where they were asked for.
    """

    sha256: str = ""
    voxel_size: float = float("nan")
    problem: str = ""
    points: PointFacts | None = None


class Task(Protocol):
    """Work under way, shown to whoever waits. It may be told of from several threads."""

    def advance(self, steps: int = 1) -> None: ...

    def extend(self, steps: int) -> None:
        """More work than first said has come up."""


class Progress(Protocol):
    """Where sources report long work."""

    def task(self, what: str, total: int | None) -> AbstractContextManager[Task]: ...


@dataclass(frozen=True)
class Means:
    """What a source works with, besides what the recipe says of it.

    Attributes:
        folder: The recipe's folder, which relative paths start at.
        workers: What lists and reads, or asks, many things at once.
        cache: Whether answers of the portal are taken from the cache.
        files: Where a copick config of this machine is read.
    """

    folder: Path
    workers: Workers
    cache: CacheMode = "use"
    files: Files = TODAY


class Source(Protocol):
    """A place that artifacts come from."""

    def scan(self, layers: Sequence[LayerSpec], progress: Progress) -> Sequence[Inventory]:
        """One inventory per layer, in order; layers may share one. Reads in bulk and only what the layers ask for.

        Raises:
            DiagnosticError: The source cannot be read (``Code.UNREACHABLE``) or is not usable.
        """

    def read_files(
        self, files: Sequence[tuple[str, str]], *, sha256: bool, progress: Progress
    ) -> Mapping[tuple[str, str], FileFacts]:
        """Facts of picks and mesh files, given as (root, path), each file read at most once."""

    def identity(self, layers: Sequence[LayerSpec], files: Sequence[tuple[str, str]]) -> str:
        """A hex digest of what the source resolved to, once it was scanned and its files were read: the same for the
        same data on every machine, another one as soon as the data is another (see ``sources.identity``). A recipe that
        shares a source with others has the identity that it would have alone.

        Args:
            layers: Those of one recipe, among those that it was scanned for.
            files: The files that the recipe needs, among those that were read.
        """


@runtime_checkable
class KnowsAuthors(Protocol):
    """A source that can say who made a record, for messages."""

    def authors(self, artifact: str, ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Names of the authors of annotations (picks, segmentations) or tomograms, by portal id."""


@runtime_checkable
class ReadsData(Protocol):
    """A source that can say what points and arrays are, for what is expected of them. No chunk of an array is read."""

    def read_points(
        self, files: Sequence[tuple[str, str]], *, sha256: bool, progress: Progress
    ) -> Mapping[tuple[str, str], FileFacts]:
        """As ``read_files``, of picks, with their points; also of files that ``read_files`` is not asked for."""

    def read_arrays(
        self, stores: Sequence[tuple[str, str]], *, progress: Progress
    ) -> Mapping[tuple[str, str], ArrayFacts]:
        """The metadata of Zarr stores, given as (root, path)."""


@dataclass(frozen=True)
class Author:
    """Who made a record. What the portal does not know is empty."""

    name: str
    orcid: str = ""
    affiliation: str = ""


@dataclass(frozen=True)
class PublishedRecord:
    """What the portal says of a dataset or a deposition.

    Attributes:
        kind: ``datasets`` or ``depositions``.
        number: Its id.
        deposited, released, modified: Days, year-month-day in UTC.
        authors: In the order of the author list.
        publications: The text in which their DOIs stand.
    """

    kind: str
    number: int
    title: str
    description: str
    deposited: str
    released: str
    modified: str
    authors: tuple[Author, ...]
    publications: str

    def __str__(self) -> str:
        return f"{self.kind.removesuffix('s')} {self.number}"


@runtime_checkable
class KnowsRecords(Protocol):
    """A source that can say what the portal says of datasets and depositions, for a recipe that leaves that open."""

    def records(self, datasets: Sequence[int], depositions: Sequence[int]) -> Sequence[PublishedRecord]:
        """The datasets, then the depositions, each by id.

        Raises:
            DiagnosticError: As ``Source.scan``.
        """
