"""What can go wrong with one request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """The load balancer answers instead of the portal, with a page of its own or another body."""

    code: int = 502
    body: bytes = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


@dataclass(frozen=True)
class Drop:
    """The connection ends halfway through the body."""


@dataclass(frozen=True)
class Stall:
    """Nothing happens for so many seconds; then the answer comes."""

    seconds: float


@dataclass(frozen=True)
class Truncate:
    """A complete HTTP answer whose JSON ends too early."""


@dataclass(frozen=True)
class ErrorBody:
    """HTTP 200 with a GraphQL error."""

    message: str = "Internal server error"


@dataclass(frozen=True)
class Mangle:
    """The body is what ``change`` makes of the right one."""

    change: Callable[[bytes], bytes]


Fault = Status | Drop | Stall | Truncate | ErrorBody | Mangle

Faults = Callable[[int, str], Fault | None]
"""Says what goes wrong with a request, given its number (from 1) and its query."""
