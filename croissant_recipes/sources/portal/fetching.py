"""Rows of one table of the portal: cut by runs, paged by id, cut again where the server cannot answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from croissant_recipes.sources.base import Request
from croissant_recipes.sources.portal.conditions import Clause, RunScope, at, both
from croissant_recipes.sources.portal.query import PortalError, Query
from croissant_recipes.sources.portal.transport import Endpoint

Row = Mapping[str, Any]
Selection = Mapping[str, Any]
"""Fields to ask for; those of a relation are a mapping of their own, a scalar's is empty."""

_TYPES = {
    "runs": "Run",
    "tomograms": "Tomogram",
    "tomogramAuthors": "TomogramAuthor",
    "annotationFiles": "AnnotationFile",
    "annotationAuthors": "AnnotationAuthor",
    "annotations": "Annotation",
    "annotationShapes": "AnnotationShape",
    "datasets": "Dataset",
}
_DEEPEST_CUT = 5


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
