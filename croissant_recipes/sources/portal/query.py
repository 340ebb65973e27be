"""A query to the portal, and the ways in which it stays without an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Query:
    """A GraphQL query.

    Attributes:
        what: What it asks for, in readable words.
        text: The query.
        variables: Its variables.
    """

    what: str
    text: str
    variables: Mapping[str, Any]


class PortalError(Exception):
    """A query that stays without an answer.

    Attributes:
        query: The query.
        reason: Why, as the last try told.
        may_be_too_large: Whether a part of it could still be answered.
    """

    def __init__(self, query: Query, reason: str, *, may_be_too_large: bool = False) -> None:
        super().__init__(f"{query.what}: {reason}")
        self.query, self.reason, self.may_be_too_large = query, reason, may_be_too_large


class NotCachedError(PortalError):
    """Offline, and the answer is not on disk."""


class FailedTry(Exception):  # noqa: N818 - one try that failed is no error yet
    """One try of a query failed.

    Attributes:
        reason: Why.
        cost: How many tries it counts as; ``None`` where no further try can help.
        may_be_too_large: Whether a part of the query could still be answered.
    """

    def __init__(self, reason: str, *, cost: int | None, may_be_too_large: bool) -> None:
        super().__init__(reason)
        self.reason, self.cost, self.may_be_too_large = reason, cost, may_be_too_large
