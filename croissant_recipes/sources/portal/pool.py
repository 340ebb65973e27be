"""Fetches under way on several threads, each made once however many layers need its rows."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field

from croissant_recipes.sources.base import Request, Task
from croissant_recipes.sources.portal.authors import authors_query
from croissant_recipes.sources.portal.conditions import RunScope
from croissant_recipes.sources.portal.fetching import Fetch, Row, Rows, fetch_batch
from croissant_recipes.sources.portal.layer_reading import LayerReading
from croissant_recipes.sources.portal.overview import groups
from croissant_recipes.sources.portal.query import PortalError
from croissant_recipes.sources.portal.transport import Endpoint


@dataclass
class FetchPool:
    """Fetches under way, each made once however many layers need it."""

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

    def start(self, layer: LayerReading, task: Task) -> None:
        for reading in layer.readings.values():
            count = -(-reading.most // self.endpoint.limits.page_rows)
            for fetch in reading.fetches():
                key = self._key(fetch, layer.scope)
                if key in self._parts:
                    continue
                batches = layer.scope.batches(count)
                task.extend(len(batches))
                self._parts[key] = [
                    self.executor.submit(self._fetch, fetch, layer.scope, batch, task) for batch in batches
                ]

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

    def new_requests(self) -> list[Request]:
        """The requests since the last call, in an order that does not depend on which answer came first."""
        asked, self._asked = self._asked, []
        return asked

    def author_names(self, artifact: str, datasets: Sequence[int]) -> list[str]:
        """The authors that an artifact type of the datasets has."""
        answer = self.endpoint.ask(authors_query(artifact, datasets))
        self._asked.append(answer.request)
        return sorted(group["groupBy"]["name"] for group in groups(answer))

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
