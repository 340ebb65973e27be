# mypy: disable-error-code="misc"
# (copick is untyped, and its classes are subclassed)
"""Opening a Croissant with copick, every text exactly as it is written.

copick reads the CSVs through mlcroissant, and so through pandas, which makes ``42`` of a run ``0042`` and nothing of a
session ``NA``. The root made here is copick's own in all else: what it lists, what it writes, splits and overlays. It
also needs no place for a temporary file, checks the CSVs against the manifest, reads a remote Croissant that a build is
replacing, and finds the rows of a run without going through those of all others.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import fsspec
from copick.impl.mlcroissant import (
    CopickConfigMLCroissant,
    CopickFeaturesMLC,
    CopickMeshMLC,
    CopickPicksMLC,
    CopickRootMLC,
    CopickRunMLC,
    CopickSegmentationMLC,
    CopickTomogramMLC,
    CopickVoxelSpacingMLC,
    _fs_for_url,
    _is_local_protocol,
)
from copick.models import CopickRoot, CopickRunMeta, PickableObject
from copick.util.reconnecting_fs import ReconnectingFileSystem

from croissant_recipes.croissant.exact_index import ExactIndex
from croissant_recipes.schema import RECORD_SETS

_RUN_ROWS = frozenset(r.name for r in RECORD_SETS.values() if r.name not in ("runs", "objects"))


def from_croissant(
    croissant_url: str,
    overlay_root: str | None = None,
    croissant_base_url: str | None = None,
    overlay_fs_args: dict[str, Any] | None = None,
    croissant_fs_args: dict[str, Any] | None = None,
    static_fs_args: dict[str, Any] | None = None,
    output_path: str | None = None,
) -> ExactRoot:
    """A copick root over a Croissant; the arguments are those of ``copick.from_croissant``.

    Args:
        croissant_url: Path or URL of ``metadata.json``.
        overlay_root: Where to write. Without it, writes go to the project and to its Croissant.
        croissant_base_url: Where the data lies, instead of ``copick:baseUrl``.
        overlay_fs_args: fsspec keyword arguments for ``overlay_root``.
        croissant_fs_args: fsspec keyword arguments for the manifest and the CSVs.
        static_fs_args: fsspec keyword arguments for the data.
        output_path: Where to write the copick config that opens this Croissant, if anywhere.

    Raises:
        FileNotFoundError: If the manifest, or a CSV that it names, is not there.
        ValueError: If the manifest is not JSON, a CSV cannot be read, or its SHA-256 is not the manifest's.
    """
    config = CopickConfigMLCroissant(
        pickable_objects=[],
        croissant_url=croissant_url,
        croissant_base_url=croissant_base_url,
        overlay_root=overlay_root,
        overlay_fs_args=overlay_fs_args or {},
        croissant_fs_args=croissant_fs_args or {},
        static_fs_args=static_fs_args or {},
    )
    root = ExactRoot(config)
    if output_path:
        root.save_config(output_path)
    return root


class ExactRoot(CopickRootMLC):
    """copick's root of a Croissant, over an exact index."""

    index: ExactIndex

    def __init__(self, config: CopickConfigMLCroissant) -> None:
        self.index = ExactIndex.from_url(
            config.croissant_url,
            base_url_override=config.croissant_base_url,
            fs_args=config.croissant_fs_args or {},
            static_fs_args=config.static_fs_args or {},
        )
        _configure(config, self.index.config_block)
        # Not CopickRootMLC's: it would make an index of its own.
        CopickRoot.__init__(self, config)
        self._open_overlay(config)

    def _open_overlay(self, config: CopickConfigMLCroissant) -> None:
        """Where writes go: the overlay, or without one the project itself."""
        base_url = self.index.base_url
        self.overlay_base_url = None
        if config.overlay_root:
            self.fs_overlay = ReconnectingFileSystem(config.overlay_root, config.overlay_fs_args or {})
            self.fs_overlay._root_ref = weakref.ref(self)
            self.overlay_base_url = self.fs_overlay._strip_protocol(config.overlay_root).rstrip("/")
        else:
            # Zarr stores need the folders of their chunks made, which only the local file system has to be told.
            local = {"auto_mkdir": True} if _is_local_protocol(base_url) else {}
            arguments = {**local, **self.index.static_fs_args}
            self.fs_overlay = _fs_for_url(base_url, **arguments)[0] if base_url else fsspec.filesystem("file", **local)
        self.static_base_url = self.fs_overlay._strip_protocol(base_url).rstrip("/") if base_url else None

    def _run_factory(self) -> tuple[type[_Run], type[CopickRunMeta]]:
        return _Run, CopickRunMeta

    def query(self) -> list[_Run]:
        return [_Run(root=self, meta=run.meta) for run in super().query()]


def _configure(config: CopickConfigMLCroissant, block: Mapping[str, Any]) -> None:
    """What the Croissant says of the project, over what the config says, except for objects that the config lists."""
    for key in ("name", "description", "version", "user_id", "session_id"):
        if block.get(key) is not None:
            setattr(config, key, block[key])
    if not config.pickable_objects:
        config.pickable_objects = [PickableObject(**each) for each in block.get("pickable_objects", [])]


class _RunIndex:
    """The index as one run and what it holds see it: its own rows only, all else as it is."""

    def __init__(self, run: Any) -> None:
        self._index: ExactIndex = run.root.index
        self._name: str = run.name

    def __getattr__(self, name: str) -> Any:
        return self._index.rows_of_run(name, self._name) if name in _RUN_ROWS else getattr(self._index, name)

    def _get_list_for(self, recordset_id: str) -> Any:
        return getattr(self, recordset_id.removeprefix("copick/"))


# copick's classes name each other, so that each level makes its children anew, as the classes below.


class _Run(CopickRunMLC):
    @property
    def _index(self) -> _RunIndex:
        return _RunIndex(self)

    def _voxel_spacing_factory(self) -> tuple[type[_VoxelSpacing], Any]:
        return _VoxelSpacing, super()._voxel_spacing_factory()[1]

    def _picks_factory(self) -> type[_Picks]:
        return _Picks

    def _mesh_factory(self) -> tuple[type[_Mesh], Any]:
        return _Mesh, super()._mesh_factory()[1]

    def _segmentation_factory(self) -> tuple[type[_Segmentation], Any]:
        return _Segmentation, super()._segmentation_factory()[1]

    def query_voxelspacings(self) -> list[_VoxelSpacing]:
        return [_VoxelSpacing(run=self, meta=v.meta) for v in super().query_voxelspacings()]

    def query_picks(self) -> list[_Picks]:
        return [_Picks(run=self, file=p.meta, read_only=p.read_only) for p in super().query_picks()]

    def query_meshes(self) -> list[_Mesh]:
        return [_Mesh(run=self, meta=m.meta, read_only=m.read_only) for m in super().query_meshes()]

    def query_segmentations(self) -> list[_Segmentation]:
        return [_Segmentation(run=self, meta=s.meta, read_only=s.read_only) for s in super().query_segmentations()]


class _OfRun:
    run: Any

    @property
    def _index(self) -> _RunIndex:
        return _RunIndex(self.run)


class _Picks(_OfRun, CopickPicksMLC):
    pass


class _Mesh(_OfRun, CopickMeshMLC):
    pass


class _Segmentation(_OfRun, CopickSegmentationMLC):
    pass


class _VoxelSpacing(_OfRun, CopickVoxelSpacingMLC):
    def _tomogram_factory(self) -> tuple[type[_Tomogram], Any]:
        return _Tomogram, super()._tomogram_factory()[1]

    def query_tomograms(self) -> list[_Tomogram]:
        found = super().query_tomograms()
        return [_Tomogram(voxel_spacing=self, meta=t.meta, read_only=t.read_only) for t in found]


class _Tomogram(CopickTomogramMLC):
    @property
    def _index(self) -> _RunIndex:
        return _RunIndex(self.voxel_spacing.run)

    def _feature_factory(self) -> tuple[type[_Features], Any]:
        return _Features, super()._feature_factory()[1]

    def query_features(self) -> list[_Features]:
        return [_Features(tomogram=self, meta=f.meta, read_only=f.read_only) for f in super().query_features()]


class _Features(CopickFeaturesMLC):
    @property
    def _index(self) -> _RunIndex:
        return _RunIndex(self.tomogram.voxel_spacing.run)
