"""Progress that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class _SilentTask:
    def advance(self, steps: int = 1) -> None:
        pass

    def extend(self, steps: int) -> None:
        pass


class Silent:
    """The progress of library calls."""

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[_SilentTask]:  # noqa: ARG002 - part of the protocol
        yield _SilentTask()
