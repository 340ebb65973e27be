"""Points of picks and metadata of arrays: each is read once, and not again while its files are what they were.

A picks file is one document, a Zarr store has a few, each of which is asked for by its name. What was made of them is
kept (``fact_cache``) with a stamp of each, also of those that are not there. A document of a listing has the listing's
stamp; of any other one on the web or in an object store its size and ETag are asked for, and it is only read where they
differ.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from croissant_recipes import intake
from croissant_recipes.access import RemoteFolder, arguments_for, explain, path_in, patiently, read_pieces_in
from croissant_recipes.location import Location
from croissant_recipes.sources import array_metadata, points_file
from croissant_recipes.sources.base import ArrayFacts, FileFacts, PointFacts, Progress
from croissant_recipes.sources.fact_cache import Kept, Measure, MeasureShelf, keep, remote_stamp, stamp_of
from croissant_recipes.sources.file_facts import Content, FileRoot, Key, Tokens, judged, read_stamped, taken
from croissant_recipes.work import LOCAL_BATCH, Workers

Value = TypeVar("Value")

Stamps = Mapping[str, str | None]
"""Of each document by its name, ``None`` where there is none."""

_WHOLE = ""
"""The name of the only document of a file."""

_FORBIDDEN = 403


class Ask(NamedTuple):
    """Something to read: its path below a root, and the stamps of what is known of it."""

    path: str
    known: Stamps | None = None


class Answer(NamedTuple, Generic[Value]):
    """What was read, ``None`` where it is unchanged, and the stamps to keep it with, if it can be kept."""

    value: Value | None
    stamps: Stamps | None = None


class DataReader:
    """Reads below some roots, as ``file_facts.FileReader`` does, whose arguments it takes."""

    def __init__(self, roots: Mapping[str, FileRoot], workers: Workers, tokens: Tokens | None = None) -> None:
        self._roots = roots
        self._workers = workers
        self._tokens: Tokens = tokens or {}

    def points(self, files: Sequence[Key], *, sha256: bool, progress: Progress) -> dict[Key, FileFacts]:
        """Facts of picks files, with their points."""
        kept: list[Kept] = []
        found = self._read(files, _POINTS, "reading points", progress, kept)
        keep(kept)
        return found if sha256 else {key: replace(facts, sha256="") for key, facts in found.items()}

    def arrays(self, stores: Sequence[Key], progress: Progress) -> dict[Key, ArrayFacts]:
        """What Zarr stores say of their arrays."""
        return self._read(stores, _ARRAYS, "reading metadata of arrays", progress, [])

    def _read(
        self, keys: Sequence[Key], kind: _Kind[Value], what: str, progress: Progress, kept: list[Kept]
    ) -> dict[Key, Value]:
        found: dict[Key, Value] = {}
        fresh: list[Measure] = []
        with progress.task(what, len(set(keys))) as task:
            for place, paths in _by_folder(dict.fromkeys(keys), self._roots):
                shelf = MeasureShelf(str(place.location))
                known = {key: _known(shelf, f"{place.location}/{path}", kind) for key, path in paths.items()}
                asks = []
                for key, path in paths.items():
                    value, stamps = known[key] or (None, None)
                    listed = self._tokens.get(key)
                    if value is not None and listed and stamps == {_WHOLE: remote_stamp(*listed)}:
                        found[key] = value
                        task.advance()
                    else:
                        asks.append((key, Ask(path, stamps)))
                try:
                    read, batch = _reading(place, kind)
                except Exception as error:
                    # What fsspec raises of a place that it has no filesystem for.
                    found |= {key: kind.broken(explain(error, place.fs_args)) for key, _ in asks}
                    continue
                answers = self._workers.each(read, [ask for _, ask in asks], batch=batch, advance=task.advance)
                for (key, ask), answer in zip(asks, answers, strict=True):
                    value, stamps = answer.get()
                    before = known[key]
                    if value is None:
                        assert before is not None, "only what is known can be unchanged"
                        found[key] = before[0]
                        continue
                    found[key] = value
                    if stamps is not None and (text := kind.text(value)):
                        whole = f"{place.location}/{ask.path}"
                        fresh.append(Measure(whole, json.dumps(stamps, sort_keys=True), text))
                        kept += kind.also_kept(whole, stamps, value)
        keep((), fresh)
        return found


@dataclass(frozen=True)
class _Kind(Generic[Value]):
    """What is made of the documents of something.

    Attributes:
        make: Makes it; raises what the reading of a document raises.
        broken: What is said of something that cannot be read.
        limit: How many bytes a document can have.
        text, value: To the cache and back; an empty text is not kept, and ``None`` is no value.
        also_kept: What it says that plain reading of files keeps, too.
    """

    make: Callable[[str, _Documents], Value]
    broken: Callable[[str], Value]
    limit: int
    text: Callable[[Value], str]
    value: Callable[[str], Value | None]
    also_kept: Callable[[str, Stamps, Value], list[Kept]]


class _Documents(Protocol):
    """The documents of something.

    Attributes:
        stamps: Of those that were asked for, ``None`` where one of them cannot be told from another state of itself.
        refused: What kept one from being read that may not be there.
    """

    stamps: dict[str, str | None] | None
    refused: Exception | None

    def get(self, name: str) -> Content | None:
        """One of them, ``None`` where there is none. Raises what its filesystem raises."""

    def unchanged(self, known: Stamps) -> bool:
        """Whether all are as they were."""


class _LocalDocuments:
    def __init__(self, place: str, limit: int) -> None:
        self._place, self._limit = place, limit
        self.stamps: dict[str, str | None] | None = {}
        self.refused: Exception | None = None

    def get(self, name: str) -> Content | None:
        stamp: str | None
        try:
            content, stamp = read_stamped(self._path(name), self._limit)
        except (FileNotFoundError, NotADirectoryError):
            if name == _WHOLE:
                raise
            self._note(name, None)
            return None
        if stamp is None:
            self.stamps = None
        else:
            self._note(name, stamp)
        return content

    def unchanged(self, known: Stamps) -> bool:
        return all(self._stamp(name) == stamp for name, stamp in known.items())

    def _note(self, name: str, stamp: str | None) -> None:
        if self.stamps is not None:
            self.stamps[name] = stamp

    def _path(self, name: str) -> str:
        return f"{self._place}/{name}" if name else self._place

    def _stamp(self, name: str) -> str | None:
        try:
            return stamp_of(os.stat(self._path(name)))
        except OSError:
            return None


class _RemoteDocuments:
    def __init__(self, fs: Any, place: Location, limit: int) -> None:
        self._fs, self._place, self._limit = fs, place, limit
        self.stamps: dict[str, str | None] | None = {}
        self.refused: Exception | None = None

    def get(self, name: str) -> Content | None:
        try:
            content, token = read_pieces_in(self._fs, self._at(name), self._limit, partial(taken, whole=True))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            if name == _WHOLE:
                raise
            self._note(name, None)
            return None
        except Exception as error:
            # Of what is not there, a bucket that lists nothing says that it is forbidden.
            if name == _WHOLE or not (isinstance(error, PermissionError) or getattr(error, "status", 0) == _FORBIDDEN):
                raise
            self.stamps, self.refused = None, error
            return None
        if token:
            self._note(name, remote_stamp(content.size, token))
        else:
            self.stamps = None
        return content

    def unchanged(self, known: Stamps) -> bool:
        return all(self._stamp(name) == stamp for name, stamp in known.items())

    def _note(self, name: str, stamp: str | None) -> None:
        if self.stamps is not None:
            self.stamps[name] = stamp

    def _at(self, name: str) -> Location:
        return self._place / name if name else self._place

    def _stamp(self, name: str) -> str | None:
        path = path_in(self._fs, self._at(name))
        try:
            said = patiently(lambda: self._fs.info(path))
        except FileNotFoundError:
            return None
        except Exception:
            # Whatever it is, the reading that follows comes upon it, and tells.
            return ""
        return remote_stamp(said.get("size") or 0, str(said.get("ETag") or said.get("etag") or ""))


def read_local(kind: str, root: str, ask: Ask) -> Answer[Any]:
    """What something below a folder of this machine says."""
    return _answer(_KINDS[kind], ask, lambda limit: _LocalDocuments(f"{root}/{ask.path}", limit), {})


def read_remote(kind: str, root: RemoteFolder, ask: Ask) -> Answer[Any]:
    """What something below a folder of a filesystem of fsspec says."""

    def documents(limit: int) -> _Documents:
        return _RemoteDocuments(root.filesystem()[0], root.location / ask.path, limit)

    return _answer(_KINDS[kind], ask, documents, root.fs_args)


def _answer(
    kind: _Kind[Value], ask: Ask, opened: Callable[[int], _Documents], fs_args: Mapping[str, Any]
) -> Answer[Value]:
    try:
        documents = opened(kind.limit)
        if ask.known is not None and documents.unchanged(ask.known):
            return Answer(None)
        value = kind.make(ask.path, documents)
    except Exception as error:
        # A remote filesystem raises what its client library raises. What cannot be read is one problem.
        return Answer(kind.broken(explain(error, fs_args)))
    return Answer(value, documents.stamps)


def _reading(place: FileRoot, kind: _Kind[Value]) -> tuple[Callable[[Ask], Answer[Value]], int | None]:
    """What reads below a place, and how many things are worth giving to it at once."""
    name = next(name for name, each in _KINDS.items() if each is kind)
    if place.location.is_local:
        return partial(read_local, name, place.location.path), LOCAL_BATCH
    return partial(read_remote, name, RemoteFolder.open(place.location, place.fs_args)), None


def _known(shelf: MeasureShelf, path: str, kind: _Kind[Value]) -> tuple[Value, Stamps] | None:
    """What is kept of something. A row that this module did not write counts for nothing."""
    row = shelf.get(path)
    if row is None:
        return None
    try:
        stamps, value = json.loads(row.stamp), kind.value(row.found)
    except ValueError:
        return None
    return (value, stamps) if isinstance(stamps, dict) and stamps and value is not None else None


def _by_folder(keys: Mapping[Key, None], roots: Mapping[str, FileRoot]) -> Iterator[tuple[FileRoot, Mapping[Key, str]]]:
    """Paths below each root. Places of their own are put together by where they lie."""
    by_root: dict[str, dict[Key, str]] = {}
    for key in keys:
        by_root.setdefault(key[0], {})[key] = key[1]
    for root, paths in by_root.items():
        if root in roots:
            place = roots[root]
            yield replace(place, fs_args=arguments_for(place.location, place.fs_args)), paths
        else:
            yield from _gathered(paths)


def _gathered(places: Mapping[Key, str]) -> Iterator[tuple[FileRoot, Mapping[Key, str]]]:
    """By the top of where they lie: a folder of this machine, a host or a bucket."""
    by_top: dict[Location, dict[Key, str]] = {}
    local: dict[Key, str] = {}
    for key, text in places.items():
        place = Location.parse(text, Path("/"))
        if place.is_local:
            local[key] = place.path
            continue
        # What is in an archive, or has options, is reached from the folder above it.
        whole = place.archive is not None or bool(place.caches) or place.url != str(place)
        top = place.parent if whole else replace(place, path="")
        by_top.setdefault(top, {})[key] = place.name if whole else place.path.removeprefix("/")
    if local:
        common = os.path.commonpath([os.path.dirname(path) for path in local.values()])
        yield FileRoot(Location.parse(common)), {key: os.path.relpath(path, common) for key, path in local.items()}
    for folder, paths in by_top.items():
        yield FileRoot(folder, arguments_for(folder, {})), paths


# Points


def _points_of(path: str, documents: _Documents) -> FileFacts:
    content = documents.get(_WHOLE)
    assert content is not None, "a file that is not there is an error"
    facts = judged(path, content, None).facts
    return replace(facts, points=points_file.point_facts(path, content.data))


def _broken_points(problem: str) -> FileFacts:
    return FileFacts(problem=problem, points=PointFacts(problem=problem))


def _points_text(facts: FileFacts) -> str:
    if facts.problem or facts.points is None or facts.points.problem:
        return ""
    size = None if math.isnan(facts.voxel_size) else facts.voxel_size
    return json.dumps([facts.sha256, size, points_file.as_values(facts.points)])


def _points_value(text: str) -> FileFacts | None:
    try:
        sha256, size, values = json.loads(text)
        points = points_file.from_values(values)
        return FileFacts(str(sha256), math.nan if size is None else float(size), points=points)
    except (ValueError, TypeError, IndexError):
        return None


def _kept_points(path: str, stamps: Stamps, facts: FileFacts) -> list[Kept]:
    stamp = stamps.get(_WHOLE)
    return [Kept(path, stamp, facts.sha256, facts.voxel_size)] if stamp else []


# Arrays


def _array_of(path: str, documents: _Documents) -> ArrayFacts:  # noqa: ARG001 - one of several
    def get(name: str) -> bytes | None:
        content = documents.get(name)
        return None if content is None else content.data

    facts = array_metadata.array_facts(get)
    if facts.shape is None and documents.refused is not None:
        raise documents.refused
    return facts


def _array_text(facts: ArrayFacts) -> str:
    return "" if facts.shape is None else array_metadata.as_text(facts)


_POINTS = _Kind(_points_of, _broken_points, intake.PICKS_BYTES, _points_text, _points_value, _kept_points)
_ARRAYS = _Kind(
    _array_of,
    lambda problem: ArrayFacts(problem=problem),
    intake.DOCUMENT_BYTES,
    _array_text,
    array_metadata.from_text,
    lambda *_: [],
)
_KINDS: Mapping[str, _Kind[Any]] = {"points": _POINTS, "arrays": _ARRAYS}
