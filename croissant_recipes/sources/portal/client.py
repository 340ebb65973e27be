"""The official client's schema and transport, without its classes: one GraphQL request over HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from copy import copy
from functools import cache
from typing import Any

import cryoet_data_portal
import orjson
import requests
from gql import GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed, TransportProtocolError, TransportServerError
from graphql import DocumentNode, GraphQLError, parse, validate

from croissant_recipes.access import PASSING_STATUS
from croissant_recipes.sources.portal.answer_form import Check, form_of
from croissant_recipes.sources.portal.queries import FailedTry, Query

# A request that timed out has waited long already.
_COST_OF_TIMEOUT = 3
# A GraphQL error is mostly the same the second time, yet a server in trouble answers with one too.
_COST_OF_GRAPHQL_ERROR = 3
_TOO_LARGE = re.compile("timed? ?out|too large|memory", re.IGNORECASE)
_SHOWN = 300


class PortalClient:
    """Sends queries to one endpoint. Safe to use from several threads, each on a connection of its own."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._client = copy(_official_client())
        self._client.url = url
        self._timeout = timeout_seconds
        self._idle: list[_Connection] = []
        self._documents: dict[str, tuple[DocumentNode, Check]] = {}
        self._lock = threading.Lock()

    def send(self, query: Query) -> tuple[Mapping[str, Any], int]:
        """The ``data`` of the answer, and the answer's size in bytes.

        Raises:
            FailedTry: There is no answer, or not a good one.
        """
        document, form = self._document(query)
        request = GraphQLRequest(document, variable_values=dict(query.variables))
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = _Connection(self._client.get_client().transport, self._timeout)
        try:
            answer = connection.send(request)
        except FailedTry:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        if (problem := form(answer[0])) is not None:
            reason = f"the answer is not of the form that was asked for: {problem}"
            raise FailedTry(reason, cost=_COST_OF_GRAPHQL_ERROR, may_be_too_large=False, wrong_form=True)
        return answer

    def close(self) -> None:
        with self._lock:
            connections, self._idle = self._idle, []
        for connection in connections:
            connection.close()

    def _document(self, query: Query) -> tuple[DocumentNode, Check]:
        with self._lock:
            known = self._documents.get(query.text)
            if known is None:
                document = parse(query.text)
                if problems := validate(self._client.schema, document):
                    reason = f"does not fit the schema of the installed client: {_messages(problems)}"
                    raise FailedTry(reason, cost=None, may_be_too_large=False, wrong_form=True)
                known = self._documents[query.text] = document, form_of(self._client.schema, document)
        return known


@cache
def _official_client() -> Any:
    """One whose parsed schema all others share, as parsing takes longer than most requests. It connects to nothing."""
    return cryoet_data_portal.Client()


class _Connection:
    """The official client's transport on one kept-open connection."""

    def __init__(self, transport: Any, timeout_seconds: float) -> None:
        # Its own retries know nothing of truncated answers, and it would wait forever for a silent server.
        transport.retries = 0
        transport.default_timeout = timeout_seconds
        transport.json_deserialize = self._read
        transport.connect()
        transport.session.hooks["response"].append(_refuse_trouble)
        self._transport = transport
        self._size = 0

    def send(self, request: GraphQLRequest) -> tuple[Mapping[str, Any], int]:
        try:
            result = self._transport.execute(request)
        except TransportConnectionFailed as error:
            if isinstance(error.__cause__, FailedTry):
                raise error.__cause__ from None
            if isinstance(error.__cause__, requests.exceptions.Timeout):
                reason = f"no answer within {self._transport.default_timeout:g} s"
                raise FailedTry(reason, cost=_COST_OF_TIMEOUT, may_be_too_large=True) from error
            refused = _refusal(error)
            reason = _short(error) if refused is None else _cut(refused)
            raise FailedTry(reason, cost=1, may_be_too_large=refused is None) from error
        except TransportServerError as error:
            # One that passes is told of before the body is looked at.
            raise FailedTry(_short(error), cost=None, may_be_too_large=False) from error
        except TransportProtocolError as error:
            raise FailedTry("the answer is no whole JSON document", cost=1, may_be_too_large=True) from error
        if result.errors or result.data is None:
            reason = f"GraphQL error: {_messages(result.errors or ['no data'])}"
            too_large = _TOO_LARGE.search(reason) is not None
            raise FailedTry(reason, cost=_COST_OF_GRAPHQL_ERROR, may_be_too_large=too_large)
        return result.data, self._size

    def close(self) -> None:
        self._transport.close()

    def _read(self, text: str) -> Any:
        body = text.encode()
        self._size = len(body)
        answer = orjson.loads(body)
        if not isinstance(answer, dict) or not isinstance(answer.get("errors") or [], list):
            raise ValueError("it is no answer of GraphQL")  # noqa: TRY004 - what gql takes for any wrong text
        return answer


def _refuse_trouble(response: requests.Response, **_: Any) -> None:
    """A server in trouble answers with any body, one that looks like an answer too."""
    if response.status_code in PASSING_STATUS:
        reason = f"{response.status_code} {response.reason or 'error'}".strip()
        raise FailedTry(reason, cost=1, may_be_too_large=True)


def _refusal(error: TransportConnectionFailed) -> str | None:
    """Why no connection came about, ``None`` where one did: a smaller query would fare no better."""
    cause = error.__cause__
    reason = getattr(cause.args[0], "reason", None) if cause is not None and cause.args else None
    if not isinstance(cause, requests.exceptions.ConnectionError) or reason is None:
        return None
    # urllib3 puts the object that failed before what it says.
    return str(reason).rpartition(": ")[2] or type(reason).__name__


def _messages(errors: list[Any] | list[GraphQLError]) -> str:
    texts = [str(e.get("message", e)) if isinstance(e, Mapping) else str(getattr(e, "message", e)) for e in errors]
    return _cut("; ".join(dict.fromkeys(texts)))


def _short(error: Exception) -> str:
    return _cut(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
