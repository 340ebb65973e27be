"""The HTTP side: one loopback server, its latency, its faults and what it counts."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from tests.portal_server.answers import answer
from tests.portal_server.catalog import catalog
from tests.portal_server.faults import Drop, ErrorBody, Fault, Faults, Mangle, Stall, Status, Truncate
from tests.portal_server.filters import QueryError, Store, Tables


@dataclass
class Stats:
    """What the server did.

    Attributes:
        requests: Queries received, those that failed included. Asking for these numbers is not a request.
        failed: Queries that a fault befell.
        rows: Rows of any type in the answers, nested ones included.
        bytes: Bytes of the bodies sent, without HTTP headers.
        most_at_once: The most queries that were under way at one time.
        queries: The text of each query in the order of arrival.
    """

    requests: int = 0
    failed: int = 0
    rows: int = 0
    bytes: int = 0
    most_at_once: int = 0
    queries: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, int]:
        """The numbers, as ``GET /stats`` gives them."""
        return {name: value for name, value in vars(self).items() if name != "queries"}


@dataclass(frozen=True)
class Server:
    """A running server. ``url`` is the GraphQL endpoint, ``stats_url`` answers with the numbers of ``stats``."""

    url: str
    stats_url: str
    stats: Stats


@contextlib.contextmanager
def serve(
    tables: Tables, *, latency: float = 0.0, shuffle: int | None = None, faults: Faults | None = None, port: int = 0
) -> Iterator[Server]:
    """Serves tables until the block ends.

    Args:
        tables: Rows by GraphQL type name.
        latency: Seconds that each query waits before it is answered.
        shuffle: A seed. With it, rows whose order was not asked for come in another order at every request.
        faults: What goes wrong with which request.
        port: 0 for any free one.
    """
    http = _Http(port, _Portal(Store(catalog(), tables), latency, shuffle, faults))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield Server(f"{base}/graphql", f"{base}/stats", http.portal.stats)
    finally:
        http.portal.closing.set()
        http.shutdown()
        thread.join()
        http.server_close()


@dataclass
class _Portal:
    """The tables with what happens to requests for them."""

    store: Store
    latency: float
    shuffle: int | None
    faults: Faults | None
    stats: Stats = field(default_factory=Stats)
    closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _store_lock: threading.Lock = field(default_factory=threading.Lock)
    _under_way: int = 0

    @contextlib.contextmanager
    def request(self, query: str) -> Iterator[tuple[int, Fault | None]]:
        """One query from arrival to answer: its number and its fault."""
        with self._lock:
            self.stats.requests += 1
            number = self.stats.requests
            self.stats.queries.append(query)
            self._under_way += 1
            self.stats.most_at_once = max(self.stats.most_at_once, self._under_way)
            fault = self.faults(number, query) if self.faults else None
            self.stats.failed += fault is not None
        try:
            yield number, fault
        finally:
            with self._lock:
                self._under_way -= 1

    def wait(self, seconds: float) -> None:
        """Waits, but not longer than the server lives."""
        if seconds > 0:
            self.closing.wait(seconds)

    def reply(self, number: int, query: str, variables: dict[str, Any]) -> bytes:
        """The JSON body of a query's answer."""
        shuffle = None if self.shuffle is None else random.Random(f"{self.shuffle}:{number}")
        # One query at a time: the indexes are shared, and Python would not answer two any faster.
        with self._store_lock:
            try:
                data, rows = answer(self.store, query, variables, shuffle)
            except QueryError as error:
                return _error_body(str(error))
        with self._lock:
            self.stats.rows += rows
        return orjson.dumps({"data": data})

    def sent(self, count: int) -> None:
        with self._lock:
            self.stats.bytes += count


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, portal: _Portal) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.portal = portal

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is its own business."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Nothing is logged."""

    def do_GET(self) -> None:
        if self.path != "/stats":
            return self._send(404, b"{}")
        return self._send(200, orjson.dumps(self.server.portal.stats.to_json()))

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        portal = self.server.portal
        with portal.request(body["query"]) as (number, fault):
            portal.wait(portal.latency)
            reply = self._reply(number, fault, body["query"], body.get("variables") or {})
        # Sent when the query no longer counts as under way: the client may send its next before this call returns.
        if isinstance(fault, Status):
            self._answer(fault.body, status=fault.code, content_type="text/html")
        else:
            self._answer(reply, drop=isinstance(fault, Drop))

    def _reply(self, number: int, fault: Fault | None, query: str, variables: dict[str, Any]) -> bytes:
        if isinstance(fault, Status):
            return b""
        if isinstance(fault, ErrorBody):
            return _error_body(fault.message)
        if isinstance(fault, Stall):
            self.server.portal.wait(fault.seconds)
        reply = self.server.portal.reply(number, query, variables)
        if isinstance(fault, Mangle):
            return fault.change(reply)
        return reply[: len(reply) // 2] if isinstance(fault, Truncate) else reply

    def _answer(
        self, body: bytes, *, status: int = 200, content_type: str = "application/json", drop: bool = False
    ) -> None:
        sent = body[: len(body) // 2] if drop else body
        self.server.portal.sent(len(sent))
        self._send(status, sent, content_type, announced=len(body))
        if drop:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _send(
        self, status: int, body: bytes, content_type: str = "application/json", announced: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        self.wfile.write(body)


def _error_body(message: str) -> bytes:
    return orjson.dumps({"data": None, "errors": [{"message": message}]})
