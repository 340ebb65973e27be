"""sha256 and voxel size of picks and mesh files: each is read once, an unchanged one not at all (``fact_cache``)."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from croissant_recipes.sources.access import explain, open_filesystem, read_bytes
from croissant_recipes.sources.base import FileFacts, Progress
from croissant_recipes.sources.fact_cache import Kept, Shelf, at_rest, keep, remote_stamp, stamp_of
from croissant_recipes.sources.locations import is_local, locate, strip_credentials

Key = tuple[str, str]
"""Root and path, as in an artifact table."""

Tokens = Mapping[Key, tuple[int, str]]
"""Size and change token that a listing gave."""

_PICKS_ENDING = ".json"
_PORTION = 64


@dataclass(frozen=True)
class FileRoot:
    """Where files are read.

    Attributes:
        location: Absolute local path or URL, with the credentials that it may need.
        fs_args: fsspec keyword arguments.
    """

    location: str = field(repr=False)
    fs_args: Mapping[str, Any] = field(default_factory=dict, repr=False)


class _Found(NamedTuple):
    """Facts of one file, and what to keep of it, if it was read and can be kept."""

    facts: FileFacts
    fresh: Kept | None = None


_Look = Callable[[Key], _Found]


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
        fresh = []
        with progress.task("reading files", len(asked)) as task, ThreadPoolExecutor(self._jobs) as pool:
            for portion in pool.map(_look_at, *zip(*self._portions(asked), strict=True)):
                task.advance(len(portion))
                for key, found in portion:
                    facts[key] = found.facts if sha256 else FileFacts("", found.facts.voxel_size, found.facts.problem)
                    if found.fresh is not None:
                        fresh.append(found.fresh)
        keep(fresh)
        return facts

    def _portions(self, asked: Sequence[Key]) -> Iterator[tuple[_Look, list[Key]]]:
        by_root: dict[str, list[Key]] = {}
        for key in asked:
            by_root.setdefault(key[0], []).append(key)
        for root, keys in by_root.items():
            look = self._look(root)
            # A thread that is handed single files spends its time on being handed them.
            yield from ((look, keys[at : at + _PORTION]) for at in range(0, len(keys), _PORTION))

    def _look(self, root: str) -> _Look:
        if not root:
            return _look_anywhere
        place = self._roots[root]
        if is_local(place.location):
            return _LocalFiles(place.location)
        return _RemoteFiles(place, self._tokens)


def _look_at(look: _Look, keys: Sequence[Key]) -> list[tuple[Key, _Found]]:
    return [(key, look(key)) for key in keys]


class _LocalFiles:
    def __init__(self, root: str) -> None:
        self._root = root
        self._shelf = Shelf(root)

    def __call__(self, key: Key) -> _Found:
        path = f"{self._root}/{key[1]}"
        try:
            kept = self._shelf.facts(path, stamp_of(os.stat(path)))
            if kept is not None:
                return _Found(FileFacts(*kept))
            data, stamp = read_stamped(path)
        except OSError as error:
            return _Found(FileFacts(problem=error.strerror or str(error)))
        return _judge(path, data, stamp)


class _RemoteFiles:
    def __init__(self, place: FileRoot, tokens: Tokens) -> None:
        self._place = place
        self._tokens = tokens
        self._fs, self._root = open_filesystem(place.location, place.fs_args)
        self._shown = strip_credentials(place.location)
        self._shelf = Shelf(self._shown)

    def __call__(self, key: Key) -> _Found:
        path = f"{self._shown}/{key[1]}"
        listed = self._tokens.get(key)
        kept = self._shelf.facts(path, remote_stamp(*listed)) if listed else None
        if kept is not None:
            return _Found(FileFacts(*kept))
        try:
            data, token = self._read(f"{self._root}/{key[1]}")
        except Exception as error:
            # A remote filesystem raises what its client library raises. One file that cannot be read is one problem.
            return _Found(FileFacts(problem=explain(error, self._place.fs_args)))
        return _judge(path, data, remote_stamp(len(data), token) if token else None)

    def _read(self, path: str) -> tuple[bytes, str]:
        """The content and the token that goes with it: an opened S3 file reads no other version than it says."""
        with self._fs.open(path, "rb") as file:
            details = getattr(file, "details", None) or {}
            return file.read(), str(details.get("ETag") or details.get("etag") or "")


def _look_anywhere(key: Key) -> _Found:
    try:
        data = read_bytes(locate(key[1], Path("/")), {})
    except Exception as error:
        return _Found(FileFacts(problem=explain(error, {})))
    return _judge(key[1], data, None)


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
    try:
        picks = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        picks = _as_copick_reads(data, error)
    if not isinstance(picks, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - told like any other content
    stated = picks.get("voxel_spacing")
    if stated is None:
        return math.nan
    try:
        size = math.nan if isinstance(stated, bool) else float(stated)
    except (TypeError, ValueError):
        size = math.nan
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"its voxel_spacing {stated!r} is no voxel size")
    return size


def _as_copick_reads(data: bytes, error: orjson.JSONDecodeError) -> Any:
    """Python's own JSON takes, and writes, more than JSON has: NaN as the score of a pick, say."""
    try:
        return json.loads(data.decode())
    except ValueError:
        raise ValueError(f"it is not JSON: {error}") from None
