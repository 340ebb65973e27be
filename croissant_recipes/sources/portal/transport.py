"""One question to the portal at a time: answered from disk or over HTTP, tried again where that can help."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from croissant_recipes.options import CacheMode
from croissant_recipes.sources.base import Request
from croissant_recipes.sources.portal.queries import FailedTry, NotCachedError, PortalError, Query, Row
from croissant_recipes.sources.portal.response_cache import TTL_SECONDS, ResponseCache, request_key

if TYPE_CHECKING:
    from croissant_recipes.sources.portal.client import PortalClient


PORTAL_URL = "https://graphql.cryoetdataportal.czscience.com/graphql"

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 2.0


@dataclass(frozen=True)
class Limits:
    """How requests are cut and how long they are tried.

    Attributes:
        page_rows: Rows asked for at once.
        attempts: Tries of a request before it counts as failed.
        attempts_of_part: Tries of a part of a request that failed whole.
        timeout_seconds: How long the server may be silent.
    """

    page_rows: int = 2500
    attempts: int = 6
    attempts_of_part: int = 3
    timeout_seconds: float = 20.0


@dataclass(frozen=True)
class Answer:
    """What the portal said.

    Attributes:
        data: By the query's root fields.
        request: The record for ``plan -v``.
    """

    data: Mapping[str, Any]
    request: Request

    @property
    def groups(self) -> Sequence[Row]:
        """The groups of an aggregate."""
        return self.data["rows"]["aggregate"] or ()


class Endpoint:
    """A GraphQL endpoint behind a cache. Safe to use from several threads; a context manager that closes connections.

    Args:
        url: Its address.
        cache: Answers on disk.
        mode: ``use`` answers not older than a day, ``refresh`` them all, or take only them and stay ``offline``.
        limits: When to give up.
        sleep: Waits between tries, in seconds.
    """

    def __init__(
        self,
        url: str,
        cache: ResponseCache,
        mode: CacheMode = "use",
        limits: Limits = Limits(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, self.cache, self.mode, self.limits = url, cache, mode, limits
        self._sleep = sleep
        self._client: PortalClient | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
            # Only who asked anew has made it larger.
            self.cache.prune()

    def stop(self) -> None:
        """Give up: what is asked or fails from now on is not tried again."""
        self._stopped.set()

    def ask(self, query: Query, *, part: bool = False) -> Answer:
        """The answer to a query; ``part`` says that it is a part of one that failed.

        Raises:
            PortalError: There is none.
        """
        key = request_key(self.url, query.text, query.variables)
        if self.mode != "refresh":
            kept = self.cache.get(key)
            if kept is not None and (self.mode == "offline" or kept.age_seconds <= TTL_SECONDS):
                return Answer(kept.data, _record(query, kept.data, kept.bytes, kept.age_seconds))
        if self.mode == "offline":
            raise NotCachedError(query, "no cached answer")
        data, size = self._try(query, self.limits.attempts_of_part if part else self.limits.attempts)
        self.cache.put(key, data, size)
        return Answer(data, _record(query, data, size, None))

    def _try(self, query: Query, attempts: int) -> tuple[Mapping[str, Any], int]:
        client, delay, spent = self._connected(), _FIRST_DELAY, 0
        while True:
            try:
                return client.send(query)
            except FailedTry as failure:
                spent += attempts if failure.cost is None else failure.cost
                if spent >= attempts or self._stopped.is_set():
                    raise PortalError(
                        query,
                        failure.reason,
                        may_be_too_large=failure.may_be_too_large,
                        wrong_form=failure.wrong_form,
                    ) from failure
            # Processes that failed together should not come back together.
            self._sleep(delay * random.uniform(1.0, 1.5))
            delay = min(2 * delay, _LONGEST_DELAY)

    def _connected(self) -> PortalClient:
        with self._lock:
            if self._client is None:
                # The client takes longer to import than a build from cached answers takes.
                from croissant_recipes.sources.portal.client import PortalClient

                self._client = PortalClient(self.url, self.limits.timeout_seconds)
            return self._client


def _record(query: Query, data: Mapping[str, Any], size: int, age: float | None) -> Request:
    return Request(query.what, sum(_row_count(v) for v in data.values()), size, age is not None, age)


def _row_count(value: Any) -> int:
    rows = value.get("aggregate") if isinstance(value, Mapping) else value
    return len(rows or ())
