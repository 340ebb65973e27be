"""sha256 and voxel size of picks and mesh files: each is read once, an unchanged one not at all (``fact_cache``)."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import orjson

from croissant_recipes.access import explain, open_filesystem, path_in, read_bytes
from croissant_recipes.location import Location
from croissant_recipes.sources.base import FileFacts, Progress
from croissant_recipes.sources.fact_cache import Kept, Shelf, at_rest, keep, remote_stamp, stamp_of
from croissant_recipes.sources.picks_head import stated_voxel_size

Key = tuple[str, str]
"""Root and path, as in an artifact table."""

Tokens = Mapping[Key, tuple[int, str]]
"""Size and change token that a listing gave."""

_PICKS_ENDING = ".json"
_PORTION = 64
_HEAD_BYTES = 4096
_TAIL_BYTES = 64


@dataclass(frozen=True)
class FileRoot:
    """Where files are read, with the fsspec keyword arguments that it takes."""

    location: Location
    fs_args: Mapping[str, Any] = field(default_factory=dict, repr=False)


class _Found(NamedTuple):
    """Facts of one file, and what to keep of it, if it was read and can be kept."""

    facts: FileFacts
    fresh: Kept | None = None


class FileReader:
    """Reads files of some roots.

    Args:
        roots: By name. Paths of the root ``""`` are places of their own.
        jobs: How many files to read at a time.
        tokens: What the last listing said of remote files.
    """

    def __init__(self, roots: Mapping[str, FileRoot], jobs: int, tokens: Tokens | None = None) -> None:
        self._roots = roots
        self._jobs = max(1, jobs)
        self._tokens: Tokens = tokens or {}

    def read(self, files: Sequence[Key], *, sha256: bool, progress: Progress) -> dict[Key, FileFacts]:
        """Facts of each file. Without ``sha256`` only picks (``.json``) are read, for their voxel size."""
        facts = dict.fromkeys(files, FileFacts())
        asked = [key for key in facts if sha256 or key[1].endswith(_PICKS_ENDING)]
        if not asked:
            return facts
        with progress.task("reading files", len(asked)) as task:
            unknown: list[tuple[_Files, list[Key]]] = []
            for place, keys in self._by_place(asked, hashed=sha256):
                # In one thread: an unchanged file takes a few µs, less than threads take to agree on who looks.
                kept = {key: known for key in keys if (known := place.kept(key)) is not None}
                facts.update(kept)
                task.advance(len(kept))
                unread = [key for key in keys if key not in kept]
                unknown += [(place, unread[at : at + _PORTION]) for at in range(0, len(unread), _PORTION)]
            fresh: list[Kept] = []
            with ThreadPoolExecutor(self._jobs) as pool:
                for found in pool.map(_read_all, unknown):
                    facts.update((key, each.facts) for key, each in found)
                    fresh += [each.fresh for _, each in found if each.fresh is not None]
                    task.advance(len(found))
        keep(fresh)
        if sha256:
            return facts
        return {key: FileFacts("", each.voxel_size, each.problem) for key, each in facts.items()}

    def _by_place(self, asked: Sequence[Key], *, hashed: bool) -> Iterator[tuple[_Files, list[Key]]]:
        by_root: dict[str, list[Key]] = {}
        for key in asked:
            by_root.setdefault(key[0], []).append(key)
        for root, keys in by_root.items():
            place = self._roots.get(root)
            if place is None:
                yield _AnyFiles(), keys
            elif place.location.is_local:
                yield _LocalFiles(place.location.path, hashed=hashed), keys
            else:
                yield _RemoteFiles(place, self._tokens), keys


class _Files(Protocol):
    """The files of one root."""

    def kept(self, key: Key) -> FileFacts | None:
        """What is known of an unchanged file."""

    def read(self, key: Key) -> _Found:
        """What a file says."""


def _read_all(work: tuple[_Files, Sequence[Key]]) -> list[tuple[Key, _Found]]:
    place, keys = work
    return [(key, place.read(key)) for key in keys]


class _LocalFiles:
    def __init__(self, root: str, *, hashed: bool) -> None:
        self._root = root
        self._hashed = hashed
        self._shelf = Shelf(root)

    def kept(self, key: Key) -> FileFacts | None:
        path = f"{self._root}/{key[1]}"
        try:
            known = self._shelf.facts(path, stamp_of(os.stat(path)))
        except OSError:
            return None
        return None if known is None else FileFacts(*known)

    def read(self, key: Key) -> _Found:
        path = f"{self._root}/{key[1]}"
        try:
            if not self._hashed:
                size = stated_voxel_size(read_ends(path))
                if size is not None and (math.isnan(size) or size > 0):
                    return _Found(FileFacts(voxel_size=size))
            data, stamp = read_stamped(path)
        except OSError as error:
            return _Found(FileFacts(problem=error.strerror or str(error)))
        return _judge(path, data, stamp)


class _RemoteFiles:
    def __init__(self, place: FileRoot, tokens: Tokens) -> None:
        self._place = place
        self._tokens = tokens
        self._fs, _ = open_filesystem(place.location, place.fs_args)
        self._shown = str(place.location)
        self._shelf = Shelf(self._shown)

    def kept(self, key: Key) -> FileFacts | None:
        listed = self._tokens.get(key)
        known = self._shelf.facts(f"{self._shown}/{key[1]}", remote_stamp(*listed)) if listed else None
        return None if known is None else FileFacts(*known)

    def read(self, key: Key) -> _Found:
        try:
            data, token = self._content(path_in(self._fs, self._place.location / key[1]))
        except Exception as error:
            # A remote filesystem raises what its client library raises. One file that cannot be read is one problem.
            return _Found(FileFacts(problem=explain(error, self._place.fs_args)))
        return _judge(f"{self._shown}/{key[1]}", data, remote_stamp(len(data), token) if token else None)

    def _content(self, path: str) -> tuple[bytes, str]:
        """The content and the token that goes with it: an opened S3 file reads no other version than it says."""
        with self._fs.open(path, "rb") as file:
            details = getattr(file, "details", None) or {}
            return file.read(), str(details.get("ETag") or details.get("etag") or "")


class _AnyFiles:
    """Files whose path is a place of its own."""

    def kept(self, key: Key) -> FileFacts | None:  # noqa: ARG002 - part of the protocol
        return None

    def read(self, key: Key) -> _Found:
        try:
            data = read_bytes(Location.parse(key[1], Path("/")), {})
        except Exception as error:
            return _Found(FileFacts(problem=explain(error, {})))
        return _judge(key[1], data, None)


def read_ends(path: str) -> bytes:
    """The first and the last bytes of a local file, or all of it where it is small."""
    with open(path, "rb", buffering=0) as file:
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            return head
        end = file.seek(0, os.SEEK_END)
        file.seek(max(_HEAD_BYTES, end - _TAIL_BYTES))
        return head + file.read()


def read_stamped(path: str) -> tuple[bytes, str | None]:
    """The content of a local file and its stamp; no stamp where it changed just now, or while it was read."""
    now = time.time_ns()
    with open(path, "rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        data = file.read()
        after = os.fstat(file.fileno())
    stamp = stamp_of(after)
    return data, stamp if stamp == stamp_of(before) and len(data) == after.st_size and at_rest(after, now) else None


def _judge(path: str, data: bytes, stamp: str | None) -> _Found:
    digest = hashlib.sha256(data).hexdigest()
    voxel_size = math.nan
    if path.endswith(_PICKS_ENDING):
        try:
            voxel_size = voxel_size_of(data)
        except ValueError as error:
            return _Found(FileFacts(digest, problem=str(error)))
    return _Found(FileFacts(digest, voxel_size), Kept(path, stamp, digest, voxel_size) if stamp else None)


def voxel_size_of(data: bytes) -> float:
    """The voxel size (Å) that a picks file states, NaN where it states none.

    Raises:
        ValueError: If the file is no JSON object, or states a voxel size that is none.
    """
    head = stated_voxel_size(data)
    stated = _parsed_voxel_size(data) if head is None else None if math.isnan(head) else head
    if stated is None:
        return math.nan
    size = stated if isinstance(stated, float) else math.nan
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"its voxel_spacing {stated!r} is no voxel size")
    return size


def _parsed_voxel_size(data: bytes) -> object:
    """What the file states, as a float where it reads as a number."""
    try:
        picks = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        picks = _as_copick_reads(data, error)
    if not isinstance(picks, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - told like any other content
    stated = picks.get("voxel_spacing")
    try:
        return stated if stated is None or isinstance(stated, bool) else float(stated)
    except (TypeError, ValueError):
        return stated


def _as_copick_reads(data: bytes, error: orjson.JSONDecodeError) -> Any:
    """Python's own JSON takes, and writes, more than JSON has: NaN as the score of a pick, say."""
    try:
        return json.loads(data.decode())
    except ValueError:
        raise ValueError(f"it is not JSON: {error}") from None
