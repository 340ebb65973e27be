"""Real servers on loopback for tests."""

from __future__ import annotations

import json
import logging
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

KEY = "AKIATESTKEYFORMOTO"
SECRET = "a-secret-that-must-not-appear"


@dataclass(frozen=True)
class S3Server:
    """moto's S3 server."""

    endpoint: str

    @property
    def fs_args(self) -> dict[str, Any]:
        """Keyword arguments with which fsspec reaches it, whatever the bucket; a new dict each time."""
        return {"key": KEY, "secret": SECRET, "client_kwargs": {"endpoint_url": self.endpoint}}

    def filesystem(self) -> Any:
        """An s3fs filesystem of its own, whose listings are never kept."""
        return fsspec.filesystem("s3", **self.fs_args, use_listings_cache=False)

    def make_bucket(self, name: str) -> None:
        """S3 wants at least three characters."""
        self.filesystem().mkdir(name)

    def make_public(self, name: str) -> None:
        """A bucket whose objects are listed and read without credentials."""
        self.make_bucket(name)
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        backend.put_bucket_policy(name, json.dumps({"Version": "2012-10-17", "Statement": [allowed]}).encode())

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """What the server holds below a prefix, by the rest of the key; from its memory, since requests take time."""
        keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys
        return {name.removeprefix(prefix): key.value for name, key in sorted(keys.items()) if name.startswith(prefix)}

    def replace(self, bucket: str, prefix: str, files: Mapping[str, bytes]) -> None:
        """Makes the objects below a prefix these and no others, in its memory too."""
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        for name in self.objects(bucket, prefix):
            backend.delete_object(bucket, prefix + name)
        for name, data in files.items():
            backend.put_object(bucket, prefix + name, data)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """An empty S3 server on a free port. There is one set of buckets in a process, so run one server at a time."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        reset = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(reset).close()
        yield S3Server(endpoint)
    finally:
        server.stop()


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that goes away while it is answered is no error of a test."""


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """A folder on loopback http. Yields its URL, without a slash."""
    with serving(partial(_Quiet, directory=str(folder))) as url:
        yield url


@contextmanager
def serving(handler: Any) -> Iterator[str]:
    """A server on loopback http that answers with a handler. Yields its URL, without a slash."""
    server = _QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
