"""What directories hold, one level at a time. Nothing looks into a directory that it was not asked for, so a zarr store
is only ever a name here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from croissant_recipes.access import RemoteFolder
from croissant_recipes.location import Location
from croissant_recipes.work import Workers


class Entry(NamedTuple):
    """One name in a directory.

    Attributes:
        name: Without its folder.
        is_dir: Whether it is a directory, or a link that leads to one.
        is_link: Whether it is a link that leads to no directory.
        size: Bytes, where the listing says.
        token: A text that changes whenever the content does, where the listing gives one.
    """

    name: str
    is_dir: bool
    is_link: bool = False
    size: int | None = None
    token: str | None = None


class Lister(Protocol):
    """Lists directories below one root."""

    def directories(self, paths: Sequence[str]) -> Iterator[list[Entry]]:
        """What each directory holds, in the order of ``paths`` (relative to the root, with ``/``). One that does not
        exist holds nothing. Raises what the filesystem raises where one cannot be read."""


class LocalLister:
    """A root on this machine's file system."""

    def __init__(self, root: str) -> None:
        self._root = root

    def directories(self, paths: Sequence[str]) -> Iterator[list[Entry]]:
        # Threads would only wait for each other here: a listing takes about 15 µs.
        return (_scan(f"{self._root}/{path}") for path in paths)


class RemoteLister:
    """A root in any filesystem of fsspec, where many directories are asked for at once."""

    def __init__(self, root: RemoteFolder, workers: Workers) -> None:
        self._root = root
        self._workers = workers

    def directories(self, paths: Sequence[str]) -> Iterator[list[Entry]]:
        for answer in self._workers.each(partial(list_remote, self._root), paths):
            yield answer.get()


def list_remote(root: RemoteFolder, path: str) -> list[Entry]:
    """What one directory below a root holds; nothing where there is none."""
    fs, top = root.filesystem()
    return list_in(fs, f"{top}/{path}")


def list_in(fs: Any, folder: str) -> list[Entry]:
    """What a directory of a filesystem of fsspec holds; nothing where there is none."""
    try:
        found = fs.ls(folder, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    # Object stores may list the folder itself, as an object whose name ends in a slash.
    return [_entry(fs, e) for e in found if e["name"].strip("/") != folder.strip("/")]


def open_lister(location: Location, fs_args: Mapping[str, Any], workers: Workers) -> Lister:
    """What lists the folders below a location."""
    if location.is_local:
        return LocalLister(location.path)
    return RemoteLister(RemoteFolder.open(location, fs_args), workers)


def _entry(fs: Any, found: Mapping[str, Any]) -> Entry:
    full = found["name"].rstrip("/")
    kind = found.get("type")
    is_dir = kind == "directory" or (kind in ("link", "other") and fs.isdir(full))
    token = found.get("ETag") or found.get("etag")
    return Entry(
        full.rpartition("/")[2],
        is_dir,
        kind == "link" and not is_dir,
        found.get("size"),
        None if token is None else str(token),
    )


def _scan(folder: str) -> list[Entry]:
    try:
        with os.scandir(folder) as found:
            return [Entry(e.name, True) if _is_dir(e) else Entry(e.name, False, e.is_symlink()) for e in found]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link into a place that cannot be entered, or into itself.
        return False
