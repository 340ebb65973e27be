"""Progress for whoever waits: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from croissant_recipes.shown import printable


class _BarTask:
    def __init__(self, progress: Progress, task: TaskID, total: int | None) -> None:
        self._progress, self._task, self._total = progress, task, total

    def advance(self, steps: int = 1) -> None:
        self._progress.advance(self._task, steps)

    def extend(self, steps: int) -> None:
        self._total = (self._total or 0) + steps
        self._progress.update(self._task, total=self._total)


class Bars:
    """A progress bar for every task, gone when it is done."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream)

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[_BarTask]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield _BarTask(progress, progress.add_task(escape(printable(what)), total=total), total)


class _LineTask:
    def __init__(self) -> None:
        self.done = 0
        self._lock = Lock()

    def advance(self, steps: int = 1) -> None:
        with self._lock:
            self.done += steps

    def extend(self, steps: int) -> None:
        pass


class Lines:
    """One line when a task is done."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[_LineTask]:
        task = _LineTask()
        yield task
        done = f": {task.done:,}" if task.done or total else ""
        print(f"{printable(what)}{done}", file=self._stream, flush=True)


def progress_for(stream: TextIO) -> Bars | Lines:
    """Bars where the stream is a terminal."""
    return Bars(stream) if stream.isatty() else Lines(stream)


_USUAL, _NARROWEST = 80, 40
"""Columns."""


def width_of(stream: TextIO) -> int:
    """How many columns a line has: those of the terminal, and elsewhere as many as most terminals have."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else _USUAL
    except (OSError, ValueError):
        columns = _USUAL
    return max(columns or _USUAL, _NARROWEST)
