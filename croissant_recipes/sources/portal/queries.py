"""Queries to the portal: their text, and what it means that one stays without an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError

Clause = dict[str, Any]
"""A ``where`` clause."""

Selection = Mapping[str, Any]
"""Fields to ask for; those of a relation are a mapping of their own, a scalar's is empty."""

Row = Mapping[str, Any]

_TYPES = {
    "runs": "Run",
    "tomograms": "Tomogram",
    "tomogramAuthors": "TomogramAuthor",
    "annotationFiles": "AnnotationFile",
    "annotationAuthors": "AnnotationAuthor",
    "annotations": "Annotation",
    "annotationShapes": "AnnotationShape",
    "datasets": "Dataset",
    "datasetAuthors": "DatasetAuthor",
    "depositions": "Deposition",
    "depositionAuthors": "DepositionAuthor",
}


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


def fields(selection: Selection) -> str:
    """The text of a selection."""
    return " ".join(f"{name} {{ {fields(inner)} }}" if inner else name for name, inner in selection.items())


def rows_query(what: str, table: str, selection: Selection, where: Clause, limit: int) -> Query:
    """The first ``limit`` rows by id."""
    text = (
        f"query rows($where: {_TYPES[table]}WhereClause, $page: LimitOffsetClause) {{ "
        f"rows: {table}(where: $where, orderBy: [{{id: asc}}], limitOffset: $page) {{ {fields(selection)} }} }}"
    )
    return Query(what, text, {"where": where, "page": {"limit": limit}})


def groups_query(what: str, table: str, group_by: Selection, where: Clause, functions: str = "count") -> Query:
    """How many rows there are for each combination of values."""
    text = (
        f"query groups($where: {_TYPES[table]}WhereClause) {{ "
        f"rows: {table}Aggregate(where: $where) {{ "
        f"aggregate {{ groupBy {{ {fields(group_by)} }} {functions} }} }} }}"
    )
    return Query(what, text, {"where": where})


class PortalError(Exception):
    """A query that stays without an answer.

    Attributes:
        query: The query.
        reason: Why, as the last try told.
        may_be_too_large: Whether a part of it could still be answered.
        wrong_form: Whether question or answer is not of the portal's schema, so that waiting helps nobody.
    """

    def __init__(self, query: Query, reason: str, *, may_be_too_large: bool = False, wrong_form: bool = False) -> None:
        super().__init__(f"{query.what}: {reason}")
        self.query, self.reason, self.may_be_too_large, self.wrong_form = query, reason, may_be_too_large, wrong_form


class NotCachedError(PortalError):
    """Offline, and the answer is not on disk."""


class FailedTry(Exception):  # noqa: N818 - one try that failed is no error yet
    """One try of a query failed.

    Attributes:
        reason: Why.
        cost: How many tries it counts as; ``None`` where no further try can help.
        may_be_too_large: Whether a part of the query could still be answered.
        wrong_form: Whether question or answer is not of the portal's schema, so that waiting helps nobody.
    """

    def __init__(self, reason: str, *, cost: int | None, may_be_too_large: bool, wrong_form: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.cost, self.may_be_too_large, self.wrong_form = reason, cost, may_be_too_large, wrong_form


@contextmanager
def reported(subject: str, asked_for: str, url: str) -> Iterator[None]:
    """Turns a query without an answer into the diagnostic that names it.

    Args:
        subject: What the portal is read for, as messages name it.
        asked_for: What of it, as messages name it.

    Raises:
        DiagnosticError: ``UNREACHABLE``, or ``CACHE`` where only cached answers are allowed.
    """
    try:
        yield
    except PortalError as error:
        where = f"{subject}, {asked_for}"
        if isinstance(error, NotCachedError):
            message = f"{where}: no cached answer for the query of {error.query.what}"
            raise DiagnosticError(Diagnostic(Code.CACHE, message, hint="run it once without --offline")) from error
        message = f"{where}: {url} gives no answer to the query of {error.query.what}: {error.reason}"
        hint = "try again later"
        if error.wrong_form:
            hint = (
                "is it a CryoET Data Portal? If so, it has changed: take a newer croissant-recipes and cryoetdataportal"
            )
        raise DiagnosticError(Diagnostic(Code.UNREACHABLE, message, hint=hint)) from error


def numbers(what: str, values: Sequence[int], limit: int = 8) -> str:
    """``datasets 10000, 10440``."""
    shown = ", ".join(map(str, values[:limit])) + (f" and {len(values) - limit} more" if len(values) > limit else "")
    return f"{what}{'' if len(values) == 1 else 's'} {shown}"
