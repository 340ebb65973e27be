# mypy: disable-error-code="misc"
# (copick is untyped, and its classes are subclassed)
"""The data of an artifact: read by the URL of its row, written where copick writes, never written by reading.

copick, without an overlay, takes every artifact for one that lies where its name says. Here that is asked of the row:
data that lies elsewhere is opened there, and only there; saving over it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Any

from croissant_recipes.location import Location
from croissant_recipes.opening.zarr_stores import ReadOnlyStore, holds_data, writable_store


class Purpose(Enum):
    """What a store is asked for."""

    USER = "by the user, to read or to write"
    READ = "by a method that reads"
    CHANGE = "by a method that writes into what is there"
    REPLACE = "by a method that writes all of it"
    NEW = "by a method that makes a new artifact"


_purpose: ContextVar[Purpose] = ContextVar("purpose", default=Purpose.USER)
# copick's methods ask their artifact for its store, whatever for.


@contextmanager
def asking(purpose: Purpose) -> Iterator[None]:
    """What the stores are for that are asked for meanwhile."""
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


def is_to_be_read() -> bool:
    """Whether a store is asked for that need not be written."""
    return _purpose.get() in (Purpose.USER, Purpose.READ)


class Stored:
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
    def path(self) -> str:
        """Where its data lies, or will lie: the URL of the row, except for what the overlay has."""
        row = self.row
        if row is None or (self.root.mode == "B" and not self.read_only):
            return self._place_to_write
        return str(self.root.index.places.absolute(row["url"] or ""))

    @property
    def fs(self) -> Any:
        """The filesystem of its data."""
        return self._open()[0]

    @property
    def is_in_own_place(self) -> bool:
        """Whether its data lies where it would be saved, or there is none."""
        row = self.row
        # The texts are mostly the same, which needs no look at the disk.
        if row is None or row["url"] == self.own_url:
            return True
        own = Location.parse(self.root.index.places.absolute(self.own_url))
        return Location.parse(self.path).is_same_place(own)

    @property
    def _place_to_write(self) -> str:
        return f"{self.root.place_to_write}/{self.own_url}"

    @property
    def _reason_against_saving(self) -> str | None:
        if self.root.mode == "B":
            if not self.read_only:
                return self._reason_of_others
            return (
                f"{self.shown} is of the Croissant, which is read-only beside an overlay: save {self.elsewhere}, "
                "which then goes into the overlay"
            )
        if self.root.reason_against_data is not None:
            return f"{self.shown} cannot be saved: {self.root.reason_against_data}"
        if self.is_in_own_place:
            return self._reason_of_others
        return (
            f"{self.shown} has its data in {Location.parse(self.path)}, and not where this project saves it, "
            f"{self._written}: "
            f"save {self.elsewhere}, or open the Croissant with an overlay_root"
        )

    @property
    def _reason_of_others(self) -> str | None:
        """After a rename a name is free whose file is another row's, two rows may share a file, and one may link to the
        other's."""
        there = [
            row for place in self.root.places_of(self.own_url) for row in self.root.index.at(self.record_set, place)
        ]
        other = next((row for row in there if any(row.get(k) != v for k, v in self.key.items())), None)
        if other is None:
            return None
        called = ", ".join(str(other[k]) for k in self.key)
        where = "open the Croissant with an overlay_root" if self.root.mode == "A" else "take another overlay_root"
        return (
            f"{self.shown} has its place in {self._written}, where the data of another row of {self.record_set} lies "
            f"({called}): save {self.elsewhere}, or {where}"
        )

    @property
    def _written(self) -> Location:
        return Location.parse(self.root.saved_at(self.own_url))

    def assert_saving(self) -> None:
        """Raises ``PermissionError`` if it cannot be saved over or deleted, and says where to save instead."""
        self.root.assert_inside(self.own_url)
        reason = self._reason_against_saving
        if reason is not None:
            raise PermissionError(reason)

    def _open(self) -> tuple[Any, str]:
        """The filesystem of its data, and the path in it."""
        if self.root.mode == "B" and not self.read_only:
            return self.root.fs_overlay, self._place_to_write
        fs, path = self.root.index.places.open(self.path)
        return fs, path


class InZarr(Stored):
    """An artifact whose data is a Zarr store."""

    def zarr(self) -> Any:
        """The Zarr store: of data that can be saved over one that is written to, otherwise a read-only one. A new
        artifact's is made.

        Raises:
            FileNotFoundError: If there is no data, and the artifact is not new.
            PermissionError: If it is asked for by a method that writes, and the data cannot be saved over.
        """
        purpose = _purpose.get()
        reads = is_to_be_read()
        # Who only reads need not know why nothing could be saved, which takes a look at other rows.
        reason = None if purpose is Purpose.READ else self._reason_against_saving
        if reason is not None and not reads:
            raise PermissionError(reason)
        if not reads:
            self.root.assert_inside(self.own_url)
        if reason is not None and self.row is None and self.root.mode == "A":
            raise self._nothing_there()
        if reason is not None or purpose in (Purpose.READ, Purpose.CHANGE):
            fs, path = self._open()
            if not holds_data(fs, path):
                raise self._nothing_there()
            if reads:
                return ReadOnlyStore(fs, path, reason or f"{self.shown} was opened to be read")
        if purpose is Purpose.NEW:
            self.root.take_for_new(self)
        return self._store_to_write(makes=purpose is Purpose.REPLACE or self.root.is_new(self))

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
        return FileNotFoundError(f"{self.shown} has no data in {Location.parse(self.path)}")

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        with asking(Purpose.READ):
            return super().numpy(*args, **kwargs)

    def set_region(self, *args: Any, **kwargs: Any) -> None:
        with asking(Purpose.CHANGE):
            super().set_region(*args, **kwargs)

    def delete(self) -> None:
        self.assert_saving()
        super().delete()
        self.root.forget(self)


class Volume(InZarr):
    """An artifact whose Zarr store copick makes of one array."""

    def from_numpy(self, *args: Any, **kwargs: Any) -> None:
        with asking(Purpose.REPLACE):
            super().from_numpy(*args, **kwargs)


class InFile(Stored):
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
            raise FileNotFoundError(f"{self.shown} has no file {Location.parse(self.path)}") from None
        return data

    def store(self) -> None:
        self.assert_saving()
        super().store()

    def delete(self) -> None:
        self.assert_saving()
        super().delete()
