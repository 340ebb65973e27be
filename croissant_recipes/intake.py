"""Files and JSON that others wrote, taken in within limits: a file that is one, so large at most, so deep at most.

Whatever is read of this machine goes through here. A name can lead to a pipe that nobody writes into, to a device that
never ends or to a disk image: none of these is read, and each is told like any file that cannot be read.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Iterator
from io import FileIO
from typing import Any, NoReturn, Protocol

MIB = 2**20

RECIPE_BYTES = 2 * MIB
"""Of a recipe: many times what one of a hundred layers takes."""

DOCUMENT_BYTES = 16 * MIB
"""Of a JSON document: a copick config, the manifest of a Croissant, a build record, a split file."""

TABLE_BYTES = 2048 * MIB
"""Of one table of a Croissant: some ten million rows."""

PICKS_BYTES = 512 * MIB
"""Of a file of picks: some million points with their orientations."""

ANY_SIZE = 2**62
"""Of a file that is not held in memory."""

_PIECE_BYTES = 64 * MIB
_DEPTH = 64
_SHOWN_DIGITS = 12
_LARGEST = 2**63
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class UnfitFileError(OSError):
    """What lies where a file should is none that can be read: ``strerror`` says why."""


class NotJsonError(ValueError):
    """A text that is no JSON."""


def open_file(path: str | os.PathLike[str]) -> FileIO:
    """A regular file of this machine, opened for reading.

    Raises:
        OSError: What the system raises; ``UnfitFileError`` where a name is none, or leads to something else.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe waits for somebody who writes into it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError:
        raise UnfitFileError(errno.EINVAL, "no file has such a name") from None
    try:
        _refuse_other_than_file(os.fstat(descriptor).st_mode)
        return FileIO(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def _refuse_other_than_file(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    kind = "a named pipe" if stat.S_ISFIFO(mode) else "a device" if device else "a socket"
    raise UnfitFileError(errno.EINVAL, f"it is {kind}, not a file")


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """The content of a regular file of this machine.

    Args:
        path: Of the file.
        limit: How many bytes it can have.

    Raises:
        OSError: As ``open_file``; ``UnfitFileError`` where it is larger.
    """
    with open_file(path) as file:
        return b"".join(pieces(file, os.fstat(file.fileno()).st_size, limit))


class Files(Protocol):
    """Files that people write, as they are or as they were: a recipe and what it names."""

    @property
    def revision(self) -> str:
        """When that was, as somebody named it; empty for today."""

    def read(self, path: str | os.PathLike[str], limit: int) -> bytes:
        """The content of a file, as ``read_file``."""

    def mark(self, path: str | os.PathLike[str]) -> str:
        """What tells the content of a file from that of today; empty where it is the same."""


class FilesToday:
    """Files as they are."""

    revision = ""

    def read(self, path: str | os.PathLike[str], limit: int) -> bytes:
        return read_file(path, limit)

    def mark(self, path: str | os.PathLike[str]) -> str:  # noqa: ARG002 - one of several
        return ""


TODAY: Files = FilesToday()


def pieces(file: Any, size: int, limit: int) -> Iterator[bytes]:
    """The content of an opened file, piece by piece.

    Args:
        file: Has ``read``.
        size: How large it is said to be, in bytes. It may be larger.
        limit: How many bytes it can have.

    Raises:
        UnfitFileError: It is larger.
    """
    if size > limit:
        raise too_large(limit)
    left = limit + 1
    # Of most files one piece is all there is.
    while piece := file.read(min(left, max(size + 1, MIB), _PIECE_BYTES)):
        left -= len(piece)
        if left <= 0:
            raise too_large(limit)
        yield piece


def too_large(limit: int) -> UnfitFileError:
    """The error that tells that a file is larger than what is read."""
    return UnfitFileError(errno.EFBIG, f"it is larger than {limit // MIB:,} MiB")


def parse_json(data: bytes, *, nan: bool = False) -> Any:
    """The value of a JSON document, of which every text can be written again, every number counted with, and no part
    lies deeper than what recurses over it can go.

    Args:
        data: The document.
        nan: Whether ``NaN`` and infinite numbers are taken, as Python's own reader takes them.

    Raises:
        ValueError: It is none that is taken, ``NotJsonError`` where it is no JSON at all. The message says why, and
            where as far as that is known.
    """
    try:
        # A file in another encoding would be read too, but is none that copick or mlcroissant read.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotJsonError(f"it is not UTF-8, in line {line}") from None
    refusals: dict[str, Any] = {} if nan else {"parse_float": _finite, "parse_constant": _no_number}
    try:
        value = json.loads(text, parse_int=_whole, **refusals)
    except json.JSONDecodeError as error:
        raise NotJsonError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise _too_deep() from None
    _refuse_depth(value)
    if "\\u" in text:
        _refuse_characters(value)
    return value


def _whole(digits: str) -> int:
    if len(digits) > len(str(_LARGEST)) + 1 or not -_LARGEST <= int(digits) < _LARGEST:
        raise ValueError(f"the number {_cut(digits)} is too large")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {_cut(digits)} is too large")
    return value


def _no_number(name: str) -> NoReturn:
    raise NotJsonError(f"it is not JSON: {name} is no number of it")


def _cut(digits: str) -> str:
    return digits if len(digits) <= _SHOWN_DIGITS else f"{digits[:_SHOWN_DIGITS]}…"


def _too_deep() -> ValueError:
    return ValueError(f"its values are nested more than {_DEPTH} levels deep")


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEPTH + 1):
        inner = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list))
        level = [child for children in inner for child in children if isinstance(child, dict | list)]
        if not level:
            return
    raise _too_deep()


def _refuse_characters(value: Any) -> None:
    """An escape can stand for half a character, which no file can hold, or for one that ends a file's name."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("an escape in it stands for half a character") from None
    if _NUL.search(text):
        raise ValueError("an escape in it stands for the character NUL")
