"""Answers of the portal on disk, one compressed file each, named by a hash of everything that decides the answer."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from croissant_recipes import intake
from croissant_recipes.sources.fact_cache import cache_directory

TTL_SECONDS = 24 * 3600.0
KEPT_SECONDS = 90 * TTL_SECONDS
"""How long an answer stays that nobody asked for. ``--offline`` takes answers of any age that are there."""

KEPT_BYTES = 500_000_000
"""How much stays, of what was asked for last."""

_MARK = ".pruned"
_PRUNED_EVERY = TTL_SECONDS
_UNFINISHED_SECONDS = 3600.0

_LARGEST = 256 * intake.MIB


@dataclass(frozen=True)
class CachedAnswer:
    """An answer from disk.

    Attributes:
        data: As the server gave it.
        bytes: Size of the server's answer.
        age_seconds: Time since the server gave it.
    """

    data: Mapping[str, Any]
    bytes: int
    age_seconds: float


def default_folder() -> Path:
    """``portal`` beside the cache of file facts."""
    return cache_directory() / "portal"


def request_key(url: str, text: str, variables: Mapping[str, Any]) -> str:
    """Hash of what a request asks, whom, and with which client's schema."""
    parts = [url, text, variables, _client_version()]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


@cache
def _client_version() -> str:
    return metadata.version("cryoet-data-portal")


class ResponseCache:
    """A folder of answers, safe with several processes: a file appears whole or not at all, and is never changed."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        self.problem = ""
        """Why an answer could not be kept, empty where all could."""

    def get(self, key: str) -> CachedAnswer | None:
        """The answer kept under a key, whatever its age. A file that cannot be read counts as none."""
        path = self._path(key)
        try:
            packed = intake.read_file(path, intake.DOCUMENT_BYTES)
            unpacking = zlib.decompressobj()
            record = orjson.loads(unpacking.decompress(packed, _LARGEST))
            if not unpacking.eof:
                # Its end has a checksum, without which nobody knows that the rest is right.
                return None
            # What is asked for stays.
            with suppress(OSError):
                os.utime(path, (self._now(), self._now()))
            age = max(self._now() - record["time"], 0.0)
            data, size = record["data"], record["bytes"]
        except (OSError, ValueError, KeyError, TypeError, zlib.error):
            return None
        return CachedAnswer(data, size, age) if isinstance(data, dict) and isinstance(size, int) else None

    def put(self, key: str, data: Mapping[str, Any], size: int) -> None:
        """Keep an answer. That it cannot be kept does not stop a build, and is said in ``problem``."""
        packed = zlib.compress(orjson.dumps({"time": self._now(), "bytes": size, "data": data}), 3)
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(packed)
                os.replace(temporary, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            self.problem = f"{path.parent}: {error.strerror or error}"

    def prune(self) -> None:
        """Take away what nobody asked for in a long time, and of the rest what is more than a cache should hold; at
        most once a day. Another process that reads a file meanwhile has it open and reads on; one that comes too late
        asks the portal, as for any answer that is not there."""
        now, mark = self._now(), self._folder / _MARK
        try:
            if mark.exists() and 0 <= now - mark.stat().st_mtime < _PRUNED_EVERY:
                return
            mark.touch()
            os.utime(mark, (now, now))
            found = [(path, path.stat()) for path in self._folder.glob("??/*") if path.is_file()]
        except OSError:
            # Another process does the same, or the cache cannot be written: then it can wait.
            return
        total = 0
        for path, status in sorted(found, key=lambda entry: -entry[1].st_mtime):
            age = now - status.st_mtime
            total += status.st_size
            longest = _UNFINISHED_SECONDS if path.name.startswith(".") else KEPT_SECONDS
            if age > longest or (total > KEPT_BYTES and age > TTL_SECONDS):
                with suppress(OSError):
                    path.unlink()

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json.z"
