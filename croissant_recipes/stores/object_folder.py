"""A folder in a remote store: what commits and locks do with its objects."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import fsspec.core

from croissant_recipes.journal import LOCK, STAGED
from croissant_recipes.stores.output import Output

_MOST_AT_ONCE = 5 * 2**30
"""What S3 takes in one piece, in bytes."""

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss"})


@dataclass(frozen=True)
class Place:
    """A Croissant directory in a filesystem of fsspec, as a path in it without a trailing slash."""

    fs: Any
    directory: str

    @classmethod
    def of(cls, output: Output) -> Place:
        fs, path = fsspec.core.url_to_fs(output.croissant.url, **output.fs_args)
        return cls(fs, path.rstrip("/"))

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def cat(self, name: str) -> bytes:
        data: bytes = self.fs.cat_file(self.path(name))
        return data

    def look(self, name: str) -> tuple[str | None, bytes | None]:
        """A file, and before it what the store calls this version of it, where it has a name for that. Nothing where
        there is no file."""
        try:
            tag = self.fs.info(self.path(name), refresh=True).get("ETag") if self._is_s3 else None
            return tag, self.cat(name)
        except FileNotFoundError:
            return None, None

    def replace(self, source: str, name: str, tag: str | None) -> None:
        """Copies a file to the place of another. Where the store can tell, not if that is no longer the version of this
        tag; it then raises an ``OSError``."""
        if tag is None:
            self.copy(source, self.path(name))
        else:
            # In one piece, since the condition is for the object and not for its parts.
            self.fs.pipe_file(self.path(name), self.fs.cat_file(source), chunksize=_MOST_AT_ONCE, IfMatch=tag)

    @property
    def _is_s3(self) -> bool:
        protocol = self.fs.protocol
        return "s3" in ((protocol,) if isinstance(protocol, str) else protocol)

    def listing(self, folder: str = "") -> dict[str, dict[str, Any]]:
        """What the store says of each file directly in the directory, or in a folder of it, the lock left out."""
        # fsspec keeps listings, and what it kept may be older than another build's commit.
        self.fs.invalidate_cache()
        try:
            entries = self.fs.ls(self.path(folder).rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        here = self.path(folder).strip("/")
        found = {}
        for entry in entries:
            parent, _, name = entry["name"].rpartition("/")
            if entry["type"] == "file" and name not in ("", LOCK) and parent.strip("/") == here:
                found[name] = entry
        return found

    def make(self, directory: str) -> None:
        """Makes a folder where the store has folders."""
        # Object stores have none, and asked to make one, some filesystems would make a missing bucket.
        protocol = self.fs.protocol
        if _OBJECT_STORES.isdisjoint((protocol,) if isinstance(protocol, str) else protocol):
            self.fs.makedirs(directory, exist_ok=True)

    def copy(self, source: str, target: str) -> None:
        try:
            self.fs.cp_file(source, target)
        except NotImplementedError:
            self.fs.pipe_file(target, self.fs.cat_file(source))

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(path)

    def has_stage(self) -> bool:
        self.fs.invalidate_cache()
        try:
            self.fs.ls(self.path(STAGED))
        except FileNotFoundError:
            return False
        return True

    def delete_folder(self, name: str) -> None:
        self.fs.invalidate_cache()
        with suppress(FileNotFoundError):
            self.fs.rm(self.path(name), recursive=True)
