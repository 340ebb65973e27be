# mypy: disable-error-code="misc"
# (copick is untyped, and its classes are subclassed)
"""A project's runs and artifacts: read by the URL of their rows, written where copick writes, never written by reading.

copick, without an overlay, takes every artifact for one that lies where its name says. Here that is asked of the row:
data that lies elsewhere is opened there, and only there; saving over it is refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Any

from croissant_recipes.location import Location
from croissant_recipes.opening import copick_adapter as adapter
from croissant_recipes.opening.zarr_stores import ReadOnlyStore, holds_data, writable_store


class _Purpose(Enum):
    """What a store is asked for."""

    USER = "by the user, to read or to write"
    READ = "by a method that reads"
    CHANGE = "by a method that writes into what is there"
    REPLACE = "by a method that writes all of it"
    NEW = "by a method that makes a new artifact"


_purpose: ContextVar[_Purpose] = ContextVar("purpose", default=_Purpose.USER)
# copick's methods ask their artifact for its store, whatever for.


@contextmanager
def _asking(purpose: _Purpose) -> Iterator[None]:
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


class _Stored:
    """An artifact whose data has a place.

    It stands before a class of copick's, which has ``root``, ``record_set``, ``key``, ``own_url`` and ``read_only``.
    """

    root: Any
    record_set: str
    key: dict[str, Any]
    own_url: str
    read_only: bool
    elsewhere = "under another name"
    """Where a user can save instead."""

    @property
    def shown(self) -> str:
        """How messages name it."""
        raise NotImplementedError

    @property
    def row(self) -> dict[str, Any] | None:
        """Its row in the Croissant, ``None`` for what only the overlay has, or nobody yet."""
        found: dict[str, Any] | None = self.root.index.find(self.record_set, self.key)
        return found

    @property
    def data_url(self) -> str:
        """Where its data lies, or will lie: the URL of the row, except for what the overlay has."""
        row = self.row
        if row is None or (self.root.mode == "B" and not self.read_only):
            return self._place_to_write
        return str(self.root.index.places.absolute(row["url"] or ""))

    @property
    def is_in_own_place(self) -> bool:
        """Whether its data lies where it would be saved, or there is none."""
        row = self.row
        # The texts are mostly the same, which needs no look at the disk.
        if row is None or row["url"] == self.own_url:
            return True
        own = Location.parse(self.root.index.places.absolute(self.own_url))
        return Location.parse(self.data_url).is_same_place(own)

    @property
    def _place_to_write(self) -> str:
        return f"{self.root.place_to_write}/{self.own_url}"

    @property
    def _reason_against_saving(self) -> str | None:
        if self.root.mode == "B":
            if not self.read_only:
                return None
            return (
                f"{self.shown} is of the Croissant, which is read-only beside an overlay: save {self.elsewhere}, "
                "which then goes into the overlay"
            )
        if self.root.reason_against_data is not None:
            return f"{self.shown} cannot be saved: {self.root.reason_against_data}"
        if self.is_in_own_place:
            return self._reason_of_others
        lies, written = Location.parse(self.data_url), Location.parse(self._place_to_write)
        return (
            f"{self.shown} has its data in {lies}, and not where this project saves it, {written}: "
            f"save {self.elsewhere}, or open the Croissant with an overlay_root"
        )

    @property
    def _reason_of_others(self) -> str | None:
        """After a rename a name is free whose file is another row's, and two rows may share a file."""
        there = self.root.index.at(self.record_set, self.own_url)
        other = next((row for row in there if any(row.get(k) != v for k, v in self.key.items())), None)
        if other is None:
            return None
        called = ", ".join(str(other[k]) for k in self.key)
        return (
            f"{self.shown} has its place in {Location.parse(self._place_to_write)}, where the data of another row of "
            f"{self.record_set} lies ({called}): save {self.elsewhere}, or open the Croissant with an overlay_root"
        )

    def assert_saving(self) -> None:
        """Raises ``PermissionError`` if it cannot be saved over or deleted, and says where to save instead."""
        reason = self._reason_against_saving
        if reason is not None:
            raise PermissionError(reason)

    def _open(self) -> tuple[Any, str]:
        """The filesystem of its data, and the path in it."""
        if self.root.mode == "B" and not self.read_only:
            return self.root.fs_overlay, self._place_to_write
        fs, path = self.root.index.places.open(self.data_url)
        return fs, path


class _InZarr(_Stored):
    """An artifact whose data is a Zarr store."""

    def zarr(self) -> Any:
        """The Zarr store: of data that can be saved over one that is written to, otherwise a read-only one. A new
        artifact's is made.

        Raises:
            FileNotFoundError: If there is no data, and the artifact is not new.
            PermissionError: If it is asked for by a method that writes, and the data cannot be saved over.
        """
        purpose = _purpose.get()
        reads = purpose in (_Purpose.USER, _Purpose.READ)
        # Who only reads need not know why nothing could be saved, which takes a look at other rows.
        reason = None if purpose is _Purpose.READ else self._reason_against_saving
        if reason is not None and not reads:
            raise PermissionError(reason)
        if reason is not None and self.row is None and self.root.mode == "A":
            raise self._nothing_there()
        if reason is not None or purpose in (_Purpose.READ, _Purpose.CHANGE):
            fs, path = self._open()
            if not holds_data(fs, path):
                raise self._nothing_there()
            if reads:
                return ReadOnlyStore(fs, path, reason or f"{self.shown} was opened to be read")
        if purpose is _Purpose.NEW:
            self.root.take_for_new(self)
        return self._store_to_write(makes=purpose is _Purpose.REPLACE or self.root.is_new(self))

    def _store_to_write(self, *, makes: bool) -> Any:
        fs, path = self.root.fs_overlay, self._place_to_write
        there, unlisted = fs.exists(path), self.root.mode == "A" and self.row is None
        if not makes and (unlisted or not there):
            raise self._nothing_there()
        store = writable_store(fs, path, create=not there)
        if unlisted:
            self.root.index.add_row(f"copick/{self.record_set}", {**self.key, "url": self.own_url})
        return store

    def _nothing_there(self) -> FileNotFoundError:
        if self.row is None and self.root.mode == "A":
            return FileNotFoundError(f"{self.shown} is not in the Croissant")
        return FileNotFoundError(f"{self.shown} has no data in {Location.parse(self.data_url)}")

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        with _asking(_Purpose.READ):
            return super().numpy(*args, **kwargs)

    def from_numpy(self, *args: Any, **kwargs: Any) -> None:
        with _asking(_Purpose.REPLACE):
            super().from_numpy(*args, **kwargs)

    def set_region(self, *args: Any, **kwargs: Any) -> None:
        with _asking(_Purpose.CHANGE):
            super().set_region(*args, **kwargs)

    def delete(self) -> None:
        self.assert_saving()
        super().delete()
        self.root.forget(self)


class _InFile(_Stored):
    """An artifact whose data is one file."""

    elsewhere = "under another user or session"

    def content(self) -> bytes:
        """What its file holds.

        Raises:
            FileNotFoundError: If it is not there.
        """
        if self.row is None and (self.read_only or self.root.mode == "A"):
            raise FileNotFoundError(f"{self.shown} is not in the Croissant")
        fs, path = self._open()
        try:
            data: bytes = fs.cat_file(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise FileNotFoundError(f"{self.shown} has no file {Location.parse(self.data_url)}") from None
        return data

    @property
    def path(self) -> str:
        return self.data_url

    @property
    def fs(self) -> Any:
        return self._open()[0]

    def store(self) -> None:
        self.assert_saving()
        super().store()

    def delete(self) -> None:
        self.assert_saving()
        super().delete()


class Picks(_InFile, adapter.AdaptedPicks):
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
        return adapter.picks_of(self.content(), self.row, self.data_url, names)


class Mesh(_InFile, adapter.AdaptedMesh):
    @property
    def shown(self) -> str:
        return f"mesh {self.pickable_object_name}:{self.user_id}/{self.session_id} of run {self.run.name}"

    def read_file(self) -> Any:
        import trimesh

        return trimesh.load(io.BytesIO(self.content()), file_type="glb")


class Segmentation(_InZarr, adapter.AdaptedSegmentation):
    elsewhere = "under another user or session"

    @property
    def shown(self) -> str:
        uri = f"{self.name}:{self.user_id}/{self.session_id}@{self.voxel_size}"
        return f"{self.segmentation_type} segmentation {uri} of run {self.run.name}"

    @property
    def path(self) -> str:
        return self.data_url

    @property
    def fs(self) -> Any:
        return self._open()[0]

    def instance_ids(self, *args: Any, **kwargs: Any) -> Any:
        with _asking(_Purpose.READ):
            return super().instance_ids(*args, **kwargs)

    def segments(self, *args: Any, **kwargs: Any) -> Any:
        with _asking(_Purpose.READ):
            return super().segments(*args, **kwargs)


class Features(_InZarr, adapter.AdaptedFeatures):
    elsewhere = "under another feature type"

    @property
    def shown(self) -> str:
        size = self.tomogram.voxel_spacing.voxel_size
        return f"features {self.tomo_type}@{size}:{self.feature_type} of run {self.run.name}"

    @property
    def path(self) -> str:
        return self.data_url

    @property
    def fs(self) -> Any:
        return self._open()[0]


class Tomogram(_InZarr, adapter.AdaptedTomogram):
    features_class = Features
    elsewhere = "under another tomogram type"

    @property
    def shown(self) -> str:
        return f"tomogram {self.tomo_type}@{self.voxel_spacing.voxel_size} of run {self.run.name}"

    @property
    def static_path(self) -> str | None:
        row = self.row
        return None if row is None else self.root.index.places.absolute(row["url"] or "")

    @property
    def fs_static(self) -> Any:
        path = self.static_path
        return None if path is None else self.root.index.places.open(path)[0]

    def new_features(self, *args: Any, **kwargs: Any) -> Any:
        with _asking(_Purpose.NEW):
            made = self.making("features", super().new_features, *args, **kwargs)
        return self.root.take_for_new(made)

    def delete(self) -> None:
        for features in self.features:
            features.assert_saving()
        super().delete()

    def delete_features(self) -> None:
        for features in list(self.features):
            features.delete()


class VoxelSpacing(adapter.AdaptedVoxelSpacing):
    tomogram_class = Tomogram

    @property
    def fs_static(self) -> Any:
        return self.root.index.places.open(self.static_path)[0]

    def ensure(self, create: bool = False) -> bool:
        if create and not super().ensure(create=False):
            self.root.assert_writable()
        return bool(super().ensure(create=create))

    def new_tomogram(self, *args: Any, **kwargs: Any) -> Any:
        with _asking(_Purpose.NEW):
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


class Run(adapter.AdaptedRun):
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
        self.root.assign_splits({self.name: value or ""})

    @property
    def fs_static(self) -> Any:
        return self.root.index.places.open(self.static_path)[0]

    def ensure(self, create: bool = False) -> bool:
        there = bool(super().ensure(create=False))
        if create and not there:
            self.root.assert_writable()
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
        with _asking(_Purpose.NEW):
            made = self.making("segmentations", super().new_segmentation, *args, **kwargs)
        return self.root.take_for_new(made)

    def delete(self) -> None:
        self.root.assert_writable()
        for artifact in (*self.voxel_spacings, *self.picks, *self.meshes, *self.segmentations):
            artifact.assert_saving()
        self.root.assert_unused(f"ExperimentRuns/{self.name}", {"run": self.name})
        super().delete()


class DensityMap(_InZarr, adapter.AdaptedObject):
    """A pickable object, and its density map if it has one."""

    elsewhere = "as another object"

    @property
    def shown(self) -> str:
        return f"the density map of {self.name}"

    @property
    def static_path(self) -> str | None:
        row = self.row
        return None if row is None else self.root.index.places.absolute(row["url"] or "")

    @property
    def fs_static(self) -> Any:
        path = self.static_path
        return None if path is None else self.root.index.places.open(path)[0]

    def zarr(self) -> Any:
        """As of other artifacts; ``None`` if the object is no particle, or has no density map."""
        if not self.is_particle:
            return None
        reads = _purpose.get() in (_Purpose.USER, _Purpose.READ)
        if reads and not self.root.is_new(self) and self.row is None and not self._is_in_overlay:
            return None
        return super().zarr()

    @property
    def _is_in_overlay(self) -> bool:
        return bool(self.root.mode == "B" and self.root.fs_overlay.exists(self._place_to_write))
