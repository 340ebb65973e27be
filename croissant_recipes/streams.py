"""Standard output and error of a process as a command writes to them: what cannot be written there ends nothing.

A reader that goes away (``| head``) has what it wanted. A disk that is full, or a stream that is not open, is told at
the end, in one line on the other stream, and by the exit code.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any


class _Raw(io.FileIO):
    """The bytes of a stream. Writing never fails; ``problem`` is the first thing that went wrong."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.problem: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data)
        try:
            done = 0
            while done < len(view) and self.problem is None:
                done += os.write(self.fileno(), view[done:])
        except OSError as error:
            self.problem = error
        return len(view)


class Streams:
    """The two streams of this process, put in place of Python's own."""

    def __init__(self) -> None:
        self._missing = sys.stdout is None
        _fill_descriptors()
        self._out, self._err = _Raw(1), _Raw(2)
        sys.stdout, sys.stderr = _text(self._out, sys.stdout), _text(self._err, sys.stderr)

    def finish(self) -> OSError | None:
        """Writes what is left. Why standard output could not be written, ``None`` where it could, or where nobody reads
        it any more."""
        written = sys.stdout.tell_written() if isinstance(sys.stdout, _Text) else False
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if self._missing and written:
            return OSError(errno.EBADF, os.strerror(errno.EBADF))
        problem = self._out.problem
        return None if problem is None or problem.errno == errno.EPIPE else problem


class _Text(io.TextIOWrapper):
    _written = False

    def write(self, text: str) -> int:
        self._written = True
        return super().write(text)

    def tell_written(self) -> bool:
        """Whether anything was written at all."""
        return self._written


def _text(raw: _Raw, instead_of: Any) -> _Text:
    encoding = getattr(instead_of, "encoding", None) or "utf-8"
    # Names of files can be bytes that are no text, and a terminal can be of few characters.
    return _Text(io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=True)


def _fill_descriptors() -> None:
    """Opens what of the first three is not open, so that no file gets its number, and what is printed with it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
