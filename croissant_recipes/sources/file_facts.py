"""sha256 and voxel size of picks and mesh files: each is read once, an unchanged one not at all (``fact_cache``)."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import orjson

from croissant_recipes import intake
from croissant_recipes.access import RemoteFolder, explain, open_filesystem, read_pieces_in
from croissant_recipes.location import Location
from croissant_recipes.sources.base import FileFacts, Progress
from croissant_recipes.sources.fact_cache import Kept, Shelf, at_rest, keep, remote_stamp, stamp_of
from croissant_recipes.sources.picks_head import stated_voxel_size
from croissant_recipes.work import LOCAL_BATCH, Workers

Key = tuple[str, str]
"""Root and path, as in an artifact table."""

Tokens = Mapping[Key, tuple[int, str]]
"""Size and change token that a listing gave."""

_PICKS_ENDING = ".json"
_HEAD_BYTES = 4096
_TAIL_BYTES = 64


@dataclass(frozen=True)
class FileRoot:
    """Where files are read, with the fsspec keyword arguments that it takes."""

    location: Location
    fs_args: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Content(NamedTuple):
    """What was read of a file: its hex sha256, its size in bytes and, of picks, all of it."""

    sha256: str
    size: int
    data: bytes


class Found(NamedTuple):
    """Facts of one file, and what to keep of it, if it was read and can be kept."""

    facts: FileFacts
    fresh: Kept | None = None


class FileReader:
    """Reads files of some roots. What is known of files that were read before stays here; only the reading of the
    others is given to the workers.

    Args:
        roots: By name. Paths of the root ``""`` are places of their own.
        workers: What reads many files at once.
        tokens: What the last listing said of remote files.
    """

    def __init__(self, roots: Mapping[str, FileRoot], workers: Workers, tokens: Tokens | None = None) -> None:
        self._roots = roots
        self._workers = workers
        self._tokens: Tokens = tokens or {}

    def read(self, files: Sequence[Key], *, sha256: bool, progress: Progress) -> dict[Key, FileFacts]:
        """Facts of each file. Without ``sha256`` only picks (``.json``) are read, for their voxel size."""
        facts = dict.fromkeys(files, FileFacts())
        asked = [key for key in facts if sha256 or key[1].endswith(_PICKS_ENDING)]
        if not asked:
            return facts
        fresh: list[Kept] = []
        with progress.task("reading files", len(asked)) as task:
            for place, keys in self._by_place(asked, hashed=sha256):
                # In one thread: an unchanged file takes a few µs, less than threads take to agree on who looks.
                kept = {key: known for key in keys if (known := place.kept(key)) is not None}
                facts.update(kept)
                task.advance(len(kept))
                unread = [key for key in keys if key not in kept]
                paths = [path for _, path in unread]
                answers = self._workers.each(place.reading, paths, batch=place.batch, advance=task.advance)
                for key, answer in zip(unread, answers, strict=True):
                    found = answer.get()
                    facts[key] = found.facts
                    fresh += [found.fresh] if found.fresh is not None else []
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
    """The files of one root.

    Attributes:
        reading: What reads one file, given its path; it can be given to another process.
        batch: How many files are worth giving at once, ``None`` for an equal share.
    """

    reading: Callable[[str], Found]
    batch: int | None

    def kept(self, key: Key) -> FileFacts | None:
        """What is known of an unchanged file."""


class _LocalFiles:
    batch: int | None = LOCAL_BATCH

    def __init__(self, root: str, *, hashed: bool) -> None:
        self._root = root
        self._shelf = Shelf(root)
        self.reading: Callable[[str], Found] = partial(read_local, root, hashed)

    def kept(self, key: Key) -> FileFacts | None:
        path = f"{self._root}/{key[1]}"
        try:
            known = self._shelf.facts(path, stamp_of(os.stat(path)))
        except OSError:
            return None
        return None if known is None else FileFacts(*known)


class _RemoteFiles:
    batch: int | None = None

    def __init__(self, place: FileRoot, tokens: Tokens) -> None:
        self._tokens = tokens
        root = RemoteFolder.open(place.location, place.fs_args)
        self._shown = str(root.location)
        self._shelf = Shelf(self._shown)
        self.reading: Callable[[str], Found] = partial(read_remote, root)

    def kept(self, key: Key) -> FileFacts | None:
        listed = self._tokens.get(key)
        known = self._shelf.facts(f"{self._shown}/{key[1]}", remote_stamp(*listed)) if listed else None
        return None if known is None else FileFacts(*known)


class _AnyFiles:
    """Files whose path is a place of its own."""

    batch: int | None = None

    def __init__(self) -> None:
        self.reading: Callable[[str], Found] = read_anywhere

    def kept(self, key: Key) -> FileFacts | None:  # noqa: ARG002 - part of the protocol
        return None


def read_local(root: str, hashed: bool, path: str) -> Found:
    """What a file below a folder of this machine says. Where nobody asks for its digest, reading its ends may do."""
    place = f"{root}/{path}"
    try:
        if not hashed:
            size = stated_voxel_size(read_ends(place))
            if size is not None and (math.isnan(size) or 0 < size < math.inf):
                return Found(FileFacts(voxel_size=size))
        content, stamp = read_stamped(place)
    except OSError as error:
        return Found(FileFacts(problem=error.strerror or str(error)))
    return judged(place, content, stamp)


def read_remote(root: RemoteFolder, path: str) -> Found:
    """What a file below a folder of a filesystem of fsspec says."""
    try:
        fs, _ = root.filesystem()
        content, token = _read_in(fs, root.location / path)
    except Exception as error:
        # A remote filesystem raises what its client library raises. One file that cannot be read is one problem.
        return Found(FileFacts(problem=explain(error, root.fs_args)))
    return judged(f"{root.location}/{path}", content, remote_stamp(content.size, token) if token else None)


def read_anywhere(place: str) -> Found:
    """What a file at a place of its own says."""
    try:
        location = Location.parse(place, Path("/"))
        content, _ = (
            read_stamped(location.path) if location.is_local else _read_in(open_filesystem(location, {})[0], location)
        )
    except Exception as error:
        return Found(FileFacts(problem=explain(error, {})))
    return judged(place, content, None)


def _read_in(fs: Any, location: Location) -> tuple[Content, str]:
    """The content of a file in a filesystem of fsspec, and the token that goes with it."""
    take = partial(taken, whole=location.path.endswith(_PICKS_ENDING))
    return read_pieces_in(fs, location, _limit_of(location.path), take)


def _limit_of(path: str) -> int:
    return intake.PICKS_BYTES if path.endswith(_PICKS_ENDING) else intake.ANY_SIZE


def taken(pieces: Iterable[bytes], *, whole: bool) -> Content:
    """What is made of a file's pieces. Only of a ``whole`` one its data is held in memory."""
    digest, size, kept = hashlib.sha256(), 0, []
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        if whole:
            kept.append(piece)
    return Content(digest.hexdigest(), size, b"".join(kept))


def read_ends(path: str) -> bytes:
    """The first and the last bytes of a local file, or all of it where it is small."""
    with intake.open_file(path) as file:
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            return head
        end = file.seek(0, os.SEEK_END)
        file.seek(max(_HEAD_BYTES, end - _TAIL_BYTES))
        return head + file.read()


def read_stamped(path: str, limit: int | None = None) -> tuple[Content, str | None]:
    """The content of a local file and its stamp; no stamp where it changed just now, or while it was read. Picks are
    held in memory, and so is what has a ``limit`` of bytes."""
    now, whole = time.time_ns(), limit is not None or path.endswith(_PICKS_ENDING)
    with intake.open_file(path) as file:
        before = os.fstat(file.fileno())
        content = taken(intake.pieces(file, before.st_size, limit or _limit_of(path)), whole=whole)
        after = os.fstat(file.fileno())
    stamp = stamp_of(after)
    kept = stamp == stamp_of(before) and content.size == after.st_size and at_rest(after, now)
    return content, stamp if kept else None


def judged(path: str, content: Content, stamp: str | None) -> Found:
    """What a file says of itself, and what to keep of it where it has a stamp."""
    digest, voxel_size = content.sha256, math.nan
    if path.endswith(_PICKS_ENDING):
        try:
            voxel_size = voxel_size_of(content.data)
        except ValueError as error:
            return Found(FileFacts(digest, problem=str(error)))
    return Found(FileFacts(digest, voxel_size), Kept(path, stamp, digest, voxel_size) if stamp else None)


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
        return intake.parse_json(data, nan=True)
    except intake.NotJsonError:
        raise ValueError(f"it is not JSON: {error}") from None
