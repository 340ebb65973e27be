"""Real servers on loopback for tests."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
