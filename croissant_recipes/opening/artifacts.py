# mypy: disable-error-code="misc"
# (copick is untyped, and its classes are subclassed)
"""A project's runs, voxel spacings and artifacts: copick's classes, over data that is read and saved as rows say."""

from __future__ import annotations

import io
from typing import Any

from croissant_recipes.opening import copick_adapter as adapter
from croissant_recipes.opening.stored_data import InFile, InZarr, Purpose, Stored, Volume, asking, is_to_be_read


class _Static:
    """What copick asks for the filesystem of its ``static_path``."""

    root: Any
    static_path: Any

    @property
    def fs_static(self) -> Any:
        path = self.static_path
        return None if path is None else self.root.index.places.open(path)[0]


class _Listed(_Static, Stored):
    """What has its row's place for a ``static_path``, if it has a row."""

    @property
    def static_path(self) -> str | None:
        row = self.row
        return None if row is None else str(self.root.index.places.absolute(row["url"] or ""))


class Picks(InFile, adapter.AdaptedPicks):
    @property
    def shown(self) -> str:
        return f"picks {self.pickable_object_name}:{self.user_id}/{self.session_id} of run {self.run.name}"

    def read_file(self) -> Any:
        # Renamed picks have another name in their file.
        names = {
            "pickable_object_name": self.pickable_object_name,
            "user_id": self.user_id,
            "session_id": self.session_id,
            "run_name": self.run.name,
        }
        return adapter.picks_of(self.content(), self.row, self.path, names)


class Mesh(InFile, adapter.AdaptedMesh):
    @property
    def shown(self) -> str:
        return f"mesh {self.pickable_object_name}:{self.user_id}/{self.session_id} of run {self.run.name}"

    def read_file(self) -> Any:
        import trimesh

        return trimesh.load(io.BytesIO(self.content()), file_type="glb")


class Segmentation(Volume, adapter.AdaptedSegmentation):
    elsewhere = "under another user or session"

    @property
    def shown(self) -> str:
        uri = f"{self.name}:{self.user_id}/{self.session_id}@{self.voxel_size}"
        return f"{self.segmentation_type} segmentation {uri} of run {self.run.name}"

    def instance_ids(self, *args: Any, **kwargs: Any) -> Any:
        with asking(Purpose.READ):
            return super().instance_ids(*args, **kwargs)

    def segments(self, *args: Any, **kwargs: Any) -> Any:
        with asking(Purpose.READ):
            return super().segments(*args, **kwargs)


class Features(InZarr, adapter.AdaptedFeatures):
    elsewhere = "under another feature type"

    @property
    def shown(self) -> str:
        size = self.tomogram.voxel_spacing.voxel_size
        return f"features {self.tomo_type}@{size}:{self.feature_type} of run {self.run.name}"


class Tomogram(_Listed, Volume, adapter.AdaptedTomogram):
    features_class = Features
    elsewhere = "under another tomogram type"

    @property
    def shown(self) -> str:
        return f"tomogram {self.tomo_type}@{self.voxel_spacing.voxel_size} of run {self.run.name}"

    def new_features(self, *args: Any, **kwargs: Any) -> Any:
        with asking(Purpose.NEW):
            made = self.making("features", super().new_features, *args, **kwargs)
        return self.root.take_for_new(made)

    def delete(self) -> None:
        for features in self.features:
            features.assert_saving()
        super().delete()

    def delete_features(self) -> None:
        for features in list(self.features):
            features.delete()


class VoxelSpacing(_Static, adapter.AdaptedVoxelSpacing):
    tomogram_class = Tomogram

    def ensure(self, create: bool = False) -> bool:
        if create and not super().ensure(create=False):
            self.root.assert_writable()
            self.root.assert_inside(f"ExperimentRuns/{self.run.name}")
        return bool(super().ensure(create=create))

    def new_tomogram(self, *args: Any, **kwargs: Any) -> Any:
        with asking(Purpose.NEW):
            made = self.making("tomograms", super().new_tomogram, *args, **kwargs)
        return self.root.take_for_new(made)

    def assert_saving(self) -> None:
        """Raises ``PermissionError`` if one of its tomograms cannot be deleted."""
        self.root.assert_writable()
        for tomogram in self.tomograms:
            for artifact in (tomogram, *tomogram.features):
                artifact.assert_saving()

    def delete(self) -> None:
        self.assert_saving()
        own = {"run": self.run.name, "voxel_size": float(self.voxel_size)}
        self.root.assert_unused(f"ExperimentRuns/{self.run.name}/VoxelSpacing{self.voxel_size:.3f}", own)
        super().delete()

    def delete_tomograms(self, tomo_type: str | None = None) -> None:
        for tomogram in list(self.tomograms):
            if tomo_type in (None, tomogram.tomo_type):
                tomogram.delete()


class Run(_Static, adapter.AdaptedRun):
    spacing_class = VoxelSpacing
    picks_class = Picks
    mesh_class = Mesh
    segmentation_class = Segmentation

    @property
    def split(self) -> str | None:
        """The split that the run is in."""
        split: str | None = super().split
        return split

    @split.setter
    def split(self, value: str | None) -> None:
        self.root.assign_splits({self.name: value})

    def ensure(self, create: bool = False) -> bool:
        there = bool(super().ensure(create=False))
        if create and not there:
            self.root.assert_writable()
            self.root.assert_inside(f"ExperimentRuns/{self.name}")
            there = bool(super().ensure(create=True))
        if create and self.root.mode == "A" and self.name not in self.root.index.runs_by_name:
            # Its folder was there before the Croissant knew of it.
            self.root.assert_writable()
            self.root.index.add_row("copick/runs", {"name": self.name})
        return there

    def new_voxel_spacing(self, *args: Any, **kwargs: Any) -> Any:
        return self.making("voxel_spacings", super().new_voxel_spacing, *args, **kwargs)

    def new_picks(self, *args: Any, **kwargs: Any) -> Any:
        return self.making("picks", super().new_picks, *args, **kwargs)

    def new_mesh(self, *args: Any, **kwargs: Any) -> Any:
        return self.making("meshes", super().new_mesh, *args, **kwargs)

    def new_segmentation(self, *args: Any, **kwargs: Any) -> Any:
        with asking(Purpose.NEW):
            made = self.making("segmentations", super().new_segmentation, *args, **kwargs)
        return self.root.take_for_new(made)

    def delete(self) -> None:
        self.root.assert_writable()
        for artifact in (*self.voxel_spacings, *self.picks, *self.meshes, *self.segmentations):
            artifact.assert_saving()
        self.root.assert_unused(f"ExperimentRuns/{self.name}", {"run": self.name})
        super().delete()


class DensityMap(_Listed, Volume, adapter.AdaptedObject):
    """A pickable object, and its density map if it has one."""

    elsewhere = "as another object"

    @property
    def shown(self) -> str:
        return f"the density map of {self.name}"

    def zarr(self) -> Any:
        """As of other artifacts; ``None`` if the object is no particle, or has no density map."""
        if not self.is_particle:
            return None
        if is_to_be_read() and not self.root.is_new(self) and self.row is None and not self._is_in_overlay:
            return None
        return super().zarr()

    @property
    def _is_in_overlay(self) -> bool:
        return bool(self.root.mode == "B" and self.root.fs_overlay.exists(self._place_to_write))
