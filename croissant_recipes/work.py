"""Work for an executor: functions of picklable values, given in batches to anything that is a
``concurrent.futures.Executor``. Threads are the default; processes and clusters do as well, since nothing that is given
to them holds a lock, a cache or an open file.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

LOCAL_BATCH = 64
"""How many files of a local disk are worth the hand-over to another thread."""

_ROUNDS = 4
"""Batches per worker where a batch has no size of its own: workers that are done early take what is left."""


class WorkError(Exception):
    """What went wrong in another process and cannot come over as it was."""


@dataclass(frozen=True)
class Answer(Generic[Item, Result]):
    """What became of one item.

    Attributes:
        item: What the function was given.
        found: What it returned, unless it failed.
        error: What it raised.
    """

    item: Item
    found: Result | None
    error: Exception | None = None

    def __reduce__(self) -> tuple[type[Answer[Item, Result]], tuple[Item, Result | None, Exception | None]]:
        return Answer, (self.item, self.found, _portable(self.error))

    def get(self) -> Result:
        """What the function returned for the item. Raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.found  # type: ignore[return-value]


class Workers:
    """An executor and how much to have under way at once. As a context, it ends the threads that it made itself.

    Args:
        jobs: How many files or requests to have under way at once.
        executor: The caller's own, which is never shut down; without one, threads.
    """

    def __init__(self, jobs: int, executor: Executor | None = None) -> None:
        self.jobs = max(1, jobs)
        self._own = ThreadPoolExecutor(self.jobs, thread_name_prefix="croissant-recipe") if executor is None else None
        self._executor: Executor = executor or self._own  # type: ignore[assignment]

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own is not None:
            # Who interrupts does not wait for an answer that is under way.
            self._own.shutdown(wait=not isinstance(failure, KeyboardInterrupt), cancel_futures=True)

    def each(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        batch: int | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> Iterator[Answer[Item, Result]]:
        """What a function makes of each item, in the order of the items.

        Args:
            function: A function of a module, or a ``functools.partial`` of one and picklable values.
            items: Picklable values.
            batch: How many items are given at once; without it, all workers get an equal share, in a few rounds.
            advance: Told of the items of each batch that is done.
        """
        size = batch or -(-len(items) // (self.jobs * _ROUNDS)) or 1
        parts = [items[at : at + size] for at in range(0, len(items), size)]
        waiting: deque[Future[list[Answer[Item, Result]]]] = deque()
        try:
            waiting.extend(self._executor.submit(_answers, function, part) for part in parts)
            while waiting:
                answers = waiting.popleft().result()
                if advance is not None:
                    advance(len(answers))
                yield from answers
        finally:
            for future in waiting:
                future.cancel()

    @contextmanager
    def threads(self) -> Iterator[Executor]:
        """An executor for work that shares this process's memory: this one if it is of threads, otherwise threads that
        last as long as the context."""
        if isinstance(self._executor, ThreadPoolExecutor):
            yield self._executor
            return
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="croissant-recipe") as pool:
            yield pool


def _answers(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Answer[Item, Result]]:
    return [_answer(function, item) for item in items]


def _answer(function: Callable[[Item], Result], item: Item) -> Answer[Item, Result]:
    try:
        return Answer(item, function(item))
    except Exception as error:
        return Answer(item, None, error)


def _portable(error: Exception | None) -> Exception | None:
    """An error as it can go to another process. Those of client libraries often cannot be put together again there."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return WorkError(str(error) or type(error).__name__)
    return error
