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

from croissant_recipes.sources.fact_cache import cache_directory

TTL_SECONDS = 24 * 3600.0


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
        try:
            record = orjson.loads(zlib.decompress(self._path(key).read_bytes()))
            age = max(self._now() - record["time"], 0.0)
            return CachedAnswer(record["data"], record["bytes"], age)
        except (OSError, ValueError, KeyError, TypeError, zlib.error):
            return None

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

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json.z"
