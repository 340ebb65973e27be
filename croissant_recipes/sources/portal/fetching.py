"""Rows of the portal's tables: cut by runs, paged by id, cut again where the server cannot answer, many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, wait
from dataclasses import dataclass, field

from croissant_recipes.sources.base import Request, Task
from croissant_recipes.sources.portal.conditions import RunScope, at, both
from croissant_recipes.sources.portal.queries import (
    Clause,
    PortalError,
    Query,
    Row,
    Selection,
    fields,
    rows_query,
)
from croissant_recipes.sources.portal.transport import Answer, Endpoint

_DEEPEST_CUT = 5


@dataclass(frozen=True)
class Fetch:
    """Rows to read.

    Attributes:
        what: In readable words.
        table: Root field of the query.
        selection: Fields to ask for; ``id`` is always asked for.
        where: Conditions besides the runs.
        run_path: Relations that lead to the run.
    """

    what: str
    table: str
    selection: Selection
    where: Clause
    run_path: tuple[str, ...]

    def key(self) -> tuple[str, str, str]:
        """Equal for fetches that give the same rows."""
        return self.table, fields(self.selection), repr(self.where)


@dataclass
class Rows:
    """What a part of a fetch gave, and the requests made for it."""

    rows: list[Row] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


def fetch_batch(endpoint: Endpoint, fetch: Fetch, scope: RunScope, batch: Sequence[int]) -> Rows:
    """The rows of some of the runs, by id.

    Raises:
        PortalError: A query stays without an answer, however small.
    """
    found = Rows()
    for pages in _cut_as_needed(endpoint, fetch, scope, batch, endpoint.limits.page_rows, 0):
        found.rows += pages.rows
        found.requests += pages.requests
    return found


def _cut_as_needed(
    endpoint: Endpoint, fetch: Fetch, scope: RunScope, batch: Sequence[int], limit: int, depth: int
) -> Iterator[Rows]:
    try:
        where = both(fetch.where, at(fetch.run_path, scope.clause(batch)))
        what = f"{fetch.what}, {_runs_text(scope, batch)}"
        yield all_rows(endpoint, what, fetch.table, fetch.selection, where, limit=limit, part=depth > 0)
    except PortalError as error:
        if not error.may_be_too_large or depth == _DEEPEST_CUT or (len(batch) == 1 and limit == 1):
            raise
        if len(batch) == 1:
            parts, limit = [batch], max(limit // 4, 1)
        else:
            middle = len(batch) // 2
            parts = [batch[:middle], batch[middle:]]
        for part in parts:
            yield from _cut_as_needed(endpoint, fetch, scope, part, limit, depth + 1)


def all_rows(
    endpoint: Endpoint,
    what: str,
    table: str,
    selection: Selection,
    where: Clause,
    *,
    limit: int | None = None,
    part: bool = False,
) -> Rows:
    """All rows that a clause holds for, by id, page after page.

    Raises:
        PortalError: A query stays without an answer.
    """
    found, rows = Rows(), None
    limit = endpoint.limits.page_rows if limit is None else limit
    page_where, page = where, what
    while rows is None or len(rows) == limit:
        if rows:
            # Counting from the last id, unlike an offset, gives every row once even where rows come and go in between.
            last = rows[-1]["id"]
            page_where, page = both(where, {"id": {"_gt": last}}), f"{what}, after id {last}"
        answer = endpoint.ask(rows_query(page, table, {"id": {}, **selection}, page_where, limit), part=part)
        rows = answer.data["rows"]
        found.rows += rows
        found.requests.append(answer.request)
    return found


def _runs_text(scope: RunScope, batch: Sequence[int]) -> str:
    if len(batch) == len(scope.known):
        return "all runs"
    return f"run {batch[0]}" if len(batch) == 1 else f"{len(batch)} runs from {batch[0]} to {batch[-1]}"


@dataclass
class FetchPool:
    """Fetches under way on several threads, each made once however many layers need its rows."""

    endpoint: Endpoint
    executor: Executor
    _parts: dict[tuple[object, ...], list[Future[Rows]]] = field(default_factory=dict)
    _unreported: list[tuple[object, ...]] = field(default_factory=list)
    _failures: list[PortalError] = field(default_factory=list)
    _asked: list[Request] = field(default_factory=list)

    def __enter__(self) -> FetchPool:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None:
            self._give_up()
        # The executor may outlive this, and the endpoint's connections do not. Who interrupts does not wait.
        if failure is None or issubclass(failure, Exception):
            wait([future for parts in self._parts.values() for future in parts])

    def start(self, fetches: Iterable[Fetch], scope: RunScope, rows: int, task: Task) -> None:
        """Start fetches that give about so many rows each, unless they are under way."""
        batches = scope.batches(-(-rows // self.endpoint.limits.page_rows))
        for fetch in fetches:
            key = self._key(fetch, scope)
            if key not in self._parts:
                task.extend(len(batches))
                self._parts[key] = [self.executor.submit(self._fetch, fetch, scope, b, task) for b in batches]

    def read(self, fetch: Fetch, scope: RunScope) -> Sequence[Row]:
        """The rows of a fetch that was started, by id."""
        key = self._key(fetch, scope)
        try:
            parts = [future.result() for future in self._parts[key]]
        except (PortalError, CancelledError):
            # Those that were given up because of the first failure fail too, and do not tell why.
            raise self._failures[0] from None
        if key not in self._unreported:
            self._unreported.append(key)
            for part in parts:
                self._asked += part.requests
        return sorted((row for part in parts for row in part.rows), key=_id)

    def ask(self, query: Query) -> Answer:
        """The answer to a query, at once."""
        answer = self.endpoint.ask(query)
        self._asked.append(answer.request)
        return answer

    def new_requests(self) -> list[Request]:
        """The requests since the last call, in an order that does not depend on which answer came first."""
        asked, self._asked = self._asked, []
        return asked

    def _fetch(self, fetch: Fetch, scope: RunScope, batch: Sequence[int], task: Task) -> Rows:
        try:
            rows = fetch_batch(self.endpoint, fetch, scope, batch)
        except PortalError as error:
            self._failures.append(error)
            self._give_up()
            raise
        task.advance()
        return rows

    def _give_up(self) -> None:
        self.endpoint.stop()
        for parts in list(self._parts.values()):
            for future in parts:
                future.cancel()

    @staticmethod
    def _key(fetch: Fetch, scope: RunScope) -> tuple[object, ...]:
        return *fetch.key(), scope


def _id(row: Row) -> int:
    identifier: int = row["id"]
    return identifier
