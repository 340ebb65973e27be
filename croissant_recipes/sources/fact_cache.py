"""Facts of files that were read before, kept per user across builds so that unchanged files are not read again.

A local file is unchanged when its absolute path, size, mtime, ctime (both in ns) and inode are those that it had when
it was read. That alone would miss a change within the clock tick of the last one, so a file whose mtime or ctime was
less than two seconds old when its reading began is never kept: it is read again until it has been at rest. No program
can set ctime back, so a restored mtime hides nothing. A remote file is unchanged when URL, size and the ETag of its
listing are the same; without an ETag it is never kept.

The cache is an SQLite file, ``facts-<version>.sqlite3``, in ``$CROISSANT_RECIPE_CACHE_DIR`` or else the user's cache
directory. The version is that of its schema and of what facts mean; another version is another file, and earlier ones
are taken away. Several processes may use it at once. It can be deleted at any time. Whatever is wrong with it, a build
goes on without it. Beyond a million facts, those that were kept first are taken away when others are added: a file is
then read once more.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import platformdirs

DIRECTORY_VARIABLE = "CROISSANT_RECIPE_CACHE_DIR"
REST_NS = 2_000_000_000

_VERSION = 2
_MOST = 1_000_000
_BUSY_SECONDS = 2.0
_TABLE = """
CREATE TABLE IF NOT EXISTS facts (
    path TEXT PRIMARY KEY,
    stamp TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    voxel_size REAL
)
"""
_MEASURES = """
CREATE TABLE IF NOT EXISTS measures_1 (
    path TEXT PRIMARY KEY,
    stamp TEXT NOT NULL,
    found TEXT NOT NULL
)
"""
"""What points and arrays are, which few recipes ask for. The number is that of what a text in it means."""

_SHA256_DIGITS = 64

_Row = tuple[str, str, str, float | None]


def stamp_of(status: os.stat_result) -> str:
    """What tells one state of a local file from another."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def remote_stamp(size: int, token: str) -> str:
    """What tells one state of a remote file from another."""
    return f"{size} {token}"


def at_rest(status: os.stat_result, now_ns: int) -> bool:
    """Whether a file had been left alone for so long that any later change shows in its stamp."""
    return max(status.st_mtime_ns, status.st_ctime_ns) + REST_NS <= now_ns


def cache_directory() -> Path:
    """Where the cache lies. It may not exist yet."""
    given = os.environ.get(DIRECTORY_VARIABLE)
    return Path(given) if given else Path(platformdirs.user_cache_dir("croissant-recipes"))


class Shelf:
    """What is kept of the files below one place.

    Args:
        place: Absolute path or URL, without a trailing slash. Where the cache fails, nothing is kept of it.
    """

    def __init__(self, place: str) -> None:
        self._rows: dict[str, _Row] = {}
        with suppress(sqlite3.Error, OSError, ValueError):
            # '0' is the character after '/': the rows of one place are one stretch of the index.
            wanted = (f"{place}/", f"{place}0")
            with _opened() as database:
                rows = database.execute("SELECT * FROM facts WHERE path >= ? AND path < ?", wanted).fetchall()
            self._rows = {row[0]: row for row in rows}

    def facts(self, path: str, stamp: str) -> tuple[str, float] | None:
        """sha256 and voxel size (Å, NaN where it says none) of a file by its whole path, if it is unchanged."""
        row = self._rows.get(path)
        if row is None or row[1] != stamp:
            return None
        sha256, voxel_size = row[2:]
        # SQLite checks no content: a row that this module did not write counts for nothing.
        if not (isinstance(sha256, str) and len(sha256) == _SHA256_DIGITS and isinstance(voxel_size, float | None)):
            return None
        return sha256, math.nan if voxel_size is None else voxel_size


class Measure(NamedTuple):
    """What points or the metadata of an array say: whole path, stamp, and a text."""

    path: str
    stamp: str
    found: str


class MeasureShelf:
    """What is kept of the points and arrays below one place.

    Args:
        place: See ``Shelf``.
    """

    def __init__(self, place: str) -> None:
        self._rows: dict[str, Measure] = {}
        with suppress(sqlite3.Error, OSError, ValueError):
            wanted = (f"{place}/", f"{place}0")
            with _opened() as database:
                query = "SELECT * FROM measures_1 WHERE path >= ? AND path < ?"
                rows = database.execute(query, wanted).fetchall()
            self._rows = {row[0]: Measure(*row) for row in rows if all(isinstance(value, str) for value in row)}

    def get(self, path: str) -> Measure | None:
        """What is kept under a whole path, whether it is unchanged or not."""
        return self._rows.get(path)


class Kept(NamedTuple):
    """Facts to keep: whole path, stamp, sha256 and voxel size (Å, NaN where the file says none)."""

    path: str
    stamp: str
    sha256: str
    voxel_size: float

    @property
    def row(self) -> _Row:
        # SQLite has no NaN.
        return self.path, self.stamp, self.sha256, None if math.isnan(self.voxel_size) else self.voxel_size


def keep(found: Iterable[Kept], measures: Iterable[Measure] = ()) -> None:
    """Adds facts, replacing older ones of the same path; does nothing where the cache fails."""
    rows, measured = [kept.row for kept in found], list(measures)
    if not rows and not measured:
        return
    with suppress(sqlite3.Error, OSError, ValueError), _opened() as database, database:
        for table, added in (("facts", rows), ("measures_1", measured)):
            if added:
                marks = ", ".join("?" * len(added[0]))
                database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", added)
                # Rows are numbered as they are kept, and one that is replaced gets a new number.
                oldest = f"(SELECT max(rowid) FROM {table}) - ?"
                database.execute(f"DELETE FROM {table} WHERE rowid <= {oldest}", (_MOST,))
    for version in range(1, _VERSION):
        with suppress(OSError):
            _file(version).unlink(missing_ok=True)


def _file(version: int) -> Path:
    return cache_directory() / f"facts-{version}.sqlite3"


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    file = _file(_VERSION)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS)) as database:
            database.execute(_TABLE)
            database.execute(_MEASURES)
            yield database
    except sqlite3.DatabaseError as error:
        # Its subclasses tell of a lock, a full disk and the like; the class itself of a file that is no database.
        if type(error) is sqlite3.DatabaseError:
            for ending in ("-journal", ""):
                file.with_name(file.name + ending).unlink(missing_ok=True)
        raise
