# mypy: disable-error-code="misc"
# (copick is untyped, and its classes are subclassed)
"""All of copick that is more than its public interface: the classes that are subclassed, and every private name.

What copick leaves to its backends it leaves to methods with an underscore in front. They are filled in here, and here
only, and have public names for the rest of the package. ``PRIVATE_NAMES`` lists them for a test, which is run with the
lowest and the newest copick that ``pyproject.toml`` allows (``make copick-versions``).
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from copick.impl import mlcroissant as _impl
from copick.impl.mlcroissant import (
    CopickConfigMLCroissant,
    CopickFeaturesMLC,
    CopickMeshMLC,
    CopickObjectMLC,
    CopickPicksMLC,
    CopickRootMLC,
    CopickRunMLC,
    CopickSegmentationMLC,
    CopickTomogramMLC,
    CopickVoxelSpacingMLC,
    CroissantIndex,
)
from copick.models import (
    CopickPicksFile,
    CopickRoot,
    CopickRunMeta,
    CopickTomogramMeta,
    CopickVoxelSpacingMeta,
    PickableObject,
)
from copick.util.reconnecting_fs import ReconnectingFileSystem

from croissant_recipes.schema import RECORD_SETS, SEGMENTATION_RECORD_SETS

__all__ = ["CopickConfigMLCroissant", "PickableObject"]

LOWEST = (1, 31)
BELOW = (2, 0)
"""The versions of copick that are allowed, as in ``pyproject.toml``. This was written beside 1.31.0."""

Row = dict[str, Any]

PRIVATE_NAMES: Mapping[str, str] = {
    "impl.mlcroissant._parse_ndjson_picks": "text, vs, pickable_object_name, user_id, session_id, run_name",
    "impl.mlcroissant._resolve_pick_voxel_size": "row, url",
    "impl.mlcroissant.CroissantIndex._get_list_for": "self, recordset_id",
    "impl.mlcroissant.CroissantIndex._load_records": "self",
    "impl.mlcroissant.CroissantIndex._declare_recordset": "self, recordset_id",
    "impl.mlcroissant.CroissantIndex._commit_locked": "self",
    "impl.mlcroissant.CroissantIndex._atomic_write_bytes": "self, path, data",
    "impl.mlcroissant.CopickRootMLC._run_factory": "self",
    "impl.mlcroissant.CopickRootMLC._object_factory": "self",
    "impl.mlcroissant.CopickRootMLC._assert_writable": "self",
    "impl.mlcroissant.CopickRunMLC._voxel_spacing_factory": "self",
    "impl.mlcroissant.CopickRunMLC._picks_factory": "self",
    "impl.mlcroissant.CopickRunMLC._mesh_factory": "self",
    "impl.mlcroissant.CopickRunMLC._segmentation_factory": "self",
    "impl.mlcroissant.CopickVoxelSpacingMLC._tomogram_factory": "self",
    "impl.mlcroissant.CopickTomogramMLC._feature_factory": "self",
    "impl.mlcroissant.CopickTomogramMLC._relative_url": "self",
    "impl.mlcroissant.CopickFeaturesMLC._relative_url": "self",
    "impl.mlcroissant.CopickPicksMLC._relative_url": "self",
    "impl.mlcroissant.CopickMeshMLC._relative_url": "self",
    "impl.mlcroissant.CopickSegmentationMLC._relative_url": "self",
    "impl.mlcroissant.CopickPicksMLC._load": "self",
    "impl.mlcroissant.CopickMeshMLC._load": "self",
    "util.reconnecting_fs.ReconnectingFileSystem._strip_protocol": "self, path",
}
"""Functions and methods of copick with an underscore in front, and the names of their parameters."""

PRIVATE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "impl.mlcroissant.CroissantIndex": ("_dirty", "_auto_commit", "_writable", "_metadata_path", "_write_lock"),
}
"""Fields of copick's dataclasses with an underscore in front."""

PRIVATE_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "impl.mlcroissant.CopickRootMLC": ("_runs", "_objects"),
    "impl.mlcroissant.CopickRunMLC": (
        "_voxel_spacings",
        "_picks",
        "_meshes",
        "_filaments",
        "_segmentations",
    ),
    "impl.mlcroissant.CopickVoxelSpacingMLC": ("_tomograms",),
    "impl.mlcroissant.CopickTomogramMLC": ("_features",),
    "util.reconnecting_fs.ReconnectingFileSystem": ("_root_ref",),
}
"""Attributes of copick's objects with an underscore in front."""


_OF_RUNS = frozenset(r.name for r in RECORD_SETS.values() if "run" in r.columns)


def record_set_name(id_: str) -> str:
    """``picks`` of ``copick/picks``."""
    return id_.removeprefix("copick/")


def picks_of(data: bytes, row: Row | None, url: str, names: Mapping[str, str]) -> CopickPicksFile:
    """What a file of picks holds: copick JSON, or the portal's NDJSON with coordinates in voxels.

    Args:
        data: The file.
        row: Its row, which may have the voxel size in Å.
        url: Where it lies; its name tells the two forms apart, and may have the voxel size.
        names: What the picks are called, whatever the file says.

    Raises:
        ValueError: If it is neither form, or NDJSON for which no voxel size is known.
    """
    text = data.decode()
    if not url.endswith(".ndjson"):
        with suppress(json.JSONDecodeError):
            return CopickPicksFile.model_validate({**json.loads(text), **names})
    voxel_size = _impl._resolve_pick_voxel_size(row, url)
    if voxel_size is None:
        raise ValueError(f"the points of {url} are in voxels, and neither its row nor its URL has a voxel size")
    return _impl._parse_ndjson_picks(text, voxel_size, **names)


@dataclass
class AdaptedIndex(CroissantIndex):
    """copick's index of a Croissant."""

    made: dict[str, bytes] = field(default_factory=dict)

    def read(self) -> None:
        """Hook: read manifest and rows anew."""
        raise NotImplementedError

    def declared(self, record_set: str) -> None:
        """Hook: a record set was declared in the manifest, since its CSV is about to be written."""

    def write_changes(self) -> None:
        """Hook: write what was changed."""
        raise NotImplementedError

    def changed_files(self) -> dict[str, bytes]:
        """What copick writes of that, by file name, the manifest last. It is then taken for written."""
        made: dict[str, bytes] = {}
        self.made = made
        super()._commit_locked()
        return made

    def rows(self, record_set: str) -> Any:
        """The rows of a record set: a list, or of ``runs`` a dictionary by name."""
        return self._get_list_for(f"copick/{record_set}")

    @property
    def metadata_path(self) -> str:
        return str(self._metadata_path)

    @property
    def writable(self) -> bool:
        """Whether the manifest and the CSVs can be written."""
        return bool(self._writable)

    @writable.setter
    def writable(self, value: bool) -> None:
        self._writable = value

    @property
    def commits_at_once(self) -> bool:
        """Whether each change is written when it is made, and not at the end of a batch."""
        return bool(self._auto_commit)

    @property
    def changed(self) -> frozenset[str]:
        """The record sets that are not written as they are now."""
        return frozenset(record_set_name(id_) for id_ in self._dirty)

    def locked(self) -> AbstractContextManager[Any]:
        """Keeps other threads from changing rows meanwhile."""
        lock: AbstractContextManager[Any] = self._write_lock
        return lock

    def _load_records(self) -> None:
        self.read()

    def _commit_locked(self) -> None:
        if self._dirty:
            self.write_changes()

    def _atomic_write_bytes(self, path: str, data: bytes) -> None:
        # copick writes a file as soon as it is made; if a later one cannot be made, the manifest describes others.
        self.made[os.path.basename(path)] = data

    def _declare_recordset(self, recordset_id: str) -> None:
        super()._declare_recordset(recordset_id)
        self.declared(record_set_name(recordset_id))


class RowsOfRun:
    """The index as one run and what it holds see it: its own rows only, all else as it is."""

    def __init__(self, index: Any, run: str) -> None:
        self._index = index
        self._run = run

    def __getattr__(self, name: str) -> Any:
        return self._index.of_run(name, self._run) if name in _OF_RUNS else getattr(self._index, name)

    def _get_list_for(self, recordset_id: str) -> Any:
        return getattr(self, record_set_name(recordset_id))


class _Lists:
    """What lists others, in attributes with an underscore in front."""

    def making(self, listed: str, make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a method of copick's makes, which lists it first and saves it then. If that fails, it is not listed."""
        before = list(getattr(self, listed))
        try:
            return make(*args, **kwargs)
        except BaseException:
            setattr(self, f"_{listed}", before)
            raise


class AdaptedRoot(_Lists, CopickRootMLC):
    """copick's root of a Croissant, over an index that is given."""

    run_class: ClassVar[type]
    object_class: ClassVar[type]

    def __init__(self, config: CopickConfigMLCroissant, index: AdaptedIndex) -> None:
        """Hook: ``fs_for_project`` and ``overlay_args`` say how what is written to is reached."""
        self.index = index
        # Not CopickRootMLC's: it would make an index of its own.
        CopickRoot.__init__(self, config)
        self.overlay_base_url = None
        if config.overlay_root:
            self.fs_overlay = ReconnectingFileSystem(config.overlay_root, self.overlay_args())
            # It lets the root forget what it listed when a connection is made anew.
            self.fs_overlay._root_ref = weakref.ref(self)
            self.overlay_base_url = self.fs_overlay._strip_protocol(config.overlay_root).rstrip("/")
        else:
            self.fs_overlay = self.fs_for_project()
        self.static_base_url = self.fs_overlay._strip_protocol(index.base_url).rstrip("/")

    def overlay_args(self) -> dict[str, Any]:
        """Hook: arguments of the overlay's filesystem."""
        raise NotImplementedError

    def fs_for_project(self) -> Any:
        """Hook: the filesystem that is written to without an overlay."""
        raise NotImplementedError

    def assert_writable(self) -> None:
        """Hook: raise ``PermissionError`` if nothing can be saved."""
        super()._assert_writable()

    def _assert_writable(self) -> None:
        self.assert_writable()

    def _run_factory(self) -> tuple[type, Any]:
        return self.run_class, CopickRunMeta

    def _object_factory(self) -> tuple[type, Any]:
        return self.object_class, PickableObject

    def once(self, artifacts: Iterable[Any]) -> list[Any]:
        """Artifacts without those that are listed twice where the overlay is the project itself: as a row, and as what
        copick finds in the overlay, which counts. What rows have elsewhere is found by them alone."""
        if self.mode == "A" or not self.static_is_overlay:
            return list(artifacts)
        return [a for a in artifacts if not (a.read_only and a.is_in_own_place)]

    def query(self) -> list[Any]:
        return [self.run_class(root=self, meta=run.meta) for run in super().query()]


# copick's classes name each other, so that each level makes its children anew, as the classes below.


class _ListsRows(_Lists):
    """A run, or what in it lists artifacts."""

    root: Any
    listed: ClassVar[tuple[str, ...]]

    @property
    def static_is_overlay(self) -> bool:
        # copick does not list rows where it is, for fear of listing them twice.
        return bool(self.root.mode == "A")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, **{f"_{listed}": None for listed in self.listed}}


class _OfRun:
    """What belongs to a run, and sees the rows of that run only."""

    run: Any

    @property
    def root(self) -> Any:
        return self.run.root

    @property
    def _index(self) -> RowsOfRun:
        return RowsOfRun(self.root.index, self.run.name)


class _Artifact(_OfRun):
    """An artifact of a run, before a class of copick's."""

    _relative_url: Callable[[], str]

    @property
    def own_url(self) -> str:
        """Where copick writes it, relative to the project or the overlay."""
        return str(self._relative_url())


class _Annotation(_Artifact):
    """Picks or a mesh: a file of an object, a user and a session."""

    user_id: str
    session_id: str
    pickable_object_name: str

    @property
    def key(self) -> Row:
        return {
            "run": self.run.name,
            "user_id": self.user_id,
            "session_id": self.session_id,
            "object_name": self.pickable_object_name,
        }

    def read_file(self) -> Any:
        """Hook: what the file holds."""
        raise NotImplementedError

    def _load(self) -> Any:
        return self.read_file()


class AdaptedRun(_ListsRows, CopickRunMLC):
    listed = ("voxel_spacings", "picks", "meshes", "filaments", "segmentations")
    spacing_class: ClassVar[type]
    picks_class: ClassVar[type]
    mesh_class: ClassVar[type]
    segmentation_class: ClassVar[type]

    @property
    def _index(self) -> RowsOfRun:
        return RowsOfRun(self.root.index, self.name)

    def _voxel_spacing_factory(self) -> tuple[type, Any]:
        return self.spacing_class, CopickVoxelSpacingMeta

    def _picks_factory(self) -> type:
        return self.picks_class

    def _mesh_factory(self) -> tuple[type, Any]:
        return self.mesh_class, super()._mesh_factory()[1]

    def _segmentation_factory(self) -> tuple[type, Any]:
        return self.segmentation_class, super()._segmentation_factory()[1]

    def query_voxelspacings(self) -> list[Any]:
        return [self.spacing_class(run=self, meta=v.meta) for v in super().query_voxelspacings()]

    def query_picks(self) -> list[Any]:
        found = super().query_picks()
        return list(self.root.once(self.picks_class(run=self, file=p.meta, read_only=p.read_only) for p in found))

    def query_meshes(self) -> list[Any]:
        found = super().query_meshes()
        return list(self.root.once(self.mesh_class(run=self, meta=m.meta, read_only=m.read_only) for m in found))

    def query_segmentations(self) -> list[Any]:
        found = super().query_segmentations()
        return list(
            self.root.once(self.segmentation_class(run=self, meta=s.meta, read_only=s.read_only) for s in found)
        )


class AdaptedVoxelSpacing(_ListsRows, _OfRun, CopickVoxelSpacingMLC):
    listed = ("tomograms",)
    tomogram_class: ClassVar[type]

    def _tomogram_factory(self) -> tuple[type, Any]:
        return self.tomogram_class, CopickTomogramMeta

    def query_tomograms(self) -> list[Any]:
        found = super().query_tomograms()
        made = (self.tomogram_class(voxel_spacing=self, meta=t.meta, read_only=t.read_only) for t in found)
        return list(self.root.once(made))


class AdaptedTomogram(_ListsRows, _Artifact, CopickTomogramMLC):
    listed = ("features",)
    features_class: ClassVar[type]
    record_set = "tomograms"
    run = property(lambda self: self.voxel_spacing.run)

    @property
    def key(self) -> Row:
        return {"run": self.run.name, "voxel_size": float(self.voxel_spacing.voxel_size), "tomo_type": self.tomo_type}

    def _feature_factory(self) -> tuple[type, Any]:
        return self.features_class, super()._feature_factory()[1]

    def query_features(self) -> list[Any]:
        found = super().query_features()
        return list(
            self.root.once(self.features_class(tomogram=self, meta=f.meta, read_only=f.read_only) for f in found)
        )


class AdaptedFeatures(_Artifact, CopickFeaturesMLC):
    record_set = "features"
    run = property(lambda self: self.tomogram.run)

    @property
    def key(self) -> Row:
        return {**self.tomogram.key, "feature_type": self.feature_type}


class AdaptedPicks(_Annotation, CopickPicksMLC):
    record_set = "picks"


class AdaptedMesh(_Annotation, CopickMeshMLC):
    record_set = "meshes"


class AdaptedSegmentation(_Artifact, CopickSegmentationMLC):
    @property
    def record_set(self) -> str:
        return SEGMENTATION_RECORD_SETS[self.segmentation_type]

    @property
    def key(self) -> Row:
        key = {
            "run": self.run.name,
            "voxel_size": float(self.voxel_size),
            "user_id": self.user_id,
            "session_id": self.session_id,
            "name": self.name,
        }
        return {**key, "is_multilabel": self.is_multilabel} if self.record_set == "segmentations" else key


class AdaptedObject(CopickObjectMLC):
    record_set = "objects"

    @property
    def key(self) -> Row:
        return {"name": self.name}

    @property
    def own_url(self) -> str:
        return f"Objects/{self.name}.zarr"
